using System.Runtime.InteropServices;

namespace Comanche;

/// <summary>What a volume can do, beyond read, write and flush.</summary>
[Flags]
public enum VolumeCapabilities : ulong
{
    /// <summary>Read, write and flush only.</summary>
    None = 0,

    /// <summary>Does <see cref="IoOperation.Discard"/>.</summary>
    Discard = 1 << 0,

    /// <summary>Does <see cref="IoOperation.WriteZeroes"/>.</summary>
    WriteZeroes = 1 << 1,

    /// <summary>Does <see cref="IoOperation.Fill"/>.</summary>
    Fill = 1 << 2,

    /// <summary>Does <see cref="IoOperation.Compare"/>.</summary>
    Compare = 1 << 3,

    /// <summary>Does <see cref="IoOperation.CompareAndWrite"/>, up to <see cref="VolumeInfo.CompareAndWriteBlocks"/>.</summary>
    CompareAndWrite = 1 << 4,

    /// <summary>Does <see cref="IoOperation.Copy"/>.</summary>
    Copy = 1 << 5,

    /// <summary>What was discarded reads as zeroes.</summary>
    DiscardReadsZero = 1 << 8,

    /// <summary>A completed write may be lost with the power until it is flushed.</summary>
    VolatileCache = 1 << 9,

    /// <summary>Flush and FUA are honest: what they acknowledge survives a power cut. Journals and write-back caches need it below them.</summary>
    DurableFlush = 1 << 10,

    /// <summary>What was written is read again; without it (<c>block/null</c>) reads give anything.</summary>
    RetainsData = 1 << 11,

    /// <summary>What was written and flushed is still there after the process ends.</summary>
    Persistent = 1 << 12,

    /// <summary>Every change is refused with <see cref="IoStatus.ReadOnly"/>.</summary>
    ReadOnly = 1 << 13,

    /// <summary>Zeroing costs less than writing the same range.</summary>
    FastZeroes = 1 << 14,
}

/// <summary>The geometry and limits of a volume. Constant from start to stop, but for a growing <see cref="BlockCount"/>.</summary>
[StructLayout(LayoutKind.Sequential, Size = 64)]
public struct VolumeInfo
{
    /// <summary>Bytes of a block: a power of two from 512 to 65536.</summary>
    public uint BlockSize;

    /// <summary>The most blocks that a read, write or compare moves, at least 1.</summary>
    public uint MaxTransferBlocks;

    /// <summary>The volume's length in blocks.</summary>
    public ulong BlockCount;

    /// <summary>Alignment of buffers and segments in bytes: a power of two, 1 where any address will do.</summary>
    public uint BufferAlignment;

    /// <summary>The most segments of a descriptor, at least 1.</summary>
    public uint MaxSegments;

    /// <summary>Blocks, naturally aligned, that a power cut never tears; at least 1.</summary>
    public uint AtomicWriteBlocks;

    /// <summary>The transfer in blocks at whose multiples the volume works best, or 0.</summary>
    public uint OptimalIoBlocks;

    /// <summary>The most blocks of a discard, write-zeroes, fill or copy.</summary>
    public uint MaxRangeBlocks;

    /// <summary>Discards of less than this, or not aligned to it, may do nothing; in blocks, at least 1.</summary>
    public uint DiscardGranularityBlocks;

    /// <summary>The most blocks of a compare-and-write, whose range may not cross a multiple of this; 0 without the capability.</summary>
    public uint CompareAndWriteBlocks;

    /// <summary>Filler, 0.</summary>
    public uint Reserved;

    /// <summary>What it can do.</summary>
    public VolumeCapabilities Capabilities;

    /// <summary>The length in bytes.</summary>
    public readonly ulong ByteLength => BlockCount * BlockSize;

    /// <summary>Whether it has all of these capabilities.</summary>
    public readonly bool Has(VolumeCapabilities capabilities) => (Capabilities & capabilities) == capabilities;
}

/// <summary>How a device fares.</summary>
public enum DeviceState
{
    /// <summary>As it should be.</summary>
    Healthy = 0,

    /// <summary>Works, with less redundancy or with errors corrected.</summary>
    Degraded = 1,

    /// <summary>Does not work any more.</summary>
    Failed = 2,
}

/// <summary>A device's health and error counts since its start.</summary>
[StructLayout(LayoutKind.Sequential, Size = 64)]
public struct DeviceHealth
{
    /// <summary>How it fares.</summary>
    public DeviceState State;

    /// <summary>Filler.</summary>
    public uint Reserved;

    /// <summary>Reads that failed.</summary>
    public ulong ReadErrors;

    /// <summary>Changes that failed.</summary>
    public ulong WriteErrors;

    /// <summary>Flushes that failed.</summary>
    public ulong FlushErrors;

    /// <summary>I/Os whose time was up.</summary>
    public ulong Timeouts;

    /// <summary>Resets of the device or of a queue.</summary>
    public ulong Resets;
}
