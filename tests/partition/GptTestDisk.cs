using System.Buffers.Binary;
using System.IO.Hashing;
using System.Text;
using Comanche.Block;
using Comanche.Testing;

namespace Comanche.Partition.Tests;

/// <summary>A disk in memory whose bytes a test can see and change, and gpt components over it.</summary>
internal sealed unsafe class GptTestDisk : IDisposable
{
    private static ulong _seed; // Disks of tests that run side by side have different UUIDs, as disks do.

    private readonly TestMemory _memory = new();
    private readonly MemoryDevice _device;
    private readonly SyncIo _io;
    private readonly List<GptDevice> _open = [];

    public GptTestDisk(int bytes = 8 << 20, int blockSize = 512)
    {
        BlockSize = blockSize;
        Host = new TestHost("disk") { Memory = _memory };
        _device = new MemoryDevice(Host, new MemoryOptions { Size = new((ulong)bytes), BlockSize = new((ulong)blockSize) });
        _device.Start();
        _io = new SyncIo(_device, Host, "disk");
    }

    public GptTestDisk(byte[] image, int blockSize = 512) : this(image.Length, blockSize) => _io.Write(0, image);

    public TestHost Host { get; }

    public int BlockSize { get; }

    public IBlockDevice Device => _device;

    public ulong Blocks => _io.Volume.BlockCount;

    /// <summary>The log of the last component that was started.</summary>
    public List<(LogLevel Level, string Message)> Log { get; private set; } = [];

    public byte[] Read(ulong lba, int blocks = 1)
    {
        if (lba > Blocks || (ulong)blocks > Blocks - lba) throw new ComancheException($"LBA {lba} is not on the disk");
        var bytes = new byte[blocks * BlockSize];
        _io.Read(lba, bytes);
        return bytes;
    }

    public void Write(ulong lba, byte[] bytes) => _io.Write(lba, bytes);

    public byte[] Image() => Read(0, (int)Blocks);

    /// <summary>Changes a block in place.</summary>
    public void Change(ulong lba, Action<byte[]> change)
    {
        var block = Read(lba);
        change(block);
        Write(lba, block);
    }

    /// <summary>Changes a header and brings both of its CRCs up to date.</summary>
    public void ChangeHeader(ulong lba, Action<byte[]> change)
    {
        Change(lba, block =>
        {
            change(block);
            Seal(block);
        });
    }

    /// <summary>Changes an entry array of 128 × 128 bytes and brings the CRCs of its header up to date.</summary>
    public void ChangeArray(ulong headerLba, Action<byte[]> change)
    {
        var header = Read(headerLba);
        var lba = BinaryPrimitives.ReadUInt64LittleEndian(header.AsSpan(72));
        var array = Read(lba, 16384 / BlockSize);
        change(array);
        Write(lba, array);
        BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(88), Crc32.HashToUInt32(array));
        Seal(header);
        Write(headerLba, header);
    }

    /// <summary>Computes a header's CRC as far as its size allows.</summary>
    public static void Seal(byte[] block)
    {
        var size = BinaryPrimitives.ReadUInt32LittleEndian(block.AsSpan(12));
        if (size < 20 || size > block.Length) return;
        block.AsSpan(16, 4).Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(block.AsSpan(16), Crc32.HashToUInt32(block.AsSpan(0, (int)size)));
    }

    public GptDevice Start(GptOptions options, HostFlags flags = HostFlags.None, IBlockDevice? on = null)
    {
        var host = new TestHost("volume", Interlocked.Increment(ref _seed)) { Memory = _memory, Flags = flags };
        Log = host.Lines;
        var device = new GptDevice(host, options);
        try
        {
            device.Bind(on ?? _device, "");
            device.Start();
        }
        catch
        {
            device.Release();
            throw;
        }

        _open.Add(device);
        return device;
    }

    /// <summary>Starts, stops, and returns the partitions that the table had.</summary>
    public List<Found> List(GptOptions options, HostFlags flags = HostFlags.None)
    {
        var device = Start(options, flags);
        var found = List(device);
        End(device);
        return found;
    }

    public static List<Found> List(IPartitionedDevice device)
    {
        var found = new List<Found>();
        for (var i = 0; i < device.GetPartitionCount(); i++)
        {
            PartitionInfo info;
            device.GetPartition(i, &info);
            var name = new ReadOnlySpan<byte>(info.Name, 112);
            found.Add(new Found(info.Number, info.FirstLba, info.BlockCount, info.Type, info.Unique, Encoding.UTF8.GetString(name[..name.IndexOf((byte)0)])));
        }

        return found;
    }

    public void End(GptDevice device)
    {
        _open.Remove(device);
        device.Stop();
        Assert.Equal(0u, device.Release());
    }

    public void Dispose()
    {
        foreach (var device in _open.ToArray()) End(device);
        _io.Dispose();
        _device.Stop();
        Assert.Equal(0u, _device.Release());
        Assert.Equal(0, _memory.Live);
    }

    internal sealed record Found(uint Number, ulong First, ulong Count, Guid Type, Guid Unique, string Name);
}
