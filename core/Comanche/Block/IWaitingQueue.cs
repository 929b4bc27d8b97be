namespace Comanche;

/// <summary>
/// What a managed queue may offer besides <see cref="IIoQueue"/>: to sleep by itself, which costs less than a sleep on its wait set. For a thread that waits for
/// nothing but this queue; found by a cast, and a user does without where there is none.
/// </summary>
public interface IWaitingQueue
{
    /// <summary>
    /// Sleeps until so many descriptors can be polled, or the time is up, or for no reason. To be called when <see cref="IIoQueue.Poll"/> gave nothing, by the
    /// queue's thread. Returns false, at once, where it can't sleep now: then <see cref="IIoQueue.Arm"/> is the way.
    /// </summary>
    /// <param name="wanted">How many, 1 to the number in flight. More makes fewer and larger batches.</param>
    /// <param name="timeoutNs">The longest sleep in nanoseconds, or <see cref="WaitSet.Forever"/>.</param>
    bool Wait(int wanted, long timeoutNs);
}
