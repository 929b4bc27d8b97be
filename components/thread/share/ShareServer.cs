using Comanche.Linux;

namespace Comanche.Threading;

/// <summary>
/// What <c>thread/share</c> runs on its reactor: the listener, the clients' control sockets, and a lane for each device. Reactor thread only.
/// </summary>
/// <remarks>
/// While there is I/O the sockets are looked at once in many rounds only, since that is a system call; before a sleep they all end it, through one event list.
/// </remarks>
internal sealed class ShareServer : IPoller
{
    private const int RoundsPerLook = 256;
    private const ulong ListenerTag = 0;

    // Connections at a time that only wait to be told that they are refused.
    private const int MostRefused = 64;

    // Connections that are taken at one look.
    private const int MostAccepted = 16;

    // From connecting to attaching.
    private static readonly TimeSpan HandshakeTime = TimeSpan.FromSeconds(10);

    // What is asked to end is looked after each round, and so often while the reactor sleeps.
    private const long EndingNs = 1_000_000;

    private readonly IHost _host;
    private readonly IReactor _reactor;
    private readonly ShareOptions _options;
    private readonly UnixListener _listener;
    private readonly AllowList _allow;
    private readonly Epoll _epoll = new();
    private readonly List<ShareDevice> _devices = [];
    private readonly List<ShareSession> _sessions = [];
    private readonly List<ShareSession> _ended = [];
    private ClientLimit _limit; // Of clients to come.
    private ulong _lastSession;
    private int _rounds;
    private bool _armed;
    private Action? _stopped;

    /// <summary>Opens the devices' queues and begins to serve.</summary>
    public unsafe ShareServer(
        IHost host, IReactor reactor, ShareOptions options, (string Name, IBlockDevice Device)[] devices, UnixListener listener, bool isReadOnly)
    {
        _host = host;
        _reactor = reactor;
        _options = options;
        _limit = new ClientLimit(options.ClientIops, options.ClientBandwidth, options.ClientBurst);
        _listener = listener;
        _allow = new AllowList(options.Allow);
        Counters = new ShareCounters(host);
        try
        {
            foreach (var (name, device) in devices) _devices.Add(new ShareDevice(name, device, new Lane(host, reactor, device, (uint)options.Depth, options.Burst), isReadOnly));
            _epoll.Add(listener.Socket, EpollEvents.Readable, ListenerTag);
        }
        catch
        {
            foreach (var device in _devices) device.Lane.Dispose();
            _epoll.Dispose();
            throw;
        }

        reactor.Add(this);
    }

    /// <summary>What is counted.</summary>
    public ShareCounters Counters { get; }

    /// <summary>Finds a device by its name; the only one goes without.</summary>
    public ShareDevice? Find(string name) => name.Length == 0 && _devices.Count == 1 ? _devices[0] : _devices.FirstOrDefault(d => d.Name == name);

    /// <summary>The names of the devices, for a message.</summary>
    public string Names => string.Join(", ", _devices.Select(d => d.Name));

    /// <summary>Says who is attached.</summary>
    public IReadOnlyList<ClientInfo> Describe() => [.. _sessions.Select(s => s.Describe())];

    /// <summary>Changes the limit of one client, or of all there are and those to come; returns why it can't, with nothing changed.</summary>
    public string? SetLimit(ulong? client, Func<ClientLimit, ClientLimit> change)
    {
        var sessions = _sessions.Where(s => client is null || s.Id == client).ToList();
        if (client is not null && sessions.Count == 0) return $"there is no client {client}";
        var limits = sessions.ConvertAll(s => change(s.Limit));
        var next = client is null ? change(_limit) : _limit;
        foreach (var limit in limits.Append(next))
            if (limit.Problem is { } problem)
                return problem;
        for (var i = 0; i < sessions.Count; i++) sessions[i].Limit = limits[i];
        _limit = next;
        return null;
    }

    /// <inheritdoc/>
    public int Poll()
    {
        if (!_armed && ++_rounds % RoundsPerLook != 0 && _ended.Count == 0 && !NeedsCare()) return 0;
        _armed = false;
        var work = Look();
        foreach (var session in _sessions) work += session.Care();
        EndSessions();
        if (_stopped is not null) StopStep();
        return work;
    }

    /// <inheritdoc/>
    public unsafe long Arm(WaitSet* waitSet)
    {
        _armed = true;
        waitSet->Add(_epoll.Descriptor);
        return NeedsCare() || _stopped is not null ? EndingNs : WaitSet.Forever;
    }

    /// <summary>Watches a descriptor of a session: its socket, or its eventfd.</summary>
    public bool Watch(int descriptor, ShareSession session, bool isEvent) => _epoll.Add(descriptor, isEvent ? EpollEvents.Readable | EpollEvents.Edge : EpollEvents.Readable, session.Id << 1 | (isEvent ? 1u : 0u));

    /// <summary>Watches it no more.</summary>
    public void Unwatch(int descriptor) => _epoll.Remove(descriptor);

    /// <summary>Says that a session is over, with nothing left of it.</summary>
    public void Ended(ShareSession session) => _ended.Add(session);

    /// <summary>Runs work beside the reactor, and what follows it on the reactor again.</summary>
    public void Beside(Action work, Action<string?> then) => Task.Run(() =>
    {
        string? problem = null;
        try
        {
            work();
        }
        catch (Exception e)
        {
            problem = e.Message;
        }

        try
        {
            _reactor.Post(() => then(problem));
        }
        catch (ComancheException)
        {
            // The reactor has ended, and all that it served with it.
        }
    });

    /// <summary>Ends it: nobody attaches any more, clients are cut off once their I/O is back, and then this is called.</summary>
    public void BeginStop(Action stopped)
    {
        _stopped = stopped;
        _epoll.Remove(_listener.Socket);
        if (_listener.Close() is { } problem) _host.Log(LogLevel.Warning, problem);
        foreach (var session in _sessions) session.End("the stack stops", isLost: false);
    }

    /// <summary>Takes the stop a step further, for a caller who has the reactor's thread.</summary>
    public void StopStep()
    {
        if (_stopped is null) return;
        foreach (var device in _devices) device.Lane.Poll();
        foreach (var session in _sessions) session.Care();
        EndSessions();
        if (_sessions.Count != 0) return;
        foreach (var device in _devices) device.Lane.Dispose();
        _reactor.Remove(this);
        _epoll.Dispose();
        var stopped = _stopped;
        _stopped = null;
        stopped();
    }

    private bool NeedsCare()
    {
        for (var i = 0; i < _sessions.Count; i++)
            if (_sessions[i].NeedsCare)
                return true;
        return false;
    }

    private int Look()
    {
        var count = _epoll.Fetch();
        for (var i = 0; i < count; i++)
        {
            var tag = _epoll[i].Tag;
            if (tag == ListenerTag) Accept();
            else if (_sessions.Find(s => s.Id == tag >> 1) is { } session) Read(session, isEvent: (tag & 1) != 0);
        }

        foreach (var device in _devices) device.ReadEvents(_sessions);
        return count;
    }

    // What goes wrong with one client's request is that client's end, not the server's.
    private void Read(ShareSession session, bool isEvent)
    {
        try
        {
            session.OnReadable(isEvent);
        }
        catch (Exception e)
        {
            session.Condemn($"its request could not be worked on: {e.Message}");
        }
    }

    // A few at a time: those who connect without end do not keep the reactor from the others.
    private void Accept()
    {
        for (var left = MostAccepted; left != 0; left--)
        {
            var socket = Sockets.Accept(_listener.Socket);
            if (socket < 0) return;
            var waiting = _sessions.Count(s => s.IsRefused);
            var refusal = _sessions.Count - waiting >= _options.MaxClients ? $"{_options.MaxClients} clients are attached, which is the most" : !_allow.Admits(socket) ? "you may not attach" : null;
            var session = new ShareSession(_host, this, _options, ++_lastSession, socket, refusal) { Limit = _limit };

            // One that is refused is told so when it has asked; of those there are not many at a time either.
            if ((refusal is null || waiting < MostRefused) && Watch(socket, session, isEvent: false))
            {
                _sessions.Add(session);
                _reactor.Schedule(HandshakeTime, session.EndUnattached);
            }
            else
            {
                Sockets.Close(socket);
            }

            if (refusal is null) continue;
            Counters.Refused();
            _host.Log(LogLevel.Warning, $"client {_lastSession} is refused: {refusal}");
        }
    }

    private void EndSessions()
    {
        foreach (var session in _ended) _sessions.Remove(session);
        _ended.Clear();
    }
}
