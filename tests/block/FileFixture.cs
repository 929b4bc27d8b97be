using Comanche.Linux;
using Comanche.Testing;

namespace Comanche.Block.Tests;

/// <summary>The ways in which a <c>block/file</c> can speak to the kernel.</summary>
public enum Way
{
    /// <summary>io_uring with all that the kernel has.</summary>
    Uring,

    /// <summary>io_uring as on Linux 6.0: no DEFER_TASKRUN.</summary>
    Cooperative,

    /// <summary>io_uring as on Linux 5.10: none of the newer flags.</summary>
    Plain,

    /// <summary>A queue that may move between threads.</summary>
    Movable,

    /// <summary>A kernel thread submits.</summary>
    Polled,

    /// <summary>Buffered instead of direct.</summary>
    Buffered,

    /// <summary>Blocking calls.</summary>
    Sync,
}

/// <summary>A folder of its own, in it a file, a device on it, one queue, and descriptors with buffers.</summary>
internal sealed unsafe class FileFixture : IDisposable
{
    private readonly List<IoBuffer> _buffers = [];

    public FileFixture(Way way = Way.Uring, uint depth = 8, FileDeviceOptions? options = null, Func<FileDeviceOptions, FileDeviceOptions>? with = null)
    {
        Way = way;
        Folder = Directory.CreateTempSubdirectory("comanche-file-").FullName;
        Host = new TestHost("disk") { Memory = new TestMemory { Registers = true } };
        var wanted = options ?? new FileDeviceOptions { Path = Path.Combine(Folder, "disk.img"), Size = ByteSize.MiB(4) };
        if (with is not null) wanted = with(wanted);
        Options = wanted with
        {
            Engine = way == Way.Sync ? FileEngine.Sync : FileEngine.Uring, Sqpoll = way == Way.Polled, Direct = wanted.Direct && way != Way.Buffered,
        };
        Device = Make();
        Device.Start();
        Queue = Open(depth);
        Slab = new DescriptorSlab((int)depth);
    }

    public Way Way { get; }

    public string Folder { get; }

    public TestHost Host { get; }

    public FileDeviceOptions Options { get; }

    public FileDevice Device { get; private set; }

    public IIoQueue Queue { get; private set; }

    public DescriptorSlab Slab { get; }

    public VolumeInfo Volume
    {
        get
        {
            VolumeInfo volume;
            Device.GetVolumeInfo(&volume);
            return volume;
        }
    }

    /// <summary>Set-up flags that a kernel of that age does not know.</summary>
    public static uint Without(Way way) => way switch
    {
        Way.Cooperative => 1u << 13 | 1u << 16,
        Way.Plain => ~(1u << 3 | 1u << 4),
        _ => 0,
    };

    /// <summary>The blocks of the file that take space, in 512 bytes.</summary>
    public static ulong Allocated(string path)
    {
        Assert.True(PosixFile.Stat(path, out var stat) >= 0);
        return stat.stx_blocks;
    }

    public FileDevice Make() => new(Host, Options) { WithoutFlags = Without(Way) };

    public IIoQueue Open(uint depth)
    {
        var options = new QueueOptions { Depth = depth, Flags = Way == Way.Movable ? QueueFlags.Movable : QueueFlags.None };
        return Device.OpenQueue(&options);
    }

    public IoBufferInfo Buffer(int bytes)
    {
        var buffer = Device.AllocateIoBuffer((nuint)bytes, 4096, -1);
        _buffers.Add(buffer);
        IoBufferInfo info;
        Device.GetBufferInfo(buffer, &info);
        return info;
    }

    public static Span<byte> Bytes(IoBufferInfo buffer) => new(buffer.Address, (int)buffer.Length);

    public IoDescriptor Request(IoOperation operation, ulong lba, IoBufferInfo buffer, IoFlags flags = IoFlags.None) => new()
    {
        Operation = operation, Lba = lba, Buffer = (byte*)buffer.Address, Region = buffer.Region, BlockCount = (uint)buffer.Length / Volume.BlockSize, Flags = flags,
    };

    /// <summary>Does one descriptor and gives its status.</summary>
    public IoStatus Do(in IoDescriptor request)
    {
        var descriptor = Slab.Take();
        *descriptor = request;
        Assert.Equal(1, Queue.Submit(&descriptor, 1));
        var status = Await(1)[0];
        Slab.Return(descriptor);
        return status;
    }

    /// <summary>Polls, asleep in between, until so many are back, and gives their statuses; fails after ten seconds.</summary>
    public IoStatus[] Await(int count, IIoQueue? queue = null)
    {
        queue ??= Queue;
        var statuses = new IoStatus[count];
        var completed = stackalloc IoDescriptor*[64];
        var end = Environment.TickCount64 + 10_000;
        for (var done = 0; done < count;)
        {
            var got = queue.Poll(completed, Math.Min(64, count - done));
            for (var i = 0; i < got; i++) statuses[done++] = completed[i]->Status;
            if (got == 0) Sleeper.Sleep(queue, 100);
            Assert.True(Environment.TickCount64 < end, $"{done} of {count} descriptors came back");
        }

        return statuses;
    }

    public void Restart()
    {
        Queue.Close();
        Device.Stop();
        Device.Release();
        Device = Make();
        Device.Start();
        Queue = Open((uint)Slab.Capacity);
    }

    public void Dispose()
    {
        try
        {
            Queue.Close();
            foreach (var buffer in _buffers) Device.FreeIoBuffer(buffer);
            Device.Release();
        }
        finally
        {
            Slab.Dispose();
            Directory.Delete(Folder, recursive: true);
        }
    }
}

/// <summary>Sleeps as a reactor does.</summary>
internal static unsafe class Sleeper
{
    /// <summary>Arms and sleeps until a descriptor is readable; returns whether one was, or whether there was no need to sleep.</summary>
    public static bool Sleep(IIoQueue queue, int atMostMs)
    {
        var descriptors = stackalloc int[16];
        var waitSet = new WaitSet { Descriptors = descriptors, Capacity = 16 };
        var deadline = queue.Arm(&waitSet);
        return deadline == 0 || Poll.Wait(&waitSet, Math.Min(deadline, atMostMs * 1_000_000L)) > 0;
    }
}

/// <summary>A file's content past the library, whose own file streams take the lock that the device holds.</summary>
internal static unsafe class RawFile
{
    public static byte[] Read(string path)
    {
        var file = PosixFile.Open(path, FileAbi.O_RDONLY);
        Assert.True(PosixFile.Stat(file, out var stat) >= 0);
        var content = new byte[stat.stx_size];
        fixed (byte* bytes = content) Assert.Equal(content.Length, (int)PosixFile.Read(file, bytes, (nuint)content.Length, 0));
        PosixFile.Close(file);
        return content;
    }

    public static void Write(string path, byte[] content)
    {
        var file = PosixFile.Open(path, FileAbi.O_RDWR);
        fixed (byte* bytes = content) Assert.Equal(content.Length, (int)PosixFile.Write(file, bytes, (nuint)content.Length, 0));
        Assert.Equal(0, PosixFile.Sync(file));
        PosixFile.Close(file);
    }

    public static void Cut(string path, ulong length)
    {
        var file = PosixFile.Open(path, FileAbi.O_RDWR);
        Assert.Equal(0, PosixFile.Truncate(file, length));
        PosixFile.Close(file);
    }
}
