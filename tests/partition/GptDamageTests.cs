using System.Buffers.Binary;

namespace Comanche.Partition.Tests;

public sealed class GptDamageTests
{
    private static readonly GptOptions Create = new() { Create = true };
    private static readonly GptOptions Open = new();
    private static readonly GptOptions Repair = new() { Repair = true };

    [Theory]
    [InlineData("signature", 0)]
    [InlineData("header CRC", 60)]
    public void A_lost_primary_is_read_from_the_backup_with_a_warning_and_restored_when_asked(string what, int at)
    {
        using var disk = new GptTestDisk();
        var before = disk.List(Create);
        var whole = disk.Image();
        disk.Change(1, block => block[at] ^= 0xFF);
        Lost(disk, before, whole, "LBA 1: the primary table is lost", what);
    }

    [Fact]
    public void A_lost_backup_is_a_warning_and_restored_when_asked()
    {
        using var disk = new GptTestDisk();
        var before = disk.List(Create);
        var whole = disk.Image();
        disk.Change(disk.Blocks - 1, block => new Random(5).NextBytes(block));
        Lost(disk, before, whole, $"LBA {disk.Blocks - 1}: the backup table is lost", "no signature");
    }

    [Fact]
    public void A_wiped_head_is_restored_with_its_protective_MBR()
    {
        using var disk = new GptTestDisk();
        var before = disk.List(Create);
        var whole = disk.Image();
        disk.Write(0, new byte[34 * 512]);
        Lost(disk, before, whole, "LBA 1: the primary table is lost", "no signature");
    }

    [Fact]
    public void A_missing_protective_MBR_is_a_warning_and_restored_when_asked()
    {
        using var disk = new GptTestDisk();
        var before = disk.List(Create);
        var whole = disk.Image();
        disk.Write(0, new byte[512]);
        Lost(disk, before, whole, "LBA 0", "no protective MBR");
    }

    [Fact]
    public void A_damaged_table_is_not_changed()
    {
        using var disk = new GptTestDisk();
        disk.List(new GptOptions { Create = true, Size = ByteSize.MiB(1) });
        disk.Change(1, block => block[60] ^= 1);
        var image = disk.Image();
        Assert.Contains("is not changed", GptTests.Refused(() => disk.Start(new GptOptions { Partition = 2, Create = true })));
        Assert.Equal(image, disk.Image());
        Assert.Equal(2, disk.List(new GptOptions { Partition = 2, Create = true, Repair = true }).Count);
    }

    [Fact]
    public void Two_damaged_copies_are_an_error_that_names_both()
    {
        using var disk = new GptTestDisk();
        disk.List(Create);
        disk.Change(1, block => block[60] ^= 1);
        disk.Change(disk.Blocks - 1, block => block[60] ^= 1);
        var message = GptTests.Refused(() => disk.Start(new GptOptions { Create = true, Repair = true }));
        Assert.Contains("LBA 1: header CRC", message);
        Assert.Contains($"LBA {disk.Blocks - 1}: header CRC", message);
    }

    [Fact]
    public void A_device_that_has_grown_is_used_with_a_warning_and_the_backup_moves_when_asked()
    {
        using var small = new GptTestDisk();
        var before = small.List(Create);
        using var disk = new GptTestDisk(16 << 20);
        disk.Write(0, small.Image());
        Assert.Equal(before, disk.List(Open));
        Assert.Contains("has grown", disk.Log.Single().Message);
        var old = small.Blocks - 1;
        Assert.Equal(before, disk.List(Repair));
        Assert.False(disk.Read(old).AsSpan().ContainsAnyExcept((byte)0));
        Assert.Equal(disk.Blocks - 1, GptTests.Longs(disk.Read(1), 32, 1)[0]);
        Assert.Equal(disk.Blocks - 1, BinaryPrimitives.ReadUInt32LittleEndian(disk.Read(0).AsSpan(458)));
        var volume = disk.Start(new GptOptions { Partition = 2, Create = true });
        Assert.Empty(disk.Log);
        Assert.True(GptTestDisk.List(volume)[1].Count * 512 >= 8 << 20);
    }

    [Fact]
    public void A_device_that_has_shrunk_is_an_error()
    {
        using var large = new GptTestDisk(16 << 20);
        large.List(Create);
        using var disk = new GptTestDisk(large.Image()[..(8 << 20)]);
        Assert.Contains("smaller than the one that the table was made for", GptTests.Refused(() => disk.Start(Repair)));
    }

    [Theory]
    [InlineData(8, 0x0002_0000ul, 4, "revision 0x00020000, expected 0x00010000")]
    [InlineData(32, ulong.MaxValue, 8, "the backup is said to lie at LBA")]
    [InlineData(40, 3ul, 8, "the entry array of 32 blocks")]
    [InlineData(40, ulong.MaxValue, 8, "the usable range starts at")]
    [InlineData(48, ulong.MaxValue, 8, "the usable range ends at LBA")]
    [InlineData(72, 0ul, 8, "said to lie at LBA 0")]
    [InlineData(72, ulong.MaxValue, 8, "said to lie at LBA")]
    [InlineData(80, 0xFFFF_FFFFul, 4, "4294967295 entries of 128 bytes")]
    [InlineData(80, 0ul, 4, "0 entries")]
    [InlineData(84, 64ul, 4, "entries of 64 bytes")]
    [InlineData(84, 0xFFFF_FF80ul, 4, "entries of 4294967168 bytes")]
    [InlineData(84, 130ul, 4, "expected a multiple of 128")]
    public void A_header_with_good_CRC_that_breaks_a_rule_is_an_error_and_never_repaired(int at, ulong value, int bytes, string expected)
    {
        using var disk = new GptTestDisk();
        disk.List(Create);
        disk.ChangeHeader(1, block => BitConverter.GetBytes(value).AsSpan(0, bytes).CopyTo(block.AsSpan(at)));
        var image = disk.Image();
        var message = GptTests.Refused(() => disk.Start(Repair));
        Assert.Contains("volume: the primary partition table at LBA 1", message);
        Assert.Contains(expected, message);
        Assert.Equal(image, disk.Image());
    }

    [Theory]
    [InlineData(1, 3000ul, 2999ul, "starts at LBA 3000 and ends before it")]
    [InlineData(1, 33ul, 40ul, "outside the usable range, LBA 34 to")]
    [InlineData(1, 40ul, ulong.MaxValue, "outside the usable range")]
    [InlineData(1, 2050ul, 2051ul, "both use LBA 2050")]
    [InlineData(1, 40ul, 2048ul, "partitions 2 and 1 both use LBA 2048")]
    public void An_entry_with_good_CRC_that_breaks_a_rule_is_an_error(int index, ulong first, ulong last, string expected)
    {
        using var disk = new GptTestDisk();
        disk.List(new GptOptions { Create = true, Size = ByteSize.MiB(1) });
        disk.ChangeArray(1, array =>
        {
            var entry = array.AsSpan(index * 128, 128);
            array.AsSpan(0, 16).CopyTo(entry);
            BinaryPrimitives.WriteUInt64LittleEndian(entry[32..], first);
            BinaryPrimitives.WriteUInt64LittleEndian(entry[40..], last);
        });
        Assert.Contains(expected, GptTests.Refused(() => disk.Start(Open)));
    }

    [Fact]
    public void A_name_without_an_end_and_with_broken_surrogates_is_read()
    {
        using var disk = new GptTestDisk();
        disk.List(Create);
        foreach (var lba in (ulong[])[1, disk.Blocks - 1])
            disk.ChangeArray(lba, array => array.AsSpan(56, 72).Fill(0xD8));
        Assert.Equal(new string('\uFFFD', 36), disk.List(Open)[0].Name);
    }

    [Fact]
    public void Larger_entries_and_more_of_them_are_read_and_kept()
    {
        using var disk = new GptTestDisk();
        disk.List(new GptOptions { Create = true, Size = ByteSize.MiB(1) });

        // 40 entries of 256 bytes, in the middle of which an unknown field has a value.
        foreach (var lba in (ulong[])[1, disk.Blocks - 1])
        {
            disk.ChangeHeader(lba, block => (block[80], block[85], block[84]) = (40, 1, 0));
            var arrayLba = GptTests.Longs(disk.Read(lba), 72, 1)[0];
            disk.Change(arrayLba, block => block[200] = 0x77);
            disk.ChangeHeader(lba, block => BinaryPrimitives.WriteUInt32LittleEndian(
                block.AsSpan(88), System.IO.Hashing.Crc32.HashToUInt32(disk.Read(arrayLba, 20))));
        }

        Assert.Equal([1u, 40u], disk.List(new GptOptions { Partition = 40, Create = true }).Select(f => f.Number));
        Assert.Equal(0x77, disk.Read(2)[200]);
        Assert.Empty(disk.Log);
        Assert.Contains("has 40 entries", GptTests.Refused(() => disk.Start(new GptOptions { Partition = 41, Create = true })));
    }

    private static void Lost(GptTestDisk disk, List<GptTestDisk.Found> before, byte[] whole, string where, string why)
    {
        var damaged = disk.Image();
        Assert.Equal(before, disk.List(Open));
        var warning = Assert.Single(disk.Log, line => line.Level == LogLevel.Warning).Message;
        Assert.Contains(where, warning);
        Assert.Contains(why, warning);
        Assert.Equal(before, disk.List(Repair, HostFlags.ReadOnly));
        Assert.Equal(damaged, disk.Image());
        Assert.Equal(before, disk.List(Repair));
        Assert.Equal(whole, disk.Image());
    }
}
