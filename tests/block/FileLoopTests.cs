using System.Runtime.InteropServices;
using Comanche.Testing;

namespace Comanche.Block.Tests;

/// <summary>What shows on real devices of the kernel only: large blocks, write-back that fails, partitions. Needs root.</summary>
public sealed unsafe class FileLoopTests : IDisposable
{
    private readonly ScratchFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(16384)]
    [InlineData(65536)]
    public void A_device_with_large_blocks_is_opened_without_writing_over_the_heap(int blockSize)
    {
        var image = _folder.File("large.img");
        File.WriteAllBytes(image, [.. Enumerable.Repeat((byte)0xAA, 1 << 20)]);
        var node = _folder.Loop(image, "-b", $"{blockSize}");

        // What lies behind each such buffer in the heap: many of them, so that one is free where the device will take it, and the rest is ours.
        var pieces = new nint[64];
        for (var i = 0; i < pieces.Length; i++)
        {
            pieces[i] = (nint)NativeMemory.AlignedAlloc(4096, 4096);
            NativeMemory.Clear((void*)pieces[i], 4096);
        }

        NativeMemory.AlignedFree((void*)pieces[8]);
        pieces[8] = 0;
        var device = new FileDevice(new TestHost("disk"), new FileDeviceOptions { Path = node });
        device.Start();
        var spoilt = pieces.Count(p => p != 0 && new ReadOnlySpan<byte>((void*)p, 4096).Contains((byte)0xAA));
        device.Release();
        foreach (var piece in pieces) NativeMemory.AlignedFree((void*)piece);
        Assert.True(spoilt == 0, $"{spoilt} buffers that are not the device's hold the disk's bytes");
    }

    [Theory]
    [InlineData(FileEngine.Uring)]
    [InlineData(FileEngine.Sync)]
    public void After_a_failed_flush_no_flush_and_no_stop_says_that_all_is_durable(FileEngine engine)
    {
        var device = StartOnFullDisk(engine);
        IoStatus first, second;
        using (var io = new SyncIo(device, new TestHost(), "disk"))
        {
            WriteMoreThanFits(io);
            first = io.Execute(new IoDescriptor { Operation = IoOperation.Flush });
            second = io.Execute(new IoDescriptor { Operation = IoOperation.Flush });
        }

        Assert.NotEqual(IoStatus.Success, first);
        Assert.NotEqual(IoStatus.Success, second);
        Assert.Contains("may be lost", Assert.Throws<ComancheException>(device.Stop).Message);
        device.Release(); // It was said; now it closes.
    }

    [Fact]
    public void A_FUA_write_does_not_swallow_the_error_that_a_flush_must_report()
    {
        var device = StartOnFullDisk(FileEngine.Auto);
        IoStatus flush;
        Exception? fua;
        using (var io = new SyncIo(device, new TestHost(), "disk"))
        {
            WriteMoreThanFits(io);
            _folder.Run("sync"); // Write-back, as the kernel does it after some seconds anyway: it fails, and nobody is told yet.
            fua = Record.Exception(() => io.Write(0, new byte[512], IoFlags.ForceUnitAccess));
            flush = io.Execute(new IoDescriptor { Operation = IoOperation.Flush });
        }

        Record.Exception(device.Stop);
        device.Release();
        Assert.True(fua is null || flush != IoStatus.Success, $"FUA: {fua?.Message}; flush afterwards: {flush}");
    }

    [Fact]
    public void A_partition_discards_as_its_disk_does()
    {
        var image = _folder.File("disk.img");
        _folder.Run("truncate", "-s", "64M", image);
        var node = _folder.Loop(image, "-P");
        _folder.Run("addpart", node, "1", "2048", "63488");
        var numbers = File.ReadAllText($"/sys/class/block/{Path.GetFileName(node)}p1/dev").Trim().Split(':');
        var part = _folder.File("part");
        _folder.Run("mknod", part, "b", numbers[0], numbers[1]);
        Assert.True(Volume(node).Has(VolumeCapabilities.Discard), "disk");
        Assert.True(Volume(part).Has(VolumeCapabilities.Discard), "the partition claims no discard");
    }

    private static VolumeInfo Volume(string node)
    {
        var device = new FileDevice(new TestHost("disk"), new FileDeviceOptions { Path = node });
        device.Start();
        VolumeInfo info;
        device.GetVolumeInfo(&info);
        device.Release();
        return info;
    }

    // A buffered loop device of 8 MiB over a sparse file on a file system with 1 MiB of room: later write-back fails.
    private FileDevice StartOnFullDisk(FileEngine engine)
    {
        var image = Path.Combine(_folder.Mount("small", "-t", "tmpfs", "-o", "size=1m", "tmpfs"), "disk.img");
        _folder.Run("truncate", "-s", "8M", image);
        var device = new FileDevice(new TestHost("disk"), new FileDeviceOptions { Path = _folder.Loop(image), Direct = false, Engine = engine });
        device.Start();
        return device;
    }

    private static void WriteMoreThanFits(SyncIo io)
    {
        for (ulong i = 0; i < 32; i++) io.Write(i * 256, [.. Enumerable.Repeat((byte)9, 128 << 10)]);
    }
}
