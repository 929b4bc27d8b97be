namespace Comanche.Partition;

/// <summary>What all components of the process that stand on tables share: one lock, and how often each partition is open.</summary>
/// <remarks>
/// Two components over one device may hold different objects for it (the composer puts an edge in between), so what tells devices apart is the disk UUID in their
/// tables. Two devices with the same one, a disk and its clone, count as one here: then deleting is refused more often than it need be.
/// </remarks>
internal static class GptSharing
{
    private static readonly Dictionary<(Guid Disk, uint Number), int> OpenCounts = []; // Under the lock.

    /// <summary>Held while a table is read or written. Tables are read at set-up, so one lock for all of them is enough.</summary>
    public static Lock Lock { get; } = new();

    /// <summary>Whether somebody has the partition open. Under the lock.</summary>
    public static bool IsOpen(Guid disk, uint number) => OpenCounts.ContainsKey((disk, number));

    /// <summary>Counts one more. Under the lock.</summary>
    public static void Open(Guid disk, uint number) => OpenCounts[(disk, number)] = OpenCounts.GetValueOrDefault((disk, number)) + 1;

    /// <summary>Counts one less. Under the lock.</summary>
    public static void Close(Guid disk, uint number)
    {
        if (OpenCounts[(disk, number)] == 1) OpenCounts.Remove((disk, number));
        else OpenCounts[(disk, number)]--;
    }
}
