using System.Diagnostics;

namespace Comanche.Runtime;

// How an edge is made to lead to another device while it is used: hold → lead elsewhere → go on. One thread at a time, that of set-up; never a reactor's.
public sealed unsafe partial class Edge
{
    private readonly object _gate = new();
    private readonly List<SwitchQueue> _queues = []; // Under _gate.
    private int _epoch;       // Under _gate; owners of queues read it.
    private bool _standsStill; // Under _gate.
    private ulong _changes;

    /// <summary>Grows with every step that the owners of queues are to follow. Any thread.</summary>
    internal int Epoch => Volatile.Read(ref _epoch);

    /// <summary>Whether it is held: nothing is accepted. Any thread.</summary>
    public bool IsHeld
    {
        get
        {
            lock (_gate) return _standsStill;
        }
    }

    /// <summary>
    /// Holds the edge: every queue on it accepts nothing more, gets back what is in flight, and closes the queue below. Where that does not come about in time
    /// everything goes on as before, and the <see cref="ComancheException"/> says what is in the way.
    /// </summary>
    public void Hold(TimeSpan patience)
    {
        if (!Options.Changeable) throw new ComancheException($"{Name}: this edge can't be changed");
        if (ComesToRest(patience)) return;
        var (missing, total) = Count(q => !q.IsParked);
        Announce(standsStill: false);
        WaitFor(q => q.IsOpen || q.Reactor is null, patience);
        throw new ComancheException($"{Name}: {missing} of {total} queues did not come to rest within {patience.TotalSeconds:0.#} s; everything is as before");
    }

    /// <summary>
    /// Leads the edge, which is held, to another component: the edge takes over the caller's one count of it. Its volume may only be equal or looser. Returns
    /// the component of before, whose count is the caller's now.
    /// </summary>
    public IBase LeadTo(string name, IBase component, EdgeOptions options)
    {
        if (!IsHeld) throw new ComancheException($"{Name}: an edge is changed while it is held only");
        var before = _target;
        _target = new EdgeTarget(_process, name, component, options with { Changeable = true });
        Interlocked.Add(ref _changes, 1UL << 32); // Parents read the volume anew. More than the other device's own number can be smaller by.
        return before.Component;
    }

    /// <summary>Lets everything go on, over what the edge leads to now. Throws where a queue can't be opened there; the edge is held again then.</summary>
    public void GoOn(TimeSpan patience)
    {
        Announce(standsStill: false);
        var inTime = WaitFor(q => q.IsOpen || q.Problem is not null || q.Reactor is null, patience);
        string? problem;
        lock (_gate) problem = _queues.Select(q => q.Problem).FirstOrDefault(p => p is not null);
        if (problem is null && inTime) return;
        ComesToRest(patience);
        throw new ComancheException(problem ?? $"{Name}: not every queue could be opened anew within {patience.TotalSeconds:0.#} s");
    }

    /// <summary>What keeps a volume from taking another one's place under users who know that one; null where nothing does.</summary>
    public static string? WhyNot(in VolumeInfo before, in VolumeInfo now)
    {
        if (now.BlockSize != before.BlockSize) return $"its blocks have {now.BlockSize} bytes, not {before.BlockSize}";
        if (now.BlockCount < before.BlockCount) return $"it has {now.BlockCount} blocks, fewer than {before.BlockCount}";
        if (now.MaxTransferBlocks < before.MaxTransferBlocks) return $"it moves at most {now.MaxTransferBlocks} blocks at once, fewer than {before.MaxTransferBlocks}";
        if (now.MaxRangeBlocks < before.MaxRangeBlocks) return $"it discards or zeroes at most {now.MaxRangeBlocks} blocks at once, fewer than {before.MaxRangeBlocks}";
        if (now.MaxSegments < before.MaxSegments) return $"it takes at most {now.MaxSegments} segments, fewer than {before.MaxSegments}";
        if (now.BufferAlignment > before.BufferAlignment) return $"it asks for buffers aligned to {now.BufferAlignment} bytes, more than {before.BufferAlignment}";
        if (now.AtomicWriteBlocks < before.AtomicWriteBlocks) return $"it writes {now.AtomicWriteBlocks} blocks atomically, fewer than {before.AtomicWriteBlocks}";
        if (now.CompareAndWriteBlocks < before.CompareAndWriteBlocks) return $"it compares and writes {now.CompareAndWriteBlocks} blocks, fewer than {before.CompareAndWriteBlocks}";
        const VolumeCapabilities Promises = ~(VolumeCapabilities.VolatileCache | VolumeCapabilities.ReadOnly);
        if ((before.Capabilities & Promises & ~now.Capabilities) is var missing and not 0) return $"it does not have {missing}";
        if (now.Has(VolumeCapabilities.ReadOnly) && !before.Has(VolumeCapabilities.ReadOnly)) return "it is read-only";
        return now.Has(VolumeCapabilities.VolatileCache) && !before.Has(VolumeCapabilities.VolatileCache) ? "its cache is volatile" : null;
    }

    /// <summary>Lets whoever waits here go on as soon as he can; nobody is waited for.</summary>
    internal void LetGo() => Announce(standsStill: false);

    // The step and what the queue says of itself change as one: a queue that is about to open is not taken for one that is parked.
    internal (int Epoch, bool StandsStill) BeginStep(SwitchQueue queue)
    {
        lock (_gate)
        {
            if (_standsStill) queue.Closes();
            else queue.Opens();
            return (_epoch, _standsStill);
        }
    }

    // Whether a queue that could not be opened may try again; then it does not count as parked while it does.
    internal bool TryBeginAgain(SwitchQueue queue, int epoch)
    {
        lock (_gate)
        {
            if (_standsStill || _epoch != epoch || queue.Problem is null) return false;
            queue.Opens();
            return true;
        }
    }

    // The queue is opened outside of the lock, since that may wait for another thread which follows a step here.
    internal void Enter(SwitchQueue queue)
    {
        (int Epoch, bool StandsStill) now;
        lock (_gate)
        {
            _queues.Add(queue);
            now = (_epoch, _standsStill);
        }

        QueueOpened();
        try
        {
            queue.Begin(now.Epoch, now.StandsStill);
        }
        catch
        {
            Leave(queue);
            throw;
        }
    }

    internal void Leave(SwitchQueue queue)
    {
        lock (_gate)
        {
            _queues.Remove(queue);
            Monitor.PulseAll(_gate);
        }

        QueueClosed();
    }

    /// <summary>Changes what a queue says of itself, and tells whoever waits for that.</summary>
    internal void Note(Action change)
    {
        lock (_gate)
        {
            change();
            Monitor.PulseAll(_gate);
        }
    }

    private bool ComesToRest(TimeSpan patience)
    {
        Announce(standsStill: true);
        return WaitFor(q => q.IsParked, patience);
    }

    private void Announce(bool standsStill)
    {
        SwitchQueue[] queues;
        lock (_gate)
        {
            _standsStill = standsStill;
            Volatile.Write(ref _epoch, _epoch + 1);
            queues = [.. _queues];
            foreach (var queue in queues) queue.Forget();
        }

        foreach (var queue in queues)
        {
            try
            {
                if (!queue.TryFollow()) queue.Reactor?.Post(queue.Follow);
            }
            catch (ComancheException)
            {
                // The reactor has ended; nobody submits there any more.
            }
        }
    }

    private bool WaitFor(Func<SwitchQueue, bool> condition, TimeSpan patience)
    {
        var clock = Stopwatch.StartNew();
        lock (_gate)
        {
            while (!_queues.TrueForAll(q => condition(q)))
            {
                var left = patience - clock.Elapsed;
                if (left <= TimeSpan.Zero || !Monitor.Wait(_gate, left)) return _queues.TrueForAll(q => condition(q));
            }
        }

        return true;
    }

    private (int Matching, int Total) Count(Func<SwitchQueue, bool> condition)
    {
        lock (_gate) return (_queues.Count(condition), _queues.Count);
    }
}
