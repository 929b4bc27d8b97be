using Comanche.Runtime.Loading;

namespace Comanche.Runtime.Composition;

/// <summary>A device of a checked stack.</summary>
public sealed class CheckedDevice
{
    /// <summary>What the file says.</summary>
    public required StackDevice Definition { get; init; }

    /// <summary>Its component; null where there is none of that id.</summary>
    public ComponentKind? Kind { get; init; }

    /// <summary>Its options.</summary>
    public required OptionSet Options { get; init; }

    /// <summary>What it stands on, in the order of the file.</summary>
    public List<(string Role, CheckedDevice Device, SourceLocation At)> Bindings { get; } = [];

    /// <summary>The volume that it will be; null where that shows only when it is opened.</summary>
    public VolumeInfo? Volume { get; internal set; }

    /// <summary>Its name.</summary>
    public string Name => Definition.Name;

    /// <summary>Whether something is wrong with it, which makes what follows from it idle talk.</summary>
    internal bool IsBad { get; set; }
}

/// <summary>A stack file that was checked.</summary>
/// <param name="File">The file.</param>
/// <param name="Devices">Devices and exports in an order in which they can be started: everything comes after what it stands on, exports come last.</param>
/// <param name="Problems">What is wrong or not wise, in the order of the file.</param>
public sealed record CheckedStack(StackFile File, IReadOnlyList<CheckedDevice> Devices, IReadOnlyList<StackProblem> Problems)
{
    /// <summary>Whether it can be composed.</summary>
    public bool IsGood => Problems.All(p => p.IsWarning);

    /// <summary>Finds a device or an export.</summary>
    public CheckedDevice? Find(string name) => Devices.FirstOrDefault(d => d.Name == name);
}
