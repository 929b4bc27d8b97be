using System.Runtime.InteropServices.Marshalling;
using Comanche.Linux;

namespace Comanche.Threading;

/// <summary>
/// Lets other processes use devices of this stack through rings in shared memory (figure 2d of the paper): they attach by a Unix socket, bring memory of their own, and from then
/// on no system call is made for an I/O while both sides are awake. With <c>readonly:</c> every change is refused.
/// </summary>
/// <remarks>All work is done by the component's reactor. See <see cref="ShareServer"/> for clients that come and go, <see cref="Lane"/> for the data path, <see cref="SharePort"/> for what is checked.</remarks>
[Component("thread/share", "b6a0f7c4-7a0b-4d58-9c56-2c1de07b4f3a", "Shares devices with other processes, by rings in shared memory")]
[Binds(typeof(IBlockDevice), Min = 1, Max = 64)]
[GeneratedComClass]
public sealed unsafe partial class ShareExport(IHost host, ShareOptions options) : Component(host), IPlanned, IServesClients, ILimitsClients
{
    private IReactor? _reactor;
    private ShareServer? _server;

    /// <inheritdoc/>
    public static void Plan(PlanContext plan)
    {
        var options = plan.Options<ShareOptions>();
        foreach (var (option, message) in Problems(options)) plan.Error(option, message);
        foreach (var binding in plan.Bindings) plan.Share(binding, "share");
        if (CheckNames(NamesOf(options, plan.Bindings.Select(b => b.Name)), plan.Bindings.Count) is { } problem) plan.Error(options.Names.Count == 0 ? "" : "names", problem);

        if (options.Socket.Length != 0) plan.Claim($"socket {Path.GetFullPath(options.Socket)}", "socket");
    }

    /// <inheritdoc/>
    public IReadOnlyList<ClientInfo> GetClients()
    {
        IReadOnlyList<ClientInfo> clients = [];
        if (_server is { } server) _reactor!.Invoke(() => clients = server.Describe());
        return clients;
    }

    /// <inheritdoc/>
    public void SetLimit(ulong? client, Func<ClientLimit, ClientLimit> change)
    {
        var server = _server ?? throw new ComancheException($"{Name}: it is not started");
        string? problem = null;
        _reactor!.Invoke(() => problem = server.SetLimit(client, change));
        if (problem is not null) throw new ComancheException($"{Name}: {problem}");
    }

    /// <inheritdoc/>
    protected override void OnStart()
    {
        foreach (var (option, message) in Problems(options)) throw new ComancheException($"{Name}: {option}: {message}");
        _reactor = (Host as IReactorHost)?.GetReactor() ?? throw new ComancheException($"{Name}: its host has no reactor");
        var bound = Bound<IBlockDevice>().ToArray();
        var names = NamesOf(options, bound.Select(device => ((INamed)device).Name)).ToArray();
        if (CheckNames(names, bound.Length) is { } problem) throw new ComancheException($"{Name}: names: {problem}");
        var devices = names.Zip(bound).ToArray();
        UnixListener listener;
        try
        {
            listener = UnixListener.Open(options.Socket, ModeOf(options), messages: true);
        }
        catch (ComancheException e)
        {
            throw new ComancheException($"{Name}: cannot listen on {options.Socket}: {e.Message}", e);
        }

        try
        {
            _reactor.Invoke(() => _server = new ShareServer(Host, _reactor, options, devices, listener, IsReadOnly));
        }
        catch
        {
            listener.Dispose();
            throw;
        }

        Host.Log(LogLevel.Information, $"shares {string.Join(", ", names)} at {options.Socket}");
    }

    /// <inheritdoc/>
    protected override void OnStop()
    {
        if (_server is not { } server) return;
        using var stopped = new ManualResetEventSlim();
        var reactor = _reactor!;
        reactor.Invoke(() => server.BeginStop(stopped.Set));
        while (!stopped.IsSet)
        {
            if (reactor.IsCurrent) server.StopStep();
            else stopped.Wait();
        }

        _server = null;
    }

    private const int MaxNameBytes = 95;

    private static IEnumerable<string> NamesOf(ShareOptions options, IEnumerable<string> own) => options.Names.Count == 0 ? own : options.Names;

    private static string? CheckNames(IEnumerable<string> names, int devices)
    {
        var all = names.ToList();
        if (all.Count != devices) return $"{all.Count} names for {devices} devices";
        if (all.Find(n => n.Length == 0 || System.Text.Encoding.UTF8.GetByteCount(n) > MaxNameBytes) is { } bad) return $"the name '{bad}' does not have 1 to {MaxNameBytes} bytes";
        return all.GroupBy(n => n).FirstOrDefault(g => g.Count() > 1) is { } twice ? $"the name '{twice.Key}' is given twice" : null;
    }

    private static IEnumerable<(string Option, string Message)> Problems(ShareOptions options)
    {
        var bytes = System.Text.Encoding.UTF8.GetByteCount(options.Socket);
        if (bytes is 0 or > 107) yield return ("socket", $"the path has {bytes} bytes; a Unix socket's has 1 to 107");
        foreach (var text in options.Allow)
            if (AllowList.Problem(text) is { } problem)
                yield return ("allow", problem);
        if (options.Mode.Length != 0 && ParseMode(options.Mode) is null) yield return ("mode", $"'{options.Mode}' is not octal, like 0660");
        if (new ClientLimit(options.ClientIops, options.ClientBandwidth, options.ClientBurst).Problem is { } limit)
            yield return ($"client-{limit[..limit.IndexOf(':', StringComparison.Ordinal)]}", limit[(limit.IndexOf(':', StringComparison.Ordinal) + 2)..]);
    }

    private static uint ModeOf(ShareOptions options) => ParseMode(options.Mode) ?? (options.Allow.Count == 0 ? 0x180u : 0x1B6u); // 0600, 0666

    private static uint? ParseMode(string text)
    {
        if (text.Length is 0 or > 4 || text.Any(c => c is < '0' or > '7')) return null;
        var mode = Convert.ToUInt32(text, 8);
        return mode <= 0x1FF ? mode : null;
    }
}
