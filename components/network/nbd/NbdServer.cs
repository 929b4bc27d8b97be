using Comanche.Linux;

namespace Comanche.Network;

/// <summary>
/// The listeners and connections of an export, as one poller of a reactor. A connection that is busy looks at its socket itself in its turns; one that is not lies in one event list with the
/// listeners, and costs nothing.
/// </summary>
/// <remarks>
/// <para>Why not the event list for all: a socket in a list has a waiter, which the kernel calls for every piece that a client sends and for every piece that it takes. That was a tenth of the
/// client's time at 4 KiB and depth 32, and the list a system call a turn of ours.</para>
/// Reactor thread only, except the constructor (before it is added) and what says otherwise. Ending goes: <see cref="BeginStop"/> → no new clients, new requests are answered with ESHUTDOWN,
/// clients that have nothing open are closed → after a grace nothing more is received, and what has begun is finished → at the deadline what the devices still hold, or clients have not
/// taken, is given up. <see cref="IsStopped"/> then.
/// </remarks>
internal sealed unsafe class NbdServer : IPoller, IDisposable
{
    private const ulong ListenerTag = 1UL << 32;

    // While connections are busy the event list is looked at once in so many turns: who waits there loses a few microseconds, and a busy turn saves a system call.
    private const uint TurnsPerFetch = 16;

    // When the process has no descriptor left for a new connection, this is the time until it is tried again.
    private const ulong AcceptPauseNs = 100_000_000;

    // How long clients that go on asking are told so, before they are cut off.
    private const ulong StopGraceNs = 500_000_000;

    private readonly IHost _host;
    private readonly IReadOnlyList<Listener> _listeners;
    private readonly TlsGateway? _tls;
    private readonly NbdConnection?[] _connections;
    private readonly bool[] _waiting;        // Per listener: somebody may wait to be accepted.
    private readonly ulong* _connectionCount;
    private readonly ulong* _requests;
    private readonly ulong* _bytesRead;
    private readonly ulong* _bytesWritten;
    private readonly ulong* _errors;
    private readonly ulong _stopTimeoutNs;
    private int _open;
    private uint _turn;
    private bool _armed;                     // A sleep may lie behind us, which the event list may have ended.
    private int _highest;                    // Connections lie below this index.
    private ulong _acceptAfter;
    private Action? _stopped;
    private ulong _finishAt = ulong.MaxValue;
    private ulong _abandonAt = ulong.MaxValue;
    private ulong _deadline = ulong.MaxValue; // The earliest of all connections and of the stop, or earlier.

    public NbdServer(IHost host, NbdOptions options, IReadOnlyList<NbdVolume> volumes, IReadOnlyList<Listener> listeners, TlsGateway? tls)
    {
        _host = host;
        Volumes = volumes;
        _listeners = listeners;
        _tls = tls;
        _connections = new NbdConnection?[options.MaxConnections];
        _waiting = new bool[listeners.Count];
        QueueDepth = options.QueueDepth;
        BufferBytes = options.Buffer.Bytes;
        HandshakeNs = (ulong)options.HandshakeTimeout.Ticks * 100;
        _stopTimeoutNs = (ulong)options.StopTimeout.Ticks * 100;
        TlsRequired = options.Tls?.Required ?? false;
        _connectionCount = host.AddCounter("nbd.connections", "{connection}", "Clients that were accepted");
        _requests = host.AddCounter("nbd.requests", "{request}", "Requests that were answered with success, but for queries");
        _bytesRead = host.AddCounter("nbd.read", "By", "Bytes that clients read");
        _bytesWritten = host.AddCounter("nbd.written", "By", "Bytes that clients wrote");
        _errors = host.AddCounter("nbd.errors", "{request}", "Requests that were answered with an error");
        Epoll = new Epoll();
        for (var i = 0; i < listeners.Count; i++)
        {
            if (Epoll.Add(listeners[i].Socket, EpollEvents.Readable | EpollEvents.Edge, ListenerTag + (ulong)i)) continue;
            Epoll.Dispose();
            throw new ComancheException($"the kernel has no room to watch {listeners[i].Address}");
        }
    }

    public Epoll Epoll { get; }

    public IReadOnlyList<NbdVolume> Volumes { get; }

    public int QueueDepth { get; }

    public ulong BufferBytes { get; }

    public ulong HandshakeNs { get; }

    public bool TlsRequired { get; }

    public bool HasTls => _tls is not null;

    public ulong Now => _host.GetTime();

    /// <summary>How many connections look at their sockets themselves, and are not in the event list.</summary>
    public int Attended { get; set; }

    /// <summary>Whether a stop has begun.</summary>
    public bool IsStopping => _abandonAt != ulong.MaxValue;

    /// <summary>Whether a stop has ended: no connection is left, and every queue is closed.</summary>
    public bool IsStopped => IsStopping && _open == 0;

    /// <summary>How many connections there are.</summary>
    public int OpenConnections => _open;

    /// <inheritdoc/>
    public int Poll()
    {
        // Before all else: what this closes is released below, and what may be accepted again is, before anybody sleeps.
        if (_deadline != ulong.MaxValue || _acceptAfter != 0) CheckDeadlines();
        var work = Attended == 0 || ++_turn % TurnsPerFetch == 0 || _armed ? Epoll.Fetch() : 0;
        _armed = false;
        for (var i = 0; i < work; i++)
        {
            var (events, tag) = Epoll[i];
            if (tag >= ListenerTag) _waiting[tag - ListenerTag] = true;
            else _connections[tag]?.Notice(events);
        }

        for (var i = 0; i < _highest; i++)
        {
            if (_connections[i] is not { } connection) continue;
            work += Turn(connection);
            if (connection.IsDone) Release(i);
        }

        for (var i = 0; i < _waiting.Length; i++)
            if (_waiting[i] && !IsStopping && _open < _connections.Length && _acceptAfter == 0)
                work += Accept(i);
        if (IsStopped) End();
        return work;
    }

    /// <inheritdoc/>
    public long Arm(WaitSet* waitSet)
    {
        waitSet->Add(Epoll.Descriptor);
        _armed = true;
        var sleep = WaitSet.Forever;
        for (var i = 0; i < _highest; i++)
            if (_connections[i] is { } connection)
                sleep = Math.Min(sleep, ArmOne(connection, waitSet));
        var deadline = _acceptAfter == 0 ? _deadline : Math.Min(_deadline, _acceptAfter);
        if (sleep == 0 || deadline == ulong.MaxValue) return sleep;
        var now = Now;
        return deadline <= now ? 0 : Math.Min(sleep, (long)(deadline - now));
    }

    /// <summary>The volume that a name means, or null. The empty name means the first.</summary>
    public NbdVolume? Find(ReadOnlySpan<byte> name)
    {
        if (name.Length == 0) return Volumes[0];
        foreach (var volume in Volumes)
            if (name.SequenceEqual(volume.Name))
                return volume;
        return null;
    }

    /// <summary>Begins to stop. <paramref name="stopped"/> is called once, from <see cref="Poll"/>, when it has stopped.</summary>
    public void BeginStop(Action stopped)
    {
        _stopped = stopped;
        if (IsStopping) return;
        var now = Now;
        _finishAt = now + Math.Min(StopGraceNs, _stopTimeoutNs / 2);
        _abandonAt = now + _stopTimeoutNs;
        _deadline = now;
        foreach (var listener in _listeners)
        {
            Epoll.Remove(listener.Socket);
            listener.Dispose();
        }
    }

    /// <summary>Hands a socket to the encryption, which brings what it decrypts to <paramref name="inner"/>. Both belong to it from now on.</summary>
    public TlsTunnel Encrypt(int socket, int inner) => _tls!.Start(socket, inner);

    /// <summary>Has deadlines looked at in time for this one. Whoever sets a connection's deadline calls it.</summary>
    public void Expect(ulong deadline) => _deadline = Math.Min(_deadline, deadline);

    /// <summary>Writes a warning.</summary>
    public void Warn(string message) => _host.Log(LogLevel.Warning, message);

    /// <summary>Counts a read that was answered.</summary>
    public void CountRead(uint bytes)
    {
        *_requests += 1;
        *_bytesRead += bytes;
    }

    /// <summary>Counts a request other than a read that was answered.</summary>
    public void CountWritten(uint bytes)
    {
        *_requests += 1;
        *_bytesWritten += bytes;
    }

    /// <summary>Counts a request that was answered with an error.</summary>
    public void CountError() => *_errors += 1;

    /// <summary>Closes the listeners, also after a failed start. No connection is left.</summary>
    public void Dispose()
    {
        foreach (var listener in _listeners) listener.Dispose();
        Epoll.Dispose();
    }

    // What goes wrong in one connection ends that one and none besides.
    private int Turn(NbdConnection connection)
    {
        try
        {
            return connection.Poll();
        }
        catch (Exception error)
        {
            return Fail(connection, error);
        }
    }

    private long ArmOne(NbdConnection connection, WaitSet* waitSet)
    {
        try
        {
            return connection.Arm(waitSet);
        }
        catch (Exception error)
        {
            return Fail(connection, error) != 0 ? 0 : WaitSet.Forever;
        }
    }

    // 1 where this closed it. One that fails when it is closed already holds descriptors that the device won't give back: a stop gives them up.
    private int Fail(NbdConnection connection, Exception error)
    {
        if (connection.IsClosed) return 0;
        Warn($"a connection failed and is closed: {error.Message}");
        connection.CloseSocket();
        return 1;
    }

    private void End()
    {
        var stopped = _stopped;
        _stopped = null;
        stopped?.Invoke();
    }

    private int Accept(int index)
    {
        var socket = Sockets.Accept(_listeners[index].Socket);
        if (socket == Sockets.WouldBlock)
        {
            _waiting[index] = false;
            return 0;
        }

        if (socket < 0)
        {
            // The client gave up, which is nothing; or there are no descriptors left, which passes.
            _acceptAfter = Now + AcceptPauseNs;
            return 0;
        }

        if (_listeners[index].Address.Ip is not null) Sockets.SetNoDelay(socket);
        Sockets.SetBuffers(socket, SocketBufferBytes);
        var slot = 0;
        while (_connections[slot] is not null) slot++;
        _highest = Math.Max(_highest, slot + 1);
        var connection = new NbdConnection(this, socket, slot);
        _connections[slot] = connection;
        _open++;
        *_connectionCount += 1;
        Expect(connection.Deadline);
        return 1;
    }

    // A reply of 32 reads of 4 KiB fits even where the kernel counts its overhead.
    private const int SocketBufferBytes = 1 << 20;

    /// <summary>Says who is connected. A connection's number is that of its place.</summary>
    public IReadOnlyList<ClientInfo> Describe() => [.. _connections.Index().Where(c => c.Item is { IsClosed: false }).Select(c => c.Item!.Describe((ulong)c.Index))];

    private void Release(int index)
    {
        var connection = _connections[index]!;
        _connections[index] = null;
        _open--;
        try
        {
            connection.Release();
        }
        catch (Exception error)
        {
            Warn($"a connection that ended was not given back whole: {error.Message}");
        }

        while (_highest > 0 && _connections[_highest - 1] is null) _highest--;
    }

    private void Abandon(NbdConnection connection)
    {
        try
        {
            connection.Abandon();
        }
        catch (Exception error)
        {
            Warn($"a queue could not be given up: {error.Message}");
        }
    }

    private void CheckDeadlines()
    {
        var now = Now;
        if (_acceptAfter != 0 && now >= _acceptAfter) _acceptAfter = 0;
        if (now < _deadline) return;
        var next = ulong.MaxValue;
        for (var i = 0; i < _highest; i++)
        {
            if (_connections[i] is not { } connection) continue;
            if (now >= _abandonAt) Abandon(connection);
            else if (now >= connection.Deadline) connection.Expire(now);
            else if (IsStopping && (now >= _finishAt || connection.IsStillQuiet())) connection.Finish();
            next = Math.Min(next, connection.Deadline);
        }

        // While it stops, it looks for clients that have become quiet every few milliseconds.
        _deadline = IsStopping && _open != 0 ? Math.Min(next, now + 2_000_000) : next;
    }
}
