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

    // A client that asked to end, and does not take its last replies, is not waited for longer.
    private const ulong FinishNs = 30_000_000_000;

    private readonly NbdServer _server;
    private readonly int _tag;
    private readonly byte* _receive;
    private int _head;                   // [_head, _tail) of the receive buffer is not parsed yet.
    private int _tail;
    private int _readAhead = ReceiveBytes;
    private int _socket;
    private bool _readable = true;       // An edge came, and nothing said since then that there is no more.
    private bool _peerClosed;            // The end of the stream is in the socket, behind what is still to be received.
    private bool _writable = true;
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
        if (server.Epoll.Add(socket, EpollEvents.Readable | EpollEvents.Writable | EpollEvents.PeerClosed | EpollEvents.Edge, (ulong)tag)) Greet();
        else CloseSocket();
    }

    private enum Phase
    {
        Greeting,       // The client's flags are expected.
        Options,        // Option haggling.
        StartingTls,    // The consent to encrypt is being sent.
        Transmission,
        Finishing,      // Nothing more is read; what is in flight is answered.
        Closed,         // The socket is closed; the device may still hold descriptors.
    }

    /// <summary>Until when the client must have chosen an export, or at its end taken its replies; otherwise <see cref="ulong.MaxValue"/>.</summary>
    public ulong Deadline { get; private set; }

    /// <summary>Whether the socket is closed and the device holds nothing of it: it can be released.</summary>
    public bool IsDone => _phase == Phase.Closed && _inFlight == 0;

    /// <summary>Whether the client has nothing open here: no request in flight, none half received, no reply unsent.</summary>
    public bool IsQuiet => _inFlight == 0 && _batchCount == 0 && _output.IsEmpty && !_readable && _payloadLeft == 0 && _job == RequestSlot.None && _tail - _head < NbdProtocol.RequestBytes;

    /// <summary>Notes what the kernel says of the socket.</summary>
    public void Notice(EpollEvents events)
    {
        if ((events & ~EpollEvents.Writable) != 0) _readable = true;
        if ((events & ~(EpollEvents.Writable | EpollEvents.Readable)) != 0) _peerClosed = true;
        if ((events & ~EpollEvents.Readable) != 0) _writable = true;
    }

    /// <summary>One turn; returns how much was done.</summary>
    public int Poll()
    {
        var work = _inFlight == 0 ? 0 : Reap();
        if (_phase < Phase.Finishing)
        {
            if (_readable && !_stalled) work += Receive();
            if (_tail != _head || _stalled || _job != RequestSlot.None) work += Parse();
        }

        if (_batchCount != 0) work += SubmitBatch();
        if (_inFlight != 0) work += Reap();
        if (!_output.IsEmpty && _writable && _phase != Phase.Closed) work += Send();
        if (_phase == Phase.StartingTls && _output.IsEmpty) StartTls();
        if (_phase == Phase.Finishing && _inFlight == 0 && _batchCount == 0 && _output.IsEmpty) CloseSocket();
        return work;
    }

    /// <summary>Readies for a sleep: 0 where there is something to do now.</summary>
    public long Arm(WaitSet* waitSet)
    {
        if (_phase < Phase.Finishing && _readable && !_stalled) return 0;
        if (!_output.IsEmpty && _writable && _phase != Phase.Closed) return 0;
        return _inFlight != 0 ? _queue!.Arm(waitSet) : WaitSet.Forever;
    }

    /// <summary>Ends the connection now: nothing more is received or sent.</summary>
    public void CloseSocket()
    {
        if (_phase == Phase.Closed) return;
        _server.Epoll.Remove(_socket);
        Sockets.Close(_socket);
        _socket = -1;
        _phase = Phase.Closed;
        Deadline = ulong.MaxValue;

        // What the device has not seen yet it will not see.
        _batchCount = 0;
    }

    /// <summary>Gives up what is in flight at the device.</summary>
    public void Abandon()
    {
        CloseSocket();
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
        nint count;
        nuint asked;
        if (_payloadTo is not null && _payloadLeft >= DirectBytes && _head == _tail)
        {
            // The rest of a large payload goes into its place, and a little of what follows into the buffer.
            var pieces = stackalloc IoVector[2];
            pieces[0] = new IoVector { Address = _payloadTo, Length = _payloadLeft };
            pieces[1] = new IoVector { Address = _receive, Length = ShortReadAhead };
            asked = (nuint)_payloadLeft + ShortReadAhead;
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
            asked = (nuint)Math.Min(_readAhead, ReceiveBytes - _tail);
            count = Sockets.Receive(_socket, _receive + _tail, asked);
            if (count > 0) _tail += (int)count;
        }

        // Less than asked for means that there is no more, and that the next byte makes an edge; an end that was announced already makes none.
        if (count < (nint)asked && !_peerClosed) _readable = false;
        if (count > 0) return 1;
        if (count == 0) Finish();
        else if (count == Sockets.Interrupted) _readable = true;
        else if (count == Sockets.WouldBlock) _readable = false;
        else CloseSocket();
        return 0;
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

    /// <summary>Receives no more: what is in flight is answered, then the socket is closed.</summary>
    public void Finish()
    {
        if (_phase >= Phase.Finishing) return;
        _phase = Phase.Finishing;
        Deadline = _server.Now + FinishNs;
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
