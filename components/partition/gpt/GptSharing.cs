using System.Runtime.CompilerServices;

namespace Comanche.Partition;

/// <summary>What all components over one device share: the lock of its table, and how often each partition is open.</summary>
/// <remarks>Kept by the device's identity and as long as it; holds nothing of it.</remarks>
internal sealed class GptSharing
{
    private static readonly ConditionalWeakTable<IBlockDevice, GptSharing> All = [];

    private readonly Dictionary<uint, int> _open = []; // Under the lock.

    /// <summary>Held while the table is read or written.</summary>
    public Lock Lock { get; } = new();

    /// <summary>The one of a device.</summary>
    public static GptSharing Of(IBlockDevice device) => All.GetValue(device, static _ => new());

    /// <summary>Whether somebody has the partition open. Under the lock.</summary>
    public bool IsOpen(uint number) => _open.ContainsKey(number);

    /// <summary>Counts one more. Under the lock.</summary>
    public void Open(uint number) => _open[number] = _open.GetValueOrDefault(number) + 1;

    /// <summary>Counts one less. Under the lock.</summary>
    public void Close(uint number)
    {
        if (_open[number] == 1) _open.Remove(number);
        else _open[number]--;
    }
}
