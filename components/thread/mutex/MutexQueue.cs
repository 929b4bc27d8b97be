using System.Numerics;
using System.Runtime.InteropServices;
using System.Runtime.InteropServices.Marshalling;
using Comanche.Linux;

namespace Comanche.Threading;

/// <summary>A client's queue of <c>thread/mutex</c>.</summary>
/// <remarks>
/// <para>Children come from the client's own slab, and carry its place among the clients in their tag. What another thread took back for this client stands in
/// <see cref="_back"/>: written under the lock, read without it by the owner, so that it needs no lock for what is there already.</para>
/// <para>Owner thread only, but for <see cref="TakeBack"/> and <see cref="WakeUp"/>, which whoever holds the lock calls. Invariant: slab free + below + back = depth.</para>
/// </remarks>
[GeneratedComClass]
internal sealed unsafe partial class MutexQueue : IoQueue
{
    private readonly MutexCore _core;
    private readonly DescriptorSlab _slab;
    private readonly IoDescriptor** _back; // Parents that are done.
    private readonly uint _backMask;
    private uint _backHead; // Owner's.
    private uint _backTail; // Under the lock; the owner reads it.
    private readonly IoDescriptor** _freed; // Children to be given back to the slab, beside their parents in _back.
    private EventDescriptor? _event;
    private int _children; // Under the lock: how many are below.
    private bool _sleeps; // Under the lock.
    private bool _armed;  // Owner's: whether it was said that this sleeps.

    public MutexQueue(MutexDevice device, MutexCore core, uint depth) : base(device, depth)
    {
        _core = core;
        _slab = new DescriptorSlab(Depth);
        var slots = BitOperations.RoundUpToPowerOf2(depth);
        _backMask = slots - 1;
        _back = (IoDescriptor**)NativeMemory.AllocZeroed(slots, (nuint)sizeof(IoDescriptor*));
        _freed = (IoDescriptor**)NativeMemory.AllocZeroed(slots, (nuint)sizeof(IoDescriptor*));
        lock (core.Lock) Place = core.Add(this);
    }

    /// <summary>Its place among the clients.</summary>
    public int Place { get; }

    /// <summary>Whether it does not wait for what is in flight any more.</summary>
    public bool HasGivenUp { get; private set; }

    /// <summary>When it gave up, in nanoseconds of the host's time.</summary>
    public ulong GaveUpAt { get; private set; }

    /// <summary>Whether something of it is below. Under the lock.</summary>
    public bool HasChildren => _children != 0;

    /// <inheritdoc/>
    public override int Submit(IoDescriptor** batch, int count)
    {
        if (IsAbandoned) return 0;
        count = Math.Min(count, _slab.Available);
        if (count <= 0) return 0;
        var children = _slab.Peek(count);
        for (var i = 0; i < count; i++)
        {
            DescriptorSlab.MakeChild(children[i], batch[i]);
            children[i]->Tag = (uint)Place;
        }

        int taken;
        lock (_core.Lock)
        {
            taken = _core.Submit(children, count);
            _children += taken;
            _core.Leave();
        }

        for (var i = taken; i < count; i++) children[i]->Parent = null;
        _slab.Take(count, taken);
        InFlight += taken;
        return taken;
    }

    /// <inheritdoc/>
    public override int Poll(IoDescriptor** completed, int capacity)
    {
        if (_armed) Disarm();
        var count = PopBack(completed, capacity);
        if (count != 0 || InFlight == 0) return Count(count);

        // Whoever holds the lock may be about to bring what is ours; to wait for that would be no faster.
        if (!_core.Lock.TryEnter()) return 0;
        try
        {
            _core.Poll();
            _core.Leave();
        }
        finally
        {
            _core.Lock.Exit();
        }

        return Count(PopBack(completed, capacity));
    }

    /// <inheritdoc/>
    public override int Cancel(IoDescriptor* descriptor)
    {
        for (var i = 0; i < _slab.Capacity; i++)
        {
            var child = _slab[i];
            if (child->Parent != descriptor) continue;
            lock (_core.Lock)
            {
                var asked = child->Parent == descriptor ? _core.Cancel(child) : 0; // It may have come back meanwhile.
                _core.Leave();
                return asked;
            }
        }

        return 0;
    }

    /// <inheritdoc/>
    public override long Arm(WaitSet* waitSet)
    {
        if (InFlight == 0) return WaitSet.Forever;
        if (_event is null && EventDescriptor.Create(out _event) != 0) return RetryNs;
        lock (_core.Lock)
        {
            if (_backHead != _backTail) return 0;
            var deadline = _core.Arm(waitSet);
            if (deadline == 0) return 0;
            _sleeps = true;
            _core.CountSleeper(true);
            _armed = true;
            waitSet->Add(_event!.Number);
            return deadline;
        }
    }

    /// <summary>Takes a child back that is done. Under the lock.</summary>
    public void TakeBack(IoDescriptor* child)
    {
        _children--;
        var parent = child->Parent;
        parent->Status = child->Status;
        child->Parent = null;
        _back[_backTail & _backMask] = parent;
        _freed[_backTail & _backMask] = child;
        Volatile.Write(ref _backTail, _backTail + 1); // The last, with release: the owner reads it without the lock.
        if (_sleeps) WakeUp();
    }

    /// <summary>Ends the client's sleep. Under the lock.</summary>
    public void WakeUp()
    {
        if (!_sleeps) return;
        _sleeps = false;
        _core.CountSleeper(false);
        _event!.Signal();
    }

    /// <inheritdoc/>
    protected override void OnAbandon()
    {
        lock (_core.Lock)
        {
            HasGivenUp = true;
            GaveUpAt = _core.Now;
            _core.GiveUp();
            for (var i = 0; i < _slab.Capacity; i++)
                if (_slab[i]->Parent is not null)
                    _core.Cancel(_slab[i]);
            _core.Leave();
        }
    }

    /// <inheritdoc/>
    protected override void OnClose()
    {
        if (_armed) Disarm();
        lock (_core.Lock) _core.Remove(this);
        _slab.Dispose();
        NativeMemory.Free(_back);
        NativeMemory.Free(_freed);
        _event?.Dispose();
    }

    private const long RetryNs = 1_000_000;

    private int PopBack(IoDescriptor** completed, int capacity)
    {
        var tail = Volatile.Read(ref _backTail);
        var count = 0;
        for (; count < capacity && _backHead != tail; _backHead++)
        {
            completed[count++] = _back[_backHead & _backMask];
            _slab.Return(_freed[_backHead & _backMask]);
        }

        return count;
    }

    private int Count(int count)
    {
        InFlight -= count;
        return count;
    }

    private void Disarm()
    {
        _armed = false;
        lock (_core.Lock)
        {
            if (_sleeps)
            {
                _sleeps = false;
                _core.CountSleeper(false);
            }
        }

        Threads.DrainEvent(_event!.Number);
    }
}
