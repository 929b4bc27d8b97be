namespace Comanche.Partition;

/// <summary>A partition that is to be made.</summary>
/// <param name="Number">Its number, or 0 for the lowest that is free.</param>
/// <param name="Name">Its name.</param>
/// <param name="FirstLba">First block, or 0 for the start of the largest free range.</param>
/// <param name="BlockCount">Length in blocks, or 0 for all of the range.</param>
/// <param name="Type">What it is for.</param>
internal readonly record struct GptRequest(uint Number, string Name, ulong FirstLba, ulong BlockCount, Guid Type);

/// <summary>Finds the place of a new partition.</summary>
internal static class GptAllocation
{
    // 1 MiB, as every tool does it: a multiple of the pages and erase blocks of what lies below.
    private const ulong AlignmentBytes = 1 << 20;

    // Where there is no room for that, so that layers with such blocks can stand on a small partition.
    private const ulong SmallAlignmentBytes = 4096;

    /// <summary>Gives the entry of a new partition, or throws where it does not fit.</summary>
    public static GptEntry Place(string device, GptTable table, GptRequest wanted, Guid unique, in VolumeInfo volume)
    {
        if (wanted.Name.Length > GptTable.NameUnits || wanted.Name.Contains('\0'))
            throw new ComancheException($"{device}: a partition's name has at most {GptTable.NameUnits} UTF-16 code units, none of them zero");
        if (wanted.Type == Guid.Empty) throw new ComancheException($"{device}: a partition's type is not the nil UUID, which marks a free entry");
        var number = wanted.Number != 0 ? wanted.Number : table.FreeNumber();
        if (number == 0 || number > table.Header.EntryCount)
            throw new ComancheException($"{device}: the table has {table.Header.EntryCount} entries: " +
                (number == 0 ? "none is free" : $"there is no partition {number}"));
        if (table.Find(number) is not null) throw new ComancheException($"{device}: partition {number} is there already");
        var (first, last) = Range(table, wanted, volume.BlockSize)
            ?? throw new ComancheException($"{device}: no free range of {(wanted.BlockCount == 0 ? "any" : wanted.BlockCount)} blocks"
                + $"{(wanted.FirstLba == 0 ? "" : $" at LBA {wanted.FirstLba}")}, expected one within LBA {table.Header.FirstUsableLba} to "
                + $"{table.Header.LastUsableLba}; free: {Describe(table)}");
        return new GptEntry(number, wanted.Type, unique, first, last, 0, wanted.Name);
    }

    private static (ulong First, ulong Last)? Range(GptTable table, GptRequest wanted, uint blockSize)
    {
        if (wanted.FirstLba != 0)
        {
            foreach (var (first, last) in table.FreeRanges())
                if (wanted.FirstLba >= first && wanted.FirstLba <= last)
                    return Fit(wanted.FirstLba, last, wanted.BlockCount, blockSize);
            return null;
        }

        // The largest free range at the usual alignment; on a device that is too small for it, at 4 KiB, and at last at any block.
        foreach (var alignment in (ReadOnlySpan<ulong>)[AlignmentBytes, SmallAlignmentBytes, 1])
        {
            var unit = Math.Max(1, alignment / blockSize);
            (ulong First, ulong Last)? best = null;
            foreach (var (first, last) in table.FreeRanges())
            {
                var start = (first + unit - 1) / unit * unit;
                if (start <= last && (best is not { } b || last - start > b.Last - b.First)) best = (start, last);
            }

            if (best is { } found && Fit(found.First, found.Last, wanted.BlockCount, blockSize) is { } fit) return fit;
        }

        return null;
    }

    private static (ulong First, ulong Last)? Fit(ulong first, ulong last, ulong count, uint blockSize)
    {
        var room = last - first + 1;
        if (count > room) return null;
        if (count != 0) return (first, first + count - 1);

        // A length that is not asked for ends on the same boundaries.
        foreach (var alignment in (ReadOnlySpan<ulong>)[AlignmentBytes, SmallAlignmentBytes])
        {
            var end = (last + 1) / Math.Max(1, alignment / blockSize) * Math.Max(1, alignment / blockSize);
            if (end > first) return (first, end - 1);
        }

        return (first, last);
    }

    private static string Describe(GptTable table)
    {
        var ranges = table.FreeRanges();
        var text = string.Join(", ", ranges.Take(4).Select(r => $"LBA {r.First} to {r.Last}"));
        return ranges.Count switch { 0 => "none", > 4 => $"{text} and {ranges.Count - 4} more", _ => text };
    }
}
