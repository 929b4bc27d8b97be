using Comanche.Block;
using Comanche.Runtime;
using Comanche.Testing;

namespace Comanche.Conformance.Tests;

/// <summary>Where the things below a device under test are made: memory devices, files, layers. Taken apart top down at the end.</summary>
public sealed class Workbench : IDisposable
{
    private readonly Stack<IBase> _components = new();
    private readonly Stack<IDisposable> _kept = new();
    private Reactor? _reactor;
    private string? _folder;

    /// <summary>
    /// Whether the memory devices are made stubborn: they refuse and reorder at random, have narrow limits, and note every descriptor that breaks the contract.
    /// </summary>
    public Random? Stubbornness { get; init; }

    /// <summary>The stubborn devices that were made.</summary>
    public List<StrictDevice> Stubborn { get; } = [];

    /// <summary>The memory of everything on the bench, of which nothing is registered.</summary>
    public TestMemory Memory { get; } = new();

    /// <summary>The memory registry of a process, where everything on the bench is to use that instead of <see cref="Memory"/>.</summary>
    public MemoryRegistry? Registry { get; init; }

    /// <summary>A folder of this bench's own.</summary>
    public string Folder => _folder ??= Directory.CreateTempSubdirectory("comanche-conformance-").FullName;

    /// <summary>Makes a host.</summary>
    public IHost Host(string name, HostFlags flags = HostFlags.None) => new TestHost(name) { Memory = Memory, Registry = Registry, Flags = flags, ReactorSource = () => _reactor ??= new Reactor(new ReactorOptions { Name = "bench" }) };

    /// <summary>Adds a memory device, started.</summary>
    public IBlockDevice AddMemory(ulong mebibytes = 8, uint blockSize = 512)
    {
        var memory = Add(new MemoryDevice(Host($"memory{_components.Count}"), new MemoryOptions { Size = ByteSize.MiB(mebibytes), BlockSize = new(blockSize) }));
        if (Stubbornness is null) return (IBlockDevice)memory;
        var strict = new StrictDevice(Host($"stubborn{_components.Count}"), Stubbornness)
        {
            Limits = volume =>
            {
                volume.MaxTransferBlocks = 48;
                volume.MaxSegments = 5;
                volume.CompareAndWriteBlocks = Math.Min(volume.CompareAndWriteBlocks, 32);
                return volume;
            },
        };
        Stubborn.Add(strict);
        return (IBlockDevice)Add(strict, ("", memory));
    }

    /// <summary>Binds and starts a component; the bench owns its one count from now on.</summary>
    public IBase Add(IBase component, params (string Role, IBase Below)[] bindings)
    {
        Start(component, bindings);
        _components.Push(component);
        return component;
    }

    /// <summary>Keeps something that is to be disposed of after the components.</summary>
    public T Keep<T>(T disposable) where T : IDisposable
    {
        _kept.Push(disposable);
        return disposable;
    }

    /// <summary>Binds and starts a component that stays the caller's; where that fails it is released.</summary>
    public static void Start(IBase component, (string Role, IBase Below)[] bindings)
    {
        try
        {
            foreach (var (role, below) in bindings) component.Bind(below, role);
            component.Start();
        }
        catch
        {
            component.Release();
            throw;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        try
        {
            while (_components.TryPop(out var component))
            {
                component.Stop();
                component.Release();
            }
        }
        finally
        {
            while (_kept.TryPop(out var disposable)) disposable.Dispose();
            _reactor?.Dispose();
            if (_folder is not null) Directory.Delete(_folder, recursive: true);
        }
    }
}
