using System.Runtime.CompilerServices;

namespace Comanche.Runtime;

/// <summary>
/// The base of the queues that an edge puts around those of its device. They stack: entry over probe over check over the device's own, and the outermost one
/// that counts I/O is the only one that does. Owner thread only.
/// </summary>
internal abstract unsafe class EdgeQueue : IIoQueue, IWaitingQueue
{
    private readonly Edge _edge;
    private readonly DeviceStatistics _statistics;
    private readonly IWaitingQueue? _waiting;
    private bool _closed;

    /// <summary>The queue of the device, which this one owns.</summary>
    protected readonly IIoQueue Below;

    /// <summary>What is counted; owned by the device's statistics once the queue is closed.</summary>
    protected readonly QueueCounters Counters;

    /// <summary>The most descriptors in flight.</summary>
    protected readonly int Depth;

    /// <summary>How many descriptors were accepted and are not back.</summary>
    protected int InFlight;

    protected EdgeQueue(Edge edge, IIoQueue below, uint depth, in VolumeInfo volume, bool latency)
    {
        _edge = edge;
        Below = below;
        _waiting = below as IWaitingQueue;
        Depth = (int)depth;
        _statistics = edge.Statistics;
        Counters = _statistics.Open(volume.BlockSize, latency, stacked: below is EdgeQueue);
        if (below is not EdgeQueue) edge.QueueOpened();
    }

    /// <summary>The device's name.</summary>
    protected string Name => _edge.Name;

    /// <summary>Whether nothing is accepted any more.</summary>
    protected bool IsAbandoned { get; private set; }

    public abstract int Submit(IoDescriptor** batch, int count);

    public abstract int Poll(IoDescriptor** completed, int capacity);

    public virtual int Cancel(IoDescriptor* descriptor) => Below.Cancel(descriptor);

    public virtual long Arm(WaitSet* waitSet) => Below.Arm(waitSet);

    /// <summary>Sleeps in the queue below where that can; what this queue holds itself is asked first by the deriving one.</summary>
    public virtual bool Wait(int wanted, long timeoutNs) => _waiting is { } waiting && waiting.Wait(wanted, timeoutNs);

    public void Abandon()
    {
        IsAbandoned = true;
        Below.Abandon();
    }

    public void Close()
    {
        if (_closed) return;
        if (InFlight != 0) throw new ComancheException($"{Name}: a queue was closed with {InFlight} descriptors in flight");
        Below.Close();
        _closed = true;
        NativeObject.FinalRelease(Below);
        _statistics.Close(Counters);
        OnClosed();
        if (Below is not EdgeQueue) _edge.QueueClosed();
    }

    /// <summary>Gives back what the queue allocated; called once.</summary>
    protected virtual void OnClosed() { }

    /// <summary>Counts what came back.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    protected static void Count(OperationCounter* counters, IoDescriptor* descriptor)
    {
        // Masked rather than checked: whatever a faulty layer left there, the count stays inside the table.
        var counter = counters + ((int)descriptor->Operation & (QueueCounters.Slots - 1));
        counter->Operations++;
        counter->Blocks += descriptor->BlockCount;
        if (descriptor->Status != IoStatus.Success && descriptor->Status != IoStatus.Miscompare) counter->Errors++;
    }
}
