using System.Runtime.InteropServices;
using Comanche.Linux;

namespace Comanche.Network;

/// <summary>
/// One client: a socket, and once it has chosen an export a queue on its device, slots for requests and DMA memory for their data.
/// </summary>
/// <remarks>
/// <para><b>One turn</b> (<see cref="Poll"/>) takes what the device finished, receives, parses every request that is there, submits them as one batch, takes what the device finished
/// at once, and sends all replies in one call.</para>
/// <para><b>Data.</b> Large write payloads are received into the DMA buffer that the device reads; small ones are copied out of the receive buffer, since one copy costs less than the
/// system call that it saves. Replies are sent from the DMA buffer that the device wrote.</para>
/// <para><b>Bounds.</b> Everything is allocated when the client connects and when it chooses an export. A request takes a slot and its data a run of the arena; where either is out, parsing
/// stops, then receiving, and the client waits in its socket. A request longer than a piece is served by pieces (see NbdConnection.Long.cs).</para>
/// <para><b>End.</b> After a disconnect request or the end of the stream, what is in flight is finished and answered; after an error the socket is closed at once. In both cases memory
/// goes back only when every descriptor is back from the device.</para>
/// <para>Reactor thread only.</para>
/// </remarks>
internal sealed unsafe partial class NbdConnection
{
    // Holds the headers of some 9000 requests or 60 writes of 4 KiB: one system call for as much as a client has in flight.
    private const int ReceiveBytes = 256 * 1024;

    // A payload of which at least this much is still to come is received in place; below it a copy is cheaper than a call of its own.
    private const uint DirectBytes = 16 * 1024;

    // After a large write only so much is read ahead: enough for the next header, and little to copy of its payload.
    private const int ShortReadAhead = 4096;

    private const int PollBatch = 64;

    // A look takes the socket's lock, and so costs a client that is sending on another core. After one in vain the next turns do without: 8 of them take about half a microsecond,
    // and gave 9 % more 4 KiB writes at depth 32 than looking each time; 32 gave no more, and cost a sixth at depth 1.
    private const int TurnsPerLook = 8;

    // How often all connections that are looked at look in vain, between them, until one is given to the event list: some 20 ms of a spinning reactor with one, a few looks with thousands.
    private const int MostVainTurns = 1 << 15;

    // A client that asked to end, or whose connection has ended, and does not take its last replies, is not waited for longer.
    private const ulong FinishNs = 30_000_000_000;

    private readonly NbdServer _server;
    private readonly int _tag;
    private readonly byte* _receive;
    private int _head;                   // [_head, _tail) of the receive buffer is not parsed yet.
    private int _tail;
    private int _readAhead = ReceiveBytes;
    private int _socket;
    private bool _watched;               // In the server's event list: the kernel says when there is something. Otherwise every turn looks.
    private int _vain;                   // Turns that looked in vain since something was received.
    private uint _receives;              // How often something came.
    private uint _receivesBefore = uint.MaxValue;
    private bool _writable = true;
    private int _skipped;                // Turns since the last look, after one in vain.
    private bool _stalled;               // Parsing waits for a slot, for memory, or for output to be sent.
    private Phase _phase = Phase.Greeting;
    private OutputQueue _output = new(16);

    // Transmission.
    private VolumeInfo _info;
    private NbdVolume? _volume;
    private IIoQueue? _queue;
    private BufferArena? _arena;
    private DescriptorSlab? _slab;
    private RequestSlot* _slots;
    private IoDescriptor** _batch;       // Descriptors that are to be submitted.
    private int _batchCount;
    private IoDescriptor** _done;
    private int* _freed;
    private int _inFlight;               // At the device.
    private bool _abandoned;

    /// <summary>Takes over a socket that was just accepted.</summary>
    public NbdConnection(NbdServer server, int socket, int tag)
    {
        _server = server;
        _socket = socket;
        _tag = tag;
        _receive = (byte*)NativeMemory.AlignedAlloc(ReceiveBytes, 64);
        _replies = (byte*)NativeMemory.AlignedAlloc(RepliesBytes, 64);
        Deadline = server.Now + server.HandshakeNs;
        server.Attended++;
        Greet();
    }

    private enum Phase
    {
        Greeting,       // The client's flags are expected.
        Options,        // Option haggling.
        StartingTls,    // The consent to encrypt is being sent.
        Transmission,
        Finishing,      // Nothing more is received; what has begun is answered.
        Closed,         // The socket is closed; the device may still hold descriptors, and the encryption replies that the client has not taken.
    }

    /// <summary>Until when the client must have chosen an export, or at its end taken its replies; otherwise <see cref="ulong.MaxValue"/>.</summary>
    public ulong Deadline { get; private set; }

    /// <summary>Whether the socket is closed.</summary>
    public bool IsClosed => _phase == Phase.Closed;

    /// <summary>Whether the socket is closed, the device holds nothing of it and the encryption has ended: it can be released. Until then it takes one of the places for connections.</summary>
    public bool IsDone => _phase == Phase.Closed && _inFlight == 0 && (_tunnel is null || _tunnel.HasEnded);

    /// <summary>Says who it is.</summary>
    public ClientInfo Describe(ulong id)
    {
        var peer = Sockets.GetPeer(_socket);
        var name = _volume is null ? "" : (_volume.Device as INamed)?.Name ?? "";
        return new ClientInfo(id, peer.Process == 0 ? "over TCP" : $"process {peer.Process}, user {peer.User}", name, _queue is null ? 0 : 1, _inFlight, 0);
    }

    private bool IsEncrypted => _tunnel is not null;

    /// <summary>
    /// Whether the client has nothing open here (no request in flight, none half received, no reply unsent) and sent nothing since the last time that this was asked: between two
    /// requests of a client that goes on asking there is nothing open either.
    /// </summary>
    public bool IsStillQuiet()
    {
        var sentNothing = _receives == _receivesBefore;
        _receivesBefore = _receives;
        return sentNothing && _inFlight == 0 && _batchCount == 0 && _output.IsEmpty && (_watched || _vain != 0) && _payloadLeft == 0 && _job == RequestSlot.None
            && _tail - _head < NbdProtocol.RequestBytes;
    }

    /// <summary>Notes what the kernel says of the socket: from here on every turn looks at it.</summary>
    public void Notice(EpollEvents events)
    {
        if ((events & ~EpollEvents.Readable) != 0) _writable = true;
        Unwatch();
    }

    /// <summary>One turn; returns how much was done.</summary>
    public int Poll()
    {
        var work = _inFlight == 0 ? 0 : Reap();
        if (_phase < Phase.Finishing)
        {
            if (!_watched && !_stalled && (_vain == 0 || ++_skipped == TurnsPerLook)) work += Receive();
            if (_tail != _head || _stalled || _job != RequestSlot.None) work += Parse();
        }
        else if (_job != RequestSlot.None && _phase == Phase.Finishing)
        {
            work += Parse();
        }

        if (_batchCount != 0) work += SubmitBatch();
        if (_inFlight != 0) work += Reap();
        if (!_output.IsEmpty && _writable && _phase != Phase.Closed) work += Send();
        if (_phase == Phase.StartingTls && _output.IsEmpty) StartTls();
        if (_phase == Phase.Finishing && _inFlight == 0 && _batchCount == 0 && _output.IsEmpty && (_job == RequestSlot.None || _payloadLeft != 0)) CloseSocket();
        if (!_writable && !_watched && _phase != Phase.Closed) Watch();
        return work;
    }

    /// <summary>Readies for a sleep: 0 where there is something to do now.</summary>
    public long Arm(WaitSet* waitSet)
    {
        _skipped = TurnsPerLook - 1; // The look before the sleep, and the one behind it, are not left out.
        if (_phase < Phase.Finishing && !_watched && !_stalled) waitSet->Add(_socket);
        if (!_output.IsEmpty && _writable && _phase != Phase.Closed) return 0;
        if (_inFlight != 0) return _queue!.Arm(waitSet);
        return _batchCount != 0 ? 0 : WaitSet.Forever; // Refused though nothing of ours is in flight: tried again.
    }

    /// <summary>Ends the connection now: nothing more is received or sent.</summary>
    public void CloseSocket()
    {
        if (_phase == Phase.Closed) return;
        if (_watched) Unwatch();
        _server.Attended--;
        Sockets.Close(_socket);
        _socket = -1;
        if (_inner >= 0)
        {
            Sockets.Close(_inner);
            Sockets.Close(_outer);
            _inner = _outer = -1;
        }

        _phase = Phase.Closed;
        Deadline = ulong.MaxValue;
        if (_tunnel is not null)
        {
            _tunnel.Finish();
            SetDeadline();
        }

        // What the device has not seen yet it will not see.
        _batchCount = 0;
    }

    /// <summary>Ends it because its time is up, with what the client has not taken. Where it is the device that takes its time, the client is not to blame, and waits on.</summary>
    public void Expire(ulong now)
    {
        if (_phase == Phase.Finishing && _output.IsEmpty && _inFlight != 0) Deadline = now + FinishNs;
        else Cut();
    }

    private void Cut()
    {
        CloseSocket();
        _tunnel?.Cancel();
        Deadline = ulong.MaxValue;
    }

    /// <summary>Gives up what is in flight at the device, and what the client has not taken.</summary>
    public void Abandon()
    {
        Cut();
        if (_abandoned || _queue is null) return;
        _abandoned = true;
        _queue.Abandon();
    }

    /// <summary>Gives everything back; <see cref="IsDone"/> holds.</summary>
    public void Release()
    {
        _queue?.Close();
        NativeObject.FinalRelease(_queue);
        _queue = null;
        _arena?.Dispose();
        _slab?.Dispose();
        _output.Dispose();
        NativeMemory.AlignedFree(_receive);
        NativeMemory.AlignedFree(_replies);
        NativeMemory.AlignedFree(_slots);
        NativeMemory.Free(_batch);
        NativeMemory.Free(_done);
        NativeMemory.Free(_freed);
    }

    // Opens what the transmission needs. Throws where the device or the memory has no room, leaving nothing open.
    private void OpenVolume(NbdVolume volume, in VolumeInfo info)
    {
        var slots = _server.QueueDepth;
        var unit = Math.Max(4096, Math.Max(info.BlockSize, info.BufferAlignment));
        var arena = new BufferArena(volume.Device, _server.BufferBytes, unit);
        try
        {
            var options = new QueueOptions { Depth = (uint)slots };
            _queue = volume.Device.OpenQueue(&options);
        }
        catch
        {
            arena.Dispose();
            throw;
        }

        _arena = arena;
        _volume = volume;
        _info = info;
        _slab = new DescriptorSlab(slots);
        for (var i = 0; i < slots; i++) _slab[i]->Tag = (ulong)i;
        _slots = (RequestSlot*)NativeMemory.AlignedAlloc((nuint)slots * (nuint)sizeof(RequestSlot), 64);
        NativeMemory.Clear(_slots, (nuint)slots * (nuint)sizeof(RequestSlot));
        _batch = (IoDescriptor**)NativeMemory.Alloc((nuint)slots, (nuint)sizeof(IoDescriptor*));
        _done = (IoDescriptor**)NativeMemory.Alloc(PollBatch, (nuint)sizeof(IoDescriptor*));

        // A slot has at most two pieces of output, and the last reply of the negotiation may still be there.
        var capacity = slots * 2 + 8;
        _freed = (int*)NativeMemory.Alloc((nuint)capacity, sizeof(int));
        var output = new OutputQueue(capacity);
        _output.MoveTo(output);
        _output.Dispose();
        _output = output;
        SetLimits(slots);
    }

    private int Receive()
    {
        _skipped = 0;
        nint count;
        if (_payloadTo is not null && _payloadLeft >= DirectBytes && _head == _tail)
        {
            // The rest of a large payload goes into its place, and a little of what follows into the buffer.
            var pieces = stackalloc IoVector[2];
            pieces[0] = new IoVector { Address = _payloadTo, Length = _payloadLeft };
            pieces[1] = new IoVector { Address = _receive, Length = ShortReadAhead };
            count = Sockets.ReceiveScattered(_socket, pieces, 2);
            if (count > 0)
            {
                var inPlace = (uint)Math.Min(count, _payloadLeft);
                _payloadTo += inPlace;
                _payloadLeft -= inPlace;
                _head = 0;
                _tail = (int)(count - inPlace);
                if (_payloadLeft == 0) PayloadComplete();
            }
        }
        else
        {
            if (_head == _tail) _head = _tail = 0;
            else if (_tail == ReceiveBytes) MakeRoom();
            count = Sockets.Receive(_socket, _receive + _tail, (nuint)Math.Min(_readAhead, ReceiveBytes - _tail));
            if (count > 0) _tail += (int)count;
        }

        if (count > 0)
        {
            _vain = 0;
            _receives++;
            return 1;
        }

        if (count == 0) Finish();
        else if (count == Sockets.WouldBlock && ++_vain > MostVainTurns / _server.Attended) Watch();
        else if (count != Sockets.Interrupted && count != Sockets.WouldBlock) CloseSocket();
        return 0;
    }

    private void Watch()
    {
        var events = _phase < Phase.Finishing && !_stalled ? EpollEvents.Readable | EpollEvents.PeerClosed : EpollEvents.None;
        if (!_writable) events |= EpollEvents.Writable;
        if (!_server.Epoll.Add(_socket, events, (ulong)_tag))
        {
            CloseSocket();
            return;
        }

        _watched = true;
        _server.Attended--;
    }

    private void Unwatch()
    {
        _server.Epoll.Remove(_socket);
        _server.Attended++;
        _watched = false;
        _vain = 0;
    }

    private void MakeRoom()
    {
        var length = _tail - _head;
        NativeMemory.Copy(_receive + _head, _receive, (nuint)length);
        _head = 0;
        _tail = length;
    }

    private int Send()
    {
        var sent = _output.Send(_socket, _freed, out var freed);
        for (var i = 0; i < freed; i++) FreeSlot(_freed[i]);
        if (sent > 0) return 1;
        if (sent == Sockets.WouldBlock) _writable = false;
        else if (sent != Sockets.Interrupted) CloseSocket();
        return 0;
    }

    /// <summary>
    /// Receives no more: what is in flight is answered, a long request of which everything was received is done to its end, then the socket is closed. A long write whose payload is not
    /// whole stays unanswered, like any other request.
    /// </summary>
    public void Finish()
    {
        if (_phase >= Phase.Finishing) return;
        _phase = Phase.Finishing;
        SetDeadline();
    }

    private void SetDeadline()
    {
        Deadline = _server.Now + FinishNs;
        _server.Expect(Deadline);
    }

    private int SubmitBatch()
    {
        var taken = _queue!.Submit(_batch, _batchCount);
        if (taken == 0) return 0;
        _inFlight += taken;
        _batchCount -= taken;
        if (_batchCount != 0) NativeMemory.Copy(_batch + taken, _batch, (nuint)_batchCount * (nuint)sizeof(IoDescriptor*));
        return taken;
    }

    private int Reap()
    {
        var total = 0;
        int count;
        do
        {
            count = _queue!.Poll(_done, PollBatch);
            _inFlight -= count;
            total += count;
            for (var i = 0; i < count; i++) Complete((int)_done[i]->Tag, _done[i]->Status);
        }
        while (count == PollBatch);
        return total;
    }
}
