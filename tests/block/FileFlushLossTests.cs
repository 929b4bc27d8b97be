using Comanche.Testing;

namespace Comanche.Block.Tests;

public sealed unsafe class FileFlushLossTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("comanche-test-").FullName;
    private readonly List<Action> _undo = [];

    // A flush that failed must not be followed by one that succeeds: the writes that it covers are lost.
    [Theory]
    [InlineData(FileEngine.Uring)]
    [InlineData(FileEngine.Sync)]
    public void After_a_failed_flush_no_flush_and_no_stop_says_that_all_is_durable(FileEngine engine)
    {
        var node = FullDisk();
        var device = new FileDevice(new TestHost("disk"), new FileDeviceOptions { Path = node, Direct = false, Engine = engine });
        device.Start();
        IoStatus first, second;
        using (var io = new SyncIo(device, new TestHost(), "disk"))
        {
            for (ulong i = 0; i < 32; i++) io.Write(i * 256, [.. Enumerable.Repeat((byte)9, 128 << 10)]); // 4 MiB; the medium has room for 1.
            first = io.Execute(new IoDescriptor { Operation = IoOperation.Flush });
            second = io.Execute(new IoDescriptor { Operation = IoOperation.Flush });
        }

        var stop = Record.Exception(device.Stop);
        device.Release();
        Assert.NotEqual(IoStatus.Success, first);
        Assert.True(second != IoStatus.Success, $"first flush: {first}, second flush: {second}, stop: {stop?.Message ?? "no error"}");
    }

    // Likewise a FUA write that swallows the error of an earlier write.
    [Fact]
    public void A_FUA_write_does_not_swallow_the_error_that_a_flush_must_report()
    {
        var node = FullDisk();
        var device = new FileDevice(new TestHost("disk"), new FileDeviceOptions { Path = node, Direct = false });
        device.Start();
        IoStatus flush;
        Exception? fua;
        using (var io = new SyncIo(device, new TestHost(), "disk"))
        {
            for (ulong i = 0; i < 32; i++) io.Write(i * 256, [.. Enumerable.Repeat((byte)9, 128 << 10)]);
            Run("sync"); // Write-back, as the kernel does it after some seconds anyway: it fails, and nobody is told yet.
            fua = Record.Exception(() => io.Write(0, new byte[512], IoFlags.ForceUnitAccess));
            flush = io.Execute(new IoDescriptor { Operation = IoOperation.Flush });
        }

        Record.Exception(device.Stop);
        device.Release();
        Assert.True(fua is null || flush != IoStatus.Success, $"FUA: {fua?.Message}; flush afterwards: {flush}");
    }

    public void Dispose()
    {
        for (var i = _undo.Count - 1; i >= 0; i--) _undo[i]();
        Directory.Delete(_folder, recursive: true);
    }

    private static string Run(string tool, params string[] arguments)
    {
        var (code, output) = Tools.Run(tool, arguments);
        Assert.SkipUnless(code == 0, $"{tool}: {output}");
        return output;
    }

    // A loop device of 8 MiB over a sparse file on a file system with 1 MiB of room: later write-back fails.
    private string FullDisk()
    {
        var at = Directory.CreateDirectory(Path.Combine(_folder, "small")).FullName;
        Run("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", at);
        _undo.Add(() => Tools.Run("umount", at));
        var image = Path.Combine(at, "disk.img");
        Run("truncate", "-s", "8M", image);
        var node = Run("losetup", "--find", "--show", image).Trim();
        _undo.Add(() => Tools.Run("losetup", "--detach", node));
        return node;
    }
}
