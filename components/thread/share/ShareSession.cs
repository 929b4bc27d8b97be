using Comanche.Linux;

namespace Comanche.Threading;

/// <summary>
/// One client of <c>thread/share</c>: its control socket, its queues and its memory. Reactor thread only.
/// </summary>
/// <remarks>
/// <para>States: <c>Connected</c> → <c>Attached</c> → <c>Ending</c> → <c>Over</c>. One request at a time: while one is worked on, the socket is not looked at, and a client that sends more waits
/// in it. What takes long (mapping, locking, unmapping) is done beside the reactor.</para>
/// <para>Its end, whatever the reason: every queue gives up; when nothing is in flight the queues are removed, then the memory is unmapped, then the socket is closed. Nothing of
/// the client is touched by a device any more by then.</para>
/// </remarks>
internal sealed unsafe class ShareSession
{
    private const int MaxRegions = 1024;

    private readonly IHost _host;
    private readonly ShareServer _server;
    private readonly ShareOptions _options;
    private readonly int _socket;
    private readonly string? _refusal;
    private readonly Dictionary<uint, SharePort> _ports = [];
    private EventDescriptor? _event; // What wakes the server.
    private SharePage* _page;
    private int _pageFile = -1;
    private uint _lastPort;
    private bool _busy; // A request is worked on.
    private ClientMemory.Mapping? _removing;
    private string? _condemnation;
    private uint _removingNumber;
    private bool _ending, _releasing;
    private RateLimit? _rate; // What all its queues draw from; null where it has no limit, or no device yet.

    /// <summary>Takes a connection.</summary>
    /// <param name="host">Whose memory, clock and log are used.</param>
    /// <param name="server">The server.</param>
    /// <param name="options">The limits.</param>
    /// <param name="id">Its number among all that ever connected.</param>
    /// <param name="socket">Its socket.</param>
    /// <param name="refusal">Why it is refused, or null.</param>
    public ShareSession(IHost host, ShareServer server, ShareOptions options, ulong id, int socket, string? refusal)
    {
        _refusal = refusal;
        _host = host;
        _server = server;
        _options = options;
        _socket = socket;
        Id = id;
    }

    /// <summary>Its number among all that ever connected.</summary>
    public ulong Id { get; }

    /// <summary>Whether it only waits to be told that it is refused; it takes no client's place.</summary>
    public bool IsRefused => _refusal is not null;

    /// <summary>The device that it attached to; null before that.</summary>
    public ShareDevice? Device { get; private set; }

    /// <summary>What it may use. Setting it fills the buckets.</summary>
    public required ClientLimit Limit
    {
        get;
        set
        {
            field = value;
            MakeRate();
        }
    }

    /// <summary>Its memory.</summary>
    public ClientMemory Memory { get; } = new(MaxRegions);

    /// <summary>Whether <see cref="Care"/> has something to wait for.</summary>
    public bool NeedsCare => _ending || _removing is not null || _condemnation is not null;

    /// <summary>Counts a descriptor that made no sense.</summary>
    public void CountRefused() => _server.Counters.Rejected();

    /// <summary>Says that the client broke the rules of the rings; it is cut off soon.</summary>
    public void Condemn(string reason) => _condemnation ??= reason;

    /// <summary>Gives the device's geometry where it changed; on the data path, but only for what lies beyond the end.</summary>
    public bool TryRefresh(out VolumeInfo volume)
    {
        volume = Device!.GetVolume();
        return true;
    }

    /// <summary>Passes the device's event number on.</summary>
    public void PublishEvents() => Volatile.Write(ref _page->EventNumber, Device!.Events);

    /// <summary>Says who it is.</summary>
    public ClientInfo Describe()
    {
        var peer = Sockets.GetPeer(_socket);
        return new ClientInfo(Id, $"process {peer.Process}, user {peer.User}", Device?.Name ?? "", _ports.Count, _ports.Values.Sum(p => p.InFlight), Memory.Bytes) { Limit = Limit };
    }

    /// <summary>Takes what the socket or the eventfd has.</summary>
    public void OnReadable(bool isEvent)
    {
        if (_ending) return; // Also what came with the news that ended it.
        if (isEvent)
        {
            // It only ended the sleep: the lanes look at the rings. It is watched by its edges and never read, since a client can make a read of it block.
            return;
        }

        if (_busy) return;
        ShareMessage message;
        var descriptors = stackalloc int[1];
        descriptors[0] = -1;
        var length = Sockets.ReceiveMessage(_socket, &message, ShareMessage.Size, new Span<int>(descriptors, 1), out var brought);
        if (length == Sockets.WouldBlock || length == Sockets.Interrupted) return;
        if (length <= 0)
        {
            End(length == 0 ? "it is gone" : Linux.Memory.Describe((int)-length), isLost: _ports.Count != 0);
            return;
        }

        var file = brought == 1 ? descriptors[0] : -1;
        if (length != ShareMessage.Size || message.Magic != ShareMessage.GoodMagic || (Device is null) != (message.Request == ShareRequest.Attach))
        {
            if (file >= 0) Sockets.Close(file);
            Condemn("it sent what is no message of the protocol");
            return;
        }

        if (_refusal is not null)
        {
            Refuse(ref message, _refusal);
            End(_refusal, isLost: false);
            Care(); // It has nothing that would take time, and its place is wanted.
        }
        else if (message.Version != ShareMessage.GoodVersion) Refuse(ref message, $"version {message.Version} of the protocol was asked for; this is version {ShareMessage.GoodVersion}");
        else Handle(ref message, ref file);
        if (file >= 0) Sockets.Close(file);
    }

    /// <summary>Looks after what takes several rounds; returns how much was done.</summary>
    public int Care()
    {
        if (_condemnation is { } reason && !_ending)
        {
            _server.Counters.Condemned();
            End(reason, isLost: true);
            return 1;
        }

        if (_removing is { } mapping && !_ending && Memory.IsQuiet) return ReleaseRegion(mapping);
        return _ending && !_busy && !_releasing && _ports.Values.All(p => p.InFlight == 0) ? Release() : 0;
    }

    /// <summary>Cuts it off where it has not said in time what it wants.</summary>
    public void EndUnattached()
    {
        if (Device is null) End("it did not say what it wants", isLost: false);
    }

    /// <summary>Cuts the client off; it is over when its I/O is back.</summary>
    public void End(string reason, bool isLost)
    {
        if (_ending) return;
        _ending = true;
        if (_removing is not null) _busy = false; // It waits for I/O, and so does the end.
        _server.Unwatch(_socket);
        if (_event is not null) _server.Unwatch(_event.Number);
        if (isLost) _server.Counters.Lost();
        if (isLost || _condemnation is not null) _host.Log(_condemnation is null ? LogLevel.Information : LogLevel.Warning, $"client {Id} is cut off: {reason}");
        foreach (var port in _ports.Values) Device!.Lane.GiveUp(port);
    }

    private void Handle(ref ShareMessage message, ref int file)
    {
        switch (message.Request)
        {
            case ShareRequest.Attach:
                Attach(ref message);
                break;
            case ShareRequest.OpenQueue:
                OpenQueue(ref message);
                break;
            case ShareRequest.CloseQueue:
            case ShareRequest.Abandon:
                EndQueue(ref message);
                break;
            case ShareRequest.AddRegion:
                AddRegion(message, ref file);
                break;
            case ShareRequest.RemoveRegion:
                RemoveRegion(ref message);
                break;
            case ShareRequest.Describe:
                Describe(ref message);
                Answer(ref message, []);
                break;
            default:
                Refuse(ref message, "there is no such request");
                break;
        }
    }

    private void Attach(ref ShareMessage message)
    {
        if (_server.Find(message.Text) is not { } device)
        {
            Refuse(ref message, message.Text.Length == 0 ? $"several devices are shared: say which of {_server.Names}" : $"no device '{message.Text}' is shared here; there are {_server.Names}");
            return;
        }

        if (EventDescriptor.Create(out _event) != 0 || MakePage() != 0 || !_server.Watch(_event!.Number, this, isEvent: true))
        {
            Refuse(ref message, "the server has no descriptors or memory left");
            Condemn("there was no room for it");
            return;
        }

        Device = device;
        MakeRate();
        PublishEvents();
        _server.Counters.Attached();
        _host.Log(LogLevel.Information, $"client {Id} attached to {device.Name}: {Describe().Peer}");
        Describe(ref message);
        message.Length = (ulong)_options.MaxDepth;
        message.Segments = message.Volume.MaxSegments;
        Answer(ref message, [_pageFile, _event.Number]);
    }

    private void MakeRate()
    {
        _rate = Device is null || Limit.IsNone ? null : new RateLimit((ulong)Limit.Iops, Limit.Bandwidth.Bytes, Limit.Burst, Device.GetVolume().BlockSize, _host.GetTime());
        foreach (var port in _ports.Values) port.SetLimit(_rate, _host);
    }

    private int MakePage()
    {
        var error = Linux.Memory.CreateShared("comanche-share", (nuint)sizeof(SharePage), huge: false, out _pageFile);
        if (error == 0 && (error = Linux.Memory.MapAligned(_pageFile, (nuint)sizeof(SharePage), Linux.Memory.PageSize, out var address)) == 0) _page = (SharePage*)address;
        return error;
    }

    private void Describe(ref ShareMessage message)
    {
        message.Volume = Device!.GetVolume();
        message.Health = Device.GetHealth();
    }

    private void OpenQueue(ref ShareMessage message)
    {
        var depth = message.Length;
        if (depth == 0 || depth > (ulong)_options.MaxDepth)
        {
            Refuse(ref message, $"a queue of depth {depth} was asked for; 1 to {_options.MaxDepth} can be had");
            return;
        }

        if (_ports.Count >= _options.MaxQueues)
        {
            Refuse(ref message, $"{_options.MaxQueues} queues are open, which is the most");
            return;
        }

        var volume = Device!.GetVolume();
        var segments = (int)volume.MaxSegments;
        var page = Linux.Memory.PageSize;
        var bytes = (Channel.BytesFor((int)depth, segments) + page - 1) / page * page;
        var error = Linux.Memory.CreateShared("comanche-queue", bytes, huge: false, out var file);
        void* memory = null;
        if (error == 0) error = Linux.Memory.MapAligned(file, bytes, page, out memory);
        EventDescriptor? wakes = null;
        if (error == 0) error = Linux.Memory.Populate(memory, bytes);
        var readable = -1;
        if (error == 0) error = EventDescriptor.CreatePair(out wakes, out readable);
        if (error != 0)
        {
            if (memory is not null) Linux.Memory.Unmap(memory, bytes);
            if (file >= 0) Sockets.Close(file);
            Refuse(ref message, $"the rings can't be had: {Linux.Memory.Describe(error)}");
            return;
        }

        var port = new SharePort(this, Device.Lane, new Channel((byte*)memory, (int)depth, segments), bytes, (int)depth, wakes!, volume, segments) { Number = ++_lastPort };
        port.SetLimit(_rate, _host);
        _ports.Add(port.Number, port);
        Device.Lane.Add(port);
        message.Number = port.Number;
        message.Length = bytes;
        message.Segments = (uint)segments;
        Answer(ref message, [file, readable]);
        Sockets.Close(file);
        Sockets.Close(readable);
    }

    private void EndQueue(ref ShareMessage message)
    {
        if (!_ports.TryGetValue(message.Number, out var port))
        {
            Refuse(ref message, $"there is no queue {message.Number}");
            return;
        }

        if (message.Request == ShareRequest.Abandon)
        {
            Device!.Lane.GiveUp(port);
        }
        else if (port.InFlight != 0 || port.HasSubmissions)
        {
            Refuse(ref message, $"{port.InFlight} descriptors are in flight");
            return;
        }
        else
        {
            _ports.Remove(message.Number);
            Device!.Lane.Remove(port);
        }

        Answer(ref message, []);
    }

    private void AddRegion(ShareMessage message, ref int file)
    {
        if (file < 0 || !Memory.IsFree(message.Number) || Memory.Bytes + message.Length > _options.MaxMemory.Bytes || Memory.Bytes + message.Length < message.Length)
        {
            Refuse(ref message, file < 0 ? "a region brings a file" : !Memory.IsFree(message.Number) ? $"the number {message.Number} is in use, or not 1 to {MaxRegions}"
                : $"{new ByteSize(Memory.Bytes)} of memory are attached; {_options.MaxMemory} are the most");
            return;
        }

        var descriptor = file;
        var user = Sockets.GetPeer(_socket).User;
        var isTrusted = user == 0 || user == Limits.EffectiveUser;
        file = -1;
        ClientMemory.Mapping? mapping = null;
        BeBusy();
        _server.Beside(
            () =>
            {
                try
                {
                    mapping = ClientMemory.Map(_host.GetMemory(), descriptor, message.Length, isTrusted);
                }
                finally
                {
                    Sockets.Close(descriptor);
                }
            },
            problem =>
            {
                if (mapping is not null) Memory.Add(message.Number, mapping);
                BeFree();
                if (problem is null) Answer(ref message, []);
                else Refuse(ref message, problem);
            });
    }

    private void RemoveRegion(ref ShareMessage message)
    {
        if (Memory.Remove(message.Number) is not { } mapping)
        {
            Refuse(ref message, $"there is no region {message.Number}");
            return;
        }

        _removing = mapping;
        _removingNumber = message.Number;
        BeBusy();
    }

    private int ReleaseRegion(ClientMemory.Mapping mapping)
    {
        _removing = null;
        _server.Beside(() => ClientMemory.Release(mapping), _ =>
        {
            BeFree();
            var answer = ShareMessage.Of(ShareRequest.RemoveRegion);
            answer.Number = _removingNumber;
            Answer(ref answer, []);
        });
        return 1;
    }

    // While a request is worked on the socket is not watched, which would be readable all the time where the client sends more.
    private void BeBusy()
    {
        _busy = true;
        _server.Unwatch(_socket);
    }

    private void BeFree()
    {
        _busy = false;
        if (!_ending && !_server.Watch(_socket, this, isEvent: false)) Condemn("the kernel has no room to watch its socket");
    }

    private int Release()
    {
        _releasing = true;
        foreach (var port in _ports.Values) Device!.Lane.Remove(port);
        _ports.Clear();
        var mappings = Memory.RemoveAll();
        if (_removing is not null) mappings.Add(_removing);
        _removing = null;
        if (mappings.Count == 0) CloseAll();
        else _server.Beside(() => mappings.ForEach(ClientMemory.Release), _ => CloseAll());
        return 1;
    }

    private void CloseAll()
    {
        Sockets.Close(_socket);
        _event?.Dispose();
        if (_page is not null) Linux.Memory.Unmap(_page, (nuint)sizeof(SharePage));
        if (_pageFile >= 0) Sockets.Close(_pageFile);
        _server.Ended(this);
    }

    private void Refuse(ref ShareMessage message, string reason)
    {
        message.Refused = 1;
        message.Text = reason;
        Answer(ref message, []);
    }

    // A client that does not read its answers has no more than one outstanding, which the socket has room for; one that has more is none of ours.
    private void Answer(ref ShareMessage message, ReadOnlySpan<int> descriptors)
    {
        if (_ending) return;
        fixed (ShareMessage* bytes = &message)
            if (Sockets.SendMessage(_socket, bytes, ShareMessage.Size, descriptors) is var sent and < 0)
                Condemn($"its answer can't be sent: {Linux.Memory.Describe((int)-sent)}");
    }
}
