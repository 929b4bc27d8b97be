using System.Runtime.InteropServices.Marshalling;

namespace Comanche.Block;

/// <summary>How much a queue of <c>block/log-writes</c> sets aside.</summary>
/// <param name="Children">Child descriptors.</param>
/// <param name="Records">Completion records that can be filled or on their way.</param>
/// <param name="LogDepth">Depth of its queue on the log device.</param>
/// <param name="Unit">Bytes that buffers are a multiple of and aligned to.</param>
/// <param name="StagingBytes">Bytes for entries of submissions.</param>
internal readonly record struct LogQueueShape(int Children, int Records, int LogDepth, uint Unit, ulong StagingBytes);

/// <summary>
/// A queue of <c>block/log-writes</c>. A change has two children: itself, on the device, and its entry, on the log. A flush has a third, the flush of the
/// log. Anything else has one.
/// </summary>
/// <remarks>
/// <para>An entry's header and payload are put together in a staging buffer: the one copy. Completions are gathered while parents are returned, and one record of
/// them is written for each <c>Poll</c> that returned any; that write serves no parent and nobody waits for it but the close.</para>
/// <para>A parent is accepted when there is room for its entry in the staging ring, a record for its completion (<see cref="_recordCredits"/>), and space for both in the log.
/// Its <see cref="IoDescriptor.Scratch"/> is 0 where it is not logged, otherwise a kind in the upper half and an index or a status in the lower.</para>
/// </remarks>
[GeneratedComClass]
internal sealed unsafe partial class LogWritesQueue : ChildQueue
{
    private const ulong Logged = 1UL << 32;
    private const ulong Refused = 2UL << 32;
    private const int Data = 0;
    private const int Log = 1;

    private readonly LogWritesDevice _device;
    private readonly WriteLog _log;
    private readonly LogQueueShape _shape;
    private readonly uint _number;
    private readonly uint _dataBlockSize;
    private readonly uint _logBlockSize;
    private readonly ulong* _copied;
    private readonly IoBuffer _buffer;
    private readonly IoBufferInfo _memory;
    private readonly StagingRing _staging;
    private readonly int[] _freeRecords;
    private int _freeRecordCount;
    private int _recordCredits; // Records that are neither in use nor promised to a parent.
    private int _record = -1;   // The record that is being filled.
    private int _completions;   // How many are in it.

    public LogWritesQueue(
        LogWritesDevice device, IIoQueue data, IIoQueue log, uint depth, WriteLog writeLog, in LogQueueShape shape, uint number, ulong* copied)
        : base(device, [data, log], depth, shape.Children, watchesChildren: true)
    {
        _device = device;
        _log = writeLog;
        _shape = shape;
        _number = number;
        _copied = copied;
        VolumeInfo volume;
        device.GetVolumeInfo(&volume);
        _dataBlockSize = volume.BlockSize;
        _logBlockSize = writeLog.BlockSize;
        _buffer = device.AllocateIoBuffer((nuint)(shape.StagingBytes + (ulong)shape.Records * shape.Unit), Math.Max(shape.Unit, 4096), -1);
        IoBufferInfo memory;
        device.GetBufferInfo(_buffer, &memory);
        _memory = memory;
        _staging = new StagingRing((byte*)memory.Address, shape.StagingBytes, (int)depth);
        _freeRecords = new int[shape.Records];
        for (var i = 0; i < shape.Records; i++) _freeRecords[_freeRecordCount++] = i;
        _recordCredits = shape.Records;
    }

    /// <summary>What a queue of this depth needs.</summary>
    public static LogQueueShape ShapeFor(uint depth, in VolumeInfo volume, in VolumeInfo log, ulong buffer)
    {
        var unit = Math.Max(log.BlockSize, log.BufferAlignment);
        var records = (int)(depth + Math.Min(depth, 64));
        var largest = RoundUp((ulong)log.BlockSize + (ulong)volume.MaxTransferBlocks * volume.BlockSize, unit);
        return new LogQueueShape(3 * (int)depth + records, records, 2 * (int)depth + records, unit, RoundUp(Math.Max(buffer, 2 * largest), unit));
    }

    /// <inheritdoc/>
    public override int Cancel(IoDescriptor* descriptor) =>
        descriptor->Operation.IsChange() || descriptor->Operation == IoOperation.Flush
            ? 0 // An entry that is cancelled would leave a hole in the log.
            : base.Cancel(descriptor);

    /// <summary>Entries that were promised are written even so: a hole would end the log for every queue.</summary>
    protected override bool OutlivesAbandon(int queue) => queue == Log;

    /// <inheritdoc/>
    protected override int CountChildren(IoDescriptor* parent)
    {
        parent->Scratch = 0;
        var isFlush = parent->Operation == IoOperation.Flush;
        if (!isFlush && !parent->Operation.IsChange()) return 1;
        var children = isFlush ? 3 : 2;
        if (_recordCredits == 0 || FreeChildren < children || !_staging.Fits(StagingBytes(parent))) return NotNow;
        if (_log.Failure == IoStatus.Success && _log.TryReserve(EntryBlocks(parent)))
        {
            _recordCredits--;
            return children;
        }

        parent->Scratch = Refused | (ulong)_log.Failure;
        return 0;
    }

    /// <inheritdoc/>
    protected override void MakeChildren(IoDescriptor* parent, int children)
    {
        if (children != 1) LogSubmission(parent);
        var data = TakeChild(parent);
        data->Tag = Data;
        Send(data, Data);
        if (children != 3) return;
        var flush = TakeChild(parent);
        flush->Tag = Data; // It moves no entry: where it fails, its parent fails and the log is as whole as before.
        Send(flush, Log);
    }

    /// <inheritdoc/>
    protected override void ChildDone(IoDescriptor* child)
    {
        if (child->Tag == Log && child->Status != IoStatus.Success) _log.FailedWrite(child->Status);
    }

    /// <inheritdoc/>
    protected override IoStatus Finish(IoDescriptor* parent, IoStatus status)
    {
        if (parent->Scratch == 0) return status;
        if ((parent->Scratch & Refused) != 0) return (IoStatus)(uint)parent->Scratch;
        var index = (uint)parent->Scratch;
        if (_record < 0)
        {
            _record = _freeRecords[--_freeRecordCount];
            _completions = 0;
        }

        var completion = (LogCompletion*)(RecordAt(_record) + LogEntryHeader.Size) + _completions++;
        *completion = new LogCompletion { Sequence = _log.NextSequence(), Submission = _staging[index], Status = status };
        _staging.Return(index);
        if (_completions == LogFormat.CompletionsPerBlock(_logBlockSize)) SendRecord();
        return status;
    }

    /// <inheritdoc/>
    protected override void OnReturning()
    {
        if (_record >= 0) SendRecord();
    }

    /// <inheritdoc/>
    protected override void OwnDone(IoDescriptor* own)
    {
        if (own->Status != IoStatus.Success) _log.FailedWrite(own->Status);
        _freeRecords[_freeRecordCount++] = (int)own->Tag;
        _recordCredits++;
    }

    /// <inheritdoc/>
    protected override void OnClosing()
    {
        if (InFlight == 0 && _record >= 0) SendRecord();
        base.OnClosing();
    }

    /// <inheritdoc/>
    protected override void OnClose()
    {
        base.OnClose();
        _device.FreeIoBuffer(_buffer);
    }

    private static ulong RoundUp(ulong value, uint unit) => (value + unit - 1) / unit * unit;

    private byte* RecordAt(int record) => (byte*)_memory.Address + _shape.StagingBytes + (ulong)record * _shape.Unit;

    private uint PayloadBytes(IoDescriptor* parent) => parent->Operation.HasBuffer() ? parent->BlockCount * _dataBlockSize : 0;

    private uint EntryBlocks(IoDescriptor* parent) => 1 + (PayloadBytes(parent) + _logBlockSize - 1) / _logBlockSize;

    private ulong StagingBytes(IoDescriptor* parent) => RoundUp((ulong)EntryBlocks(parent) * _logBlockSize, _shape.Unit);

    private void LogSubmission(IoDescriptor* parent)
    {
        var blocks = EntryBlocks(parent);
        var payloadBytes = PayloadBytes(parent);
        var start = _staging.Take(StagingBytes(parent), out var index);
        var payload = start + _logBlockSize;
        CopyPayload(parent, payload, payloadBytes);
        new Span<byte>(payload + payloadBytes, (int)((blocks - 1) * _logBlockSize - payloadBytes)).Clear();
        new Span<byte>(start, (int)_logBlockSize).Clear();

        var sequence = _log.NextSequence();
        var header = (LogEntryHeader*)start;
        *header = new LogEntryHeader
        {
            LogId = _log.LogId, Position = _log.TakePlace(blocks), Sequence = sequence, Kind = LogEntryKind.Submission,
            Operation = parent->Operation, Flags = parent->Flags & ~IoFlags.Segments, Queue = _number, Lba = parent->Lba, BlockCount = parent->BlockCount,
            Auxiliary = parent->Operation is IoOperation.Fill or IoOperation.Copy ? parent->Auxiliary : 0,
            PayloadOffset = _logBlockSize, PayloadBytes = payloadBytes, PayloadCrc = Crc32C.Compute(new ReadOnlySpan<byte>(payload, (int)payloadBytes)),
        };
        LogFormat.Seal(header);
        _staging[index] = sequence;
        parent->Scratch = Logged | index;

        var entry = TakeChild(parent);
        PointAt(entry, start, header->Position, blocks);
        entry->Flags = parent->Flags & IoFlags.ForceUnitAccess;
        entry->Tag = Log;
        Send(entry, Log);
    }

    private void CopyPayload(IoDescriptor* parent, byte* to, uint bytes)
    {
        if (bytes == 0) return;
        *_copied += bytes;
        if ((parent->Flags & IoFlags.Segments) == 0)
        {
            Buffer.MemoryCopy(parent->Buffer, to, bytes, bytes);
            return;
        }

        for (var i = 0; i < parent->SegmentCount; i++)
        {
            var segment = parent->Segments[i];
            Buffer.MemoryCopy(segment.Address, to, segment.Length, segment.Length);
            to += segment.Length;
        }
    }

    // Writes the record of completions that has been filled. It takes one of the blocks and of the credits that its completions were promised.
    private void SendRecord()
    {
        var record = _record;
        _record = -1;
        _recordCredits += _completions - 1;
        var start = RecordAt(record);
        var payload = start + LogEntryHeader.Size;
        var bytes = _completions * LogCompletion.Size;
        new Span<byte>(payload + bytes, (int)_logBlockSize - LogEntryHeader.Size - bytes).Clear();
        var header = (LogEntryHeader*)start;
        *header = new LogEntryHeader
        {
            LogId = _log.LogId, Position = _log.TakePlaceOfCompletions(_completions), Sequence = ((LogCompletion*)payload)->Sequence,
            Kind = LogEntryKind.Completions, Queue = _number, PayloadOffset = LogEntryHeader.Size, PayloadBytes = (uint)bytes,
            PayloadCrc = Crc32C.Compute(new ReadOnlySpan<byte>(payload, bytes)),
        };
        LogFormat.Seal(header);
        var own = TakeOwn();
        own->Operation = IoOperation.Write;
        PointAt(own, start, header->Position, 1);
        own->Tag = (ulong)record;
        Send(own, Log);
    }

    private void PointAt(IoDescriptor* write, byte* start, ulong lba, uint blocks)
    {
        write->Operation = IoOperation.Write;
        write->SegmentCount = 0;
        write->Lba = lba;
        write->BlockCount = blocks;
        write->Buffer = start;
        write->Region = _memory.Region;
        write->Auxiliary = 0;
    }
}
