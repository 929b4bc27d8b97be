using System.Runtime.InteropServices;

namespace Comanche;

/// <summary>
/// A queue of a layer that serves each descriptor (the parent) by one or more of its own (the children), on one or more queues below.
/// </summary>
/// <remarks>
/// <para>The deriving queue says how many children a parent needs (<see cref="CountChildren"/>) and makes them (<see cref="MakeChildren"/>). The rest
/// stands here: a parent is accepted only when all its children are reserved from the slab; children that a queue below refuses wait in a ring of
/// that queue, and <see cref="Poll"/> submits them again; a parent is back when its last child is back.</para>
/// <para>Invariants: slab free + waiting + below = slab capacity. Waiting children of queue q fit ring q, since a ring holds the whole slab.
/// A parent's <see cref="IoDescriptor.Pending"/> is the number of its children that are not back.</para>
/// <para>Owner thread only. Nothing is allocated after the constructor.</para>
/// </remarks>
public abstract unsafe class ChildQueue : IoQueue
{
    private readonly IIoQueue[] _below;
    private readonly DescriptorRing[] _waiting;
    private readonly DescriptorSlab _slab;
    private readonly DescriptorRing _finished; // Parents that are done without a child, or whose last child came while there was no room.
    private int _waitingTotal;
    private int _next; // The queue that is polled first, in turn, so that none starves another.

    /// <summary>Makes a queue over the queues below, which it owns and closes.</summary>
    /// <param name="device">The layer.</param>
    /// <param name="below">The queues below.</param>
    /// <param name="depth">The depth that was asked for.</param>
    /// <param name="children">How many children there are in all: at least as many as the largest parent needs.</param>
    protected ChildQueue(BlockDevice device, IIoQueue[] below, uint depth, int children) : base(device, depth)
    {
        _below = below;
        _slab = new DescriptorSlab(children);
        _waiting = new DescriptorRing[below.Length];
        for (var i = 0; i < below.Length; i++) _waiting[i] = new DescriptorRing(children);
        _finished = new DescriptorRing(Depth);
    }

    /// <inheritdoc/>
    public sealed override int Submit(IoDescriptor** batch, int count)
    {
        if (IsAbandoned) return 0;
        var room = Depth - InFlight;
        if (count > room) count = room;
        var taken = 0;
        for (; taken < count; taken++)
        {
            var parent = batch[taken];
            var children = CountChildren(parent);
            if (children > _slab.Available) break;
            parent->Status = IoStatus.Success;
            parent->Pending = (ushort)children;
            if (children == 0)
            {
                parent->Status = Finish(parent, parent->Status);
                _finished.Push(parent);
            }
            else
            {
                MakeChildren(parent, children);
            }
        }

        InFlight += taken;
        if (_waitingTotal != 0) SubmitWaiting();
        return taken;
    }

    /// <inheritdoc/>
    public sealed override int Poll(IoDescriptor** completed, int capacity)
    {
        if (_waitingTotal != 0) SubmitWaiting();
        var done = _finished.Count == 0 ? 0 : _finished.Pop(completed, capacity);
        for (var turn = 0; turn < _below.Length && done < capacity; turn++)
        {
            var queue = _next;
            if (++_next == _below.Length) _next = 0;

            // The children come to where their parents go: a parent never comes before its last child.
            var count = _below[queue].Poll(completed + done, capacity - done);
            var from = completed + done;
            for (var i = 0; i < count; i++)
            {
                var child = from[i];
                var parent = child->Parent;
                if (child->Status != IoStatus.Success && parent->Status == IoStatus.Success) parent->Status = child->Status;
                _slab.Return(child);
                if (--parent->Pending != 0) continue;
                parent->Status = Finish(parent, parent->Status);
                completed[done++] = parent;
            }
        }

        InFlight -= done;
        return done;
    }

    /// <inheritdoc/>
    public override int Cancel(IoDescriptor* descriptor)
    {
        var asked = 0;
        for (var i = 0; i < _slab.Capacity; i++)
        {
            // A free child keeps its last parent, so a child counts only where that parent still waits for children.
            var child = _slab[i];
            if (child->Parent != descriptor || descriptor->Pending == 0) continue;
            foreach (var below in _below) asked |= below.Cancel(child);
        }

        return asked;
    }

    /// <inheritdoc/>
    public override long Arm(WaitSet* waitSet)
    {
        if (_finished.Count != 0) return 0;
        var deadline = WaitSet.Forever;
        foreach (var below in _below) deadline = Math.Min(deadline, below.Arm(waitSet));
        return deadline;
    }

    /// <summary>How many children a parent needs, at most 65535; 0 where it is done without any.</summary>
    protected abstract int CountChildren(IoDescriptor* parent);

    /// <summary>
    /// Makes exactly that many children: for each, <see cref="TakeChild"/>, set its fields, <see cref="Send"/>.
    /// </summary>
    protected abstract void MakeChildren(IoDescriptor* parent, int children);

    /// <summary>Called when a parent is done, with the first failure of its children; returns the parent's status.</summary>
    protected virtual IoStatus Finish(IoDescriptor* parent, IoStatus status) => status;

    /// <summary>Takes a child that is a copy of its parent.</summary>
    protected IoDescriptor* TakeChild(IoDescriptor* parent)
    {
        var child = _slab.Take();
        *child = *parent;
        child->Parent = parent;
        return child;
    }

    /// <summary>Puts a child in line for a queue below; a whole batch goes down at once afterwards.</summary>
    protected void Send(IoDescriptor* child, int queue)
    {
        _waiting[queue].Push(child);
        _waitingTotal++;
    }

    /// <inheritdoc/>
    protected override void OnAbandon()
    {
        foreach (var below in _below) below.Abandon();

        // Children that never went down come back here, as if a queue below had aborted them.
        foreach (var waiting in _waiting)
        {
            while (waiting.Count != 0)
            {
                var child = waiting.Pop();
                var parent = child->Parent;
                parent->Status = IoStatus.Aborted;
                _slab.Return(child);
                if (--parent->Pending == 0) _finished.Push(parent);
            }
        }

        _waitingTotal = 0;
    }

    /// <inheritdoc/>
    protected override void OnClose()
    {
        foreach (var below in _below) below.Close();
        foreach (var waiting in _waiting) waiting.Dispose();
        _finished.Dispose();
        _slab.Dispose();
    }

    private void SubmitWaiting()
    {
        for (var i = 0; i < _below.Length; i++)
        {
            if (_waiting[i].Count != 0) _waitingTotal -= _waiting[i].SubmitTo(_below[i]);
        }
    }
}
