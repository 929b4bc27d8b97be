using System.Runtime.InteropServices.Marshalling;
using Comanche.Testing;

namespace Comanche.Core.Tests;

/// <summary>A device whose geometry and behaviour a test decides.</summary>
[GeneratedComClass]
internal sealed unsafe partial class ScriptedDevice(IHost host) : BlockDevice(host)
{
    public VolumeInfo Volume = new()
    {
        BlockSize = 512, BlockCount = 1000, MaxTransferBlocks = 64, BufferAlignment = 16, MaxSegments = 4, AtomicWriteBlocks = 1, MaxRangeBlocks = 100,
        DiscardGranularityBlocks = 1, CompareAndWriteBlocks = 8,
        Capabilities = VolumeCapabilities.Discard | VolumeCapabilities.WriteZeroes | VolumeCapabilities.Fill | VolumeCapabilities.Compare
            | VolumeCapabilities.CompareAndWrite | VolumeCapabilities.Copy,
    };

    /// <summary>Called when it is asked for its geometry; it may throw.</summary>
    public Action? Describing { get; set; }

    /// <summary>How many descriptors a Submit takes at most.</summary>
    public int MostTaken { get; set; } = int.MaxValue;

    /// <summary>Called with each descriptor before it goes up.</summary>
    public Action<nint>? Finishing { get; set; }

    /// <summary>Called with each descriptor that is accepted.</summary>
    public Action<nint>? Accepting { get; set; }

    /// <summary>Called with each that is refused.</summary>
    public Action<nint>? Refusing { get; set; }

    /// <summary>Goes up once more, by mistake.</summary>
    public nint Extra { get; set; }

    /// <summary>How many queues were closed.</summary>
    public int Closed { get; private set; }

    public static ScriptedDevice Make()
    {
        var device = new ScriptedDevice(new TestHost("scripted"));
        device.Start();
        return device;
    }

    protected override VolumeInfo DescribeVolume()
    {
        Describing?.Invoke();
        return Volume;
    }

    protected override IIoQueue CreateQueue(QueueOptions options) => new Queue(this, options.Depth).Opened();

    [GeneratedComClass]
    internal sealed partial class Queue(ScriptedDevice device, uint depth) : IoQueue(device, depth)
    {
        private readonly List<nint> _accepted = [];

        public override int Submit(IoDescriptor** batch, int count)
        {
            var taken = Math.Min(Math.Min(count, device.MostTaken), Depth - InFlight);
            for (var i = 0; i < taken; i++)
            {
                device.Accepting?.Invoke((nint)batch[i]);
                _accepted.Add((nint)batch[i]);
            }

            for (var i = taken; i < count; i++) device.Refusing?.Invoke((nint)batch[i]);
            InFlight += taken;
            return taken;
        }

        public override int Poll(IoDescriptor** completed, int capacity)
        {
            // The newest first: nobody may rely on an order.
            var count = 0;
            while (count < capacity && _accepted.Count != 0)
            {
                var descriptor = (IoDescriptor*)_accepted[^1];
                _accepted.RemoveAt(_accepted.Count - 1);
                descriptor->Status = IoStatus.Success;
                descriptor->Scratch = 0x1234;
                device.Finishing?.Invoke((nint)descriptor);
                completed[count++] = descriptor;
            }

            InFlight -= count;
            if (device.Extra != 0 && count < capacity)
            {
                completed[count++] = (IoDescriptor*)device.Extra;
                device.Extra = 0;
            }

            return count;
        }

        public override int Cancel(IoDescriptor* descriptor) => _accepted.Contains((nint)descriptor) ? 1 : 0;

        public override long Arm(WaitSet* waitSet) => _accepted.Count == 0 ? WaitSet.Forever : 0;

        protected override void OnAbandon() { }

        protected override void OnClose() => device.Closed++;
    }
}

/// <summary>An edge over a scripted device, with descriptors and buffers to use it by.</summary>
internal sealed unsafe class EdgeBench : IDisposable
{
    public const int Depth = 16;

    private readonly IoDescriptor** _batch;
    private readonly byte* _buffers;

    public EdgeBench(Runtime.EdgeOptions options, Action<ScriptedDevice>? script = null, uint depth = Depth, Func<ulong>? clock = null)
    {
        Log = new ListSink();
        Process = new Runtime.ComancheProcess(new Runtime.ComancheProcessOptions { Log = Log, Clock = clock });
        Device = ScriptedDevice.Make();
        script?.Invoke(Device);
        Edge = Process.CreateEdge("top", Device, options);
        Device.Release(); // The edge has its own.
        var queue = new QueueOptions { Depth = depth };
        Queue = Edge.OpenQueue(&queue);
        Slab = new DescriptorSlab(64);
        _batch = (IoDescriptor**)System.Runtime.InteropServices.NativeMemory.Alloc(64, (nuint)sizeof(IoDescriptor*));
        _buffers = (byte*)System.Runtime.InteropServices.NativeMemory.AlignedAlloc(64 * 512 * 64, 4096);
    }

    public ListSink Log { get; }

    public Runtime.ComancheProcess Process { get; }

    public ScriptedDevice Device { get; }

    public Runtime.Edge Edge { get; }

    public IIoQueue Queue { get; }

    public DescriptorSlab Slab { get; }

    public IoDescriptor** Batch => _batch;

    /// <summary>A good read of 8 blocks at LBA 8, aligned to the last bit, as descriptor so-and-so.</summary>
    public IoDescriptor* Read(int index)
    {
        var descriptor = Slab[index];
        *descriptor = new IoDescriptor
        {
            Operation = IoOperation.Read, Lba = 8, BlockCount = 8, Buffer = _buffers + index * 512 * 64, Tag = 1000 + (ulong)index, Status = IoStatus.DeviceFailed,
        };
        _batch[index] = descriptor;
        return descriptor;
    }

    /// <summary>Submits a number of them from the front; returns how many were taken.</summary>
    public int Submit(int count) => Queue.Submit(_batch, count);

    /// <summary>Polls until nothing comes any more.</summary>
    public List<nint> Drain()
    {
        var all = new List<nint>();
        var completed = stackalloc IoDescriptor*[64];
        for (int count; (count = Queue.Poll(completed, 64)) != 0;)
            for (var i = 0; i < count; i++)
                all.Add((nint)completed[i]);
        return all;
    }

    /// <summary>What becomes of one descriptor.</summary>
    public IoStatus Do(IoDescriptor* descriptor)
    {
        var one = descriptor;
        Assert.Equal(1, Queue.Submit(&one, 1));
        Assert.Equal((nint)descriptor, Assert.Single(Drain()));
        return descriptor->Status;
    }

    public void Dispose()
    {
        Queue.Close();
        Edge.Stop();
        Assert.Equal(0u, Edge.Release());
        Process.Dispose();
        Slab.Dispose();
        System.Runtime.InteropServices.NativeMemory.Free(_batch);
        System.Runtime.InteropServices.NativeMemory.AlignedFree(_buffers);
    }
}
