using System.Collections.Concurrent;
using System.Runtime.InteropServices;

namespace Comanche.Testing;

/// <summary>A reactor for tests: a thread that polls, and sleeps at most a millisecond where there is nothing to do.</summary>
public sealed unsafe class TestReactor : IReactor, IDisposable
{
    private const int RoundsBeforeSleep = 100;

    private readonly ConcurrentQueue<Action> _posted = new();
    private readonly List<IPoller> _pollers = []; // Reactor thread only.
    private readonly AutoResetEvent _wake = new(false);
    private readonly Thread _thread;
    private volatile bool _ended;
    private volatile bool _sleeping;

    /// <summary>Starts one.</summary>
    public TestReactor(string name = "test")
    {
        Name = name;
        _thread = new Thread(Run) { IsBackground = true, Name = name };
        _thread.Start();
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <inheritdoc/>
    public bool IsCurrent => Thread.CurrentThread == _thread;

    /// <summary>What a poller or posted work threw; a test looks at it, or finds it thrown by <see cref="Dispose"/>.</summary>
    public ConcurrentQueue<Exception> Failures { get; } = new();

    /// <summary>How many pollers there are. Any thread.</summary>
    public int PollerCount { get; private set; }

    /// <inheritdoc/>
    public void Post(Action work)
    {
        if (_ended) throw new ComancheException($"reactor {Name}: work was posted after its end");
        _posted.Enqueue(work);
        Wake();
    }

    /// <inheritdoc/>
    public bool TrySend(IReceiver receiver, ulong message)
    {
        Post(() => receiver.Receive(message));
        return true;
    }

    /// <inheritdoc/>
    public IDisposable Schedule(TimeSpan delay, Action work) => new Timer(_ => Post(work), null, delay, Timeout.InfiniteTimeSpan);

    /// <inheritdoc/>
    public void Add(IPoller poller)
    {
        _pollers.Add(poller);
        PollerCount = _pollers.Count;
    }

    /// <inheritdoc/>
    public void Remove(IPoller poller)
    {
        _pollers.Remove(poller);
        PollerCount = _pollers.Count;
    }

    /// <inheritdoc/>
    public void Wake()
    {
        Interlocked.MemoryBarrier();
        if (_sleeping) _wake.Set();
    }

    /// <summary>Ends it, once posted work is done.</summary>
    public void Dispose()
    {
        if (_ended) return;
        _ended = true;
        _wake.Set();
        _thread.Join();
        _wake.Dispose();
        if (Failures.TryDequeue(out var failure)) throw new InvalidOperationException($"on reactor {Name}: {failure.Message}", failure);
    }

    private void Run()
    {
        const int Room = 256;
        var descriptors = (int*)NativeMemory.Alloc(Room, sizeof(int));
        var idle = 0;
        while (true)
        {
            if (Round() != 0)
            {
                idle = 0;
                continue;
            }

            if (_ended && _posted.IsEmpty) break;
            if (++idle < RoundsBeforeSleep) continue;
            _sleeping = true;
            Interlocked.MemoryBarrier();
            var waitSet = new WaitSet { Descriptors = descriptors, Capacity = Room };
            var deadline = WaitSet.Forever;
            foreach (var poller in _pollers) deadline = Math.Min(deadline, poller.Arm(&waitSet));
            if (deadline > 0 && _posted.IsEmpty && !_ended) _wake.WaitOne(1);
            _sleeping = false;
        }

        NativeMemory.Free(descriptors);
    }

    private int Round()
    {
        var done = 0;
        try
        {
            while (_posted.TryDequeue(out var work))
            {
                work();
                done++;
            }

            // Backwards, since a poller may take itself away.
            for (var i = _pollers.Count - 1; i >= 0; i--) done += _pollers[i].Poll();
        }
        catch (Exception e)
        {
            Failures.Enqueue(e);
        }

        return done;
    }
}
