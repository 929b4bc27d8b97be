using System.Runtime.CompilerServices;
using System.Text;

namespace Comanche.Block;

/// <summary>
/// The log that the queues of a <c>block/log-writes</c> write together: who gets which place and which number, and how it fares.
/// </summary>
/// <remarks>
/// <para>Places and numbers are handed out by atomic additions; nothing locks. A number says when something happened: a submission's is taken when it is accepted, a
/// completion's when <c>Poll</c> returns it, so whoever saw a completion submits with a greater number. Places only tell where an entry lies.</para>
/// <para>Invariant: used = blocks of all entries + one block for each operation whose completion has no place yet; used ≤ capacity. So a completion
/// always finds a place, and a full log refuses operations before they are done, never afterwards.</para>
/// </remarks>
internal sealed unsafe class WriteLog
{
    private readonly IBlockDevice _device;
    private readonly IHost _host;
    private readonly string _name;
    private readonly Action<LogState, IoStatus> _failed;
    private readonly Lock _set = new(); // Marks and super blocks: set-up only.
    private LogSuperBlock _super;
    private long _capacity;
    private long _used;
    private long _tail;
    private long _sequence;
    private int _failure; // The status that ends logging, or 0.
    private int _state = (int)LogState.Closed;

    public WriteLog(IBlockDevice device, IHost host, string name, Action<LogState, IoStatus> failed)
    {
        _device = device;
        _host = host;
        _name = name;
        _failed = failed;
    }

    public Guid LogId => _super.LogId;

    public uint BlockSize => _super.LogBlockSize;

    /// <summary>The status with which operations are refused, since the log can't take them; success where it can.</summary>
    public IoStatus Failure => (IoStatus)Volatile.Read(ref _failure);

    public WriteLogInfo Info => new()
    {
        State = (LogState)Volatile.Read(ref _state),
        UsedBytes = (ulong)Math.Min(Interlocked.Read(ref _used), _capacity) * BlockSize,
        CapacityBytes = (ulong)_capacity * BlockSize,
        LastSequence = (ulong)Interlocked.Read(ref _sequence),
    };

    /// <summary>Opens the log that is on the device, or makes one where the device is blank and that was asked for.</summary>
    public void Open(in VolumeInfo data, bool create)
    {
        using var io = new SyncIo(_device, _host, _name);
        if (LogFormat.ReadSuper(io, _name) is { } found) Resume(io, found, data);
        else if (create) Format(io, data);
        else throw new ComancheException($"{_name}: the device is blank; say create: true to make a write log on it");
        _capacity = (long)(io.Volume.BlockCount - _super.FirstEntry);
        WriteSuper(io, LogState.Open);
    }

    /// <summary>Writes down that the log ended in order. All queues are closed.</summary>
    public void Close()
    {
        using var io = new SyncIo(_device, _host, _name);
        WriteSuper(io, (LogState)_state);
    }

    /// <summary>Reserves the blocks of an entry and one for its completion; false where the log is or becomes full.</summary>
    public bool TryReserve(uint blocks)
    {
        if (Interlocked.Add(ref _used, blocks + 1) <= _capacity) return true;
        Interlocked.Add(ref _used, -(blocks + 1L));
        Fail(LogState.Full, IoStatus.NoSpace);
        return false;
    }

    /// <summary>The place of an entry whose blocks are reserved.</summary>
    public ulong TakePlace(uint blocks) => _super.FirstEntry + (ulong)(Interlocked.Add(ref _tail, blocks) - blocks);

    /// <summary>The place of one entry for so many completions; the blocks that were reserved for the others are free again.</summary>
    public ulong TakePlaceOfCompletions(int completions)
    {
        Interlocked.Add(ref _used, 1 - completions);
        return TakePlace(1);
    }

    /// <summary>The next number.</summary>
    public ulong NextSequence() => (ulong)Interlocked.Increment(ref _sequence);

    /// <summary>A write to the log failed: events are missing from now on, so nothing more is logged, and nothing that must be is done.</summary>
    public void FailedWrite(IoStatus status) => Fail(LogState.Incomplete, status);

    /// <summary>Logs a named mark and waits for it.</summary>
    public ulong Mark(string name)
    {
        var bytes = Encoding.UTF8.GetBytes(name);
        if (bytes.Length is 0 or > LogFormat.MaxMarkBytes) throw new ComancheException($"{_name}: a mark's name has 1 to {LogFormat.MaxMarkBytes} bytes, not {bytes.Length}");
        lock (_set)
        {
            if (Failure != IoStatus.Success || !TryReserve(0)) throw new ComancheException($"{_name}: the log takes no mark: {Failure}", Failure);
            var block = new byte[BlockSize];
            bytes.CopyTo(block, LogEntryHeader.Size);
            var sequence = NextSequence();
            var place = TakePlace(1);
            fixed (byte* start = block)
            {
                *(LogEntryHeader*)start = new LogEntryHeader
                {
                    LogId = LogId, Position = place, Sequence = sequence, Kind = LogEntryKind.Mark,
                    PayloadOffset = LogEntryHeader.Size, PayloadBytes = (uint)bytes.Length, PayloadCrc = Crc32C.Compute(bytes),
                };
                LogFormat.Seal((LogEntryHeader*)start);
            }

            try
            {
                using var io = new SyncIo(_device, _host, _name);
                io.Write(place, block, IoFlags.ForceUnitAccess);
            }
            catch (ComancheException failed)
            {
                FailedWrite(failed.Status == IoStatus.Success ? IoStatus.DeviceFailed : failed.Status);
                throw;
            }

            return sequence;
        }
    }

    private void Format(SyncIo io, in VolumeInfo data)
    {
        Guid id;
        _host.FillRandom(&id, (nuint)sizeof(Guid));
        _super = new LogSuperBlock
        {
            LogId = id,
            LogBlockSize = io.Volume.BlockSize,
            DataBlockSize = data.BlockSize,
            DataBlockCount = data.BlockCount,
            FirstEntry = LogFormat.FirstEntry(io.Volume.BlockSize),
            LogBlockCount = io.Volume.BlockCount,
            DataCapabilities = data.Capabilities,
        };
        _used = _tail = _sequence = 0;
    }

    private void Resume(SyncIo io, in LogSuperBlock found, in VolumeInfo data)
    {
        if (found.DataBlockSize != data.BlockSize || found.DataBlockCount != data.BlockCount)
            throw new ComancheException(
                $"{_name}: offset 44: the write log belongs to a device of {found.DataBlockCount} blocks of {found.DataBlockSize} bytes; this one has {data.BlockCount} of {data.BlockSize}");
        if (found.State == LogState.Incomplete)
            throw new ComancheException($"{_name}: offset 64: events are missing from the write log, since a write to it failed; take a new log device");
        if (found.State == LogState.Full)
            throw new ComancheException($"{_name}: offset 64: the write log is full, so nothing could be changed; take a new log device");
        if (found.State == LogState.Open)
        {
            // Its writer was killed between doing something and recording it, maybe: what would be added could not make the log whole again.
            throw new ComancheException($"{_name}: offset 64: the write log was not closed, so its last entries may be missing; it can be read and replayed, but not continued: take a new log device");
        }

        _super = found;
        _used = _tail = (long)(_super.End - _super.FirstEntry);
        _sequence = (long)_super.LastSequence;
    }

    private void WriteSuper(SyncIo io, LogState state)
    {
        _super.State = state;
        _super.Generation++;
        _super.End = _super.FirstEntry + (ulong)_tail;
        _super.LastSequence = (ulong)_sequence;
        LogFormat.Seal(ref _super);
        var superBytes = LogFormat.SuperBytes(BlockSize);
        var copy = new byte[superBytes];
        Unsafe.WriteUnaligned(ref copy[0], _super);
        io.Flush(); // The entries first: a super block that ends the log speaks of them.
        io.Write(_super.Generation % 2 * (superBytes / BlockSize), copy, IoFlags.ForceUnitAccess);
        io.Flush();
    }

    private void Fail(LogState state, IoStatus status)
    {
        if (Interlocked.CompareExchange(ref _failure, (int)status, 0) == 0)
        {
            Volatile.Write(ref _state, (int)state);
            _failed(state, status);
        }
        else if (state == LogState.Incomplete)
        {
            Volatile.Write(ref _state, (int)state);
        }
    }
}
