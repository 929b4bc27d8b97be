using System.IO.Hashing;

namespace Comanche.Partition;

/// <summary>What is wrong with one of the two copies of a table.</summary>
internal enum GptFault
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>There is no signature: no copy, or one that was overwritten.</summary>
    NoSignature,

    /// <summary>The device could not read the header or the array.</summary>
    Unreadable,

    /// <summary>The header is damaged: its size, CRC or place does not hold.</summary>
    Header,

    /// <summary>The header holds, the entry array's CRC does not.</summary>
    Array,

    /// <summary>The CRCs hold, and what they protect breaks the rules or is beyond what this version reads: somebody wrote it so.</summary>
    Forbidden,
}

/// <summary>One copy of a table as it was found: the primary at LBA 1 or the backup at the end.</summary>
internal sealed class GptCopy
{
    // 4 MiB of entries are 32,768 partitions of the usual 128 bytes; 128 entries are what everybody makes.
    private const ulong MaxArrayBytes = 4 << 20;
    private const uint MaxEntrySize = 4096;

    private GptCopy(ulong lba, byte[] block, GptFault fault, string problem)
    {
        Lba = lba;
        Block = block;
        Fault = fault;
        Problem = problem;
    }

    /// <summary>Where it was looked for.</summary>
    public ulong Lba { get; }

    /// <summary>The header's block as it was read.</summary>
    public byte[] Block { get; }

    /// <summary>What is wrong.</summary>
    public GptFault Fault { get; }

    /// <summary>The same in words, with what was expected; empty where nothing is wrong.</summary>
    public string Problem { get; }

    /// <summary>The header, where it can be relied on: with <see cref="GptFault.None"/> and <see cref="GptFault.Array"/>.</summary>
    public GptHeader? Header { get; private init; }

    /// <summary>The table with the array as it was read, where <see cref="Header"/> is.</summary>
    public GptTable? Table { get; private init; }

    /// <summary>Whether it can be used.</summary>
    public bool IsGood => Fault == GptFault.None;

    /// <summary>Reads and checks a copy.</summary>
    /// <param name="io">The device.</param>
    /// <param name="lba">1 for the primary, otherwise the backup's place.</param>
    public static GptCopy Read(SyncIo io, ulong lba)
    {
        var block = new byte[io.Volume.BlockSize];
        try
        {
            io.Read(lba, block);
            return Judge(io, lba, block);
        }
        catch (ComancheException e) when (e.Status != IoStatus.Success)
        {
            return new(lba, block, GptFault.Unreadable, e.Message); // A bad sector takes one copy, not the disk.
        }
    }

    private static GptCopy Judge(SyncIo io, ulong lba, byte[] block)
    {
        if (!GptHeader.HasSignature(block)) return new(lba, block, GptFault.NoSignature, "no signature 'EFI PART'");
        if (GptHeader.Read(block, out var problem) is not { } header) return new(lba, block, GptFault.Header, problem);
        if (header.MyLba != lba) return new(lba, block, GptFault.Header, $"the header says that it lies at LBA {header.MyLba}, expected {lba}");
        if (HeaderViolation(header, io.Volume) is { } violation) return new(lba, block, GptFault.Forbidden, violation);

        var array = ReadArray(io, header);
        var table = new GptTable(header, array);
        var crc = Crc32.HashToUInt32(array);
        if (crc != header.ArrayCrc)
            return new(lba, block, GptFault.Array, $"CRC of the entry array at LBA {header.ArrayLba} is 0x{crc:x8}, expected 0x{header.ArrayCrc:x8}")
            {
                Header = header, Table = table,
            };
        if (table.Violation() is { } wrong) return new(lba, block, GptFault.Forbidden, wrong);
        return new(lba, block, GptFault.None, "") { Header = header, Table = table };
    }

    /// <summary>The blocks that an array of so many bytes takes.</summary>
    public static ulong BlocksOf(ulong bytes, uint blockSize) => (bytes + blockSize - 1) / blockSize;

    private static byte[] ReadArray(SyncIo io, GptHeader header)
    {
        var bytes = new byte[BlocksOf(header.ArrayBytes, io.Volume.BlockSize) * io.Volume.BlockSize];
        io.Read(header.ArrayLba, bytes);
        return (ulong)bytes.Length == header.ArrayBytes ? bytes : bytes[..(int)header.ArrayBytes];
    }

    // Every rule is checked before the number that it bounds is used; all sums are of numbers that are bounded by then.
    private static string? HeaderViolation(GptHeader header, in VolumeInfo volume)
    {
        if (header.RevisionNumber != GptHeader.Revision) return $"revision 0x{header.RevisionNumber:x8}, expected 0x{GptHeader.Revision:x8} (1.0)";
        if (header.EntrySize is < 128 or > MaxEntrySize || header.EntrySize % 128 != 0)
            return $"entries of {header.EntrySize} bytes, expected a multiple of 128 up to {MaxEntrySize}";
        if (header.EntryCount == 0 || header.ArrayBytes > MaxArrayBytes)
            return $"{header.EntryCount} entries of {header.EntrySize} bytes, expected at least one and at most {MaxArrayBytes} bytes of them";
        if (header.FirstUsableLba > header.LastUsableLba)
            return $"the usable range starts at LBA {header.FirstUsableLba} and ends before it, at LBA {header.LastUsableLba}";
        if (header.LastUsableLba >= volume.BlockCount - 1)
            return $"the usable range ends at LBA {header.LastUsableLba}, expected less than {volume.BlockCount - 1}, the device's last block: "
                + "the device is smaller than the one that the table was made for";
        return header.MyLba == 1 ? PrimaryViolation(header, volume) : BackupViolation(header, volume);
    }

    private static string? PrimaryViolation(GptHeader header, in VolumeInfo volume)
    {
        if (header.AlternateLba >= volume.BlockCount || header.AlternateLba <= header.LastUsableLba)
            return $"the backup is said to lie at LBA {header.AlternateLba}, expected after the usable range, LBA {header.LastUsableLba + 1} to "
                + $"{volume.BlockCount - 1}: the device is smaller than the one that the table was made for, or the table is wrong";
        var blocks = BlocksOf(header.ArrayBytes, volume.BlockSize);
        if (header.FirstUsableLba < 2 + blocks || header.ArrayLba < 2 || header.ArrayLba > header.FirstUsableLba - blocks)
            return $"the entry array of {blocks} blocks is said to lie at LBA {header.ArrayLba}, expected between LBA 2 and "
                + $"the usable range, which starts at LBA {header.FirstUsableLba}";
        return null;
    }

    private static string? BackupViolation(GptHeader header, in VolumeInfo volume)
    {
        if (header.AlternateLba != 1) return $"the primary is said to lie at LBA {header.AlternateLba}, expected 1";
        var blocks = BlocksOf(header.ArrayBytes, volume.BlockSize);
        if (header.MyLba <= header.LastUsableLba || header.ArrayLba <= header.LastUsableLba || header.ArrayLba > header.MyLba
            || blocks > header.MyLba - header.ArrayLba)
            return $"the entry array of {blocks} blocks is said to lie at LBA {header.ArrayLba}, expected between the usable range, which ends at LBA "
                + $"{header.LastUsableLba}, and LBA {header.MyLba}";
        if (header.FirstUsableLba < 2 + blocks)
            return $"the usable range starts at LBA {header.FirstUsableLba}, expected at least {2 + blocks}, behind the primary";
        return null;
    }
}
