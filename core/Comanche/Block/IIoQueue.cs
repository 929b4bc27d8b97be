using System.Runtime.InteropServices;
using System.Runtime.InteropServices.Marshalling;

namespace Comanche;

/// <summary>How a queue is opened.</summary>
[Flags]
public enum QueueFlags : uint
{
    /// <summary>One thread opens, uses and closes it.</summary>
    None = 0,

    /// <summary>The queue may be handed from thread to thread, under a lock that its users hold.</summary>
    Movable = 1,
}

/// <summary>What is asked of a queue when it opens. What is not said here is 0, also for those that know more fields.</summary>
[StructLayout(LayoutKind.Sequential, Size = 64)]
public struct QueueOptions
{
    /// <summary>The most descriptors in flight, 1 to <see cref="MaxDepth"/>.</summary>
    public uint Depth;

    /// <summary>How it is used.</summary>
    public QueueFlags Flags;

    /// <summary>The largest depth of a queue.</summary>
    public const uint MaxDepth = 16384;
}

/// <summary>
/// A queue pair: descriptors go down by <see cref="Submit"/>, and every one that was accepted comes up exactly once, by <see cref="Poll"/>.
/// </summary>
/// <remarks>
/// <para><b>Thread.</b> One thread at a time, the one that opened it (see <see cref="QueueFlags.Movable"/> for the exception), calls all methods.</para>
/// <para><b>Life.</b> A queue does not keep its device alive: a device refuses to stop while a queue is open. After <see cref="Close"/> nothing but another close is called.</para>
/// <para><b>Completion.</b> Never inline from <see cref="Submit"/>, never on another thread, in no order that a caller may rely on.
/// What became of an I/O is the descriptor's <see cref="IoDescriptor.Status"/>; no method here throws on the data path.</para>
/// <para><b>Sleeping.</b> <see cref="Poll"/> gives nothing → <see cref="Arm"/> gives a time other than 0 → sleep on the wait set for that time. Nothing is called in between: it is
/// <see cref="Arm"/> that looks once more, when notices are on already, so that nothing slips through.</para>
/// <para><b>End.</b> <see cref="Close"/> with nothing in flight; <see cref="Abandon"/> first where the device does not answer.</para>
/// </remarks>
[GeneratedComInterface(StringMarshalling = StringMarshalling.Utf8)]
[Guid("c0a4c4e0-0011-4b1e-9a51-6d6f6e746501")]
public unsafe partial interface IIoQueue
{
    /// <summary>
    /// Takes descriptors from the front of the batch and returns how many it took. Fewer than <paramref name="count"/> means that
    /// the queue is full for now: poll, then submit the rest again. A refused descriptor is as it was before, but for <see cref="IoDescriptor.Status"/>,
    /// <see cref="IoDescriptor.Pending"/> and <see cref="IoDescriptor.Scratch"/>.
    /// A descriptor that breaks the contract is taken and comes back with a status that says so.
    /// </summary>
    /// <param name="batch">Pointers to the descriptors. The array is only read, and is the caller's again on return.</param>
    /// <param name="count">Their number, 0 or more.</param>
    [PreserveSig]
    int Submit(IoDescriptor** batch, int count);

    /// <summary>Drives progress without blocking, stores finished descriptors and returns their number, at most <paramref name="capacity"/>.</summary>
    /// <param name="completed">Where they are stored.</param>
    /// <param name="capacity">Room there; with 0 only progress is driven.</param>
    [PreserveSig]
    int Poll(IoDescriptor** completed, int capacity);

    /// <summary>
    /// Asks that an accepted descriptor end early. Best effort: it still comes back once, from <see cref="Poll"/>, with whatever status it
    /// then has. Returns 1 where the request was passed on, 0 where the descriptor can't be cancelled or is not in flight.
    /// </summary>
    [PreserveSig]
    int Cancel(IoDescriptor* descriptor);

    /// <summary>
    /// Readies the queue for a sleep: turns notices on, adds the descriptors whose readability ends the sleep, its children's too, <i>then looks once more</i>, and returns the
    /// nanoseconds to the next deadline: 0 where <see cref="Poll"/> has something to do now, <see cref="WaitSet.Forever"/> where only a descriptor or a new submission can bring work.
    /// Valid until the next call of any other method of the queue. The descriptors stay the queue's own, are readable as long as there is something to poll, and may be in the set twice.
    /// </summary>
    [PreserveSig]
    long Arm(WaitSet* waitSet);

    /// <summary>
    /// Gives up on everything in flight: each comes back from <see cref="Poll"/> in bounded time, with <see cref="IoStatus.Aborted"/> where it was
    /// not done by then. Returns after the device can't touch their memory any more, or makes sure of that before <see cref="Poll"/> returns them.
    /// The queue takes no new descriptors afterwards. A second call does nothing.
    /// </summary>
    [PreserveSig]
    void Abandon();

    /// <summary>Closes the queue. Throws where descriptors are in flight. Closing twice does nothing.</summary>
    void Close();
}

/// <summary>A list of file descriptors whose readability ends a sleep; its memory belongs to the reactor.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct WaitSet
{
    /// <summary>What <see cref="IIoQueue.Arm"/> returns where there is no deadline.</summary>
    public const long Forever = long.MaxValue;

    /// <summary>The file descriptors.</summary>
    public int* Descriptors;

    /// <summary>Room in <see cref="Descriptors"/>.</summary>
    public int Capacity;

    /// <summary>How many are in use. It counts on beyond <see cref="Capacity"/>, so that the owner learns how much room is needed and sleeps only briefly.</summary>
    public int Count;

    /// <summary>Adds a descriptor.</summary>
    public void Add(int descriptor)
    {
        if (Count < Capacity) Descriptors[Count] = descriptor;
        Count++;
    }
}
