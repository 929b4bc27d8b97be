using System.Diagnostics;

namespace Comanche.App.Bench;

/// <summary>Finds out whether there is data where a bench is going to write.</summary>
internal static unsafe class DataGuard
{
    // As long as people wait for a bench to begin. Some GiB of holes are read in this time, and some of data; what is longer can't be known to be empty.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(3);

    private const int PieceBytes = 1 << 20;

    /// <summary>Says what there is, or that it can't be known in time; null where all of the range reads as zeroes, or the volume does not outlive the process.</summary>
    /// <param name="device">The volume.</param>
    /// <param name="host">Whose it is.</param>
    /// <param name="name">Its name.</param>
    /// <param name="offset">First byte that will be written, a multiple of the block size.</param>
    /// <param name="length">How many bytes, likewise.</param>
    public static string? FindData(IBlockDevice device, IHost host, string name, ulong offset, ulong length)
    {
        using var io = new SyncIo(device, host, name);
        if (!io.Volume.Has(VolumeCapabilities.Persistent)) return null;
        var clock = Stopwatch.StartNew();
        var piece = new byte[PieceBytes];
        for (ulong done = 0; done < length;)
        {
            var part = piece.AsSpan(0, (int)Math.Min((ulong)PieceBytes, length - done));
            io.Read((offset + done) / io.Volume.BlockSize, part);
            var at = part.IndexOfAnyExcept((byte)0);
            if (at >= 0) return $"is not empty: there is data at byte {offset + done + (ulong)at}";
            done += (ulong)part.Length;
            if (done < length && clock.Elapsed > Patience)
                return $"may hold data: after {Patience.TotalSeconds:F0} s only {new ByteSize(done)} of the {new ByteSize(length)} that would be written are known to be empty";
        }

        return null;
    }
}
