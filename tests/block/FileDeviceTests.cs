using System.Diagnostics;
using Comanche.Linux;
using Comanche.Testing;

namespace Comanche.Block.Tests;

/// <summary>How <c>block/file</c> finds, makes, locks and describes its medium.</summary>
public sealed unsafe class FileDeviceTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("comanche-file-").FullName;
    private readonly TestHost _host = new("disk");
    private readonly List<FileDevice> _devices = [];
    private readonly List<Action> _undo = [];

    private string Image => Path.Combine(_folder, "disk.img");

    [Fact]
    public void A_file_and_its_folder_are_made_with_the_size_asked_for()
    {
        var path = Path.Combine(_folder, "some", "folder", "disk.img");
        var volume = Start(new FileDeviceOptions { Path = path, Size = ByteSize.MiB(3) });
        Assert.Equal(3ul << 20, volume.ByteLength);
        Assert.Equal(3L << 20, new FileInfo(path).Length);
        Assert.True(volume.Has(VolumeCapabilities.Persistent | VolumeCapabilities.RetainsData | VolumeCapabilities.DurableFlush | VolumeCapabilities.VolatileCache
            | VolumeCapabilities.WriteZeroes));
        Assert.True(FileFixture.Allocated(path) < 64);
    }

    [Fact]
    public void A_shorter_file_is_extended_and_keeps_its_content()
    {
        File.WriteAllBytes(Image, [.. Enumerable.Repeat((byte)5, 8192)]);
        Assert.Equal(1ul << 20, Start(new FileDeviceOptions { Path = Image, Size = ByteSize.MiB(1) }).ByteLength);
        var content = RawFile.Read(Image);
        Assert.Equal(1 << 20, content.Length);
        Assert.True(content.AsSpan(0, 8192).IndexOfAnyExcept((byte)5) < 0);
        Assert.True(content.AsSpan(8192).IndexOfAnyExcept((byte)0) < 0);
    }

    [Fact]
    public void A_longer_file_is_refused_and_left_as_it_is()
    {
        File.WriteAllBytes(Image, new byte[2 << 20]);
        Refused(new FileDeviceOptions { Path = Image, Size = ByteSize.MiB(1) }, "2MiB long, more than size: 1MiB; it is never shrunk");
        Assert.Equal(2L << 20, new FileInfo(Image).Length);
    }

    [Fact]
    public void A_file_of_any_length_is_used_without_a_size()
    {
        File.WriteAllBytes(Image, new byte[8192 + 100]);
        Assert.Equal(8192ul, Start(new FileDeviceOptions { Path = Image }).ByteLength);
        Assert.Contains(_host.Lines, l => l.Level == LogLevel.Warning && l.Message.Contains("last 100 bytes"));
    }

    [Fact]
    public void What_can_not_be_is_refused_by_path_and_reason()
    {
        Refused(new FileDeviceOptions { Path = Image }, "does not exist; give size:");
        Refused(new FileDeviceOptions { Path = Image, Size = ByteSize.MiB(1), Create = false }, "does not exist");
        Assert.False(File.Exists(Image));
        Refused(new FileDeviceOptions { Path = _folder }, "is neither a file nor a block device", _folder);
        File.WriteAllBytes(Image, []);
        Refused(new FileDeviceOptions { Path = Image }, "is empty");
        File.WriteAllBytes(Image, new byte[1024]);
        Refused(new FileDeviceOptions { Path = Image, Size = ByteSize.MiB(1), Create = false }, "1KiB long, less than size: 1MiB");
        Assert.Equal(1024, new FileInfo(Image).Length);
        Assert.Throws<ComancheException>(() => Start(new FileDeviceOptions { Path = Image, BlockSize = new ByteSize(1000) }));
    }

    [Fact]
    public void A_block_size_is_kept()
    {
        var volume = Start(new FileDeviceOptions { Path = Image, Size = ByteSize.MiB(1), BlockSize = ByteSize.KiB(4) });
        Assert.Equal(4096u, volume.BlockSize);
        Assert.Equal(256ul, volume.BlockCount);
    }

    [Fact]
    public void Preallocated_space_is_there_from_the_start()
    {
        Start(new FileDeviceOptions { Path = Image, Size = ByteSize.MiB(2), Preallocate = true });
        Assert.True(FileFixture.Allocated(Image) >= 4096);
    }

    [Fact]
    public void A_read_only_device_changes_nothing_and_shares_its_file_with_readers()
    {
        File.WriteAllBytes(Image, new byte[1 << 20]);
        var readers = new[] { ReadOnly(), ReadOnly() };
        foreach (var reader in readers) reader.Start();
        VolumeInfo volume;
        readers[0].GetVolumeInfo(&volume);
        Assert.True(volume.Has(VolumeCapabilities.ReadOnly));
        Refused(new FileDeviceOptions { Path = Image }, "is in use by another device of this process");

        var options = new QueueOptions { Depth = 2 };
        var queue = readers[0].OpenQueue(&options);
        using var slab = new DescriptorSlab(2);
        var batch = stackalloc IoDescriptor*[] { slab[0], slab[1] };
        *batch[0] = new IoDescriptor { Operation = IoOperation.WriteZeroes, BlockCount = 1 };
        *batch[1] = new IoDescriptor { Operation = IoOperation.Flush };
        Assert.Equal(2, queue.Submit(batch, 2));
        for (var done = 0; done < 2;) done += queue.Poll(batch, 2);
        Assert.Equal(IoStatus.ReadOnly, slab[0]->Status);
        Assert.Equal(IoStatus.Success, slab[1]->Status);
        queue.Close();

        var absent = Made(new FileDevice(new TestHost("disk") { Flags = HostFlags.ReadOnly }, new FileDeviceOptions { Path = Image + "2", Size = ByteSize.MiB(1) }));
        Assert.Throws<ComancheException>(absent.Start);
        Assert.False(File.Exists(Image + "2"));
    }

    [Fact]
    public void A_file_that_another_process_uses_is_refused_by_name()
    {
        Tools.Need("flock", "util-linux");
        File.WriteAllBytes(Image, new byte[1 << 20]);
        using var other = Process.Start(new ProcessStartInfo("flock", [Image, "sh", "-c", "echo locked; exec sleep 100"]) { RedirectStandardOutput = true })!;
        try
        {
            Assert.Equal("locked", other.StandardOutput.ReadLine());
            Refused(new FileDeviceOptions { Path = Image }, "is in use by another process");
        }
        finally
        {
            other.Kill(entireProcessTree: true);
            other.WaitForExit();
        }

        // And the lock goes with its holder.
        Start(new FileDeviceOptions { Path = Image });
    }

    [Fact]
    public void A_stopped_device_lets_go_of_its_file_at_once()
    {
        for (var i = 0; i < 20; i++)
        {
            var device = Made(new FileDevice(_host, new FileDeviceOptions { Path = Image, Size = ByteSize.MiB(1) }));
            device.Start();
            var options = new QueueOptions { Depth = 4 };
            device.OpenQueue(&options).Close();
            device.Stop();
            var file = PosixFile.Open(Image, FileAbi.O_RDONLY);
            Assert.Equal(0, PosixFile.Lock(file, FileAbi.LOCK_EX));
            PosixFile.Close(file);
        }

        Assert.Equal(0, _host.Memory.Live);
    }

    [Fact]
    public void A_device_does_not_stop_under_an_open_queue()
    {
        var device = Made(new FileDevice(_host, new FileDeviceOptions { Path = Image, Size = ByteSize.MiB(1) }));
        device.Start();
        var options = new QueueOptions { Depth = 4 };
        var queue = device.OpenQueue(&options);
        Assert.Throws<ComancheException>(device.Stop);
        queue.Close();
    }

    [Fact]
    public void Where_io_uring_is_forbidden_one_line_says_so_and_calls_are_made_instead()
    {
        var device = Made(new FileDevice(_host, new FileDeviceOptions { Path = Image, Size = ByteSize.MiB(1) })
        {
            Probe = () => new IoUringProbe { IsAvailable = false, Reason = "forbidden for this test" },
        });
        device.Start();
        Assert.Contains("forbidden for this test", Assert.Single(_host.Lines, l => l.Level == LogLevel.Warning).Message);
        var options = new QueueOptions { Depth = 4 };
        var queue = device.OpenQueue(&options);
        Assert.IsType<SyncFileQueue>(queue);
        queue.Close();

        var demanding = Made(new FileDevice(_host, new FileDeviceOptions { Path = Image + "2", Size = ByteSize.MiB(1), Engine = FileEngine.Uring })
        {
            Probe = () => new IoUringProbe { IsAvailable = false, Reason = "forbidden for this test" },
        });
        Assert.Contains("forbidden for this test", Assert.Throws<ComancheException>(demanding.Start).Message);
    }

    [Fact]
    public void A_full_disk_is_no_space()
    {
        var disk = Mount("tmpfs", "-o", "size=1m");
        var path = Path.Combine(disk, "disk.img");
        Refused(new FileDeviceOptions { Path = path, Size = ByteSize.MiB(4), Preallocate = true }, "4MiB can't be allocated", path);
        Assert.False(File.Exists(path));

        foreach (var engine in new[] { FileEngine.Uring, FileEngine.Sync })
        {
            var device = Made(new FileDevice(_host, new FileDeviceOptions { Path = path, Size = ByteSize.MiB(4), Engine = engine }));
            device.Start();
            using (var io = new SyncIo(device, _host, "disk"))
            {
                var failure = Assert.Throws<ComancheException>(() => io.Write(0, new byte[3 << 20]));
                Assert.Equal(IoStatus.NoSpace, failure.Status);
            }

            DeviceHealth health;
            device.GetHealth(&health);
            Assert.Equal(1ul, health.WriteErrors);
            device.Stop();
        }
    }

    [Fact]
    public void A_file_system_without_direct_io_is_used_buffered_with_one_warning()
    {
        var path = Path.Combine(Mount("ramfs"), "disk.img");
        var volume = Start(new FileDeviceOptions { Path = path, Size = ByteSize.MiB(1) });
        Assert.Equal(1u, volume.BufferAlignment);
        Assert.Contains("page cache", Assert.Single(_host.Lines, l => l.Level == LogLevel.Warning).Message);

        // It has no holes either: zeroes are written.
        Assert.False(volume.Has(VolumeCapabilities.Discard));
        using var io = new SyncIo(_devices[^1], _host, "disk");
        io.Write(0, new byte[4096].Select(_ => (byte)9).ToArray());
        Assert.Equal(IoStatus.Success, io.Execute(new IoDescriptor { Operation = IoOperation.WriteZeroes, Lba = 1, BlockCount = 1000, Flags = IoFlags.ForceUnitAccess }));
        var content = RawFile.Read(path);
        Assert.True(content.AsSpan(0, 512).IndexOfAnyExcept((byte)9) < 0);
        Assert.True(content.AsSpan(512).IndexOfAnyExcept((byte)0) < 0);
    }

    [Fact]
    public void A_block_device_is_a_volume_of_its_own_size()
    {
        if (!Environment.IsPrivilegedProcess) Assert.Skip("only root makes loop devices");
        Tools.Need("losetup", "mount");
        File.WriteAllBytes(Image, new byte[8 << 20]);
        var (code, output) = Tools.Run("losetup", "--find", "--show", Image);
        Assert.SkipUnless(code == 0, $"no loop device: {output}");
        var node = output.Trim();
        _undo.Add(() => Tools.Run("losetup", "--detach", node));
        var volume = Start(new FileDeviceOptions { Path = node });
        Assert.Equal(8ul << 20, volume.ByteLength);
        Assert.False(volume.Has(VolumeCapabilities.DiscardReadsZero));
        using (var io = new SyncIo(_devices[^1], _host, "disk"))
        {
            var data = new byte[1 << 20];
            new Random(2).NextBytes(data);
            io.Write(100, data);
            io.Flush();
            Assert.True(RawFile.Read(Image).AsSpan(100 * 512, data.Length).SequenceEqual(data));
            Assert.Equal(IoStatus.Success, io.Execute(new IoDescriptor { Operation = IoOperation.WriteZeroes, Lba = 100, BlockCount = 2048, Flags = IoFlags.ForceUnitAccess }));
            io.Read(100, data);
            Assert.True(data.AsSpan().IndexOfAnyExcept((byte)0) < 0);
            if (volume.Has(VolumeCapabilities.Discard))
                Assert.Equal(IoStatus.Success, io.Execute(new IoDescriptor { Operation = IoOperation.Discard, Lba = 0, BlockCount = 4096 }));
        }

        _devices[^1].Stop();
        Refused(new FileDeviceOptions { Path = node, Size = ByteSize.MiB(4) }, "is 8MiB long, not 4MiB", node);
    }

    [Fact]
    public void A_plan_knows_the_volume_before_it_is_opened()
    {
        var plan = TestPlanOf(new FileDeviceOptions { Path = Image, Size = ByteSize.MiB(1) });
        Assert.Empty(plan.Errors);
        Assert.Equal(1ul << 20, plan.Volume!.Value.ByteLength);
        Assert.Equal([$"file {Image}"], plan.Claims);
        Assert.False(File.Exists(Image));

        File.WriteAllBytes(Image, new byte[64 << 10]);
        Assert.Equal(64ul << 10, TestPlanOf(new FileDeviceOptions { Path = Image }).Volume!.Value.ByteLength);
    }

    [Fact]
    public void A_plan_finds_what_can_not_be()
    {
        Assert.Equal("size", Assert.Single(TestPlanOf(new FileDeviceOptions { Path = Image }).Errors).Option);
        Assert.Equal("path", Assert.Single(TestPlanOf(new FileDeviceOptions { Path = Image, Size = ByteSize.MiB(1), Create = false }).Errors).Option);
        Assert.Equal("path", Assert.Single(TestPlanOf(new FileDeviceOptions { Path = _folder }).Errors).Option);
        Assert.Equal("block-size", Assert.Single(TestPlanOf(new FileDeviceOptions { Path = Image, Size = ByteSize.MiB(1), BlockSize = new ByteSize(1000) }).Errors).Option);
        Assert.Equal("size", Assert.Single(TestPlanOf(new FileDeviceOptions { Path = Image, Size = new ByteSize(1000) }).Errors).Option);
        File.WriteAllBytes(Image, new byte[2 << 20]);
        Assert.Equal("size", Assert.Single(TestPlanOf(new FileDeviceOptions { Path = Image, Size = ByteSize.MiB(1) }).Errors).Option);
        Assert.Equal("sqpoll", Assert.Single(TestPlanOf(new FileDeviceOptions { Path = Image, Engine = FileEngine.Sync, Sqpoll = true }).Warnings).Option);
    }

    public void Dispose()
    {
        for (var i = _devices.Count - 1; i >= 0; i--) _devices[i].Release();
        for (var i = _undo.Count - 1; i >= 0; i--) _undo[i]();
        Directory.Delete(_folder, recursive: true);
    }

    private static Testing.TestPlan TestPlanOf(FileDeviceOptions options) => Testing.TestPlan.Of<FileDevice>(options);

    private FileDevice Made(FileDevice device)
    {
        _devices.Add(device);
        return device;
    }

    private FileDevice ReadOnly() => Made(new FileDevice(new TestHost("disk") { Flags = HostFlags.ReadOnly }, new FileDeviceOptions { Path = Image }));

    private VolumeInfo Start(FileDeviceOptions options)
    {
        var device = Made(new FileDevice(_host, options));
        device.Start();
        VolumeInfo volume;
        device.GetVolumeInfo(&volume);
        return volume;
    }

    private void Refused(FileDeviceOptions options, string reason, string? path = null)
    {
        var device = Made(new FileDevice(_host, options));
        var message = Assert.Throws<ComancheException>(device.Start).Message;
        Assert.Contains(reason, message);
        Assert.Contains(path ?? Image, message);
    }

    private string Mount(string type, params string[] options)
    {
        if (!Environment.IsPrivilegedProcess) Assert.Skip("only root mounts");
        Tools.Need("mount", "mount");
        var at = Directory.CreateDirectory(Path.Combine(_folder, type)).FullName;
        var (code, output) = Tools.Run("mount", ["-t", type, .. options, type, at]);
        Assert.SkipUnless(code == 0, $"{type} can't be mounted: {output}");
        _undo.Add(() => Tools.Run("umount", at));
        return at;
    }
}
