using Comanche.Block;
using Comanche.Runtime;
using Comanche.Testing;

namespace Comanche.Threading.Tests;

/// <summary>Devices that are shared at a socket in a folder of its own, by a reactor of its own; each under a device that checks every descriptor.</summary>
internal sealed class SharedStack : IDisposable
{
    private readonly Stack<IBase> _started = new();
    private readonly ComancheProcess _process = new();
    private readonly List<ComancheProcess> _clients = [];

    public SharedStack(ShareOptions? options = null, int devices = 1, ulong mebibytes = 8, HostFlags flags = HostFlags.None, DelayOptions? delay = null, string? watch = null)
    {
        Folder = Directory.CreateTempSubdirectory("comanche-share-").FullName;
        Host = new TestHost("share") { Registry = _process.Memory, Flags = flags, Reactor = _process.DefaultReactor };
        Export = new ShareExport(Host, (options ?? new ShareOptions()) with { Socket = SocketPath });
        for (var i = 0; i < devices; i++)
        {
            IBase top = Start(new MemoryDevice(MakeHost($"memory{i}"), new MemoryOptions { Size = ByteSize.MiB(mebibytes) }));
            if (delay is not null) top = Start(new DelayDevice(MakeHost($"delay{i}"), delay), top);
            var strict = new StrictDevice(MakeHost($"device{i}"), null);
            Devices.Add((StrictDevice)Start(strict, top));
            if (watch is not null)
            {
                Watch.Add(new WatchDevice(MakeHost($"device{i}"), watch));
                Start(Watch[^1], strict);
            }

            Export.Bind(watch is null ? strict : Watch[^1], "");
        }

        Export.Start();
    }

    public string Folder { get; }

    public string SocketPath => Path.Combine(Folder, "share.sock");

    public TestHost Host { get; }

    public ShareExport Export { get; }

    public MemoryRegistry Memory => _process.Memory;

    /// <summary>What serves the clients.</summary>
    public Reactor Reactor => _process.DefaultReactor;

    public List<StrictDevice> Devices { get; } = [];

    /// <summary>What sees every buffer that goes to a device, where that was asked for.</summary>
    public List<WatchDevice> Watch { get; } = [];

    /// <summary>A host as that of another process, with memory of its own.</summary>
    public TestHost ClientHost()
    {
        var process = new ComancheProcess();
        _clients.Add(process);
        return new TestHost("client") { Registry = process.Memory, Reactor = process.DefaultReactor };
    }

    /// <summary>Attaches to a device as another process would.</summary>
    public IBlockDevice Attach(string device = "", TestHost? host = null) => ComancheClient.Connect(host ?? ClientHost(), SocketPath, device);

    public void Dispose()
    {
        try
        {
            Export.Stop();
            Export.Release();
            while (_started.TryPop(out var component))
            {
                component.Stop();
                component.Release();
            }

            Assert.Equal([], Devices.SelectMany(d => d.Violations));
            Assert.Equal(0, _process.Memory.Statistics.Buffers);
        }
        finally
        {
            foreach (var client in _clients) client.Dispose();
            _process.Dispose();
            Directory.Delete(Folder, recursive: true);
        }
    }

    private TestHost MakeHost(string name) => new(name) { Registry = _process.Memory };

    private IBase Start(IBase component, IBase? below = null)
    {
        if (below is not null) component.Bind(below, "");
        component.Start();
        _started.Push(component);
        return component;
    }
}
