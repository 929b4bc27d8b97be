using System.Runtime.CompilerServices;

namespace Comanche.Partition;

/// <summary>
/// Which regions of a directory are open in this process, and the lock that its changes take. All components that stand on one device share one of these:
/// they find it by the directory's identity, since each may see the device through a wrapper of its own. The process is told by its memory registry, so that
/// simulated processes, which make the same identities from the same seed, keep apart.
/// </summary>
internal sealed class RegionUse
{
    private static readonly ConditionalWeakTable<IZerocopyMemory, Dictionary<Guid, RegionUse>> Processes = [];

    private static readonly ConditionalWeakTable<IZerocopyMemory, object> Starts = [];

    private readonly Dictionary<Guid, RegionUse> _all; // Of this process, guarded by itself; holds only what is joined.
    private readonly Guid _directory;
    private readonly Dictionary<Guid, int> _open = []; // By region; guarded by Changes.
    private int _joined;                               // Guarded by _all.

    private RegionUse(Dictionary<Guid, RegionUse> all, Guid directory)
    {
        _all = all;
        _directory = directory;
    }

    /// <summary>Taken while the directory is read, changed and written.</summary>
    public Lock Changes { get; } = new();

    /// <summary>Joins those who use a directory; <see cref="Leave"/> ends it.</summary>
    public static RegionUse Join(IZerocopyMemory process, Guid directory)
    {
        var all = Processes.GetOrCreateValue(process);
        lock (all)
        {
            if (!all.TryGetValue(directory, out var use)) all.Add(directory, use = new RegionUse(all, directory));
            use._joined++;
            return use;
        }
    }

    /// <summary>
    /// What a start holds from the first look at a device until it has joined: of two that find a device blank, one makes the directory, and the other finds it. It is one for the
    /// process, since before there is a directory a device has no identity.
    /// </summary>
    public static object StartLock(IZerocopyMemory process) => Starts.GetOrCreateValue(process);

    /// <summary>Leaves.</summary>
    public void Leave()
    {
        lock (_all)
            if (--_joined == 0)
                _all.Remove(_directory);
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
