namespace Comanche.App.Bench;

/// <summary>Finds out whether a volume holds data, before a bench writes over it.</summary>
internal static unsafe class DataGuard
{
    // The first and the last MiB hold labels, partition tables and superblocks; 64 samples between find what has none.
    private const ulong EdgeBytes = 1 << 20;
    private const int Samples = 64;

    /// <summary>Says what there is, or null where everything looked at is zero.</summary>
    public static string? FindData(IBlockDevice device, IHost host, string name)
    {
        using var io = new SyncIo(device, host, name);
        var volume = io.Volume;
        if (!volume.Has(VolumeCapabilities.Persistent)) return null;
        var edge = Math.Min(volume.BlockCount, EdgeBytes / volume.BlockSize);
        if (HasData(io, 0, edge)) return "there is data in its first MiB";
        if (HasData(io, volume.BlockCount - edge, edge)) return "there is data in its last MiB";
        var piece = Math.Min(volume.BlockCount, Math.Max(1, 4096 / volume.BlockSize));
        for (var i = 1; i <= Samples; i++)
        {
            var lba = (ulong)((UInt128)(volume.BlockCount - piece) * (uint)i / (Samples + 1));
            if (HasData(io, lba, piece)) return $"there is data at LBA {lba}";
        }

        return null;
    }

    private static bool HasData(SyncIo io, ulong lba, ulong blocks)
    {
        var bytes = new byte[blocks * io.Volume.BlockSize];
        io.Read(lba, bytes);
        return bytes.AsSpan().ContainsAnyExcept((byte)0);
    }
}
