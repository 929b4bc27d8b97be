using System.Buffers.Binary;
using System.Text;
using Comanche.Testing;

namespace Comanche.Partition.Tests;

public sealed unsafe class GptTests
{
    private static readonly Guid Linux = new("0fc63daf-8483-4772-8e79-3d69d8477de4");
    private static readonly GptOptions Create = new() { Create = true };
    private static readonly GptOptions Open = new();

    [Theory]
    [InlineData(512)]
    [InlineData(4096)]
    public void A_new_table_has_every_byte_where_the_specification_says(int blockSize)
    {
        using var disk = new GptTestDisk(8 << 20, blockSize);
        var volume = disk.Start(new GptOptions { Create = true, Name = "données" });
        var arrayBlocks = (ulong)(16384 / blockSize);
        var last = disk.Blocks - 1;

        var mbr = disk.Read(0);
        Assert.Equal("00000200EEFFFFFF01000000", Convert.ToHexString(mbr.AsSpan(446, 12)));
        Assert.Equal(last, BinaryPrimitives.ReadUInt32LittleEndian(mbr.AsSpan(458)));
        Assert.Equal(0xAA55, BinaryPrimitives.ReadUInt16LittleEndian(mbr.AsSpan(510)));

        var primary = disk.Read(1);
        Assert.Equal("EFI PART", Encoding.ASCII.GetString(primary, 0, 8));
        Assert.Equal("000001005C000000", Convert.ToHexString(primary.AsSpan(8, 8)));
        Assert.Equal<ulong>([1, last, 2 + arrayBlocks, last - 1 - arrayBlocks], Longs(primary, 24, 4));
        Assert.Equal(2ul, Longs(primary, 72, 1)[0]);
        Assert.Equal("8000000080000000", Convert.ToHexString(primary.AsSpan(80, 8)));
        Assert.False(primary.AsSpan(92).ContainsAnyExcept((byte)0));

        var backup = disk.Read(last);
        Assert.Equal<ulong>([last, 1, 2 + arrayBlocks, last - 1 - arrayBlocks], Longs(backup, 24, 4));
        Assert.Equal(last - arrayBlocks, Longs(backup, 72, 1)[0]);
        Assert.Equal(disk.Read(2, (int)arrayBlocks), disk.Read(last - arrayBlocks, (int)arrayBlocks));

        var entry = disk.Read(2).AsSpan(0, 128).ToArray();
        Assert.Equal(Linux, new Guid(entry.AsSpan(0, 16)));
        Assert.Equal(4, new Guid(entry.AsSpan(16, 16)).Version);
        Assert.Equal((ulong)((1 << 20) / blockSize), Longs(entry, 32, 1)[0]);
        Assert.Equal("données", Encoding.Unicode.GetString(entry, 56, 14));

        VolumeInfo info;
        volume.GetVolumeInfo(&info);
        Assert.Equal(Longs(entry, 40, 1)[0] - Longs(entry, 32, 1)[0] + 1, info.BlockCount);
        Assert.Equal(6ul << 20, info.ByteLength);
    }

    [Fact]
    public void A_volume_reads_and_writes_its_own_blocks_and_no_others()
    {
        using var disk = new GptTestDisk();
        var volume = disk.Start(Create);
        VolumeInfo info;
        volume.GetVolumeInfo(&info);
        var data = new byte[info.ByteLength];
        new Random(3).NextBytes(data);
        var before = disk.Image();
        using (var io = new SyncIo(volume, disk.Host, "volume")) io.Write(0, data);
        var after = disk.Image();
        Assert.True(after.AsSpan(1 << 20, data.Length).SequenceEqual(data));
        Assert.True(after.AsSpan(0, 1 << 20).SequenceEqual(before.AsSpan(0, 1 << 20)));
        Assert.True(after.AsSpan((1 << 20) + data.Length).SequenceEqual(before.AsSpan((1 << 20) + data.Length)));
    }

    [Fact]
    public void What_was_made_is_found_again_and_not_made_twice()
    {
        using var disk = new GptTestDisk();
        var first = disk.List(Create);
        var image = disk.Image();
        Assert.Equal(first, disk.List(Create));
        Assert.Equal(first, disk.List(Open));
        Assert.Equal(image, disk.Image());
        Assert.Empty(disk.Log);
    }

    [Fact]
    public void A_partition_that_is_absent_is_added_to_a_table_with_room()
    {
        using var disk = new GptTestDisk();
        var a = disk.Start(new GptOptions { Create = true, Size = ByteSize.MiB(2), Name = "a", Type = "swap" });
        var b = disk.Start(new GptOptions { Partition = 7, Create = true, Size = ByteSize.MiB(1), Name = "b" });
        var found = GptTestDisk.List(a);
        Assert.Equal([(1u, 2048ul, 4096ul, "a"), (7u, 6144ul, 2048ul, "b")], found.Select(f => (f.Number, f.First, f.Count, f.Name)));
        Assert.Equal(new Guid("0657fd6d-a4ab-43c4-84e5-0933c84b4f4f"), found[0].Type);
        Assert.Equal(found, GptTestDisk.List(b));
    }

    [Fact]
    public void Two_components_write_side_by_side_on_one_device()
    {
        using var disk = new GptTestDisk();
        var a = disk.Start(new GptOptions { Create = true, Size = ByteSize.MiB(2) });
        var b = disk.Start(new GptOptions { Partition = 2, Create = true, Size = ByteSize.MiB(2) });
        var (ones, twos) = (new byte[2 << 20], new byte[2 << 20]);
        ones.AsSpan().Fill(1);
        twos.AsSpan().Fill(2);
        using (var io = new SyncIo(a, disk.Host, "a"))
        using (var other = new SyncIo(b, disk.Host, "b"))
        {
            io.Write(0, ones);
            other.Write(0, twos);
            var back = new byte[2 << 20];
            io.Read(0, back);
            Assert.Equal(ones, back);
            other.Read(0, back);
            Assert.Equal(twos, back);
        }
    }

    [Fact]
    public void Partitions_are_made_opened_and_deleted_by_the_interface()
    {
        using var disk = new GptTestDisk();
        IPartitionedDevice table = disk.Start(new GptOptions { Create = true, Size = ByteSize.MiB(1) });
        var number = table.CreatePartition("second", 0, 64, Linux);
        Assert.Equal(2u, number);
        Assert.Equal(3u, table.CreatePartition("third", 5000, 10, Linux));
        var window = table.OpenPartition(number);
        VolumeInfo info;
        window.GetVolumeInfo(&info);
        Assert.Equal(64ul, info.BlockCount);
        Assert.Contains("partition 2 is open", Refused(() => table.DeletePartition(2)));
        Assert.Equal(0u, window.Release());
        table.DeletePartition(2);
        Assert.Equal([1u, 3u], GptTestDisk.List(table).Select(f => f.Number));
        Assert.Contains("no partition 2", Refused(() => table.DeletePartition(2)));
        Assert.Contains("no partition 2", Refused(() => table.OpenPartition(2)));
        Assert.Contains("no free range", Refused(() => table.CreatePartition("taken", 5005, 10, Linux)));
        Assert.Contains("no free range", Refused(() => table.CreatePartition("head", 1, 1, Linux)));
        Assert.Contains("36 UTF-16", Refused(() => table.CreatePartition(new string('x', 37), 0, 1, Linux)));
        Assert.Equal(2u, table.CreatePartition(new string('é', 36), 0, 0, Linux));
        Assert.Equal(new string('é', 36), GptTestDisk.List(table)[1].Name);
    }

    [Fact]
    public void A_partition_is_not_deleted_while_another_component_has_it_open()
    {
        using var disk = new GptTestDisk();
        var a = disk.Start(new GptOptions { Create = true, Size = ByteSize.MiB(1) });

        // Two objects for one device, as a composer makes them.
        var edge = new CutDevice(disk.Host, int.MaxValue, 0);
        edge.Bind(disk.Device, "");
        edge.Start();
        var b = disk.Start(new GptOptions { Partition = 2, Create = true, Size = ByteSize.MiB(1) }, on: edge);
        Assert.Contains("partition 2 is open", Refused(() => a.DeletePartition(2)));
        Assert.Contains("partition 1 is open", Refused(() => a.DeletePartition(1)));
        disk.End(b);
        Assert.Equal(0u, edge.Release());
        a.DeletePartition(2);
        Assert.Single(GptTestDisk.List(a));
    }

    [Fact]
    public void A_component_does_not_stop_under_an_open_partition()
    {
        using var disk = new GptTestDisk();
        var a = disk.Start(Create);
        var window = a.OpenPartition(1);
        Assert.Contains("1 open partitions", Refused(a.Stop));
        window.Release();
    }

    [Fact]
    public void A_table_that_is_full_takes_no_more()
    {
        using var disk = new GptTestDisk();
        var table = disk.Start(new GptOptions { Create = true, Size = new(512) });
        for (var i = 2u; i <= 128; i++) Assert.Equal(i, table.CreatePartition($"p{i}", 0, 1, Linux));
        Assert.Contains("none is free", Refused(() => table.CreatePartition("more", 0, 1, Linux)));
        Assert.Equal(128, table.GetPartitionCount());
    }

    [Fact]
    public void A_device_with_other_data_is_refused_and_left_as_it_is()
    {
        foreach (var lba in (ulong[])[0, 2, 128, 2047, 8 << 11])
        {
            using var disk = new GptTestDisk(8 << 20);
            disk.Change(Math.Min(lba, disk.Blocks - 3), block => block[56] = 0x53);
            var image = disk.Image();
            Assert.Contains("other data", Refused(() => disk.Start(Create)));
            Assert.Equal(image, disk.Image());
        }
    }

    [Fact]
    public void A_foreign_MBR_is_refused()
    {
        using var disk = new GptTestDisk();
        disk.Change(0, block => (block[450], block[454], block[510], block[511]) = (0x83, 1, 0x55, 0xAA));
        Assert.Contains("LBA 0 holds an MBR", Refused(() => disk.Start(Create)));
    }

    [Fact]
    public void A_foreign_MBR_over_a_table_is_refused()
    {
        using var disk = new GptTestDisk();
        disk.List(Create);
        disk.Change(0, block => block[450] = 0x83);
        Assert.Contains("expected a protective MBR", Refused(() => disk.Start(new GptOptions { Create = true, Repair = true })));
    }

    [Fact]
    public void A_file_system_over_a_table_is_not_repaired_from_a_backup_left_behind()
    {
        using var disk = new GptTestDisk();
        disk.List(Create);
        for (ulong lba = 0; lba < 64; lba++) disk.Write(lba, new byte[512]);
        disk.Change(2, block => (block[56], block[57]) = (0x53, 0xEF));
        var image = disk.Image();
        Assert.Contains("holds other data", Refused(() => disk.Start(new GptOptions { Create = true, Repair = true })));
        Assert.Equal(image, disk.Image());
    }

    [Fact]
    public void An_empty_device_is_an_error_unless_a_table_may_be_made()
    {
        using var disk = new GptTestDisk();
        Assert.Contains("create: true", Refused(() => disk.Start(Open)));
        Assert.Contains("read-only", Refused(() => disk.Start(Create, HostFlags.ReadOnly)));
        Assert.False(disk.Image().AsSpan().ContainsAnyExcept((byte)0));
    }

    [Fact]
    public void A_partition_of_another_size_than_asked_is_an_error()
    {
        using var disk = new GptTestDisk();
        disk.List(new GptOptions { Create = true, Size = ByteSize.MiB(2) });
        Assert.Contains("has 2MiB, expected 3MiB", Refused(() => disk.Start(new GptOptions { Create = true, Size = ByteSize.MiB(3) })));
    }

    [Fact]
    public void A_read_only_component_refuses_changes_and_says_so_in_its_volume()
    {
        using var disk = new GptTestDisk();
        disk.List(Create);
        var volume = disk.Start(Open, HostFlags.ReadOnly);
        VolumeInfo info;
        volume.GetVolumeInfo(&info);
        Assert.True(info.Has(VolumeCapabilities.ReadOnly));
        Assert.Contains("read-only", Refused(() => volume.CreatePartition("x", 0, 1, Linux)));
        Assert.Contains("read-only", Refused(() => volume.DeletePartition(1)));
    }

    [Theory]
    [InlineData(44)]
    [InlineData(67)]
    public void A_device_that_is_too_small_is_an_error(int blocks)
    {
        using var disk = new GptTestDisk(blocks * 512);
        Assert.Contains("a partition table needs 68", Refused(() => disk.Start(Create)));
    }

    [Fact]
    public void The_smallest_device_holds_a_partition_of_one_block()
    {
        using var disk = new GptTestDisk(68 * 512);
        Assert.Equal((34ul, 1ul), disk.List(Create).Select(f => (f.First, f.Count)).Single());
        Assert.Single(disk.List(Open));
    }

    internal static string Refused(Action action) => Assert.Throws<ComancheException>(action).Message;

    internal static ulong[] Longs(byte[] bytes, int at, int count) =>
        [.. Enumerable.Range(0, count).Select(i => BinaryPrimitives.ReadUInt64LittleEndian(bytes.AsSpan(at + 8 * i)))];
}
