using System.Net.Sockets;
using Comanche.Block;
using Comanche.Network;
using Comanche.Runtime;
using Comanche.Testing;

namespace Comanche.Network.Tests;

/// <summary>An export of a memory volume in a folder of its own, on a reactor of its own; between the two a device that checks every descriptor.</summary>
internal sealed class Served : IDisposable
{
    private readonly List<IBase> _started = []; // Bottom first.
    private readonly Reactor _reactor;
    private bool _stopped;

    public Served(
        NbdOptions? options = null, ulong bytes = 64 << 20, uint blockSize = 512, HostFlags flags = HostFlags.None, Func<VolumeInfo, VolumeInfo>? limits = null,
        DelayOptions? delay = null, int volumes = 1, int? seed = null, ReactorOptions? reactor = null)
    {
        Folder = Directory.CreateTempSubdirectory("comanche-nbd-").FullName;
        _reactor = new Reactor(reactor ?? new ReactorOptions { Name = "nbd" });
        Host = new TestHost("nbd") { Memory = Memory, Flags = flags, Reactor = _reactor };
        options ??= new NbdOptions();
        if (options.Listen.Count == 0) options = options with { Listen = [$"unix:{SocketPath}"] };
        Export = new NbdExport(Host, options);
        for (var i = 0; i < volumes; i++)
        {
            var memory = Start(new MemoryDevice(MakeHost($"memory{i}"), new MemoryOptions { Size = new(bytes), BlockSize = new(blockSize) }));
            IBase top = memory;
            if (delay is not null)
            {
                top = new DelayDevice(MakeHost($"delay{i}"), delay);
                top.Bind(memory, "");
                Start(top);
            }

            var strict = new StrictDevice(MakeHost($"volume{i}"), seed is { } value ? new Random(value) : null) { Limits = limits };
            strict.Bind(top, "");
            Start(strict);
            Devices.Add(strict);
            Export.Bind(strict, "");
        }

        Export.Start();
    }

    public string Folder { get; }

    public string SocketPath => Path.Combine(Folder, "volume.sock");

    public string Uri => $"nbd+unix:///?socket={SocketPath}";

    public TestMemory Memory { get; } = new();

    public TestHost Host { get; }

    public NbdExport Export { get; }

    public List<StrictDevice> Devices { get; } = [];

    public StrictDevice Device => Devices[0];

    public Reactor Reactor => _reactor;

    /// <summary>A new connection, not negotiated, to its own socket or another.</summary>
    public NbdClient Connect(string? path = null)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) { ReceiveTimeout = 20_000 };
        socket.Connect(new UnixDomainSocketEndPoint(path ?? SocketPath));
        return new NbdClient(new NetworkStream(socket, ownsSocket: true), socket);
    }

    /// <summary>Stops the export, as a composer does.</summary>
    public void Stop()
    {
        if (_stopped) return;
        Export.Stop();
        _stopped = true;
    }

    /// <summary>Waits until something is so, at most 20 seconds.</summary>
    public static void Eventually(Func<bool> condition, string what)
    {
        for (var i = 0; i < 4000; i++)
        {
            if (condition()) return;
            Thread.Sleep(5);
        }

        Assert.Fail($"never came to be: {what}");
    }

    public void Dispose()
    {
        try
        {
            Stop();
            Export.Release();
            for (var i = _started.Count - 1; i >= 0; i--)
            {
                _started[i].Stop();
                Assert.Equal(0u, _started[i].Release());
            }

            foreach (var device in Devices) Assert.Equal([], device.Violations);
            Assert.Equal(0, Memory.Live);
        }
        finally
        {
            _reactor.Dispose();
            Directory.Delete(Folder, recursive: true);
        }
    }

    private TestHost MakeHost(string name) => new(name) { Memory = Memory };

    private T Start<T>(T component) where T : IBase
    {
        component.Start();
        _started.Add(component);
        return component;
    }
}
