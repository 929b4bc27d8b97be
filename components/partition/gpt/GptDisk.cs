namespace Comanche.Partition;

/// <summary>What is to be made of what was found on a device.</summary>
internal enum GptCondition
{
    /// <summary>Nothing is there: a table may be made.</summary>
    Empty,

    /// <summary>Both copies are good and agree.</summary>
    Whole,

    /// <summary>
    /// The copies are as our own change leaves them when it is cut off: the one that is not as it should be holds nothing that the other lacks.
    /// </summary>
    Interrupted,

    /// <summary>One copy is lost, or the protective MBR is: the good copy is used and not changed, until a repair is asked for.</summary>
    Damaged,
}

/// <summary>
/// The table of a device, read and judged: which copy counts, what is wrong, whether it may be changed.
/// </summary>
/// <remarks>
/// <para><b>Which copy counts.</b> The primary where it is good. Else the backup, if block 0 holds a protective MBR or the whole head of the device is
/// zero (without either the backup may be a leftover under somebody's file system). A copy whose CRCs hold and that breaks the rules is an error,
/// never a reason to look at the other one.</para>
/// <para><b>Changes</b> go to the backup first (array, flush, header, flush) and then to the primary the same way, so at each moment one copy is whole.
/// A new table writes the backup's header before its array: what a cut leaves is a valid header over an array of zeroes at the end of an otherwise empty
/// device, which cannot be mistaken for anything.</para>
/// </remarks>
internal sealed class GptDisk
{
    // Superblocks lie within the first MiB, or the last, of whatever people put on devices.
    private const ulong ProbeBytes = 1 << 20;

    private GptDisk() { }

    /// <summary>What is to be made of it.</summary>
    public GptCondition Condition { get; private init; }

    /// <summary>The copy that counts; null on an empty device.</summary>
    public GptTable? Table { get; private init; }

    /// <summary>Where the backup lies or belongs.</summary>
    public ulong BackupLba { get; private init; }

    /// <summary>Where the primary's entry array lies or belongs.</summary>
    public ulong PrimaryArrayLba { get; private init; }

    /// <summary>Where the backup's entry array lies or belongs.</summary>
    public ulong BackupArrayLba { get; private init; }

    /// <summary>Whether the device ends later than the table: it has grown.</summary>
    public bool HasGrown { get; private init; }

    /// <summary>Whether block 0 is zero though there is a table.</summary>
    public bool IsMbrLost { get; private init; }

    /// <summary>What people should know, without the device's name.</summary>
    public List<string> Warnings { get; } = [];

    /// <summary>Reads and judges. Throws where the device holds something else, or a table that nobody can rely on.</summary>
    /// <param name="io">The device.</param>
    /// <param name="name">Who asks, for messages.</param>
    public static GptDisk Read(SyncIo io, string name)
    {
        var volume = io.Volume;
        if (volume.BlockCount < GptWriter.MinimumBlocks(volume.BlockSize))
            throw new ComancheException($"{name}: the device has {volume.BlockCount} blocks of {volume.BlockSize} bytes; "
                + $"a partition table needs {GptWriter.MinimumBlocks(volume.BlockSize)}");
        var block = new byte[volume.BlockSize];
        io.Read(0, block);
        var mbr = ProtectiveMbr.Inspect(block);
        var primary = GptCopy.Read(io, 1);
        if (primary.Fault == GptFault.Forbidden) throw Wrong(name, "primary", primary);
        var backup = GptCopy.Read(io, primary.Header?.AlternateLba ?? volume.BlockCount - 1);
        if (backup.Fault == GptFault.Forbidden) throw Wrong(name, "backup", backup);
        if (primary.IsGood) return FromPrimary(name, volume, mbr, primary, backup);
        if (backup.IsGood) return FromBackup(io, name, mbr, primary, backup);
        return FromNothing(io, name, mbr, primary, backup);
    }

    private static GptDisk FromPrimary(string name, in VolumeInfo volume, MbrState mbr, GptCopy primary, GptCopy backup)
    {
        if (mbr is MbrState.Foreign or MbrState.Other)
            throw new ComancheException($"{name}: LBA 0 holds {Describe(mbr)} over a GUID partition table, expected a protective MBR: "
                + "another tool has taken the device over");
        var table = primary.Table!;
        var arrayBlocks = GptCopy.BlocksOf(table.Header.ArrayBytes, volume.BlockSize);
        var hasGrown = backup.Lba != volume.BlockCount - 1;
        var agrees = backup.IsGood && table.Agrees(backup.Table!);
        var ours = backup.Header is { } header && header.DiskGuid == table.Header.DiskGuid;
        var disk = new GptDisk
        {
            Table = table,
            Condition = mbr == MbrState.Empty || !(agrees || ours) ? GptCondition.Damaged : agrees ? GptCondition.Whole : GptCondition.Interrupted,
            BackupLba = backup.Lba,
            PrimaryArrayLba = table.Header.ArrayLba,
            BackupArrayLba = agrees ? backup.Header!.ArrayLba : backup.Lba - arrayBlocks,
            HasGrown = hasGrown,
            IsMbrLost = mbr == MbrState.Empty,
        };
        if (mbr == MbrState.Empty) disk.Warnings.Add("LBA 0: there is no protective MBR; repair: true writes it");
        if (mbr == MbrState.Hybrid) disk.Warnings.Add("LBA 0: a hybrid MBR; its other entries are not looked at");
        if (!backup.IsGood) disk.Warnings.Add($"LBA {backup.Lba}: the backup table is lost: {backup.Problem}; repair: true writes it anew");
        else if (!agrees) disk.Warnings.Add($"LBA {backup.Lba}: the backup table differs from the primary, which is used; repair: true writes it anew");
        if (hasGrown)
            disk.Warnings.Add($"LBA {backup.Lba}: the backup table is not at the device's end, LBA {volume.BlockCount - 1}: the device has grown; "
                + "repair: true moves it there");
        return disk;
    }

    private static GptDisk FromBackup(SyncIo io, string name, MbrState mbr, GptCopy primary, GptCopy backup)
    {
        var table = backup.Table!;
        var header = table.Header;
        var arrayBlocks = GptCopy.BlocksOf(header.ArrayBytes, io.Volume.BlockSize);
        var arrayLba = primary.Header is { } old && old.ArrayLba <= header.FirstUsableLba - arrayBlocks ? old.ArrayLba : 2;
        var head = Math.Min(header.FirstUsableLba, ProbeBytes / io.Volume.BlockSize + arrayBlocks);
        if (mbr is MbrState.Foreign or MbrState.Other || (mbr == MbrState.Empty && FirstData(io, 0, head) is not null))
            throw new ComancheException($"{name}: LBA {backup.Lba} holds a backup table, but LBA 0 holds {Describe(mbr)} and LBA 1 no table "
                + $"({primary.Problem}), expected a protective MBR: the device holds other data");

        // No header over no array, or over the new one: a new table that was cut off. The old header over the new array: a change that was.
        var headIsClear = primary.Fault != GptFault.Unreadable && mbr != MbrState.Hybrid && IsZeroOr(io, 1, []) && IsZeroOr(io, arrayLba, table.Array);
        var cutBetween = primary.Fault == GptFault.Array && primary.Header!.DiskGuid == header.DiskGuid && primary.Table!.Array.SequenceEqual(table.Array);
        var disk = new GptDisk
        {
            Table = table,
            Condition = headIsClear || cutBetween ? GptCondition.Interrupted : GptCondition.Damaged,
            BackupLba = backup.Lba,
            PrimaryArrayLba = arrayLba,
            BackupArrayLba = header.ArrayLba,
            HasGrown = backup.Lba != io.Volume.BlockCount - 1,
            IsMbrLost = mbr == MbrState.Empty,
        };
        disk.Warnings.Add($"LBA 1: the primary table is lost: {primary.Problem}; the backup at LBA {backup.Lba} is used; repair: true restores it");
        return disk;
    }

    private static GptDisk FromNothing(SyncIo io, string name, MbrState mbr, GptCopy primary, GptCopy backup)
    {
        var last = io.Volume.BlockCount - 1;
        if (mbr == MbrState.Foreign) throw new ComancheException($"{name}: LBA 0 holds {Describe(mbr)}, expected a GUID partition table or an empty device");
        if (mbr is MbrState.Protective or MbrState.Hybrid || primary.Fault != GptFault.NoSignature)
            throw new ComancheException($"{name}: both copies of the partition table are damaged; LBA {primary.Lba}: {primary.Problem}; "
                + $"LBA {backup.Lba}: {backup.Problem}");

        // A cut while a new table was made leaves the backup's header over an array of zeroes; it counts as empty if all the rest is.
        var begun = backup.Fault == GptFault.Array && backup.Lba == last && !backup.Table!.Array.ContainsAnyExcept((byte)0);
        var probe = Math.Min(Math.Max(1, ProbeBytes / io.Volume.BlockSize), io.Volume.BlockCount);
        var data = FirstData(io, 0, probe) ?? FirstData(io, io.Volume.BlockCount - probe, begun ? probe - 1 : probe);
        if (data is { } lba)
            throw new ComancheException(backup.Fault != GptFault.NoSignature
                ? $"{name}: there is no primary table, and the backup at LBA {backup.Lba} is damaged: {backup.Problem}"
                : $"{name}: the device holds no GUID partition table, but other data at LBA {lba}, expected a table or an empty device "
                    + "(zeroes in the first and last MiB)");
        return new GptDisk { Condition = GptCondition.Empty, BackupLba = last };
    }

    // Whether the blocks from an LBA on are each zero, or as expected; only the signature's block where nothing is expected.
    private static bool IsZeroOr(SyncIo io, ulong lba, ReadOnlySpan<byte> expected)
    {
        var blockSize = (int)io.Volume.BlockSize;
        var blocks = Math.Max(1, (int)GptCopy.BlocksOf((ulong)expected.Length, io.Volume.BlockSize));
        var found = new byte[blocks * blockSize];
        io.Read(lba, found);
        for (var i = 0; i < blocks; i++)
        {
            var block = found.AsSpan(i * blockSize, blockSize);
            if (!block.ContainsAnyExcept((byte)0)) continue;
            var piece = expected[Math.Min(expected.Length, i * blockSize)..Math.Min(expected.Length, (i + 1) * blockSize)];
            if (piece.Length == 0 || !block[..piece.Length].SequenceEqual(piece) || block[piece.Length..].ContainsAnyExcept((byte)0)) return false;
        }

        return true;
    }

    // The first block of a range that is not zero, or null. A range of the table's own head may be long: it goes by pieces.
    private static ulong? FirstData(SyncIo io, ulong lba, ulong count)
    {
        var blockSize = io.Volume.BlockSize;
        var buffer = new byte[Math.Min(count, Math.Max(1, ProbeBytes / blockSize)) * blockSize];
        for (var end = lba + count; lba < end;)
        {
            var blocks = Math.Min(end - lba, (ulong)buffer.Length / blockSize);
            var piece = buffer.AsSpan(0, (int)(blocks * blockSize));
            io.Read(lba, piece);
            var at = piece.IndexOfAnyExcept((byte)0);
            if (at >= 0) return lba + (ulong)at / blockSize;
            lba += blocks;
        }

        return null;
    }

    private static string Describe(MbrState mbr) => mbr switch
    {
        MbrState.Empty => "zeroes",
        MbrState.Protective => "a protective MBR",
        MbrState.Hybrid => "a hybrid MBR",
        MbrState.Foreign => "an MBR or boot sector that is not a GPT's",
        _ => "data",
    };

    private static ComancheException Wrong(string name, string which, GptCopy copy) =>
        new($"{name}: the {which} partition table at LBA {copy.Lba} is not valid: {copy.Problem}");
}
