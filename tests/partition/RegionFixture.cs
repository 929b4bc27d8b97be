using System.Text;
using Comanche.Block;
using Comanche.Testing;

namespace Comanche.Partition.Tests;

/// <summary>A device in memory that outlives the region components that are opened on it: a restart is a new component.</summary>
internal sealed unsafe class RegionFixture : IDisposable
{
    private readonly TestMemory _memory = new();
    private readonly MemoryDevice _device;
    private ulong _seed = 1;

    public RegionFixture(ByteSize size, uint blockSize = 512, Random? random = null)
    {
        _device = new MemoryDevice(new TestHost("disk") { Memory = _memory }, new MemoryOptions { Size = size, BlockSize = new(blockSize) });
        Disk = new StrictDevice(new TestHost("disk") { Memory = _memory }, random);
        _device.Start();
        Disk.Bind(_device, "");
        Disk.Start();
    }

    public StrictDevice Disk { get; }

    public TestHost Host { get; private set; } = new();

    public string Log => string.Join('\n', Host.Lines.Select(line => line.Message));

    public RegionDevice Make(RegionOptions options, HostFlags flags = HostFlags.None)
    {
        Host = new TestHost("region", _seed++) { Memory = _memory, Flags = flags };
        var region = new RegionDevice(Host, options);
        region.Bind(Disk, "");
        return region;
    }

    public RegionDevice Open(string name, ulong kib = 0, bool create = true, HostFlags flags = HostFlags.None)
    {
        var region = Make(new() { Region = name, Size = ByteSize.KiB(kib), Create = create }, flags);
        region.Start();
        return region;
    }

    /// <summary>The message with which a start is refused.</summary>
    public string Refusal(string name = "a", ulong kib = 0, bool create = true, HostFlags flags = HostFlags.None)
    {
        var region = Make(new() { Region = name, Size = ByteSize.KiB(kib), Create = create }, flags);
        try
        {
            return Assert.Throws<ComancheException>(region.Start).Message;
        }
        finally
        {
            region.Release();
        }
    }

    public static List<(string Name, ulong First, ulong Count)> List(RegionDevice manager)
    {
        var list = new List<(string, ulong, ulong)>();
        var count = manager.GetRegionCount();
        for (var i = 0; i < count; i++)
        {
            RegionInfo info;
            manager.GetRegion(i, &info);
            var name = new ReadOnlySpan<byte>(info.Name, 112);
            list.Add((Encoding.UTF8.GetString(name[..name.IndexOf((byte)0)]), info.FirstLba, info.BlockCount));
        }

        return list;
    }

    public byte[] Read(IBlockDevice device, ulong lba, int bytes)
    {
        using var io = new SyncIo(device, Host, "test");
        var data = new byte[bytes];
        io.Read(lba, data);
        return data;
    }

    public void Write(IBlockDevice device, ulong lba, ReadOnlySpan<byte> data)
    {
        using var io = new SyncIo(device, Host, "test");
        io.Write(lba, data);
    }

    public static VolumeInfo Volume(IBlockDevice device)
    {
        VolumeInfo info;
        device.GetVolumeInfo(&info);
        return info;
    }

    public static byte[] Noise(int seed, int bytes)
    {
        var data = new byte[bytes];
        new Random(seed).NextBytes(data);
        return data;
    }

    public void Dispose()
    {
        Disk.Stop();
        Disk.Release();
        _device.Stop();
        _device.Release();
        Assert.Equal([], Disk.Violations);
        Assert.Equal(0, _memory.Live);
    }
}
