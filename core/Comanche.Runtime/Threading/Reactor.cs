using System.Runtime.InteropServices;
using Comanche.Linux;

namespace Comanche.Runtime;

/// <summary>What a reactor does when there is nothing to do.</summary>
public enum IdlePolicy
{
    /// <summary>Polls on for a bounded time, then sleeps until a descriptor, a deadline or a wake-up ends it.</summary>
    Adaptive,

    /// <summary>Polls for ever: the shortest latency, and a whole core.</summary>
    Spin,
}

/// <summary>How a reactor is set up.</summary>
public sealed record ReactorOptions
{
    /// <summary>Its name, also that of its thread.</summary>
    public string Name { get; init; } = "reactor";

    /// <summary>The core that it is pinned to; null leaves it to the scheduler.</summary>
    public int? Core { get; init; }

    /// <summary>What it does when there is nothing to do.</summary>
    public IdlePolicy Idle { get; init; } = IdlePolicy.Adaptive;

    /// <summary>
    /// How long it polls on before it sleeps. The default of 50 µs is what a wake-up costs here: spinning longer than that cannot pay.
    /// </summary>
    public TimeSpan Spin { get; init; } = TimeSpan.FromMicroseconds(50);
}

/// <summary>How a reactor spent its time since it started.</summary>
/// <param name="BusyNs">Nanoseconds in rounds in which something was done.</param>
/// <param name="IdleNs">Nanoseconds of polling in vain and of sleep.</param>
/// <param name="Sleeps">How often it slept.</param>
public readonly record struct ReactorLoad(ulong BusyNs, ulong IdleNs, ulong Sleeps);

/// <summary>
/// An owner thread that polls, arms and sleeps.
/// </summary>
/// <remarks>
/// <para>States: <c>Awake</c> → <c>Sleeping</c> (by the reactor, before it arms) → <c>Awake</c> (by the reactor after its sleep, or by whoever wakes it).</para>
/// <para>No wake-up is lost: the reactor sets <c>Sleeping</c>, then a full barrier, then looks at the work once more and sleeps only if there is none; a waker makes its
/// work visible, then a full barrier, then looks at the state. Of the two looks at least one sees the other side's store (Dekker's argument). So waking
/// a reactor that is awake is a barrier and a load; one that sleeps gets one write to its eventfd.</para>
/// <para>A poller that throws is logged, taken away and told so; the reactor goes on.</para>
/// </remarks>
public sealed unsafe class Reactor : IReactor, IDisposable
{
    private const int Awake = 0, Sleeping = 1;
    private const int RoundsPerClock = 256; // Time is taken once in so many busy rounds: the figures stay fresh and the clock costs nothing.

    [ThreadStatic] private static Reactor? t_current;

    private readonly ReactorOptions _options;
    private readonly ILogSink _log;
    private readonly Lock _postLock = new();
    private readonly Thread _thread;
    private readonly ManualResetEventSlim _started = new();
    private readonly EventDescriptor _wakeUp;
    private readonly int _event; // The number of _wakeUp, for the reactor's own thread.
    private readonly MessageRing _messages = new();
    private readonly ReactorTimers _timers = new(); // Reactor thread only.
    private Queue<Action> _posted = new(); // Under _postLock.
    private Queue<Action> _running = new(); // Reactor thread only.
    private IPoller?[] _pollers = new IPoller?[8]; // Reactor thread only; a removed one leaves a gap until the round ends.
    private int _pollerCount; // Reactor thread only.
    private bool _gaps; // Reactor thread only.
    private WaitSet _waitSet; // Reactor thread only.
    private volatile bool _hasPosted;
    private volatile bool _stopping;
    private bool _ended; // Under _postLock.
    private int _state;
    private int _threadId;
    private ulong _busyNs, _idleNs, _sleeps; // Written by the reactor's thread, read by any.

    /// <summary>Starts a reactor.</summary>
    public Reactor(ReactorOptions options, ILogSink? log = null)
    {
        _options = options;
        _log = log ?? LogSink.None;
        Name = options.Name;
        var error = EventDescriptor.Create(out var wakeUp);
        _wakeUp = wakeUp ?? throw new ComancheException($"reactor {Name}: no eventfd: {Linux.Memory.Describe(error)}");
        _event = wakeUp.Number;
        _waitSet.Capacity = 16;
        _waitSet.Descriptors = (int*)NativeMemory.Alloc((nuint)_waitSet.Capacity, sizeof(int));
        _thread = new Thread(Run) { IsBackground = true, Name = Name };
        _thread.Start();
        _started.Wait();
    }

    /// <summary>The reactor whose thread this is; null on any other.</summary>
    public static Reactor? Current => t_current;

    /// <inheritdoc/>
    public string Name { get; }

    /// <inheritdoc/>
    public bool IsCurrent => Environment.CurrentManagedThreadId == _threadId;

    /// <summary>How it spent its time. Any thread.</summary>
    public ReactorLoad Load => new(Volatile.Read(ref _busyNs), Volatile.Read(ref _idleNs), Volatile.Read(ref _sleeps));

    /// <inheritdoc/>
    public void Post(Action work)
    {
        lock (_postLock)
        {
            if (_ended) throw new ComancheException($"reactor {Name}: work was posted after its end");
            _posted.Enqueue(work);
            _hasPosted = true;
        }

        Wake();
    }

    /// <inheritdoc/>
    public bool TrySend(IReceiver receiver, ulong message)
    {
        if (!_messages.TrySend(receiver, message)) return false;
        Wake();
        return true;
    }

    /// <inheritdoc/>
    public IDisposable Schedule(TimeSpan delay, Action work)
    {
        RequireCurrent();
        return _timers.Add(MonotonicClock.Now + (ulong)Math.Max(0, delay.TotalNanoseconds), work);
    }

    /// <inheritdoc/>
    public void Add(IPoller poller)
    {
        RequireCurrent();
        if (_pollerCount == _pollers.Length) Array.Resize(ref _pollers, _pollers.Length * 2);
        _pollers[_pollerCount++] = poller;
    }

    /// <inheritdoc/>
    public void Remove(IPoller poller)
    {
        RequireCurrent();
        var index = Array.IndexOf(_pollers, poller, 0, _pollerCount);
        if (index < 0) return;
        _pollers[index] = null;
        _gaps = true;
    }

    /// <inheritdoc/>
    public void Wake()
    {
        // Orders the caller's work before the look at the state; pairs with the barrier in TrySleep.
        Interlocked.MemoryBarrier();
        if (Volatile.Read(ref _state) != Sleeping) return;
        if (Interlocked.Exchange(ref _state, Awake) == Sleeping) _wakeUp.Signal();
    }

    /// <summary>
    /// Stops the reactor: posted work is run to its end, pollers are not called any more. Not on its own thread. Stopping twice does nothing.
    /// </summary>
    public void Dispose()
    {
        if (IsCurrent) throw new ComancheException($"reactor {Name}: it cannot wait for its own end");
        lock (_postLock)
        {
            if (_stopping) return;
            _stopping = true;
        }

        Wake();
        _thread.Join();
        _wakeUp.Dispose(); // A waker may have changed the state and not signalled yet.
        NativeMemory.Free(_waitSet.Descriptors);
        _started.Dispose();
    }

    private void Run()
    {
        _threadId = Environment.CurrentManagedThreadId;
        t_current = this;
        if (_options.Core is { } core && Threads.PinToCore(core) is var error and not 0)
            _log.Write(LogLevel.Warning, Name, $"cannot be pinned to core {core}: {Linux.Memory.Describe(error)}");
        _started.Set();
        Loop();
        lock (_postLock) _ended = true;
        RunPosted();
    }

    private void Loop()
    {
        var spinNs = (ulong)_options.Spin.TotalNanoseconds;
        var mark = MonotonicClock.Now; // Up to here time is accounted for.
        var busy = false;
        var idleSince = mark;
        var rounds = 0;
        while (!_stopping)
        {
            var done = (_hasPosted ? RunPosted() : 0) + (_messages.IsEmpty ? 0 : Receive()) + PollAll();
            if (done != 0)
            {
                if (!busy || ++rounds == RoundsPerClock)
                {
                    mark = Account(mark, busy);
                    busy = true;
                    rounds = 0;
                    if (_timers.Next <= mark) RunTimers(mark);
                }

                continue;
            }

            var now = Account(mark, busy);
            mark = now;
            if (_timers.Next <= now)
            {
                RunTimers(now);
                continue;
            }

            if (busy) idleSince = now;
            busy = false;
            if (_options.Idle == IdlePolicy.Spin || now - idleSince < spinNs) Thread.SpinWait(1);
            else if (TrySleep()) idleSince = mark = Account(mark, busy: false); // Before the work that ended the sleep: whoever gave it may ask.
        }
    }

    private ulong Account(ulong since, bool busy)
    {
        var now = MonotonicClock.Now;
        ref var sum = ref busy ? ref _busyNs : ref _idleNs;
        Volatile.Write(ref sum, sum + (now - since));
        return now;
    }

    // Arms everything and sleeps; false where there turned out to be work.
    private bool TrySleep()
    {
        Volatile.Write(ref _state, Sleeping);

        // Orders the state before the last look at the work; pairs with the barrier in Wake.
        Interlocked.MemoryBarrier();
        var deadline = ArmAll();
        if (_timers.Next != ulong.MaxValue) deadline = Math.Min(deadline, (long)(_timers.Next - Math.Min(_timers.Next, MonotonicClock.Now)));
        if (_hasPosted || !_messages.IsEmpty || _stopping || deadline <= 0)
        {
            BecomeAwake();
            return false;
        }

        if (_waitSet.Count > _waitSet.Capacity)
        {
            // Room for all, and some more; the next round arms anew.
            _waitSet.Capacity = _waitSet.Count * 2;
            _waitSet.Descriptors = (int*)NativeMemory.Realloc(_waitSet.Descriptors, (nuint)_waitSet.Capacity * sizeof(int));
            BecomeAwake();
            return false;
        }

        int ready;
        fixed (WaitSet* set = &_waitSet) ready = Linux.Poll.Wait(set, deadline);
        BecomeAwake();
        if (ready != 0) Threads.DrainEvent(_event);
        Volatile.Write(ref _sleeps, _sleeps + 1);
        return true;
    }

    // A waker that changed the state first signals the event too, maybe late: that ends the next sleep early, once, and is drained then.
    private void BecomeAwake() => Volatile.Write(ref _state, Awake);

    private long ArmAll()
    {
        _waitSet.Count = 0;
        _waitSet.Add(_event);
        var deadline = WaitSet.Forever;
        fixed (WaitSet* set = &_waitSet)
        {
            for (var i = 0; i < _pollerCount; i++)
            {
                var poller = _pollers[i];
                if (poller is null) continue;
                try
                {
                    deadline = Math.Min(deadline, poller.Arm(set));
                }
                catch (Exception e)
                {
                    TakeAway(i, poller, e);
                }
            }
        }

        return deadline;
    }

    private int PollAll()
    {
        var done = 0;
        for (var i = 0; i < _pollerCount; i++)
        {
            var poller = _pollers[i];
            if (poller is null) continue;
            try
            {
                done += poller.Poll();
            }
            catch (Exception e)
            {
                TakeAway(i, poller, e);
                done++;
            }
        }

        if (_gaps) CloseGaps();
        return done;
    }

    private void TakeAway(int index, IPoller poller, Exception exception)
    {
        _log.Write(LogLevel.Error, Name, $"{poller.GetType().Name} failed and is not polled any more: {exception}");
        if (!ReferenceEquals(_pollers[index], poller)) return; // It had removed itself.
        _pollers[index] = null;
        _gaps = true;
        try
        {
            poller.Failed(exception);
        }
        catch (Exception e)
        {
            _log.Write(LogLevel.Error, Name, $"{poller.GetType().Name} failed to end its work: {e}");
        }
    }

    private void CloseGaps()
    {
        var kept = 0;
        for (var i = 0; i < _pollerCount; i++)
            if (_pollers[i] is { } poller)
                _pollers[kept++] = poller;
        Array.Clear(_pollers, kept, _pollerCount - kept);
        _pollerCount = kept;
        _gaps = false;
    }

    private int Receive()
    {
        var count = 0;
        for (; count < MessageRing.Capacity && _messages.TryTake(out var receiver, out var message); count++)
        {
            try
            {
                receiver.Receive(message);
            }
            catch (Exception e)
            {
                _log.Write(LogLevel.Error, Name, $"{receiver.GetType().Name} failed on a message: {e}");
            }
        }

        return count;
    }

    private void RunTimers(ulong now)
    {
        while (_timers.TryTake(now, out var work)) Try("a timer", work);
    }

    private void Try(string what, Action work)
    {
        try
        {
            work();
        }
        catch (Exception e)
        {
            _log.Write(LogLevel.Error, Name, $"{what} failed: {e}");
        }
    }

    private int RunPosted()
    {
        lock (_postLock)
        {
            (_posted, _running) = (_running, _posted);
            _hasPosted = false;
        }

        var count = _running.Count;
        while (_running.TryDequeue(out var work)) Try("posted work", work);
        return count;
    }

    private void RequireCurrent()
    {
        if (!IsCurrent) throw new ComancheException($"reactor {Name}: pollers come and go on its own thread only");
    }
}
