namespace Comanche.Partition;

/// <summary>The ranges of a device that belong to no region.</summary>
internal static class RegionSpace
{
    /// <summary>The free ranges, in order.</summary>
    public static IEnumerable<Window> Free(RegionDirectory directory, ulong deviceBlocks)
    {
        var at = directory.DataLba;
        foreach (var entry in directory.Entries)
        {
            // A region of a device that shrank may begin beyond its end.
            if (entry.FirstLba >= deviceBlocks) break;
            if (entry.FirstLba > at) yield return new Window(at, entry.FirstLba - at);
            at = entry.EndLba;
        }

        if (at < deviceBlocks) yield return new Window(at, deviceBlocks - at);
    }

    /// <summary>
    /// Best fit: the place in the smallest free range that holds so many blocks after alignment; the first of several. Null where there is none.
    /// </summary>
    /// <param name="directory">The directory.</param>
    /// <param name="deviceBlocks">The device's length.</param>
    /// <param name="blocks">The length, or 0 for all of the range that is largest after alignment.</param>
    /// <param name="alignment">Alignment of the first block, in blocks, at least 1.</param>
    public static Window? Fit(RegionDirectory directory, ulong deviceBlocks, ulong blocks, ulong alignment)
    {
        Window? best = null;
        var bestRoom = blocks == 0 ? 0 : ulong.MaxValue;
        foreach (var free in Free(directory, deviceBlocks))
        {
            var past = free.FirstLba % alignment;
            var skip = past == 0 ? 0 : alignment - past;
            if (skip >= free.BlockCount) continue;
            var room = free.BlockCount - skip;
            if (blocks == 0 ? room <= bestRoom : room < blocks || free.BlockCount >= bestRoom) continue;
            best = new Window(free.FirstLba + skip, blocks == 0 ? room : blocks);
            bestRoom = blocks == 0 ? room : free.BlockCount;
        }

        return best;
    }
}
