using System.Buffers.Binary;
using Comanche.Testing;

namespace Comanche.Partition.Tests;

public sealed class RegionDirectoryTests
{
    private const ulong Second = 1024; // The second copy, in blocks of 512.
    private const int Header = 4096;
    private const int Entry = 160;

    [Fact]
    public void The_directory_is_as_the_page_says()
    {
        using var fixture = new RegionFixture(ByteSize.MiB(8));
        fixture.Open("journal", 1024).Release();
        fixture.Open("data", 512).Release();
        var copy = fixture.Read(fixture.Disk, 0, 8192);
        Assert.Equal(copy, fixture.Read(fixture.Disk, Second, 8192));
        Assert.Equal("CMNREGDR"u8.ToArray(), copy[..8]);
        Assert.Equal(1u, U32(copy, 8));
        Assert.Equal(3ul, U64(copy, 16));
        Assert.Equal(512u, U32(copy, 40));
        Assert.Equal(2u, U32(copy, 44));
        Assert.Equal(16384ul, U64(copy, 48));
        Assert.Equal((2048ul, 2048ul), (U64(copy, Header + 16), U64(copy, Header + 24)));
        Assert.Equal("journal\0"u8.ToArray(), copy[(Header + 40)..(Header + 48)]);
        Assert.Equal((4096ul, 1024ul), (U64(copy, Header + Entry + 16), U64(copy, Header + Entry + 24)));
        var stored = U32(copy, 12);
        copy.AsSpan(12, 4).Clear();
        Assert.Equal(Crc32C.Compute(copy.AsSpan(0, Header + 2 * Entry)), stored);
    }

    [Theory]
    [InlineData(0ul, 20)]
    [InlineData(0ul, Header + 17)]
    [InlineData(Second, 20)]
    [InlineData(Second, Header + 17)]
    public void Damage_in_one_copy_is_survived_reported_and_repaired(ulong copy, int at)
    {
        using var fixture = new RegionFixture(ByteSize.MiB(8));
        fixture.Open("a", 1024).Release();
        fixture.Open("b", 512).Release();
        var before = fixture.Read(fixture.Disk, copy, 8192);
        Flip(fixture, copy, at);
        var region = fixture.Open("b", create: false);
        Assert.Equal(["a", "b"], RegionFixture.List(region).Select(r => r.Name));
        Assert.Contains($"the directory of regions at byte {copy * 512} can't be used (its CRC32C is", fixture.Log);
        Assert.Equal(before, fixture.Read(fixture.Disk, copy, 8192));
        region.Release();
    }

    [Fact]
    public void A_copy_that_was_zeroed_or_can_not_be_read_is_survived_too()
    {
        using var fixture = new RegionFixture(ByteSize.MiB(8));
        fixture.Open("a", 1024).Release();
        fixture.Write(fixture.Disk, 0, new byte[512 * 1024]);
        fixture.Open("a", create: false).Release();
        fixture.Disk.Fault = (operation, lba, _) => operation == IoOperation.Read && lba == 0 ? IoStatus.MediaError : IoStatus.Success;
        fixture.Open("a", create: false).Release();
        Assert.Contains("at byte 0 can't be used", fixture.Log);
    }

    [Fact]
    public void Read_only_damage_is_reported_and_not_repaired()
    {
        using var fixture = new RegionFixture(ByteSize.MiB(8));
        fixture.Open("a", 1024).Release();
        Flip(fixture, 0, 20);
        var damaged = fixture.Read(fixture.Disk, 0, 4096);
        fixture.Open("a", flags: HostFlags.ReadOnly).Release();
        Assert.Contains("not repaired, since this is read-only", fixture.Log);
        Assert.Equal(damaged, fixture.Read(fixture.Disk, 0, 4096));
    }

    [Fact]
    public void Of_two_copies_the_newer_is_used()
    {
        using var fixture = new RegionFixture(ByteSize.MiB(8));
        fixture.Open("a", 1024).Release();
        var older = fixture.Read(fixture.Disk, 0, 8192);
        fixture.Open("b", 512).Release();
        fixture.Write(fixture.Disk, Second, older);
        var region = fixture.Open("a", create: false);
        Assert.Equal(["a", "b"], RegionFixture.List(region).Select(r => r.Name));
        Assert.Contains("is older than the other one", fixture.Log);
        region.Release();
    }

    [Fact]
    public void With_both_copies_damaged_the_error_has_both_places_and_what_was_expected()
    {
        using var fixture = new RegionFixture(ByteSize.MiB(8));
        fixture.Open("a", 1024).Release();
        Flip(fixture, 0, 20);
        Flip(fixture, Second, 99);
        var message = fixture.Refusal();
        Assert.Contains("neither directory of regions can be used: at byte 0 its CRC32C is", message);
        Assert.Contains("at byte 524288 its CRC32C is", message);
        Assert.Contains("was expected", message);
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(1u)]
    [InlineData(128u)]
    [InlineData(2047u)]
    public void A_device_that_holds_something_else_is_never_formatted(uint lba)
    {
        using var fixture = new RegionFixture(ByteSize.MiB(8));
        var block = new byte[512];
        "EFI PART"u8.CopyTo(block);
        fixture.Write(fixture.Disk, lba, block);
        Assert.Contains($"it holds something else, which is never overwritten: byte {lba * 512} holds {Convert.ToHexString("EFI PART"u8)}", fixture.Refusal());
        Assert.Equal(1, fixture.Disk.Counts[(int)IoOperation.Write]);
    }

    [Fact]
    public void A_partition_table_over_the_directory_is_left_alone_and_nothing_is_changed_then()
    {
        using var fixture = new RegionFixture(ByteSize.MiB(8));
        fixture.Open("a", 1024).Release();
        var sector = RegionFixture.Noise(1, 512);
        (sector[510], sector[511]) = (0x55, 0xAA);
        fixture.Write(fixture.Disk, 0, sector);
        var region = fixture.Open("a");
        Assert.Contains("something else lies there", fixture.Log);
        Assert.Contains("never overwritten", Assert.Throws<ComancheException>(() => region.ReuseOrAllocate("b", 1, 0)).Message);
        region.Release();
        Assert.Equal(sector, fixture.Read(fixture.Disk, 0, 512));
    }

    [Fact]
    public void A_newer_version_is_refused()
    {
        using var fixture = new RegionFixture(ByteSize.MiB(8));
        fixture.Open("a", 1024).Release();
        Change(fixture, [Second], copy => copy[8] = 2);
        Assert.Contains("the directory at byte 524288: it has version 2, 1 was expected", fixture.Refusal());
    }

    [Theory]
    [InlineData("overlap", "lies over what ends at LBA 4096")]
    [InlineData("directory", "lies over what ends at LBA 2048")]
    [InlineData("beyond", "does not lie on its device")]
    [InlineData("wrap", "does not lie on its device")]
    [InlineData("empty", "does not lie on its device")]
    [InlineData("name", "the name of entry 0 is none")]
    [InlineData("twice", "two regions are called 'a'")]
    [InlineData("identity", "two regions have the identity")]
    [InlineData("count", "it has 4294967295 regions")]
    [InlineData("block", "its block size is 513")]
    public void A_directory_that_makes_no_sense_is_refused_though_its_checksum_fits(string what, string expected)
    {
        using var fixture = new RegionFixture(ByteSize.MiB(8));
        fixture.Open("a", 1024).Release();
        fixture.Open("b", 1024).Release();
        Change(fixture, [0, Second], copy =>
        {
            var first = copy.AsSpan(Header, Entry);
            var second = copy.AsSpan(Header + Entry, Entry);
            switch (what)
            {
                case "overlap": Put(second[16..], 4095); break;
                case "directory": Put(first[16..], 2047); break;
                case "beyond": Put(second[24..], 16384 - 4096 + 1); break;
                case "wrap": Put(second[24..], ulong.MaxValue); break;
                case "empty": Put(first[24..], 0); break;
                case "name": first[40] = 0xFF; break;
                case "twice": second[40] = (byte)'a'; break;
                case "identity": first[..16].CopyTo(second); break;
                case "count": BinaryPrimitives.WriteUInt32LittleEndian(copy.AsSpan(44), uint.MaxValue); break;
                case "block": copy[40] = 1; break;
            }
        });
        Assert.Contains(expected, fixture.Refusal());
    }

    [Fact]
    public void A_change_that_is_cut_short_at_any_write_was_made_or_was_not()
    {
        var seen = new HashSet<bool>();
        for (var cut = 0; cut <= 2; cut++)
        {
            using var fixture = new RegionFixture(ByteSize.MiB(8));
            var region = fixture.Open("a", 1024);
            var left = cut;
            fixture.Disk.Fault = (operation, _, _) => operation == IoOperation.Write && left-- <= 0 ? IoStatus.DeviceRemoved : IoStatus.Success;
            try
            {
                region.ReuseOrAllocate("b", 512, 0).Release();
            }
            catch (ComancheException)
            {
                Assert.NotEqual(2, cut);
            }

            region.Release();
            fixture.Disk.Fault = null;
            region = fixture.Open("a", create: false);
            var names = RegionFixture.List(region).Select(r => r.Name).ToArray();
            Assert.True(names is ["a"] or ["a", "b"], string.Join(' ', names));
            seen.Add(names.Length == 2);
            region.Release();
        }

        Assert.Equal(2, seen.Count);
    }

    [Fact]
    public void A_formatting_that_is_cut_short_is_finished_by_the_next_start()
    {
        for (var cut = 0; cut <= 4; cut++)
        {
            using var fixture = new RegionFixture(ByteSize.MiB(8));
            var left = cut;
            fixture.Disk.Fault = (operation, _, _) => operation == IoOperation.Write && left-- <= 0 ? IoStatus.DeviceRemoved : IoStatus.Success;
            if (cut < 4) fixture.Refusal();
            fixture.Disk.Fault = null;
            var region = fixture.Open("a");
            Assert.Equal(["a"], RegionFixture.List(region).Select(r => r.Name));
            region.Release();
        }
    }

    [Fact]
    public void Ten_thousand_mutated_directories_give_the_right_regions_or_an_error()
    {
        const int Seed = 20240608;
        var random = new Random(Seed);
        using var fixture = new RegionFixture(ByteSize.MiB(8));
        foreach (var (name, kib) in ((string, ulong)[])[("a", 1024), ("b", 512), ("c", 2048)]) fixture.Open(name, kib).Release();
        var good = fixture.Read(fixture.Disk, 0, 8192);
        (string, ulong, ulong)[] expected = [("a", 2048, 2048), ("b", 4096, 1024), ("c", 6144, 4096)];
        var (opened, refused) = (0, 0);
        for (var i = 0; i < 10_000; i++)
        {
            var copies = random.Next(3) == 0 ? (ulong[])[0, Second] : random.Next(2) == 0 ? [0] : [Second];
            var honest = true;
            foreach (var copy in copies)
            {
                fixture.Write(fixture.Disk, copy, Mutated(random, good, out var fix));
                honest &= !fix;
            }

            var region = fixture.Make(new() { Region = "b", Create = false }, HostFlags.ReadOnly);
            try
            {
                region.Start();
                var found = RegionFixture.List(region);

                // With a checksum that was made to fit, the content may be another one, but it must make sense.
                if (honest) Assert.True(expected.SequenceEqual(found), $"seed {Seed}, mutation {i}: {string.Join(' ', found)}");
                RequireSense(found, $"seed {Seed}, mutation {i}");
                opened++;
            }
            catch (ComancheException)
            {
                refused++;
            }

            region.Release();
            foreach (var copy in copies) fixture.Write(fixture.Disk, copy, good);
        }

        Assert.True(opened > 1000 && refused > 1000, $"seed {Seed}: {opened} opened, {refused} refused");
    }

    private static void RequireSense(List<(string Name, ulong First, ulong Count)> regions, string what)
    {
        var end = 2048ul;
        foreach (var (name, first, count) in regions)
        {
            Assert.True(name.Length != 0 && first >= end && count != 0 && count <= 16384 && first + count <= 1ul << 55, $"{what}: {name} {first} {count}");
            end = first + count;
        }
    }

    private static byte[] Mutated(Random random, byte[] good, out bool fix)
    {
        var mutated = good.ToArray();
        fix = random.Next(2) == 0;
        for (var changes = random.Next(1, 4); changes > 0; changes--)
        {
            var at = random.Next(2) == 0 ? random.Next(64) : Header + random.Next(3 * Entry);
            switch (random.Next(4))
            {
                case 0:
                    mutated[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 1:
                    mutated.AsSpan(at).Clear();
                    break;
                case 2:
                    mutated.AsSpan(at, 8).Fill(0xFF);
                    break;
                default:
                    random.NextBytes(mutated.AsSpan(at, 4));
                    break;
            }
        }

        if (fix) Seal(mutated);
        return mutated;
    }

    private static void Flip(RegionFixture fixture, ulong copy, int at)
    {
        var bytes = fixture.Read(fixture.Disk, copy, 8192);
        bytes[at] ^= 4;
        fixture.Write(fixture.Disk, copy, bytes);
    }

    private static void Change(RegionFixture fixture, ulong[] copies, Action<byte[]> change)
    {
        foreach (var copy in copies)
        {
            var bytes = fixture.Read(fixture.Disk, copy, 8192);
            change(bytes);
            Seal(bytes);
            fixture.Write(fixture.Disk, copy, bytes);
        }
    }

    private static void Seal(byte[] copy)
    {
        var count = Math.Min(U32(copy, 44), 25);
        BinaryPrimitives.WriteUInt32LittleEndian(copy.AsSpan(12), Crc32C.ComputeWithout(copy.AsSpan(0, Header + (int)count * Entry), 12));
    }

    private static uint U32(byte[] bytes, int at) => BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(at));

    private static ulong U64(byte[] bytes, int at) => BinaryPrimitives.ReadUInt64LittleEndian(bytes.AsSpan(at));

    private static void Put(Span<byte> at, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(at, value);
}
