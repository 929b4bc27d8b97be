using System.Runtime.CompilerServices;
using System.Numerics;

namespace Comanche.Threading;

/// <summary>
/// The memory of one client's queue: a submission ring of whole descriptors, a completion ring of 8-byte entries, and the two words by which each side says
/// that it sleeps. The same bytes serve two threads and two processes.
/// </summary>
/// <remarks>
/// <para><b>Submission.</b> Entry <c>p</c> lies in slot <c>p mod slots</c>; the client writes the first 56 bytes, then, as the last and with release, the stamp <c>p + 1</c>
/// in place of <see cref="IoDescriptor.Scratch"/>. The server looks for just that stamp, so an entry and the news of it are one cache line: at depth 1 a
/// request takes one transfer between cores each way, not two as with a shared tail.</para>
/// <para><b>Room.</b> There are at least twice as many slots as the depth, since a cancellation takes one too; the server publishes how many it has taken, once a batch,
/// and the client reads that only where the ring seems full.</para>
/// <para><b>Completion.</b> An entry is one word: the position's lower 32 bits plus 1, the client's index of the descriptor (16 bits), its status (16 bits). It is
/// written by one store, so it is never seen half. There are at least as many slots as the depth and never more outstanding than that, so there is always room.</para>
/// <para><b>Sleep.</b> Whoever is about to sleep sets its word, then a full barrier, then looks at its ring once more; the other side writes to the ring, then a full barrier,
/// then looks at the word (Dekker's argument: at least one sees the other's store). It clears the word by an atomic exchange before it gives the wake-up: a store that became visible
/// only later could clear what the sleeper says when it sleeps the next time. Memory starts as zero, which is no stamp.</para>
/// </remarks>
internal readonly unsafe struct Channel
{
    private const int ClientSleepsOffset = 64, ServerSleepsOffset = 128, TakenOffset = 192, HeaderBytes = 256;

    /// <summary>The operation of an entry that asks for the end of another one, whose index is in <see cref="IoDescriptor.Tag"/>. It has no completion.</summary>
    public const IoOperation Cancel = (IoOperation)0xFF;

    private readonly byte* _memory;
    private readonly uint _submissionSlots, _completionSlots, _segments;

    /// <summary>Lays the rings of a queue over memory.</summary>
    /// <param name="memory">At least <see cref="BytesFor"/>, zero at first, on a cache line's boundary.</param>
    /// <param name="depth">The most descriptors in flight.</param>
    /// <param name="segments">How many segments of each lie in this memory too; 0 where lists are addressed.</param>
    public Channel(byte* memory, int depth, int segments = 0)
    {
        _segments = (uint)segments;
        _memory = memory;
        _submissionSlots = SubmissionSlotsFor(depth);
        _completionSlots = CompletionSlotsFor(depth);
    }

    /// <summary>How much memory a queue of a depth takes; a multiple of the cache line.</summary>
    public static nuint BytesFor(int depth, int segments = 0) =>
        HeaderBytes + (nuint)SubmissionSlotsFor(depth) * IoDescriptor.Size + (nuint)CompletionSlotsFor(depth) * sizeof(ulong)
        + (nuint)depth * (nuint)segments * (nuint)sizeof(IoSegment);

    /// <summary>Where the rings begin.</summary>
    public byte* Memory => _memory;

    /// <summary>1 while the client sleeps, or is about to. The client sets it, the server clears it.</summary>
    public uint* ClientSleeps => (uint*)(_memory + ClientSleepsOffset);

    /// <summary>1 while the server sleeps, or is about to. The server sets it, the client clears it.</summary>
    public uint* ServerSleeps => (uint*)(_memory + ServerSleepsOffset);

    /// <summary>How many submissions the server has taken. The server writes it.</summary>
    public ulong* Taken => (ulong*)(_memory + TakenOffset);

    /// <summary>How many submission slots there are, a power of two.</summary>
    public uint SubmissionSlots => _submissionSlots;

    /// <summary>The slot of a submission's position.</summary>
    public IoDescriptor* Submission(ulong position) => (IoDescriptor*)(_memory + HeaderBytes) + (position & (_submissionSlots - 1));

    /// <summary>The slot of a completion's position.</summary>
    public ulong* Completion(ulong position) =>
        (ulong*)(_memory + HeaderBytes + (nuint)_submissionSlots * IoDescriptor.Size) + (position & (_completionSlots - 1));

    /// <summary>Where the segments of the descriptor with this index lie.</summary>
    public IoSegment* Segments(uint index) =>
        (IoSegment*)(_memory + HeaderBytes + (nuint)_submissionSlots * IoDescriptor.Size + (nuint)_completionSlots * sizeof(ulong)) + (nuint)index * _segments;

    /// <summary>Whether the submission at a position is there.</summary>
    public bool HasSubmission(ulong position) => Volatile.Read(ref Submission(position)->Scratch) == position + 1;

    /// <summary>
    /// Copies a descriptor into a slot, all but the stamp, which is not touched: what the descriptor holds in its scratch may be just the stamp that the server looks for, and
    /// would show it a slot that is not written yet.
    /// </summary>
    public static void CopyContent(IoDescriptor* slot, IoDescriptor* descriptor) =>
        Unsafe.CopyBlockUnaligned(slot, descriptor, (uint)(IoDescriptor.Size - sizeof(ulong)));

    /// <summary>Makes a submission visible: everything else of its slot is written.</summary>
    public void Publish(ulong position) => Volatile.Write(ref Submission(position)->Scratch, position + 1);

    /// <summary>Writes a completion.</summary>
    public void Complete(ulong position, uint index, IoStatus status) =>
        Volatile.Write(ref *Completion(position), (ulong)(uint)(position + 1) << 32 | index << 16 | (ushort)status);

    /// <summary>Reads the completion at a position; false where it is not there yet.</summary>
    public bool TryReadCompletion(ulong position, out uint index, out IoStatus status)
    {
        var entry = Volatile.Read(ref *Completion(position));
        index = (ushort)(entry >> 16);
        status = (IoStatus)(ushort)entry;
        return (uint)(entry >> 32) == (uint)(position + 1);
    }

    private static uint SubmissionSlotsFor(int depth) => BitOperations.RoundUpToPowerOf2((uint)depth * 2);

    // A whole cache line at least, so that every channel is a multiple of one.
    private static uint CompletionSlotsFor(int depth) => Math.Max(8, BitOperations.RoundUpToPowerOf2((uint)depth));
}
