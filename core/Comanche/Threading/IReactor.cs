namespace Comanche;

/// <summary>
/// Something that a reactor drives: a connection, a bench job, a veneer's volume.
/// </summary>
public unsafe interface IPoller
{
    /// <summary>Does what can be done without blocking; returns how much was done, 0 for nothing. Reactor thread only.</summary>
    int Poll();

    /// <summary>Readies for a sleep, as <see cref="IIoQueue.Arm"/> does: it looks once more itself, and is not polled again before the sleep. Reactor thread only.</summary>
    long Arm(WaitSet* waitSet);

    /// <summary>
    /// Says that the reactor took this poller away because a call of it threw. It is not called any more, unless it adds itself anew here; whoever waits
    /// for it is to be told. Reactor thread only.
    /// </summary>
    /// <param name="exception">What it threw; the reactor has logged it.</param>
    void Failed(Exception exception) { }
}

/// <summary>Something that takes messages on its reactor.</summary>
public interface IReceiver
{
    /// <summary>Takes a message. Reactor thread only, between two rounds of polling.</summary>
    /// <param name="message">What the sender and this agreed on: an index, a number, bits.</param>
    void Receive(ulong message);
}

/// <summary>
/// An owner thread that polls, arms and sleeps. Queues live on one: opened, used and closed by its thread.
/// </summary>
public interface IReactor
{
    /// <summary>Its name.</summary>
    string Name { get; }

    /// <summary>Whether the caller runs on it.</summary>
    bool IsCurrent { get; }

    /// <summary>Runs work on the reactor's thread, soon, in order of posting. Any thread; for set-up, it allocates.</summary>
    void Post(Action work);

    /// <summary>
    /// Sends a message to something that lives on this reactor; false where as many as fit are under way already, and then the sender tries again later. Any thread, also another reactor's, in order for each
    /// of them; no lock, no allocation: for the data path.
    /// </summary>
    bool TrySend(IReceiver receiver, ulong message);

    /// <summary>
    /// Runs work on the reactor's thread once, after this time at the earliest; a reactor with nothing else to do sleeps until then. Disposing of the answer takes it back. Reactor thread only; for set-up, it
    /// allocates.
    /// </summary>
    IDisposable Schedule(TimeSpan delay, Action work);

    /// <summary>Adds a poller. Reactor thread only.</summary>
    void Add(IPoller poller);

    /// <summary>Takes a poller away; it is not called any more. Reactor thread only, also from within its own <see cref="IPoller.Poll"/>.</summary>
    void Remove(IPoller poller);

    /// <summary>Ends a sleep. Any thread; cheap where the reactor is awake.</summary>
    void Wake();
}

/// <summary>
/// What a managed component may ask of its host besides <see cref="IHost"/>: cast the host to this.
/// </summary>
public interface IReactorHost
{
    /// <summary>The reactor on which the component's own work is to run: the one that the stack file names, or the process's default one.</summary>
    IReactor GetReactor();
}
