using System.Runtime.InteropServices.Marshalling;

namespace Comanche.Block;

/// <summary>
/// A queue of <c>block/limit</c>: what finds no tokens waits in a lane, then is passed on as it is.
/// </summary>
/// <remarks>
/// Reads and changes have one lane together, and their order, unless one of them has a limit of its own: then neither waits behind the other. Invariant: in lanes + due + below + ended = in
/// flight. Time is read once a batch. Owner thread only.
/// </remarks>
[GeneratedComClass]
internal sealed unsafe partial class LimitQueue : IoQueue
{
    private readonly IIoQueue _below;
    private readonly IHost _host;
    private readonly LimitLane? _reads;   // Null where they are not limited.
    private readonly LimitLane? _changes; // As well; may be the same.
    private readonly LimitLane[] _lanes;  // Each once.
    private readonly DescriptorRing _due;   // Has its tokens; the queue below has no room yet.
    private readonly DescriptorRing _ended; // Cancelled or abandoned while it waited.

    /// <summary>Makes a queue over one below.</summary>
    /// <param name="device">The filter.</param>
    /// <param name="below">The queue below, which this one owns and closes.</param>
    /// <param name="depth">The depth that was asked for.</param>
    /// <param name="host">Whose clock is used.</param>
    /// <param name="all">The limit of reads and changes together, or null.</param>
    /// <param name="reads">That of reads, or null.</param>
    /// <param name="changes">That of changes, or null.</param>
    public LimitQueue(LimitDevice device, IIoQueue below, uint depth, IHost host, RateLimit? all, RateLimit? reads, RateLimit? changes) : base(device, depth)
    {
        (_below, _host) = (below, host);
        _due = new DescriptorRing((int)depth);
        _ended = new DescriptorRing((int)depth);
        if (reads is null && changes is null)
        {
            _reads = _changes = new LimitLane(all, null, (int)depth);
            _lanes = [_reads];
            return;
        }

        if (all is not null || reads is not null) _reads = new LimitLane(all, reads, (int)depth);
        if (all is not null || changes is not null) _changes = new LimitLane(all, changes, (int)depth);
        _lanes = _reads is null ? [_changes!] : _changes is null ? [_reads] : [_reads, _changes];
    }

    /// <inheritdoc/>
    public override int Submit(IoDescriptor** batch, int count)
    {
        if (IsAbandoned) return 0;
        var taken = Math.Min(count, Depth - InFlight);
        if (taken <= 0) return 0;
        var now = _host.GetTime();
        for (var i = 0; i < taken; i++)
        {
            var lane = LaneOf(batch[i]->Operation);
            if (lane is null || lane.TryPass(batch[i], now)) _due.Push(batch[i]);
        }

        InFlight += taken;
        if (_due.Count != 0) _due.SubmitTo(_below);
        return taken;
    }

    /// <inheritdoc/>
    public override int Poll(IoDescriptor** completed, int capacity)
    {
        if (IsWaiting)
        {
            var now = _host.GetTime();
            foreach (var lane in _lanes) lane.MoveTo(_due, now);
        }

        if (_due.Count != 0) _due.SubmitTo(_below);
        var count = _ended.Count == 0 ? 0 : _ended.Pop(completed, capacity);
        if (count < capacity) count += _below.Poll(completed + count, capacity - count);
        InFlight -= count;
        return count;
    }

    /// <inheritdoc/>
    public override int Cancel(IoDescriptor* descriptor)
    {
        var found = _due.Remove(descriptor);
        for (var i = 0; i < _lanes.Length && !found; i++) found = _lanes[i].Remove(descriptor, _host.GetTime());
        if (!found) return _below.Cancel(descriptor);
        End(descriptor, IoStatus.Cancelled);
        return 1;
    }

    /// <inheritdoc/>
    public override long Arm(WaitSet* waitSet)
    {
        var deadline = _below.Arm(waitSet);
        if (_ended.Count != 0) return 0;
        if (!IsWaiting) return deadline;
        var now = _host.GetTime();
        foreach (var lane in _lanes)
        {
            if (lane.IsEmpty) continue;
            if (lane.Next <= now) return 0;
            deadline = Math.Min(deadline, (long)(lane.Next - now));
        }

        return deadline;
    }

    /// <inheritdoc/>
    protected override void OnAbandon()
    {
        foreach (var lane in _lanes)
            for (var one = lane.Drain(); one is not null; one = lane.Drain())
                End(one, IoStatus.Aborted);
        while (_due.Count != 0) End(_due.Pop(), IoStatus.Aborted);
        _below.Abandon();
    }

    /// <inheritdoc/>
    protected override void OnClose()
    {
        _below.Close();
        foreach (var lane in _lanes) lane.Dispose();
        _due.Dispose();
        _ended.Dispose();
    }

    private bool IsWaiting => !_lanes[0].IsEmpty || _lanes.Length == 2 && !_lanes[1].IsEmpty;

    private LimitLane? LaneOf(IoOperation operation) => operation.IsChange() ? _changes : RateLimit.Covers(operation) ? _reads : null;

    private void End(IoDescriptor* descriptor, IoStatus status)
    {
        descriptor->Status = status;
        _ended.Push(descriptor);
    }
}
