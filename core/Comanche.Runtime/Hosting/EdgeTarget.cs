namespace Comanche.Runtime;

/// <summary>What an edge leads to. Does not change; an edge that is changed gets another one.</summary>
internal sealed class EdgeTarget
{
    /// <summary>Finds the device of a component, which stays the caller's.</summary>
    public EdgeTarget(ComancheProcess process, string name, IBase component, EdgeOptions options)
    {
        Name = name;
        Component = component;
        Device = component.Query<IBlockDevice>() ?? throw new ComancheException($"{name}: an edge was asked for, but it is no block device");
        Options = options;
        Statistics = process.Statistics.GetDevice(name);
    }

    /// <summary>The device's name.</summary>
    public string Name { get; }

    /// <summary>The component, of which the edge holds a count.</summary>
    public IBase Component { get; }

    /// <summary>The component, or the part of it that is a block device.</summary>
    public IBlockDevice Device { get; }

    /// <summary>What the edge does.</summary>
    public EdgeOptions Options { get; }

    /// <summary>What is counted.</summary>
    public DeviceStatistics Statistics { get; }

    /// <summary>Gives the edge's count back.</summary>
    public void Release()
    {
        if (Component.Release() == 0) NativeObject.FinalRelease(Component);
    }
}
