namespace Comanche.Partition;

/// <summary>Writes tables in the order that <see cref="GptDisk"/> relies on. Every call is durable when it returns.</summary>
internal static class GptWriter
{
    // What every tool makes, and the least that the specification allows: 16 KiB of entries.
    private const uint NewEntryCount = 128;
    private const uint NewEntrySize = 128;

    /// <summary>The fewest blocks of a device with a table: MBR, two headers, two arrays, and one block to use.</summary>
    public static ulong MinimumBlocks(uint blockSize) => 4 + 2 * GptCopy.BlocksOf(NewEntryCount * NewEntrySize, blockSize);

    /// <summary>A table without entries for a device.</summary>
    public static GptTable NewTable(in VolumeInfo volume, Guid diskGuid)
    {
        var blocks = GptCopy.BlocksOf(NewEntryCount * NewEntrySize, volume.BlockSize);
        var header = GptHeader.Create();
        header.DiskGuid = diskGuid;
        header.FirstUsableLba = 2 + blocks;
        header.LastUsableLba = volume.BlockCount - blocks - 2;
        header.EntryCount = NewEntryCount;
        header.EntrySize = NewEntrySize;
        return new GptTable(header, new byte[NewEntryCount * NewEntrySize]);
    }

    /// <summary>Puts a new table on an empty device.</summary>
    public static void Create(SyncIo io, GptTable table)
    {
        var last = io.Volume.BlockCount - 1;
        var arrayLba = last - GptCopy.BlocksOf(table.Header.ArrayBytes, io.Volume.BlockSize);
        WriteHeader(io, table, last, 1, arrayLba);
        io.Flush();
        WriteArray(io, table, arrayLba);
        io.Flush();
        WriteMbr(io);
        WriteCopy(io, table, 1, last, 2);
    }

    /// <summary>Writes what is lost of a table, from what is left: the copy that does not count, and the protective MBR where block 0 is zero.</summary>
    public static void Restore(SyncIo io, GptDisk disk, string name)
    {
        if (disk.IsMbrLost) WriteMbr(io);
        if (disk.Table!.Header.MyLba == 1) WriteBackup(io, disk, disk.Table, name);
        else WritePrimary(io, disk, disk.Table);
    }

    private static void WriteMbr(SyncIo io)
    {
        var block = new byte[io.Volume.BlockSize];
        ProtectiveMbr.Write(block, io.Volume.BlockCount);
        io.Write(0, block);
    }

    /// <summary>Writes the backup and then the primary.</summary>
    public static void Update(SyncIo io, GptDisk disk, GptTable table, string name)
    {
        WriteBackup(io, disk, table, name);
        WritePrimary(io, disk, table);
    }

    private static void WritePrimary(SyncIo io, GptDisk disk, GptTable table) => WriteCopy(io, table, 1, disk.BackupLba, disk.PrimaryArrayLba);

    private static void WriteBackup(SyncIo io, GptDisk disk, GptTable table, string name)
    {
        if (disk.BackupArrayLba <= table.Header.LastUsableLba)
            throw new ComancheException($"{name}: there is no room for the backup's entry array at LBA {disk.BackupArrayLba}, "
                + $"since the usable range ends at LBA {table.Header.LastUsableLba}");
        WriteCopy(io, table, disk.BackupLba, 1, disk.BackupArrayLba);
    }

    /// <summary>Moves the backup to the end of a device that has grown, and gives the new blocks to the usable range; false where it has not grown enough.</summary>
    public static bool MoveBackup(SyncIo io, GptDisk disk)
    {
        var table = disk.Table!.Clone();
        var (last, blocks) = (io.Volume.BlockCount - 1, GptCopy.BlocksOf(table.Header.ArrayBytes, io.Volume.BlockSize));

        // Grown by less than the array is long: the new array must not lie on the old copy, which counts until the primary is written.
        var arrayLba = last - blocks;
        if (arrayLba <= disk.BackupLba) return false;
        table.Header.LastUsableLba = arrayLba - 1;
        WriteCopy(io, table, last, 1, arrayLba);
        WriteCopy(io, table, 1, last, disk.PrimaryArrayLba);

        var block = new byte[io.Volume.BlockSize];
        io.Read(0, block);
        if (ProtectiveMbr.Inspect(block) == MbrState.Protective)
        {
            ProtectiveMbr.SetLength(block, io.Volume.BlockCount);
            io.Write(0, block);
        }

        block.AsSpan().Clear();
        io.Write(disk.BackupLba, block);
        io.Flush();
        return true;
    }

    private static void WriteCopy(SyncIo io, GptTable table, ulong lba, ulong otherLba, ulong arrayLba)
    {
        WriteArray(io, table, arrayLba);
        io.Flush();
        WriteHeader(io, table, lba, otherLba, arrayLba);
        io.Flush();
    }

    private static void WriteArray(SyncIo io, GptTable table, ulong lba)
    {
        var bytes = new byte[GptCopy.BlocksOf(table.Header.ArrayBytes, io.Volume.BlockSize) * io.Volume.BlockSize];
        table.Array.CopyTo(bytes);
        io.Write(lba, bytes);
    }

    private static void WriteHeader(SyncIo io, GptTable table, ulong lba, ulong otherLba, ulong arrayLba)
    {
        var header = table.Header.Clone();
        header.MyLba = lba;
        header.AlternateLba = otherLba;
        header.ArrayLba = arrayLba;
        header.ArrayCrc = table.ComputeArrayCrc();
        var block = new byte[io.Volume.BlockSize];
        header.Write(block);
        io.Write(lba, block);
    }
}
