using System.Runtime.InteropServices.Marshalling;

namespace Comanche.Block.Tests;

/// <summary>A device whose queues do what the test says: take so many, finish those that it is told to, remember the rest.</summary>
[GeneratedComClass]
internal sealed unsafe partial class ScriptedDevice(IHost host) : BlockDevice(host)
{
    public List<ScriptedQueue> Queues { get; } = [];

    public VolumeInfo Volume { get; set; } = new()
    {
        BlockSize = 512, BlockCount = 1 << 20, MaxTransferBlocks = 2048, BufferAlignment = 1, MaxSegments = 16, AtomicWriteBlocks = 1,
        MaxRangeBlocks = uint.MaxValue, DiscardGranularityBlocks = 1, Capabilities = VolumeCapabilities.DurableFlush,
    };

    protected override VolumeInfo DescribeVolume() => Volume;

    protected override IIoQueue CreateQueue(QueueOptions options)
    {
        var queue = new ScriptedQueue(this, options.Depth);
        Queues.Add(queue);
        return queue.Opened();
    }
}

[GeneratedComClass]
internal sealed unsafe partial class ScriptedQueue(BlockDevice device, uint depth) : IoQueue(device, depth)
{
    private readonly List<nint> _held = [];
    private readonly List<nint> _ready = [];

    /// <summary>How many descriptors it takes before it is full.</summary>
    public int Room { get; set; } = int.MaxValue;

    /// <summary>The status of each that is let go, by LBA; success where there is none.</summary>
    public Dictionary<ulong, IoStatus> Statuses { get; } = [];

    /// <summary>Whether everything is let go at once.</summary>
    public bool Instant { get; set; }

    public long Deadline { get; set; } = WaitSet.Forever;

    /// <summary>Sees every descriptor that is taken.</summary>
    public Action<IoDescriptor>? Sees { get; set; }

    public int Held => _held.Count;

    public int Closed { get; private set; }

    public List<ulong> Submitted { get; } = [];

    public List<ulong> CancelledLbas { get; } = [];

    public override int Submit(IoDescriptor** batch, int count)
    {
        if (IsAbandoned) return 0;
        var taken = Math.Min(count, Math.Min(Room, Depth) - InFlight);
        if (taken < 0) taken = 0;
        for (var i = 0; i < taken; i++)
        {
            Submitted.Add(batch[i]->Lba);
            Sees?.Invoke(*batch[i]);
            _held.Add((nint)batch[i]);
        }

        InFlight += taken;
        if (Instant) LetGo(taken);
        return taken;
    }

    /// <summary>Finishes the oldest so many.</summary>
    public void LetGo(int count = int.MaxValue)
    {
        for (; count != 0 && _held.Count != 0; count--) LetGoAt(0);
    }

    public void LetGoAt(int index)
    {
        var descriptor = (IoDescriptor*)_held[index];
        descriptor->Status = Statuses.GetValueOrDefault(descriptor->Lba);
        _ready.Add(_held[index]);
        _held.RemoveAt(index);
    }

    public override int Poll(IoDescriptor** completed, int capacity)
    {
        var count = Math.Min(capacity, _ready.Count);
        for (var i = 0; i < count; i++) completed[i] = (IoDescriptor*)_ready[i];
        _ready.RemoveRange(0, count);
        InFlight -= count;
        return count;
    }

    public override int Cancel(IoDescriptor* descriptor)
    {
        var index = _held.IndexOf((nint)descriptor);
        if (index < 0) return 0;
        CancelledLbas.Add(descriptor->Lba);
        LetGoAt(index);
        descriptor->Status = IoStatus.Cancelled;
        return 1;
    }

    public override long Arm(WaitSet* waitSet) => _ready.Count != 0 ? 0 : Deadline;

    protected override void OnAbandon()
    {
        foreach (var held in _held)
        {
            ((IoDescriptor*)held)->Status = IoStatus.Aborted;
            _ready.Add(held);
        }

        _held.Clear();
    }

    protected override void OnClose() => Closed++;
}
