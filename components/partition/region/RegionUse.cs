namespace Comanche.Partition;

/// <summary>
/// Which regions of a directory are open in this process, and the lock that its changes take. All components that stand on one device share one of these:
/// they find it by the directory's identity, since each may see the device through a wrapper of its own.
/// </summary>
internal sealed class RegionUse
{
    private static readonly Dictionary<Guid, RegionUse> All = []; // Guarded by itself. Holds only what is joined.

    private readonly Guid _directory;
    private readonly Dictionary<Guid, int> _open = []; // By region; guarded by Changes.
    private int _joined;                               // Guarded by All.

    private RegionUse(Guid directory) => _directory = directory;

    /// <summary>Taken while the directory is read, changed and written.</summary>
    public Lock Changes { get; } = new();

    /// <summary>Joins those who use a directory; <see cref="Leave"/> ends it.</summary>
    public static RegionUse Join(Guid directory)
    {
        lock (All)
        {
            if (!All.TryGetValue(directory, out var use)) All.Add(directory, use = new RegionUse(directory));
            use._joined++;
            return use;
        }
    }

    /// <summary>Leaves.</summary>
    public void Leave()
    {
        lock (All)
            if (--_joined == 0)
                All.Remove(_directory);
    }

    /// <summary>How often a region is open.</summary>
    public int OpenCount(Guid region)
    {
        lock (Changes) return _open.GetValueOrDefault(region);
    }

    /// <summary>Counts a region as open once more.</summary>
    public void Opened(Guid region)
    {
        lock (Changes) _open[region] = _open.GetValueOrDefault(region) + 1;
    }

    /// <summary>Counts it as open once less.</summary>
    public void Closed(Guid region)
    {
        lock (Changes)
        {
            if (_open[region] > 1) _open[region]--;
            else _open.Remove(region);
        }
    }
}
