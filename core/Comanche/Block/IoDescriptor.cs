using System.Runtime.InteropServices;

namespace Comanche;

/// <summary>What a descriptor asks for.</summary>
public enum IoOperation : byte
{
    /// <summary>Nothing: comes back with success. For measuring.</summary>
    None = 0,

    /// <summary>Volume to buffer.</summary>
    Read = 1,

    /// <summary>Buffer to volume.</summary>
    Write = 2,

    /// <summary>
    /// Makes durable every change (write, discard, write-zeroes, fill, compare-and-write, copy), on any queue of the device, whose completion <see cref="IIoQueue.Poll"/> had returned
    /// before the flush was submitted, and nothing else. LBA, count and buffer are 0.
    /// </summary>
    Flush = 3,

    /// <summary>The range's content is not needed any more. Advice; what a read gives afterwards is said by <see cref="VolumeCapabilities.DiscardReadsZero"/>.</summary>
    Discard = 4,

    /// <summary>The range reads as zeroes afterwards.</summary>
    WriteZeroes = 5,

    /// <summary>The range is filled with the 8 bytes of <see cref="IoDescriptor.Auxiliary"/>, repeated.</summary>
    Fill = 6,

    /// <summary>Compares the buffer with the volume; <see cref="IoStatus.Miscompare"/> where they differ.</summary>
    Compare = 7,

    /// <summary>
    /// Writes the buffer if the volume holds what <see cref="IoDescriptor.Auxiliary"/> points to (as many bytes, contiguous, aligned like a buffer, in the same
    /// region), else <see cref="IoStatus.Miscompare"/>; atomic against every other compare-and-write of the device.
    /// </summary>
    CompareAndWrite = 8,

    /// <summary>Copies within the volume, from the LBA in <see cref="IoDescriptor.Auxiliary"/> to <see cref="IoDescriptor.Lba"/>; the ranges do not overlap.</summary>
    Copy = 9,
}

/// <summary>
/// How a descriptor is to be done. The four upper bits are 0 in what an application submits; a layer that passes a descriptor on may use them until it is back, and those
/// below neither read nor change them.
/// </summary>
[Flags]
public enum IoFlags : byte
{
    /// <summary>Plainly.</summary>
    None = 0,

    /// <summary>Force unit access: when it completes it is durable by itself. For write, write-zeroes, fill, compare-and-write and copy; every device accepts it.</summary>
    ForceUnitAccess = 1,

    /// <summary><see cref="IoDescriptor.Segments"/> holds a list of <see cref="IoDescriptor.SegmentCount"/> segments instead of one buffer.</summary>
    Segments = 2,

    /// <summary>Caches need not keep this data.</summary>
    NoCache = 4,

    /// <summary>A write-zeroes must keep its space allocated: it may not be turned into a hole.</summary>
    NoUnmap = 8,
}

/// <summary>
/// One I/O: a cache line of unmanaged memory, the same bytes in every language.
/// </summary>
/// <remarks>
/// The submitter owns the memory, which is native and never moves. From acceptance by <see cref="IIoQueue.Submit"/> until
/// <see cref="IIoQueue.Poll"/> returns it the queue owns the descriptor, and nobody else touches it. A layer that
/// passes the very same descriptor on may change it on the way down if it restores it on the way up, also when it is refused below.
/// <para>A buffer that is read into belongs to its one descriptor in the same way, and a layer may change what was read on the way up. The data of a write, compare or
/// compare-and-write is only read, by everyone: the submitter leaves it unchanged in flight, may use it in several descriptors at a time (a mirror does), and a layer that
/// changes data puts the changed data into a buffer of its own. Segment lists are unchanged in flight, by the same rule.</para>
/// <para>An all-zero descriptor is valid memory to start from. A submitter sets operation, flags, segment count, block count,
/// region, LBA, buffer and auxiliary; it may use <see cref="Tag"/> as it likes and finds it unchanged.</para>
/// </remarks>
[StructLayout(LayoutKind.Explicit, Size = Size)]
public unsafe struct IoDescriptor
{
    /// <summary>Bytes of a descriptor: one cache line, on whose boundary it lies.</summary>
    public const int Size = 64;

    /// <summary>What is asked.</summary>
    [FieldOffset(0)] public IoOperation Operation;

    /// <summary>How.</summary>
    [FieldOffset(1)] public IoFlags Flags;

    /// <summary>The outcome; valid once the descriptor is back from <see cref="IIoQueue.Poll"/>.</summary>
    [FieldOffset(2)] public IoStatus Status;

    /// <summary>Number of segments, with <see cref="IoFlags.Segments"/>.</summary>
    [FieldOffset(4)] public ushort SegmentCount;

    /// <summary>Present holder: children that are not back yet.</summary>
    [FieldOffset(6)] public ushort Pending;

    /// <summary>Length in blocks, at least 1; 0 for a flush.</summary>
    [FieldOffset(8)] public uint BlockCount;

    /// <summary>
    /// The registered region in which <see cref="Buffer"/> lies, or 0 where the submitter does not know. With <see cref="IoFlags.Segments"/> it is that of the list itself; each
    /// segment names its own.
    /// </summary>
    [FieldOffset(12)] public uint Region;

    /// <summary>First block.</summary>
    [FieldOffset(16)] public ulong Lba;

    /// <summary>The data, contiguous: block count × block size bytes. Undefined after a read that failed.</summary>
    [FieldOffset(24)] public byte* Buffer;

    /// <summary>With <see cref="IoFlags.Segments"/>: the list, caller-owned, unchanged in flight.</summary>
    [FieldOffset(24)] public IoSegment* Segments;

    /// <summary>The submitter's own; unchanged when the descriptor is back.</summary>
    [FieldOffset(32)] public ulong Tag;

    /// <summary>In a child: the descriptor that it serves. The creator of the child sets and reads it.</summary>
    [FieldOffset(40)] public IoDescriptor* Parent;

    /// <summary>Copy: source LBA. Fill: pattern. Compare-and-write: address of the compare buffer.</summary>
    [FieldOffset(48)] public ulong Auxiliary;

    /// <summary>Free for whoever holds the descriptor now; anyone below may overwrite it.</summary>
    [FieldOffset(56)] public ulong Scratch;
}

/// <summary>One piece of a scattered buffer: a multiple of the block size long, aligned to the volume's buffer alignment. Segments do not nest.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct IoSegment
{
    /// <summary>First byte.</summary>
    public byte* Address;

    /// <summary>Length in bytes.</summary>
    public uint Length;

    /// <summary>The registered region that it lies in, or 0.</summary>
    public uint Region;
}
