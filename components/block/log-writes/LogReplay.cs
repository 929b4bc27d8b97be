using System.Runtime.InteropServices;

namespace Comanche.Block;

/// <summary>Does again what a write log holds.</summary>
public static class LogReplay
{
    /// <summary>
    /// Does every operation up to and including an event, in order of submission, on a device that holds what the logged one held when the log began (usually: nothing).
    /// Operations that failed are left out. What was submitted but had not completed by then is done.
    /// </summary>
    /// <param name="log">The log.</param>
    /// <param name="through">The number of the last event, like a mark's; <see cref="ulong.MaxValue"/> for all.</param>
    /// <param name="target">A started device with the same block size, at least as long.</param>
    /// <param name="host">Whoever asks; the replay waits by this host.</param>
    /// <param name="name">What to call the target in messages.</param>
    /// <returns>How many operations were done.</returns>
    public static int Apply(LogReader log, ulong through, IBlockDevice target, IHost host, string name)
    {
        using var io = new SyncIo(target, host, name);
        if (io.Volume.BlockSize != log.DataBlockSize || io.Volume.BlockCount < log.DataBlockCount)
            throw new ComancheException(
                $"{name}: a log of {log.DataBlockCount} blocks of {log.DataBlockSize} bytes can't be replayed on {io.Volume.BlockCount} blocks of {io.Volume.BlockSize}");
        var done = 0;
        foreach (var entry in log.Entries)
        {
            if (entry.Sequence > through) break;
            if (entry.Kind != LogEntryKind.Submission || entry.HasFailed) continue;
            Apply(log, entry, io);
            done++;
        }

        io.Flush();
        return done;
    }

    /// <summary>Does one operation of a log.</summary>
    /// <param name="log">The log.</param>
    /// <param name="entry">The operation.</param>
    /// <param name="target">The device.</param>
    public static void Apply(LogReader log, LogEntry entry, SyncIo target)
    {
        if (entry.Operation.HasRange() && !IsOn(log, entry.Lba, entry.BlockCount))
            throw new ComancheException($"{entry} does not lie on a device of {log.DataBlockCount} blocks");
        if (entry.Operation == IoOperation.Copy && !IsOn(log, entry.Auxiliary, entry.BlockCount))
            throw new ComancheException($"{entry}, from LBA {entry.Auxiliary}, does not lie on a device of {log.DataBlockCount} blocks");
        switch (entry.Operation)
        {
            case IoOperation.Write or IoOperation.CompareAndWrite:
                var payload = new byte[entry.PayloadBytes];
                log.ReadPayload(entry, payload);
                target.Write(entry.Lba, payload, entry.Flags & IoFlags.ForceUnitAccess);
                break;
            case IoOperation.WriteZeroes:
                Repeat(entry, target, 0);
                break;
            case IoOperation.Discard when (log.DataCapabilities & VolumeCapabilities.DiscardReadsZero) != 0:
                Repeat(entry, target, 0); // The same as on the device that was logged, whatever a discard does here.
                break;
            case IoOperation.Fill:
                Repeat(entry, target, entry.Auxiliary);
                break;
            case IoOperation.Copy:
                Copy(entry, target);
                break;
            case IoOperation.Flush:
                target.Flush();
                break;
        }
    }

    private static bool IsOn(LogReader log, ulong lba, uint blocks) => lba <= log.DataBlockCount && blocks <= log.DataBlockCount - lba;

    // A mebibyte at most: ranges can be much longer than memory.
    private static uint PieceBlocks(SyncIo target) => Math.Max(1, (1u << 20) / target.Volume.BlockSize);

    private static void Repeat(LogEntry entry, SyncIo target, ulong pattern)
    {
        var most = PieceBlocks(target);
        var piece = new byte[Math.Min(entry.BlockCount, most) * target.Volume.BlockSize];
        MemoryMarshal.Cast<byte, ulong>(piece.AsSpan()).Fill(pattern);
        for (ulong at = 0; at < entry.BlockCount; at += most)
            target.Write(entry.Lba + at, piece.AsSpan(0, (int)(Math.Min(most, entry.BlockCount - at) * target.Volume.BlockSize)));
    }

    private static void Copy(LogEntry entry, SyncIo target)
    {
        var most = PieceBlocks(target);
        var piece = new byte[Math.Min(entry.BlockCount, most) * target.Volume.BlockSize];
        for (ulong at = 0; at < entry.BlockCount; at += most)
        {
            var part = piece.AsSpan(0, (int)(Math.Min(most, entry.BlockCount - at) * target.Volume.BlockSize));
            target.Read(entry.Auxiliary + at, part);
            target.Write(entry.Lba + at, part);
        }
    }
}
