namespace Comanche.Block;

/// <summary>
/// An operation, or a named mark, in a write log, with what is known of its completion. Numbers count events: an operation had completed before
/// another was submitted where <see cref="CompletedSequence"/> is not 0 and less than the other's <see cref="Sequence"/>.
/// </summary>
public sealed class LogEntry
{
    internal LogEntry(in LogEntryHeader header)
    {
        Kind = header.Kind;
        Sequence = header.Sequence;
        Operation = header.Operation;
        Flags = header.Flags;
        Queue = header.Queue;
        Lba = header.Lba;
        BlockCount = header.BlockCount;
        Auxiliary = header.Auxiliary;
        PayloadBytes = (int)header.PayloadBytes;
        Position = header.Position;
        PayloadOffset = header.PayloadOffset;
        PayloadCrc = header.PayloadCrc;
    }

    /// <summary>A submission or a mark.</summary>
    public LogEntryKind Kind { get; }

    /// <summary>When it was submitted: its number, from 1.</summary>
    public ulong Sequence { get; }

    /// <summary>When it came back; 0 where that is not in the log.</summary>
    public ulong CompletedSequence { get; internal set; }

    /// <summary>With what it came back.</summary>
    public IoStatus Status { get; internal set; }

    /// <summary>What was asked.</summary>
    public IoOperation Operation { get; }

    /// <summary>How.</summary>
    public IoFlags Flags { get; }

    /// <summary>The queue on which it came, from 1 since the start of the device.</summary>
    public uint Queue { get; }

    /// <summary>First block.</summary>
    public ulong Lba { get; }

    /// <summary>Length in blocks.</summary>
    public uint BlockCount { get; }

    /// <summary>Pattern of a fill, source LBA of a copy.</summary>
    public ulong Auxiliary { get; }

    /// <summary>Bytes of its payload: the data of a write or compare-and-write.</summary>
    public int PayloadBytes { get; }

    /// <summary>The name of a mark.</summary>
    public string Name { get; internal set; } = "";

    internal ulong Position { get; }

    internal uint PayloadOffset { get; }

    internal uint PayloadCrc { get; }

    /// <summary>
    /// Whether the operation came back and failed. What it did to the device is then unknown, but for a miscompare, which did nothing.
    /// </summary>
    public bool HasFailed => CompletedSequence != 0 && Status != IoStatus.Success;

    /// <inheritdoc/>
    public override string ToString() =>
        Kind == LogEntryKind.Mark ? $"#{Sequence} mark {Name}" : $"#{Sequence} {Operation} of {BlockCount} blocks at LBA {Lba}";
}
