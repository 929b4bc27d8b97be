namespace Comanche;

/// <summary>
/// A queue of a layer that serves each descriptor (the parent) by exactly one of its own (the child) on one queue below. What the layer does
/// is done to a whole batch of children: <see cref="Down"/> before they are submitted, <see cref="Up"/> when they are back.
/// </summary>
/// <remarks>
/// <para>A child starts as its parent's copy but for <see cref="IoDescriptor.Tag"/>, <see cref="IoDescriptor.Pending"/> and <see cref="IoDescriptor.Scratch"/>, which the layer
/// may use as it likes (the latter two only until it submits). The parent gets its child's status.</para>
/// <para>Children are made in place on top of the slab's stack, which is the batch that goes down: the batch is written once, and what is refused below is
/// refused here, so nothing ever waits in this queue. Invariant: slab free + in flight = slab capacity = depth.</para>
/// <para>Owner thread only. Nothing is allocated after the constructor.</para>
/// </remarks>
/// <param name="device">The layer.</param>
/// <param name="below">The queue below, which this one owns and closes.</param>
/// <param name="depth">The depth that was asked for.</param>
public abstract unsafe class SingleChildQueue(BlockDevice device, IIoQueue below, uint depth) : IoQueue(device, depth), IWaitingQueue
{
    private readonly DescriptorSlab _slab = new((int)depth);
    private readonly IWaitingQueue? _waiting = below as IWaitingQueue;

    /// <summary>The queue below.</summary>
    protected readonly IIoQueue Below = below;

    /// <inheritdoc/>
    public sealed override int Submit(IoDescriptor** batch, int count)
    {
        if (IsAbandoned) return 0;
        count = Math.Min(count, _slab.Available);
        var children = _slab.Peek(count);
        for (var i = 0; i < count; i++) DescriptorSlab.MakeChild(children[i], batch[i]);
        Down(children, count);
        var taken = Below.Submit(children, count);
        if (taken < count) Refuse(children + taken, count - taken);
        _slab.Take(count, taken);
        InFlight += taken;
        return taken;
    }

    /// <inheritdoc/>
    public sealed override int Poll(IoDescriptor** completed, int capacity)
    {
        var count = Below.Poll(completed, capacity);
        Up(completed, count);
        for (var i = 0; i < count; i++)
        {
            var child = completed[i];
            var parent = child->Parent;
            parent->Status = child->Status;
            completed[i] = parent;
            child->Parent = null; // Free: no cancel finds it.
            _slab.Return(child);
        }

        InFlight -= count;
        return count;
    }

    /// <inheritdoc/>
    public override int Cancel(IoDescriptor* descriptor)
    {
        var asked = 0;
        for (var i = 0; i < _slab.Capacity; i++)
            if (_slab[i]->Parent == descriptor) asked |= Below.Cancel(_slab[i]);
        return asked;
    }

    /// <inheritdoc/>
    public override long Arm(WaitSet* waitSet) => Below.Arm(waitSet);

    /// <inheritdoc/>
    public bool Wait(int wanted, long timeoutNs) => _waiting is not null && _waiting.Wait(wanted, timeoutNs);

    /// <summary>Changes children on their way down.</summary>
    /// <param name="children">The children, each with its <see cref="IoDescriptor.Parent"/>; the array stays as it is.</param>
    /// <param name="count">Their number; may be 0.</param>
    protected virtual void Down(IoDescriptor** children, int count) { }

    /// <summary>Takes back what <see cref="Down"/> set aside for children that the queue below refused; their parents will be submitted again.</summary>
    /// <param name="children">The children.</param>
    /// <param name="count">Their number, at least 1.</param>
    protected virtual void Refused(IoDescriptor** children, int count) { }

    /// <summary>Does what is to be done with children that are back, before their status goes to their parents.</summary>
    /// <param name="children">The children; the array stays as it is.</param>
    /// <param name="count">Their number; may be 0.</param>
    protected virtual void Up(IoDescriptor** children, int count) { }

    /// <inheritdoc/>
    protected override void OnAbandon() => Below.Abandon();

    /// <inheritdoc/>
    protected override void OnClose()
    {
        Below.Close();
        _slab.Dispose();
    }

    private void Refuse(IoDescriptor** children, int count)
    {
        Refused(children, count);
        for (var i = 0; i < count; i++) children[i]->Parent = null;
    }
}
