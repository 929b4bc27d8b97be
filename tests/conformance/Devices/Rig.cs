using Comanche.Runtime;

namespace Comanche.Conformance.Tests;

/// <summary>One device under test, started, over what its recipe prepared. Taken apart at the end, where it shows that no memory was left behind.</summary>
public sealed class Rig : IDisposable
{
    private readonly Workbench _bench;
    private readonly Prepared _prepared;
    private IBase? _component;
    private IBlockDevice? _device;

    /// <summary>Makes and starts the device of a name.</summary>
    /// <param name="name">The name, of <see cref="DeviceCatalogue"/>.</param>
    /// <param name="stubbornness">Where given, the memory devices below are stubborn (<see cref="Workbench.Stubbornness"/>).</param>
    /// <param name="registry">Where given, all memory is of this registry, which the caller disposes of.</param>
    public Rig(string name, Random? stubbornness = null, MemoryRegistry? registry = null)
    {
        _bench = new Workbench { Stubbornness = stubbornness, Registry = registry };
        try
        {
            _prepared = DeviceCatalogue.Get(name).Prepare(_bench);
            Open(HostFlags.None);
        }
        catch
        {
            _bench.Dispose();
            throw;
        }
    }

    /// <summary>The device.</summary>
    public IBlockDevice Device => _device ?? throw new InvalidOperationException("the device is closed");

    /// <summary>Where its things lie.</summary>
    public Workbench Bench => _bench;

    /// <summary>Its geometry.</summary>
    public unsafe VolumeInfo Volume
    {
        get
        {
            VolumeInfo info;
            Device.GetVolumeInfo(&info);
            return info;
        }
    }

    /// <summary>What it stands on. What that holds outlives the device.</summary>
    public IEnumerable<IBase> Below => _prepared.Bindings.Select(b => b.Below);

    /// <summary>Makes the device anew over the same things. It was closed.</summary>
    public void Open(HostFlags flags)
    {
        var component = _prepared.Make(_bench.Host("device", flags));
        Workbench.Start(component, _prepared.Bindings);
        _component = component;
        _device = component.Query<IBlockDevice>() ?? throw new InvalidOperationException("the device has no IBlockDevice");
    }

    /// <summary>Stops the device and releases it for good.</summary>
    public void Close()
    {
        if (_component is not { } component) return;
        component.Stop();
        Assert.Equal(0u, component.Release());
        _component = null;
        _device = null;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        try
        {
            Close();
        }
        finally
        {
            _bench.Dispose();
        }

        Assert.Equal(0, _bench.Registry?.Statistics.Buffers ?? _bench.Memory.Live);
    }
}
