namespace Comanche;

/// <summary>
/// A component's own count, for whoever implements <see cref="IBase"/> without <see cref="Component"/>: born as one, and closed with the last release. A count that ended
/// stays there: whoever retains or releases after that is told of the mistake. Any thread.
/// </summary>
public struct ComponentCount
{
    private int _count;

    /// <summary>Makes a count of one.</summary>
    public ComponentCount() => _count = 1;

    /// <summary>Adds one; returns the new count.</summary>
    /// <param name="name">The component's name, for the mistake of retaining what is closed.</param>
    public uint Retain(string name) => Change(1) is var count and not 0 ? count : throw new ComancheException($"{name}: retained after it was closed");

    /// <summary>Takes one; returns what is left. At 0 the caller closes the component.</summary>
    /// <param name="name">The component's name, for the mistake of one release too many.</param>
    public uint Release(string name) => Change(-1) is var count and not 0 ? count - 1 : throw new ComancheException($"{name}: released more often than retained");

    /// <summary>Undoes the last release: the component could not be closed, and stays.</summary>
    public void Restore() => Volatile.Write(ref _count, 1); // Nobody else changes a count of 0.

    // The larger of the counts before and after; 0 where it had ended.
    private uint Change(int by)
    {
        var count = Volatile.Read(ref _count);
        while (count != 0)
        {
            var seen = Interlocked.CompareExchange(ref _count, count + by, count);
            if (seen == count) return (uint)Math.Max(count, count + by);
            count = seen;
        }

        return 0;
    }
}
