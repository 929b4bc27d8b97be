using System.Runtime.CompilerServices;

namespace Comanche;

/// <summary>
/// A queue of a layer that serves each descriptor (the parent) by any number of its own (the children), on one or more queues below.
/// A layer that needs exactly one child on one queue is better served by <see cref="SingleChildQueue"/>.
/// </summary>
/// <remarks>
/// <para>The deriving queue says how many children a parent needs (<see cref="CountChildren"/>) and makes them (<see cref="MakeChildren"/>). The rest
/// stands here: a parent is accepted only when all its children are reserved from the slab; children that a queue below refuses wait in a ring of
/// that queue, and <see cref="Poll"/> submits them again; a parent is back when its last child is back, with the status of the first that failed.</para>
/// <para>Two more things can be done. <see cref="Finish"/> may give a parent further children (<see cref="Continue"/>): a second step. And a layer may do
/// I/O of its own, that serves no parent (<see cref="TakeOwn"/>, <see cref="OwnDone"/>); <see cref="IIoQueue.Close"/> waits for it.</para>
/// <para>Invariants: slab free + waiting + below = slab capacity. Waiting children of queue q fit ring q, since a ring holds the whole slab.
/// A parent's <see cref="IoDescriptor.Pending"/> is the number of its children that are not back.</para>
/// <para>A parent is never passed on, so its <see cref="IoDescriptor.Scratch"/> is the layer's from <see cref="CountChildren"/> to <see cref="Finish"/>, and a child's
/// <see cref="IoDescriptor.Tag"/> from <see cref="TakeChild"/> to <see cref="ChildDone"/>.</para>
/// <para>Owner thread only. Nothing is allocated after the constructor.</para>
/// </remarks>
public abstract unsafe class ChildQueue : IoQueue, IWaitingQueue
{
    // Poll goes on while children come back but no parent is done: a parent with several steps over fast devices needs a few passes. The
    // bound keeps a long parent from holding its thread; what is left is done by the next call, and Arm says that there is something.
    private const int MostPasses = 64;

    // When children that wait are offered again to a queue that refuses them though it holds nothing of ours: what it lacks is shared with others, who give no notice.
    private const long RetryNs = 100_000;

    /// <summary>What <see cref="CountChildren"/> answers where the layer lacks something of its own that a later <see cref="Poll"/> brings.</summary>
    protected const int NotNow = -1;

    private const int NoQueue = -1; // Of a child that never went down.

    private readonly IIoQueue[] _below;
    private readonly DescriptorRing[] _waiting;
    private readonly DescriptorSlab _slab;
    private readonly DescriptorRing _finished; // Parents that are done without a child, or whose children ended by cancel or abandon.
    private readonly bool _watchesChildren;
    private readonly int _most; // The most children that a parent can have.
    private readonly int[] _inBelow; // Children that each queue below holds.
    private bool _isCutShort; // The last Poll ended by its bound.
    private int _waitingTotal;
    private int _next; // The queue that is polled first, in turn, so that none starves another.
    private int _own;

    /// <summary>Makes a queue over the queues below, which it owns and closes.</summary>
    /// <param name="device">The layer.</param>
    /// <param name="below">The queues below, at least one.</param>
    /// <param name="depth">The depth that was asked for.</param>
    /// <param name="children">How many children there are in all: at least as many as the largest parent needs.</param>
    /// <param name="watchesChildren">Whether <see cref="ChildDone"/> is called for each child.</param>
    protected ChildQueue(BlockDevice device, IIoQueue[] below, uint depth, int children, bool watchesChildren = false) : base(device, depth)
    {
        _below = below;
        _slab = new DescriptorSlab(children);
        _inBelow = new int[below.Length];
        _waiting = new DescriptorRing[below.Length];
        for (var i = 0; i < below.Length; i++) _waiting[i] = new DescriptorRing(children);
        _finished = new DescriptorRing(Depth);
        _watchesChildren = watchesChildren;
        _most = Math.Min(children, ushort.MaxValue);
    }

    /// <summary>How many children can be taken now.</summary>
    protected int FreeChildren => _slab.Available;

    /// <summary>How many of the layer's own I/Os are not back.</summary>
    protected int OwnInFlight => _own;

    /// <inheritdoc/>
    public sealed override int Submit(IoDescriptor** batch, int count)
    {
        if (IsAbandoned) return 0;
        var room = Math.Min(count, Depth - InFlight);
        var taken = 0;
        for (; taken < room; taken++)
        {
            var parent = batch[taken];
            var children = CountChildren(parent);
            if ((uint)(children - 1) >= (uint)_most)
            {
                if (children == NotNow) break;
                FinishWithoutChildren(parent, children);
                continue;
            }

            if (children > _slab.Available) break;
            MakeChildren(parent, children);

            // Only now: a parent that was written to in small pieces is slow to copy.
            parent->Status = IoStatus.Success;
            parent->Pending = (ushort)children;
        }

        InFlight += taken;
        if (_waitingTotal != 0) SubmitWaiting();
        return taken;
    }

    /// <inheritdoc/>
    public sealed override int Poll(IoDescriptor** completed, int capacity)
    {
        var done = 0;
        _isCutShort = true;
        for (var pass = 0; pass < MostPasses; pass++)
        {
            var progress = _waitingTotal != 0 && SubmitWaiting() != 0;
            if (_finished.Count != 0) done = _finished.Pop(completed, capacity);
            for (var turn = 0; turn < _below.Length && done < capacity; turn++)
            {
                var queue = _next;
                if (++_next == _below.Length) _next = 0;

                // The children come to where their parents go: a parent never comes before its last child.
                var count = _below[queue].Poll(completed + done, capacity - done);
                if (count == 0) continue;
                progress = true;
                _inBelow[queue] -= count;
                done += TakeBack(completed + done, count, queue);
            }

            if (done == 0 && progress) continue;
            _isCutShort = false;
            if (done == 0) break;
            OnReturning();

            // What came back made room below; what waits for it need not wait for the next call.
            if (_waitingTotal != 0) SubmitWaiting();
            break;
        }

        InFlight -= done;
        return done;
    }

    /// <inheritdoc/>
    public override int Cancel(IoDescriptor* descriptor)
    {
        if (descriptor->Pending == 0) return 0;
        var asked = CancelWaiting(descriptor);
        for (var i = 0; i < _slab.Capacity && descriptor->Pending != 0; i++)
        {
            var child = _slab[i];
            if (child->Parent != descriptor) continue;
            foreach (var below in _below) asked |= below.Cancel(child);
        }

        return asked;
    }

    /// <inheritdoc/>
    public override long Arm(WaitSet* waitSet)
    {
        if (_finished.Count != 0 || _isCutShort) return 0;
        var deadline = WaitSet.Forever;
        for (var i = 0; i < _below.Length; i++)
        {
            deadline = Math.Min(deadline, _below[i].Arm(waitSet));
            if (_waiting[i].Count != 0 && _inBelow[i] == 0) deadline = Math.Min(deadline, RetryNs);
        }

        return deadline;
    }

    /// <summary>Sleeps in the queue below where there is one that can, and nothing to be done here. How many children make the wanted parents is not known: one is waited for.</summary>
    public bool Wait(int wanted, long timeoutNs) =>
        _below is [IWaitingQueue below] && _finished.Count == 0 && _waitingTotal == 0 && !_isCutShort && below.Wait(1, timeoutNs);

    /// <summary>
    /// How many children a parent needs, at most 65535 and at most the slab's capacity; 0 where it is done without any, <see cref="NotNow"/> to refuse it
    /// until something else is back. Called anew for a parent that was refused, also since too few children were free.
    /// </summary>
    protected abstract int CountChildren(IoDescriptor* parent);

    /// <summary>
    /// Makes exactly that many children: for each, <see cref="TakeChild"/>, set its fields, <see cref="Send"/>.
    /// </summary>
    protected abstract void MakeChildren(IoDescriptor* parent, int children);

    /// <summary>
    /// Called when a parent is done, with the first failure of its children; returns the parent's status. Nothing is finished where this calls
    /// <see cref="Continue"/>; it is called again after the further children.
    /// </summary>
    protected virtual IoStatus Finish(IoDescriptor* parent, IoStatus status) => status;

    /// <summary>Called for each child that is back, before its parent's <see cref="Finish"/>, if the constructor was told so.</summary>
    protected virtual void ChildDone(IoDescriptor* child) { }

    /// <summary>Called for each child that comes back from a queue below with another status than success, before <see cref="ChildDone"/>. Off the path of what goes well.</summary>
    protected virtual void ChildFailed(IoDescriptor* parent, IoDescriptor* child, int queue) { }

    /// <summary>Called for each of the layer's own I/Os that is back. It may take and send others.</summary>
    protected virtual void OwnDone(IoDescriptor* own) { }

    /// <summary>Called when <see cref="Poll"/> is about to return at least one parent. What it sends goes down at once.</summary>
    protected virtual void OnReturning() { }

    /// <summary>
    /// Takes a child of a parent: a copy of what is asked, in which <see cref="IoDescriptor.Tag"/> and <see cref="IoDescriptor.Scratch"/> are whatever was left there.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    protected IoDescriptor* TakeChild(IoDescriptor* parent)
    {
        var child = _slab.Take();
        DescriptorSlab.MakeChild(child, parent);
        return child;
    }

    /// <summary>Takes a descriptor for an I/O of the layer's own, all zero; the caller has looked at <see cref="FreeChildren"/>, and sends it.</summary>
    protected IoDescriptor* TakeOwn()
    {
        var own = _slab.Take();
        *own = default;
        _own++;
        return own;
    }

    /// <summary>
    /// In <see cref="Finish"/>: gives the parent so many further children, which are then taken and sent; false where the queue is abandoned and the
    /// parent must end. One child is free for certain, since the parent's last one is; for more the layer looks at <see cref="FreeChildren"/>.
    /// Not for a parent that had no children. The layer sees to it that the steps have an end.
    /// </summary>
    protected bool Continue(IoDescriptor* parent, int children)
    {
        if (IsAbandoned) return false;
        parent->Pending = (ushort)children;
        return true;
    }

    /// <summary>Puts a child in line for a queue below; a whole batch goes down at once afterwards.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    protected void Send(IoDescriptor* child, int queue)
    {
        _waiting[queue].Push(child);
        _waitingTotal++;
    }

    /// <summary>Submits what is in line, as far as the queues below take it; returns how much they took. For own I/O that was sent outside of the calls that do this.</summary>
    protected int SubmitWaiting()
    {
        var moved = 0;
        for (var i = 0; i < _below.Length; i++)
        {
            if (_waiting[i].Count == 0) continue;
            if (IsAbandoned && !OutlivesAbandon(i))
            {
                moved += EndWaiting(i);
                continue;
            }

            var submitted = _waiting[i].SubmitTo(_below[i]);
            _inBelow[i] += submitted;
            _waitingTotal -= submitted;
            moved += submitted;
        }

        return moved;
    }

    /// <summary>
    /// Whether a queue below goes on when this one is abandoned, because what others rely on would be torn otherwise, as a log would be by a missing entry.
    /// Its device must answer in bounded time.
    /// </summary>
    protected virtual bool OutlivesAbandon(int queue) => false;

    /// <inheritdoc/>
    protected override void OnAbandon()
    {
        for (var i = 0; i < _below.Length; i++)
            if (!OutlivesAbandon(i))
                _below[i].Abandon();
        if (_waitingTotal != 0) SubmitWaiting();
    }

    /// <summary>Waits for what is left of the layer's own I/O.</summary>
    protected override void OnClosing()
    {
        var wait = new SpinWait();
        while (_own != 0 && InFlight == 0)
        {
            var progress = _waitingTotal != 0 && SubmitWaiting() != 0;
            for (var i = 0; i < _below.Length; i++)
            {
                IoDescriptor* back;
                if (_below[i].Poll(&back, 1) == 0) continue;
                _inBelow[i]--;
                TakeBack(&back, 1, i);
                progress = true;
            }

            if (!progress) wait.SpinOnce();
        }
    }

    /// <inheritdoc/>
    protected override void OnClose()
    {
        foreach (var below in _below) below.Close();
        foreach (var waiting in _waiting) waiting.Dispose();
        _finished.Dispose();
        _slab.Dispose();
    }

    // Gives children back to the slab; parents that are done take their places. Returns how many those are.
    private int TakeBack(IoDescriptor** descriptors, int count, int queue)
    {
        var done = 0;
        for (var i = 0; i < count; i++)
        {
            var child = descriptors[i];
            var parent = child->Parent;
            if (parent is null)
            {
                EndOwn(child);
                continue;
            }

            if (child->Status != IoStatus.Success) NoteFailure(parent, child, queue);
            if (_watchesChildren) ChildDone(child);
            Return(child);
            if (--parent->Pending == 0 && IsFinished(parent)) descriptors[done++] = parent;
        }

        return done;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void NoteFailure(IoDescriptor* parent, IoDescriptor* child, int queue)
    {
        if (parent->Status == IoStatus.Success) parent->Status = child->Status;
        if (queue != NoQueue) ChildFailed(parent, child, queue);
    }

    private bool IsFinished(IoDescriptor* parent)
    {
        parent->Status = Finish(parent, parent->Status);
        return parent->Pending == 0;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void FinishWithoutChildren(IoDescriptor* parent, int children)
    {
        // A parent that needs more children than there are would be refused for ever.
        parent->Pending = 0;
        parent->Status = Finish(parent, children == 0 ? IoStatus.Success : IoStatus.InvalidArgument);
        _finished.Push(parent);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void EndOwn(IoDescriptor* own)
    {
        _own--;
        OwnDone(own);
        Return(own);
    }

    // A free child has no parent, so that nobody mistakes it for one in flight.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Return(IoDescriptor* child)
    {
        child->Parent = null;
        _slab.Return(child);
    }

    // A child that waits comes back without having been below.
    private void EndWaiting(IoDescriptor* child, IoStatus status)
    {
        _waitingTotal--;
        child->Status = status;
        var parent = child->Parent;
        if (TakeBack(&child, 1, NoQueue) != 0) _finished.Push(parent);
    }

    // Children that never went down come back as if the queue below had aborted them.
    private int EndWaiting(int queue)
    {
        var ended = _waiting[queue].Count;
        for (var left = ended; left != 0; left--) EndWaiting(_waiting[queue].Pop(), IoStatus.Aborted);
        return ended;
    }

    private int CancelWaiting(IoDescriptor* parent)
    {
        var found = 0;
        foreach (var waiting in _waiting)
        {
            for (var left = waiting.Count; left != 0; left--)
            {
                var child = waiting.Pop();
                if (child->Parent != parent)
                {
                    waiting.Push(child);
                    continue;
                }

                found = 1;
                EndWaiting(child, IoStatus.Cancelled);
            }
        }

        return found;
    }
}
