using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Comanche.Block;

/// <summary>How a write log stands, as its super block says.</summary>
public enum LogState : uint
{
    /// <summary>Being written, or its writer ended without stopping: the end has to be looked for, and may have holes.</summary>
    Open = 1,

    /// <summary>Stopped in order: every event is there.</summary>
    Closed = 2,

    /// <summary>Stopped in order after it was full: every event is there, and what came later was refused.</summary>
    Full = 3,

    /// <summary>A write to the log failed: events are missing.</summary>
    Incomplete = 4,
}

/// <summary>What an entry of a write log is.</summary>
public enum LogEntryKind : byte
{
    /// <summary>An operation was submitted.</summary>
    Submission = 1,

    /// <summary>Operations came back.</summary>
    Completions = 2,

    /// <summary>A named mark.</summary>
    Mark = 3,
}

/// <summary>The super block of a write log, as it lies on the device; see docs/formats/log-writes.md.</summary>
[StructLayout(LayoutKind.Explicit, Size = Size)]
internal struct LogSuperBlock
{
    public const int Size = 128;
    public const int CrcOffset = 12;
    public const uint CurrentVersion = 1;

    [FieldOffset(0)] public ulong Magic;
    [FieldOffset(8)] public uint Version;
    [FieldOffset(12)] public uint Crc;
    [FieldOffset(16)] public Guid LogId;
    [FieldOffset(32)] public ulong Generation;
    [FieldOffset(40)] public uint LogBlockSize;
    [FieldOffset(44)] public uint DataBlockSize;
    [FieldOffset(48)] public ulong DataBlockCount;
    [FieldOffset(56)] public ulong FirstEntry;
    [FieldOffset(64)] public LogState State;
    [FieldOffset(72)] public ulong End;
    [FieldOffset(80)] public ulong LastSequence;
    [FieldOffset(88)] public ulong LogBlockCount;
    [FieldOffset(96)] public VolumeCapabilities DataCapabilities;

    public static ulong MagicValue => BitConverter.ToUInt64("CMNCHLGW"u8);
}

/// <summary>The head of an entry of a write log.</summary>
[StructLayout(LayoutKind.Explicit, Size = Size)]
internal struct LogEntryHeader
{
    public const int Size = 128;
    public const int CrcOffset = 4;

    [FieldOffset(0)] public uint Magic;
    [FieldOffset(4)] public uint Crc;
    [FieldOffset(8)] public Guid LogId;
    [FieldOffset(24)] public ulong Position;
    [FieldOffset(32)] public ulong Sequence;
    [FieldOffset(40)] public LogEntryKind Kind;
    [FieldOffset(41)] public IoOperation Operation;
    [FieldOffset(42)] public IoFlags Flags;
    [FieldOffset(44)] public uint Queue;
    [FieldOffset(48)] public ulong Lba;
    [FieldOffset(56)] public ulong Auxiliary;
    [FieldOffset(64)] public uint BlockCount;
    [FieldOffset(68)] public uint PayloadOffset;
    [FieldOffset(72)] public uint PayloadBytes;
    [FieldOffset(76)] public uint PayloadCrc;

    public static uint MagicValue => BitConverter.ToUInt32("LWE1"u8);
}

/// <summary>One completion in an entry of kind <see cref="LogEntryKind.Completions"/>.</summary>
[StructLayout(LayoutKind.Explicit, Size = Size)]
internal struct LogCompletion
{
    public const int Size = 24;

    [FieldOffset(0)] public ulong Sequence;
    [FieldOffset(8)] public ulong Submission;
    [FieldOffset(16)] public IoStatus Status;
}

/// <summary>Arithmetic of the format that writer and reader share.</summary>
internal static unsafe class LogFormat
{
    /// <summary>Most bytes of a mark's name, in UTF-8: what fits beside the header in the smallest block.</summary>
    public const int MaxMarkBytes = 512 - LogEntryHeader.Size;

    /// <summary>The most bytes of data of one entry: the largest transfer that a logged volume can have (the upper limit of <c>max-transfer</c>).</summary>
    public const uint MaxPayloadBytes = 16 << 20;

    /// <summary>The bytes of each of the two copies of the super block.</summary>
    public static uint SuperBytes(uint logBlockSize) => Math.Max(logBlockSize, 4096);

    /// <summary>The block of the first entry.</summary>
    public static ulong FirstEntry(uint logBlockSize) => 2UL * SuperBytes(logBlockSize) / logBlockSize;

    /// <summary>The completions that fit an entry of one block.</summary>
    public static int CompletionsPerBlock(uint logBlockSize) => ((int)logBlockSize - LogEntryHeader.Size) / LogCompletion.Size;

    /// <summary>The blocks of an entry.</summary>
    public static uint EntryBlocks(in LogEntryHeader header, uint logBlockSize) =>
        (uint)(((ulong)header.PayloadOffset + header.PayloadBytes + logBlockSize - 1) / logBlockSize);

    /// <summary>Completes a header: its magic, and its checksum over everything else.</summary>
    public static void Seal(LogEntryHeader* header)
    {
        header->Magic = LogEntryHeader.MagicValue;
        header->Crc = Crc32C.ComputeWithout(new ReadOnlySpan<byte>(header, LogEntryHeader.Size), LogEntryHeader.CrcOffset);
    }

    /// <summary>Whether this is the header of an entry of this log at this position.</summary>
    public static bool IsValid(in LogEntryHeader header, in Guid logId, ulong position, uint logBlockSize)
    {
        var bytes = MemoryMarshal.AsBytes(new ReadOnlySpan<LogEntryHeader>(in header));
        return header.Magic == LogEntryHeader.MagicValue && header.LogId == logId && header.Position == position
            && header.Kind is >= LogEntryKind.Submission and <= LogEntryKind.Mark && (int)header.Operation < IoOperations.Count
            && header.PayloadOffset >= LogEntryHeader.Size && header.PayloadOffset <= logBlockSize
            && header.Crc == Crc32C.ComputeWithout(bytes, LogEntryHeader.CrcOffset);
    }

    /// <summary>Completes a super block.</summary>
    public static void Seal(ref LogSuperBlock super)
    {
        super.Magic = LogSuperBlock.MagicValue;
        super.Version = LogSuperBlock.CurrentVersion;
        super.Crc = Crc32C.ComputeWithout(MemoryMarshal.AsBytes(new ReadOnlySpan<LogSuperBlock>(in super)), LogSuperBlock.CrcOffset);
    }

    /// <summary>
    /// Reads the two copies of the super block and answers the newer good one; null where there is none because both are blank.
    /// Anything else throws, saying what is there.
    /// </summary>
    public static LogSuperBlock? ReadSuper(SyncIo io, string name)
    {
        var superBytes = SuperBytes(io.Volume.BlockSize);
        if (io.Volume.ByteLength < 3 * (ulong)superBytes)
            throw new ComancheException($"{name}: {io.Volume.ByteLength} bytes are too few for a write log, which takes at least {3 * superBytes}");
        var copy = new byte[superBytes];
        LogSuperBlock? best = null;
        var blank = true;
        ComancheException? unreadable = null;
        for (var i = 0; i < 2; i++)
        {
            try
            {
                io.Read((ulong)i * superBytes / io.Volume.BlockSize, copy);
            }
            catch (ComancheException e) when (e.Status != IoStatus.Success)
            {
                // A bad sector takes one copy, not the log; and a place that can't be read is not blank.
                (unreadable, blank) = (e, false);
                continue;
            }

            var super = Unsafe.ReadUnaligned<LogSuperBlock>(ref copy[0]);
            blank &= !copy.AsSpan().ContainsAnyExcept((byte)0);
            if (super.Magic != LogSuperBlock.MagicValue) continue;
            if (super.Crc != Crc32C.ComputeWithout(copy.AsSpan(0, LogSuperBlock.Size), LogSuperBlock.CrcOffset)) continue;
            if (super.Version != LogSuperBlock.CurrentVersion)
                throw new ComancheException($"{name}: offset {i * superBytes}: the write log is of version {super.Version}; this program knows version {LogSuperBlock.CurrentVersion}");
            if (best is not { } other || super.Generation > other.Generation) best = super;
        }

        if (best is null && !blank)
            throw new ComancheException($"{name}: offset 0: no super block of a write log is there (magic CMNCHLGW with a good checksum was expected, at 0 or at {superBytes}), and the place is not blank{(unreadable is null ? "" : $" ({unreadable.Message})")}");
        if (best is { } found && found.LogBlockSize != io.Volume.BlockSize)
            throw new ComancheException($"{name}: offset 40: the write log was made with blocks of {found.LogBlockSize} bytes; the device has {io.Volume.BlockSize}");
        if (best is { } bounds && (bounds.FirstEntry < FirstEntry(io.Volume.BlockSize) || bounds.End < bounds.FirstEntry || bounds.End > io.Volume.BlockCount))
            throw new ComancheException($"{name}: offset 56: entries from block {bounds.FirstEntry} to {bounds.End} do not lie on a device of {io.Volume.BlockCount} blocks");
        return best;
    }
}
