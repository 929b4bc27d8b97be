namespace Comanche.Runtime;

/// <summary>What a reactor is to do later, in order of time, and in order of their making where that is the same. Reactor thread only.</summary>
internal sealed class ReactorTimers
{
    private readonly PriorityQueue<Timer, (ulong At, ulong Number)> _queue = new();
    private ulong _made;

    /// <summary>When the next is due, in nanoseconds of the clock; the largest number where there is none.</summary>
    public ulong Next { get; private set; } = ulong.MaxValue;

    /// <summary>Adds one; disposing of it takes it back.</summary>
    public IDisposable Add(ulong at, Action work)
    {
        var timer = new Timer(work);
        _queue.Enqueue(timer, (at, _made++));
        Look();
        return timer;
    }

    /// <summary>Takes one that is due.</summary>
    public bool TryTake(ulong now, out Action work)
    {
        while (_queue.TryPeek(out var timer, out var due) && due.At <= now)
        {
            _queue.Dequeue();
            Look();
            if (timer.Work is not { } found) continue;
            work = found;
            return true;
        }

        work = null!;
        return false;
    }

    private void Look() => Next = _queue.TryPeek(out _, out var due) ? due.At : ulong.MaxValue;

    private sealed class Timer(Action work) : IDisposable
    {
        public Action? Work { get; private set; } = work;

        public void Dispose() => Work = null;
    }
}
