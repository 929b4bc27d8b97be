namespace Comanche.Block;

/// <summary>
/// What waits for tokens in one queue, in order. The first has drawn its tokens and knows its time; the others draw when it is their turn. So queues on other threads, and the other
/// lane of this one, come to their turns in between, however much waits here.
/// </summary>
/// <remarks>Invariant: without a first one nothing waits. Owner thread only; the limits are shared.</remarks>
internal sealed unsafe class LimitLane(RateLimit? all, RateLimit? own, int capacity) : IDisposable
{
    private readonly DescriptorRing _others = new(capacity);
    private IoDescriptor* _first;

    /// <summary>Whether nothing waits.</summary>
    public bool IsEmpty => _first is null;

    /// <summary>When the first may pass, in nanoseconds of the host's time; valid unless empty.</summary>
    public ulong Next { get; private set; }

    /// <summary>True where the I/O may pass now; otherwise it waits here. The caller knows that there is room.</summary>
    public bool TryPass(IoDescriptor* descriptor, ulong now)
    {
        if (_first is not null)
        {
            _others.Push(descriptor);
            return false;
        }

        var at = Draw(descriptor, now);
        if (at <= now) return true;
        _first = descriptor;
        Next = at;
        return false;
    }

    /// <summary>Moves those whose time has come.</summary>
    public void MoveTo(DescriptorRing due, ulong now)
    {
        while (_first is not null && Next <= now)
        {
            due.Push(_first);
            Advance(now);
        }
    }

    /// <summary>Takes one out, wherever it is, with its tokens put back; false where it is not here.</summary>
    public bool Remove(IoDescriptor* descriptor, ulong now)
    {
        if (descriptor != _first || descriptor is null) return _others.Remove(descriptor);
        PutBack(descriptor);
        Advance(now);
        return true;
    }

    /// <summary>Takes the first out, with its tokens put back, and lets no other draw; null where nothing waits.</summary>
    public IoDescriptor* Drain()
    {
        var descriptor = _first;
        if (descriptor is null) return _others.Count == 0 ? null : _others.Pop();
        PutBack(descriptor);
        _first = null;
        return descriptor;
    }

    /// <inheritdoc/>
    public void Dispose() => _others.Dispose();

    private void Advance(ulong now)
    {
        _first = _others.Count == 0 ? null : _others.Pop();
        if (_first is not null) Next = Draw(_first, now);
    }

    private ulong Draw(IoDescriptor* descriptor, ulong now) =>
        Math.Max(all is null ? now : all.Draw(descriptor, now), own is null ? now : own.Draw(descriptor, now));

    private void PutBack(IoDescriptor* descriptor)
    {
        all?.PutBack(descriptor);
        own?.PutBack(descriptor);
    }
}
