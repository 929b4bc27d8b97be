using System.Buffers.Binary;

namespace Comanche.Partition.Tests;

public sealed class GptMutationTests
{
    private static readonly ulong[] Interesting =
        [0, 1, 2, 33, 34, 35, 127, 128, 129, 4096, 8191, 16350, 16351, 16352, 16382, 16383, 16384, 1 << 20, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF,
            long.MaxValue, 1ul << 63, ulong.MaxValue - 1, ulong.MaxValue];

    /// <summary>
    /// What comes of a mutated table is an error, or the partitions as they were made, or, where a mutation wrote other values under good CRCs,
    /// partitions that obey every rule.
    /// </summary>
    [Theory]
    [InlineData(512, 1)]
    [InlineData(4096, 2)]
    public void Mutated_tables_give_an_error_or_the_right_answer(int blockSize, int seed)
    {
        const int Rounds = 5_000;
        var random = new Random(seed);
        using var made = new GptTestDisk(8 << 20, blockSize);
        made.List(new GptOptions { Create = true, Size = ByteSize.MiB(1) });
        made.List(new GptOptions { Partition = 2, Create = true, Size = ByteSize.MiB(2), Name = "second" });
        var before = made.List(new GptOptions { Partition = 5, Create = true });
        var arrayBlocks = 16384 / blockSize;
        var head = made.Read(0, 2 + arrayBlocks);
        var tail = made.Read(made.Blocks - 1 - (ulong)arrayBlocks, 1 + arrayBlocks);
        var (errors, same, others) = (0, 0, 0);
        for (var round = 0; round < Rounds; round++)
        {
            made.Write(0, head);
            made.Write(made.Blocks - (ulong)(1 + arrayBlocks), tail);
            var sealedOnes = false;
            for (var i = random.Next(1, 4); i > 0; i--) sealedOnes |= Mutate(made, random);
            var image = made.Read(0, 2 + arrayBlocks);
            try
            {
                var options = new GptOptions { Repair = round % 4 == 1, Create = round % 8 == 2 };
                var found = made.List(options);
                Assert.True(sealedOnes || before.SequenceEqual(found), $"round {round} of seed {seed}");
                Obeys(made, found);
                if (before.SequenceEqual(found)) same++;
                else others++;
                if (options.Repair) Assert.Equal(found, made.List(new GptOptions()));
            }
            catch (ComancheException error)
            {
                errors++;
                Assert.StartsWith("volume: ", error.Message);

                // An error leaves the head as it was, unless a repair was asked for.
                if (round % 4 != 1) Assert.Equal(image, made.Read(0, 2 + arrayBlocks));
            }
        }

        // Each outcome is met, or the mutations have lost their teeth.
        Assert.True(errors > Rounds / 20 && same > Rounds / 20 && others > Rounds / 100, $"{errors} errors, {same} same, {others} others");
    }

    // Whether CRCs were made good again over what was changed.
    private static bool Mutate(GptTestDisk disk, Random random)
    {
        var header = random.Next(2) == 0 ? 1 : disk.Blocks - 1;
        var array = 16384 / disk.BlockSize;
        switch (random.Next(6))
        {
            case 0: // Any bits of MBR, headers or arrays.
                var lba = (ulong)random.Next(2 + array);
                disk.Change(random.Next(2) == 0 ? lba : disk.Blocks - 1 - Math.Min(lba, (ulong)array), block => block[random.Next(block.Length)] ^= (byte)(1 << random.Next(8)));
                return false;
            case 1: // A block that is lost.
                disk.Change(random.Next(2) == 0 ? header : (ulong)random.Next(3), block => block.AsSpan().Fill((byte)(random.Next(2) * 0xFF)));
                return false;
            case 2: // A block that went astray.
                var from = disk.Read((ulong)random.Next(2 + array));
                disk.Write(random.Next(2) == 0 ? header : 2, from);
                return true;
            case 3: // A field of a header, under a good CRC.
                int[] fields = [8, 12, 20, 24, 32, 40, 48, 56, 72, 80, 84, 88];
                var at = fields[random.Next(fields.Length)];
                disk.ChangeHeader(header, block => Put(block, at, at is 8 or 12 or 20 or 80 or 84 or 88 ? 4 : 8, random));
                return true;
            case 4: // A field of an entry, under good CRCs.
                var entry = random.Next(6) * 128 + (random.Next(4) switch { 0 => 0, 1 => 32, 2 => 40, _ => 56 });
                try
                {
                    disk.ChangeArray(header, bytes => Put(bytes, entry, 8, random));
                }
                catch (ComancheException)
                {
                    // An earlier mutation took the array's place away.
                }

                return true;
            default: // A field of a header, under a CRC that does not hold.
                disk.Change(header, block => Put(block, random.Next(11) * 8, 8, random));
                return false;
        }
    }

    private static void Put(byte[] bytes, int at, int length, Random random)
    {
        var value = random.Next(3) == 0 ? (ulong)random.NextInt64() : Interesting[random.Next(Interesting.Length)];
        if (random.Next(3) == 0) value = BinaryPrimitives.ReadUInt64LittleEndian(bytes.AsSpan(at)) + (ulong)random.Next(-2, 3);
        BitConverter.GetBytes(value).AsSpan(0, length).CopyTo(bytes.AsSpan(at));
    }

    private static void Obeys(GptTestDisk disk, List<GptTestDisk.Found> found)
    {
        var end = 2ul;
        foreach (var partition in found.OrderBy(f => f.First))
        {
            Assert.True(partition.First >= end && partition.Count > 0 && partition.First + partition.Count < disk.Blocks);
            end = partition.First + partition.Count;
        }
    }
}
