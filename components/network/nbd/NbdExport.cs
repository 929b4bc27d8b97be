using System.Runtime.InteropServices.Marshalling;
using System.Text;

namespace Comanche.Network;

/// <summary>
/// Serves volumes to NBD clients: the Linux kernel, QEMU, libnbd, fio. With <c>readonly:</c> every change is refused.
/// </summary>
/// <remarks>
/// All work is done by the component's reactor. See <see cref="NbdServer"/> for the listeners and the end, <see cref="NbdConnection"/> for the data path and <see cref="TlsGateway"/> for
/// encryption, which alone runs beside the reactor.
/// </remarks>
[Component("network/nbd", "8d2f6f0e-3a55-4f0c-9f0d-5b7a4f6c2e11", "Serves volumes over the NBD protocol, on Unix and TCP sockets")]
[Binds(typeof(IBlockDevice), Min = 1, Max = 64)]
[GeneratedComClass]
public sealed unsafe partial class NbdExport(IHost host, NbdOptions options) : Component(host), IPlanned, IServesClients
{
    // Beyond the time that the options give a stop: to get back from the devices what was given up.
    private static readonly TimeSpan AbandonTime = TimeSpan.FromSeconds(10);

    private IReactor? _reactor;
    private NbdServer? _server;
    private TlsGateway? _tls;
    private IReadOnlyList<ListenAddress> _addresses = [];

    /// <summary>Where it listens, as in a stack file, with the ports that are in use. Valid while started.</summary>
    public IReadOnlyList<string> Addresses => [.. _addresses.Select(address => address.ToString())];

    /// <inheritdoc/>
    public static void Plan(PlanContext plan)
    {
        var options = plan.Options<NbdOptions>();
        foreach (var (option, message) in Problems(options, plan.Bindings.Count)) plan.Error(option, message);

        // One volume through several exports is as one export with several clients.
        foreach (var binding in plan.Bindings) plan.Share(binding, "nbd");
        foreach (var text in options.Listen)
        {
            if (ListenAddress.TryParse(text, out _) is not { } address) continue;
            if (address.Path is not null) plan.Claim($"socket {Path.GetFullPath(address.Path)}", "listen");
            else if (address.Port != 0) plan.Claim($"port {address.Port} of {address.Ip}", "listen");
            if (address.Ip is { } ip && !System.Net.IPAddress.IsLoopback(ip) && options.Tls is null)
                plan.Warn("listen", $"{text} can be reached from other machines and is not encrypted: whoever reaches it has the volume");
        }

        foreach (var file in options.Tls is { } tls ? new[] { tls.Certificate, tls.Key, tls.ClientCa } : [])
            if (file.Length != 0 && !File.Exists(file))
                plan.Error("tls", $"{file} does not exist");
    }

    /// <inheritdoc/>
    public IReadOnlyList<ClientInfo> GetClients()
    {
        IReadOnlyList<ClientInfo> clients = [];
        if (_server is { } server) _reactor!.Invoke(() => clients = server.Describe());
        return clients;
    }

    /// <inheritdoc/>
    protected override void OnStart()
    {
        var devices = Bound<IBlockDevice>().ToArray();
        foreach (var (option, message) in Problems(options, devices.Length)) throw new ComancheException($"{Name}: {option}: {message}");
        _reactor = (Host as IReactorHost)?.GetReactor() ?? throw new ComancheException($"{Name}: its host has no reactor");
        var names = NamesOf(options);
        var volumes = new NbdVolume[devices.Length];
        for (var i = 0; i < devices.Length; i++)
            volumes[i] = new NbdVolume(devices[i], i < names.Count ? names[i] : "", options.Description, IsReadOnly, (uint)options.MaxRequest.Bytes);
        var listeners = new List<Listener>();
        try
        {
            if (options.Tls is { } tls) _tls = new TlsGateway(Host, tls, options.HandshakeTimeout, () => _reactor.Post(() => { }));
            foreach (var text in options.Listen) listeners.Add(Listener.Open(Host, ListenAddress.TryParse(text, out _)!, ParseMode(options.Mode)!.Value));
            _server = new NbdServer(Host, options, volumes, listeners, _tls);
        }
        catch (Exception error)
        {
            foreach (var listener in listeners) listener.Dispose();
            _tls?.Dispose();
            _tls = null;
            if (error is ComancheException) throw new ComancheException($"{Name}: {error.Message}", error);
            throw;
        }

        _addresses = [.. listeners.Select(listener => listener.Address)];
        var server = _server;
        _reactor.Post(() => _reactor.Add(server));
        foreach (var address in _addresses) Host.Log(LogLevel.Information, $"listens on {address}");
    }

    /// <inheritdoc/>
    protected override void OnStop()
    {
        var patience = options.StopTimeout + AbandonTime;
        if (_server is { } server)
        {
            if (_reactor!.IsCurrent) StopHere(server, patience);
            else StopThere(server, patience);
            _server = null; // Should the flush fail, the next attempt begins there.
        }

        _tls?.Dispose();
        _tls = null;
        FlushVolumes();
        _addresses = [];
    }

    // From another thread: the reactor goes on polling the server, until it is done.
    private void StopThere(NbdServer server, TimeSpan patience)
    {
        var stopped = new ManualResetEventSlim();
        var reactor = _reactor!;
        reactor.Post(() => server.BeginStop(() =>
        {
            reactor.Remove(server);
            server.Dispose();
            stopped.Set();
        }));
        if (!stopped.Wait(patience)) throw StillBusy();
    }

    // On the reactor's own thread nobody else polls.
    private void StopHere(NbdServer server, TimeSpan patience)
    {
        var until = Host.GetTime() + (ulong)patience.Ticks * 100;
        var stopped = false;
        server.BeginStop(() => stopped = true);
        while (!stopped)
        {
            if (server.Poll() != 0) continue;
            if (Host.GetTime() > until) throw StillBusy();
            Thread.Yield();
        }

        _reactor!.Remove(server);
        server.Dispose();
    }

    private ComancheException StillBusy() => new($"{Name}: a device below did not give back what is in flight");

    // What clients were told is done stays, even if they never flushed.
    private void FlushVolumes()
    {
        if (IsReadOnly) return;
        foreach (var device in Bound<IBlockDevice>())
        {
            VolumeInfo info;
            device.GetVolumeInfo(&info);
            if (info.Has(VolumeCapabilities.ReadOnly)) continue;
            using var io = new SyncIo(device, Host, Name);
            io.Flush();
        }
    }

    private static IReadOnlyList<string> NamesOf(NbdOptions options) => options.Name.Length != 0 ? [options.Name] : options.Names;

    // What is wrong with the options, each with the option's name.
    private static IEnumerable<(string Option, string Message)> Problems(NbdOptions options, int volumes)
    {
        if (options.Listen.Count is 0 or > 16) yield return ("listen", "1 to 16 addresses are needed");
        foreach (var text in options.Listen)
            if (ListenAddress.TryParse(text, out var problem) is null)
                yield return ("listen", problem);
        if (ParseMode(options.Mode) is null) yield return ("mode", $"{options.Mode} is no octal mode like 0600");
        if (options.Name.Length != 0 && options.Names.Count != 0) yield return ("names", "give either name or names");
        var names = NamesOf(options);
        if (names.Count > volumes) yield return (options.Name.Length != 0 ? "name" : "names", $"there are {names.Count} names for {volumes} volumes");
        if (volumes > 1 && names.Count < volumes) yield return ("names", $"{volumes} volumes are exported and {names.Count} have a name: clients could not tell them apart");
        if (names.Distinct().Count() != names.Count) yield return ("names", "a name is given twice");
        foreach (var name in names)
            if (name.Length == 0 || Encoding.UTF8.GetByteCount(name) > NbdConnection.MaxName)
                yield return ("names", $"a name has 1 to {NbdConnection.MaxName} bytes");
        if (Encoding.UTF8.GetByteCount(options.Description) > NbdConnection.MaxDescription)
            yield return ("description", $"it is longer than {NbdConnection.MaxDescription} bytes");
        if (options.Tls is { } tls && (tls.Certificate.Length == 0 || tls.Key.Length == 0)) yield return ("tls", "certificate and key are needed");
    }

    private static uint? ParseMode(string text)
    {
        if (text.Length is 0 or > 4 || text.Any(digit => digit is < '0' or > '7')) return null;
        var mode = text.Aggregate(0u, (value, digit) => value * 8 + (uint)(digit - '0'));
        return mode <= 0x1FF ? mode : null;
    }
}
