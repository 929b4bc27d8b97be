using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;

namespace Comanche.Block;

/// <summary>
/// Reads a write log: its operations and marks in order of submission, their completions, their payloads. Everything is checked; damage throws
/// <see cref="ComancheException"/>, naming the device, the offset and what was expected.
/// </summary>
/// <remarks>
/// A log that was stopped in order has to be whole: every place an entry, every number an event. One whose writer was killed is searched to the end of its device for the entries that
/// made it; an operation whose entry did not make it was never acknowledged, and a completion that is missing (<see cref="MissingEvents"/>) only means that nothing is
/// known of it. One thread at a time; it may be read while it is written, and is then as it was when the reader was made.
/// </remarks>
public sealed unsafe class LogReader : IDisposable
{
    private readonly SyncIo _io;
    private readonly string _name;
    private readonly LogSuperBlock _super;
    private readonly List<LogEntry> _entries = [];
    private readonly byte[] _window;
    private ulong _windowAt = ulong.MaxValue; // The block at which the window begins.
    private int _windowBlocks;

    /// <summary>Opens a log and reads all but its payloads.</summary>
    /// <param name="log">The started device that it is on.</param>
    /// <param name="host">Whoever asks; the reader waits by this host.</param>
    /// <param name="name">What to call the device in messages.</param>
    public LogReader(IBlockDevice log, IHost host, string name)
    {
        _name = name;
        _io = new SyncIo(log, host, name);
        try
        {
            _window = new byte[Math.Max(128 * 1024, 2 * BlockSize)];
            _super = LogFormat.ReadSuper(_io, name) ?? throw new ComancheException($"{name}: the device is blank; no write log is on it");
            Scan();
        }
        catch
        {
            _io.Dispose();
            throw;
        }
    }

    /// <summary>How the log stands.</summary>
    public LogState State => _super.State;

    /// <summary>Bytes of a block of the device that was logged.</summary>
    public uint DataBlockSize => _super.DataBlockSize;

    /// <summary>The length in blocks of the device that was logged.</summary>
    public ulong DataBlockCount => _super.DataBlockCount;

    /// <summary>What the device that was logged could do.</summary>
    public VolumeCapabilities DataCapabilities => _super.DataCapabilities;

    /// <summary>Operations and marks, in order of submission.</summary>
    public IReadOnlyList<LogEntry> Entries => _entries;

    /// <summary>The number of the last event that is known of.</summary>
    public ulong LastSequence { get; private set; }

    /// <summary>How many events before the last one are not in the log: 0 but where the writer was killed or the log device failed.</summary>
    public ulong MissingEvents { get; private set; }

    /// <summary>The block behind the last entry.</summary>
    internal ulong End { get; private set; }

    private uint BlockSize => _io.Volume.BlockSize;

    /// <summary>The mark with this name, or null.</summary>
    public LogEntry? FindMark(string name) => _entries.Find(e => e.Kind == LogEntryKind.Mark && e.Name == name);

    /// <summary>Reads the payload of an entry and checks it.</summary>
    /// <param name="entry">An entry of this log.</param>
    /// <param name="into">At least <see cref="LogEntry.PayloadBytes"/> long.</param>
    public void ReadPayload(LogEntry entry, Span<byte> into)
    {
        if (entry.PayloadBytes == 0) return;
        var whole = new byte[((ulong)entry.PayloadOffset + (uint)entry.PayloadBytes + BlockSize - 1) / BlockSize * BlockSize];
        _io.Read(entry.Position, whole);
        var payload = whole.AsSpan((int)entry.PayloadOffset, entry.PayloadBytes);
        CheckPayload(payload, entry.PayloadCrc, entry.Position, entry.PayloadOffset);
        payload.CopyTo(into);
    }

    /// <inheritdoc/>
    public void Dispose() => _io.Dispose();

    private void Scan()
    {
        var ended = _super.State is LogState.Closed or LogState.Full;
        var limit = ended ? _super.End : _io.Volume.BlockCount;
        var bySequence = new Dictionary<ulong, LogEntry>();
        var completions = new List<LogCompletion>();
        ulong events = 0;
        End = _super.FirstEntry;
        for (var at = _super.FirstEntry; at < limit;)
        {
            var block = Block(at, limit);
            var header = MemoryMarshal.Read<LogEntryHeader>(block);
            if (!LogFormat.IsValid(header, _super.LogId, at, BlockSize) || LogFormat.EntryBlocks(header, BlockSize) > limit - at)
            {
                if (ended) throw Damaged(at, header);
                at++;
                continue;
            }

            if (!ended && header.Kind != LogEntryKind.Submission && !IsWhole(header, block))
            {
                at++;
                continue;
            }

            if (header.Kind == LogEntryKind.Completions)
            {
                events += ReadCompletions(header, block, completions);
            }
            else
            {
                if (header.Kind == LogEntryKind.Submission) CheckPayloadLength(header);
                var entry = new LogEntry(header);
                if (header.Kind == LogEntryKind.Mark) entry.Name = ReadName(header, block);
                if (!bySequence.TryAdd(entry.Sequence, entry)) throw new ComancheException($"{_name}: offset {at * BlockSize}: event {entry.Sequence} is there a second time");
                LastSequence = Math.Max(LastSequence, entry.Sequence);
                events++;
            }

            at += LogFormat.EntryBlocks(header, BlockSize);
            End = at;
        }

        _entries.AddRange(bySequence.Values.OrderBy(e => e.Sequence));
        foreach (var completion in completions)
        {
            LastSequence = Math.Max(LastSequence, completion.Sequence);
            if (!bySequence.TryGetValue(completion.Submission, out var entry)) continue;
            entry.CompletedSequence = completion.Sequence;
            entry.Status = completion.Status;
        }

        if (!ended) events -= DropTorn();
        if (ended && (events != LastSequence || events != _super.LastSequence))
            throw new ComancheException($"{_name}: offset 80: the log ends with event {_super.LastSequence}; {events} events up to {LastSequence} are in it");
        LastSequence = Math.Max(LastSequence, _super.LastSequence);
        MissingEvents = LastSequence - Math.Min(LastSequence, events);
    }

    // An entry that was being written when its writer was killed: the operation was not acknowledged.
    private ulong DropTorn()
    {
        var payload = Array.Empty<byte>();
        return (ulong)_entries.RemoveAll(entry =>
        {
            if (entry.CompletedSequence != 0 || entry.PayloadBytes == 0) return false;
            if (payload.Length < entry.PayloadBytes) payload = new byte[entry.PayloadBytes];
            try
            {
                ReadPayload(entry, payload);
                return false;
            }
            catch (ComancheException damage) when (damage.Status == IoStatus.DataCorrupt)
            {
                return true;
            }
        });
    }

    private bool IsWhole(in LogEntryHeader header, ReadOnlySpan<byte> block) =>
        (ulong)header.PayloadOffset + header.PayloadBytes <= BlockSize
        && Crc32C.Compute(block.Slice((int)header.PayloadOffset, (int)header.PayloadBytes)) == header.PayloadCrc;

    private ulong ReadCompletions(in LogEntryHeader header, ReadOnlySpan<byte> block, List<LogCompletion> into)
    {
        var payload = PayloadIn(header, block);
        if (payload.Length % LogCompletion.Size != 0)
            throw new ComancheException($"{_name}: offset {header.Position * BlockSize + 72}: {payload.Length} bytes of completions are not a multiple of {LogCompletion.Size}");
        foreach (var completion in MemoryMarshal.Cast<byte, LogCompletion>(payload)) into.Add(completion);
        return (ulong)(payload.Length / LogCompletion.Size);
    }

    private string ReadName(in LogEntryHeader header, ReadOnlySpan<byte> block) => Encoding.UTF8.GetString(PayloadIn(header, block));

    // The payload of an entry that is one block long.
    private ReadOnlySpan<byte> PayloadIn(in LogEntryHeader header, ReadOnlySpan<byte> block)
    {
        if ((ulong)header.PayloadOffset + header.PayloadBytes > BlockSize)
            throw new ComancheException($"{_name}: offset {header.Position * BlockSize + 72}: {header.PayloadBytes} bytes of {header.Kind} do not fit the entry's block");
        var payload = block.Slice((int)header.PayloadOffset, (int)header.PayloadBytes);
        CheckPayload(payload, header.PayloadCrc, header.Position, header.PayloadOffset);
        return payload;
    }

    // A good checksum says that somebody wrote it so, and not that it makes sense. What lies where is looked at when it is done again, since what failed may lie anywhere.
    private void CheckPayloadLength(in LogEntryHeader header)
    {
        var expected = header.Operation is IoOperation.Write or IoOperation.CompareAndWrite ? (ulong)header.BlockCount * _super.DataBlockSize : 0;
        if (header.PayloadBytes != expected || expected > LogFormat.MaxPayloadBytes)
            throw new ComancheException(
                $"{_name}: offset {header.Position * BlockSize + 72}: {header.PayloadBytes} bytes of payload for {header.Operation} of {header.BlockCount} blocks; "
                + $"{expected} were expected, and at most {LogFormat.MaxPayloadBytes}", IoStatus.DataCorrupt);
    }

    private void CheckPayload(ReadOnlySpan<byte> payload, uint expected, ulong position, uint offset)
    {
        var found = Crc32C.Compute(payload);
        if (found != expected)
            throw new ComancheException(
                $"{_name}: offset {position * BlockSize + offset}: the payload is damaged: its checksum is {found:x8}, {expected:x8} was expected", IoStatus.DataCorrupt);
    }

    private ReadOnlySpan<byte> Block(ulong at, ulong limit)
    {
        if (at < _windowAt || at >= _windowAt + (uint)_windowBlocks)
        {
            _windowBlocks = (int)Math.Min((ulong)_window.Length / BlockSize, limit - at);
            _windowAt = at;
            _io.Read(at, _window.AsSpan(0, _windowBlocks * (int)BlockSize));
        }

        return _window.AsSpan((int)(at - _windowAt) * (int)BlockSize, (int)BlockSize);
    }

    private ComancheException Damaged(ulong at, in LogEntryHeader header)
    {
        var found = header.Magic != LogEntryHeader.MagicValue ? $"magic {header.Magic:x8}"
            : header.LogId != _super.LogId ? $"an entry of another log, {header.LogId}"
            : header.Position != at ? $"the entry of block {header.Position}"
            : "a header whose checksum or fields are wrong";
        return new ComancheException(
            $"{_name}: offset {at * BlockSize}: an entry was expected (magic {LogEntryHeader.MagicValue:x8}, log {_super.LogId}, block {at}); found {found}", IoStatus.DataCorrupt);
    }
}
