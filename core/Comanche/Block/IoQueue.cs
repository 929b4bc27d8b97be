namespace Comanche;

/// <summary>
/// The base of managed queues: counts what is in flight and guards the close. The owner thread calls everything.
/// </summary>
/// <param name="device">The device that it belongs to.</param>
/// <param name="depth">The most descriptors in flight.</param>
public abstract unsafe class IoQueue(BlockDevice device, uint depth) : IIoQueue
{
    private bool _closed;

    /// <summary>The most descriptors in flight.</summary>
    protected readonly int Depth = (int)depth;

    /// <summary>How many descriptors were accepted and are not back. The deriving queue keeps it.</summary>
    protected int InFlight;

    /// <summary>Whether <see cref="Abandon"/> was called: nothing is accepted any more.</summary>
    protected bool IsAbandoned { get; private set; }

    /// <inheritdoc/>
    public abstract int Submit(IoDescriptor** batch, int count);

    /// <inheritdoc/>
    public abstract int Poll(IoDescriptor** completed, int capacity);

    /// <inheritdoc/>
    public abstract long Arm(WaitSet* waitSet);

    /// <inheritdoc/>
    public virtual int Cancel(IoDescriptor* descriptor) => 0;

    /// <inheritdoc/>
    public void Abandon()
    {
        if (IsAbandoned) return;
        IsAbandoned = true;
        OnAbandon();
    }

    /// <inheritdoc/>
    public void Close()
    {
        if (_closed) return;
        OnClosing();
        if (InFlight != 0) throw new ComancheException($"a queue was closed with {InFlight} descriptors in flight");
        _closed = true;
        OnClose();
        device.QueueClosed();
    }

    /// <summary>Counts the queue as open at its device. The last thing that the device does when it makes the queue.</summary>
    public IoQueue Opened()
    {
        device.QueueOpened();
        return this;
    }

    /// <summary>Ends what is in flight; called once. What lies below is abandoned here.</summary>
    protected abstract void OnAbandon();

    /// <summary>Called by every close, before it is refused where descriptors are in flight; ends what the layer does on its own.</summary>
    protected virtual void OnClosing() { }

    /// <summary>Gives back memory and closes the queues below; called once, with nothing in flight.</summary>
    protected abstract void OnClose();
}
