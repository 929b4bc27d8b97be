using System.Runtime.InteropServices.Marshalling;

namespace Comanche.Runtime;

/// <summary>
/// The outermost queue of an edge that can be changed while it is used: stands still when the edge asks for it, and goes on over whatever the edge leads to then.
/// </summary>
/// <remarks>
/// <para>States: <c>Open</c> → <c>Draining</c> (nothing is accepted, what is in flight comes back) → <c>Parked</c> (the queue below is closed) → <c>Open</c>. The edge announces each step by its
/// epoch, one word that is read by every Submit and Poll; whoever owns the queue takes the step on his own thread, so that queues are opened, used and closed by one
/// thread. To its owner a queue that stands still is one that is full.</para>
/// <para>An owner who is at rest on a reactor is told by a message there; for a queue that goes from thread to thread the step is taken by whoever changes the edge; another owner takes the step when it calls the next time, and where it does not in time the change is
/// taken back.</para>
/// </remarks>
[GeneratedComClass]
internal sealed unsafe partial class SwitchQueue : IIoQueue, IWaitingQueue
{
    // How soon the owner of a queue that stands still looks again.
    private const long RetryNs = 100_000;
    private const long RetryMs = 100;

    private readonly Edge _edge;
    private readonly QueueOptions _options;
    private readonly Lock? _movable; // Of a queue that goes from thread to thread: held in every call, so that whoever changes the edge can take the step for an owner at rest.
    private IIoQueue? _inner;
    private IWaitingQueue? _waiting;
    private long _nextTry; // In milliseconds of the machine.
    private int _inFlight;
    private int _epoch;
    private bool _draining;
    private bool _abandoned;
    private bool _closed;

    /// <summary>Opens the queue below, unless the edge stands still: then that happens when it goes on.</summary>
    public SwitchQueue(Edge edge, in QueueOptions options)
    {
        _edge = edge;
        _options = options;
        if ((options.Flags & QueueFlags.Movable) != 0) _movable = new Lock();
        else Reactor = Runtime.Reactor.Current;
        edge.Enter(this);
    }

    /// <summary>The reactor that the owner runs on, or null.</summary>
    public Reactor? Reactor { get; }

    /// <summary>Whether the queue below is closed. Under the edge's lock.</summary>
    public bool IsParked { get; private set; }

    /// <summary>Whether it goes on as far as the edge does. Under the edge's lock.</summary>
    public bool IsOpen { get; private set; }

    /// <summary>Why the queue below could not be opened, or null. Under the edge's lock.</summary>
    public string? Problem { get; private set; }

    /// <inheritdoc/>
    public int Submit(IoDescriptor** batch, int count)
    {
        if (_movable is null) return SubmitAlone(batch, count);
        lock (_movable) return SubmitAlone(batch, count);
    }

    /// <inheritdoc/>
    public int Poll(IoDescriptor** completed, int capacity)
    {
        if (_movable is null) return PollAlone(completed, capacity);
        lock (_movable) return PollAlone(completed, capacity);
    }

    /// <inheritdoc/>
    public long Arm(WaitSet* waitSet)
    {
        if (_movable is null) return ArmAlone(waitSet);
        lock (_movable) return ArmAlone(waitSet);
    }

    private int SubmitAlone(IoDescriptor** batch, int count)
    {
        if (_epoch != _edge.Epoch) Follow();
        if (_draining || _inner is null) return 0;
        var taken = _inner.Submit(batch, count);
        _inFlight += taken;
        return taken;
    }

    private int PollAlone(IoDescriptor** completed, int capacity)
    {
        if (_epoch != _edge.Epoch) Follow();
        if (_inner is null) return TryAgain();
        var count = _inner.Poll(completed, capacity);
        _inFlight -= count;
        if (_draining && _inFlight == 0) Park();
        return count;
    }

    /// <inheritdoc/>
    public int Cancel(IoDescriptor* descriptor)
    {
        if (_movable is null) return _inner?.Cancel(descriptor) ?? 0;
        lock (_movable) return _inner?.Cancel(descriptor) ?? 0;
    }

    private long ArmAlone(WaitSet* waitSet)
    {
        if (_epoch != _edge.Epoch) return 0;
        if (_inner is null) return RetryNs;
        var deadline = _inner.Arm(waitSet);
        return _draining ? Math.Min(deadline, RetryNs) : deadline;
    }

    /// <inheritdoc/>
    public bool Wait(int wanted, long timeoutNs) => !_draining && _epoch == _edge.Epoch && _waiting is not null && _waiting.Wait(wanted, timeoutNs);

    /// <inheritdoc/>
    public void Abandon()
    {
        _abandoned = true;
        _inner?.Abandon();
    }

    /// <inheritdoc/>
    public void Close()
    {
        if (_closed) return;
        _inner?.Close(); // Throws where descriptors are in flight.
        NativeObject.FinalRelease(_inner);
        _inner = null;
        _closed = true;
        _edge.Leave(this);
    }

    /// <summary>Takes the step of a queue that goes from thread to thread; false where its one owner has to do it. Any thread.</summary>
    public bool TryFollow()
    {
        if (_movable is null) return false;
        lock (_movable) Follow();
        return true;
    }

    /// <summary>Takes the step that the edge announced, if it was not taken yet. Owner thread.</summary>
    public void Follow()
    {
        if (_closed) return;
        if (_epoch == _edge.Epoch) return;
        (_epoch, var standsStill) = _edge.BeginStep(this);
        if (standsStill)
        {
            _draining = true;
            if (_inFlight == 0) Park();
        }
        else
        {
            GoOn();
        }
    }

    /// <summary>Opens the queue below for the first time, or notes that it is to wait.</summary>
    public void Begin(int epoch, bool standsStill)
    {
        _epoch = epoch;
        _draining = standsStill;
        if (!standsStill) Open();
        _edge.Note(() => (IsParked, IsOpen) = (standsStill, !standsStill));
    }

    /// <summary>It is about to stand still. Under the edge's lock.</summary>
    public void Closes() => IsOpen = false;

    /// <summary>It is about to open. Under the edge's lock.</summary>
    public void Opens() => IsParked = false;

    /// <summary>What it could not do in an earlier step says nothing of the next one. Under the edge's lock.</summary>
    public void Forget() => Problem = null;

    private void Park()
    {
        if (_inner is { } inner)
        {
            inner.Close();
            NativeObject.FinalRelease(inner);
            _inner = null;
            _waiting = null;
        }

        _edge.Note(() => IsParked = true);
    }

    private void GoOn()
    {
        string? problem = null;
        if (_inner is null)
        {
            try
            {
                Open();
            }
            catch (Exception e)
            {
                problem = Failure.Explain(_edge.Name, e).Message;
            }
        }

        _draining = problem is not null;
        _edge.Note(() => (IsOpen, IsParked, Problem) = (problem is null, problem is not null, problem));
    }

    // What could not be opened when the edge went on, and was not taken back since its owner came late, is tried now and then.
    private int TryAgain()
    {
        if (Problem is null || Environment.TickCount64 < _nextTry || !_edge.TryBeginAgain(this, _epoch)) return 0;
        _nextTry = Environment.TickCount64 + RetryMs;
        GoOn();
        return 0;
    }

    private void Open()
    {
        var options = _options;
        _inner = _edge.OpenChain(&options);
        _waiting = _inner as IWaitingQueue;
        if (_abandoned) _inner.Abandon();
    }
}
