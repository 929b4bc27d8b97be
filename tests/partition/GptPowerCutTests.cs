namespace Comanche.Partition.Tests;

/// <summary>Cuts each change of a table at each of its writes, whole and torn, and asks what the next start makes of it.</summary>
public sealed class GptPowerCutTests
{
    private static readonly GptOptions Create = new() { Create = true, Size = ByteSize.MiB(1) };
    private static readonly GptOptions Second = new() { Partition = 2, Create = true, Size = ByteSize.MiB(1) };

    // The partition that fills a torn array's last blocks must be as safe as one in its first.
    private static readonly GptOptions Late = new() { Partition = 127, Create = true, Size = ByteSize.MiB(1) };

    [Theory]
    [InlineData(512)]
    [InlineData(4096)]
    public void A_new_table_is_made_whole_by_the_next_start(int blockSize) =>
        Cut(blockSize, expectedWrites: 5, prepare: null, Create, (disk, _) => disk.List(Create));

    [Theory]
    [InlineData(512)]
    [InlineData(4096)]
    public void A_partition_that_is_added_is_there_whole_or_not_at_all_and_the_next_start_adds_it(int blockSize)
    {
        foreach (var added in (GptOptions[])[Second, Late])
        {
            Cut(blockSize, expectedWrites: 4, Create, added, (disk, before) =>
            {
                // A reader that may not write sees the old table or the new one.
                var seen = disk.List(new GptOptions(), HostFlags.ReadOnly);
                Assert.Equal(before, seen.Take(1));
                Assert.InRange(seen.Count, 1, 2);
                Assert.Equal(2, disk.List(added).Count);
            });
        }
    }

    [Fact]
    public void A_repair_that_is_cut_off_is_done_by_the_next_one()
    {
        Cut(512, expectedWrites: 2, Create, new GptOptions { Repair = true },
            (disk, before) => Assert.Equal(before, disk.List(new GptOptions { Repair = true })), disk => disk.Change(1, block => block[60] ^= 1));
    }

    [Fact]
    public void A_move_of_the_backup_that_is_cut_off_is_done_by_the_next_one()
    {
        var small = new GptTestDisk(4 << 20);
        small.List(Create);
        var image = small.Image();
        small.Dispose();
        Cut(512, expectedWrites: 6, null, new GptOptions { Repair = true },
            (disk, _) => Assert.Single(disk.List(new GptOptions { Repair = true })), disk => disk.Write(0, image));
    }

    private static void Cut(
        int blockSize, int expectedWrites, GptOptions? prepare, GptOptions change, Action<GptTestDisk, List<GptTestDisk.Found>> check,
        Action<GptTestDisk>? damage = null)
    {
        foreach (var part in (double[])[0, 0.04, 0.5, 0.97])
        {
            for (var writes = 0; ; writes++)
            {
                using var disk = new GptTestDisk(8 << 20, blockSize);
                var before = prepare is null ? [] : disk.List(prepare);
                damage?.Invoke(disk);
                var cut = new CutDevice(disk.Host, writes, part);
                cut.Bind(disk.Device, "");
                cut.Start();
                try
                {
                    disk.End(disk.Start(change, on: cut));
                }
                catch (ComancheException) when (cut.IsCut)
                {
                }
                finally
                {
                    cut.Stop();
                    cut.Release();
                }

                check(disk, before);

                // Healed: nothing is left to warn of, and both copies are whole.
                disk.List(new GptOptions());
                if (disk.Log.Count != 0) throw new InvalidOperationException($"cut at write {writes}, part {part}: {disk.Log[0].Message}");
                if (cut.IsCut) continue;
                Assert.Equal(expectedWrites, writes);
                break;
            }
        }
    }
}
