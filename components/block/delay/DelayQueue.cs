using System.Runtime.InteropServices.Marshalling;

namespace Comanche.Block;

/// <summary>
/// A queue of <c>block/delay</c>: what was accepted is held in a heap until its deadline, then passed on as it is.
/// </summary>
/// <remarks>
/// Invariant: held + due + below + ended = in flight. Time is read once a batch. Owner thread only.
/// </remarks>
[GeneratedComClass]
internal sealed unsafe partial class DelayQueue(
    DelayDevice device, IIoQueue below, uint depth, IHost host, DelayOptions options, SeededRandom random) : IoQueue(device, depth)
{
    private readonly DeadlineHeap _held = new((int)depth);
    private readonly DescriptorRing _due = new((int)depth);   // Held long enough; the queue below has no room yet.
    private readonly DescriptorRing _ended = new((int)depth); // Cancelled or abandoned while held.
    private readonly ulong _readNs = Nanoseconds(options.Read);
    private readonly ulong _writeNs = Nanoseconds(options.Write);
    private readonly ulong _flushNs = Nanoseconds(options.Flush);
    private readonly ulong _jitterNs = Nanoseconds(options.Jitter);
    private readonly bool _busy = options.Busy;
    private SeededRandom _random = random;

    /// <inheritdoc/>
    public override int Submit(IoDescriptor** batch, int count)
    {
        if (IsAbandoned) return 0;
        var taken = Math.Min(count, Depth - InFlight);
        if (taken <= 0) return 0;
        var now = host.GetTime();
        for (var i = 0; i < taken; i++)
        {
            var delay = DelayOf(batch[i]->Operation);
            if (delay == 0) _due.Push(batch[i]);
            else _held.Push(now + delay, batch[i]);
        }

        InFlight += taken;
        if (_due.Count != 0) _due.SubmitTo(below);
        return taken;
    }

    /// <inheritdoc/>
    public override int Poll(IoDescriptor** completed, int capacity)
    {
        if (_held.Count != 0)
        {
            var now = host.GetTime();
            while (_held.Count != 0 && _held.Next <= now) _due.Push(_held.Pop());
        }

        if (_due.Count != 0) _due.SubmitTo(below);
        var count = _ended.Count == 0 ? 0 : _ended.Pop(completed, capacity);
        if (count < capacity) count += below.Poll(completed + count, capacity - count);
        InFlight -= count;
        return count;
    }

    /// <inheritdoc/>
    public override int Cancel(IoDescriptor* descriptor)
    {
        if (!_held.Remove(descriptor) && !_due.Remove(descriptor)) return below.Cancel(descriptor);
        End(descriptor, IoStatus.Cancelled);
        return 1;
    }

    /// <inheritdoc/>
    public override long Arm(WaitSet* waitSet)
    {
        var deadline = below.Arm(waitSet);
        if (_ended.Count != 0) return 0;
        if (_held.Count == 0) return deadline;
        if (_busy) return 0;
        var now = host.GetTime();
        var next = _held.Next;
        return next <= now ? 0 : Math.Min(deadline, (long)(next - now));
    }

    /// <inheritdoc/>
    protected override void OnAbandon()
    {
        while (_held.Count != 0) End(_held.Pop(), IoStatus.Aborted);
        while (_due.Count != 0) End(_due.Pop(), IoStatus.Aborted);
        below.Abandon();
    }

    /// <inheritdoc/>
    protected override void OnClose()
    {
        below.Close();
        _held.Dispose();
        _due.Dispose();
        _ended.Dispose();
    }

    private static ulong Nanoseconds(TimeSpan time) => (ulong)time.Ticks * TimeSpan.NanosecondsPerTick;

    private void End(IoDescriptor* descriptor, IoStatus status)
    {
        descriptor->Status = status;
        _ended.Push(descriptor);
    }

    private ulong DelayOf(IoOperation operation)
    {
        var delay = operation.IsChange() ? _writeNs : operation == IoOperation.Flush ? _flushNs : operation.HasRange() ? _readNs : 0;
        if (delay == 0 || _jitterNs == 0) return delay;
        var shifted = delay + _random.Below(2 * _jitterNs + 1);
        return shifted > _jitterNs ? shifted - _jitterNs : 1;
    }
}
