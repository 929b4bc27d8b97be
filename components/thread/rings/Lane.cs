using System.Runtime.InteropServices;

namespace Comanche.Threading;

/// <summary>
/// What serves the clients of one device on its reactor: takes turns at their rings, passes what they hold to one queue of the device in common batches, and gives back
/// what is done.
/// </summary>
/// <remarks>
/// <para>A turn takes at most <c>burst</c> submissions of a client before the next one has its turn, so that one that always has more can't keep others waiting. What
/// the device refuses waits here, and nothing is taken meanwhile: the rings are the back-pressure. So they are for a client that has used up its <see cref="RateLimit"/>; others
/// are taken on.</para>
/// <para>Reactor thread only. Nothing is allocated by <see cref="Poll"/>.</para>
/// </remarks>
internal sealed unsafe class Lane : IPoller, IClients, IDisposable
{
    private const int BatchRoom = 128;
    private const long RetryNs = 100_000;

    // How long a client's I/O may take to be cancelled when it gives up, before the device's queue is taken from under it.
    private const ulong GraceNs = 1_000_000_000;

    private readonly IHost _host;
    private readonly IReactor _reactor;
    private readonly SharedQueue _queue;
    private readonly int _burst;
    private readonly IoDescriptor** _batch; // Taken; the first _from of them are gone down.
    private readonly IoDescriptor** _done;
    private Port?[] _ports = new Port?[4]; // A port keeps its place as long as it lives.
    private int _portCount;                // Places in use, gaps included.
    private int _next;
    private int _from, _to;
    private int _givingUp; // Ports that wait for their grace.
    private bool _armed;
    private bool _hasFailed;

    /// <summary>Opens the device's queue. On the reactor's thread.</summary>
    /// <param name="host">Whose clock and log are used.</param>
    /// <param name="reactor">The reactor, which polls this from now on.</param>
    /// <param name="device">The device.</param>
    /// <param name="depth">The depth of its queue.</param>
    /// <param name="burst">How many submissions a client may have taken at a turn.</param>
    public Lane(IHost host, IReactor reactor, IBlockDevice device, uint depth, int burst)
    {
        _host = host;
        _reactor = reactor;
        _burst = burst;
        _queue = new SharedQueue(device, new QueueOptions { Depth = depth }, this);
        _batch = (IoDescriptor**)NativeMemory.AllocZeroed(BatchRoom, (nuint)sizeof(IoDescriptor*));
        _done = (IoDescriptor**)NativeMemory.AllocZeroed(BatchRoom, (nuint)sizeof(IoDescriptor*));
        reactor.Add(this);
    }

    /// <summary>How many clients there are.</summary>
    public int Clients => _ports.Count(p => p is not null);

    /// <summary>Takes a client in.</summary>
    public void Add(Port port)
    {
        var place = Array.IndexOf(_ports, null);
        if (place < 0)
        {
            place = _ports.Length;
            Array.Resize(ref _ports, place * 2);
        }

        _ports[place] = port;
        port.Index = (uint)place;
        _portCount = Math.Max(_portCount, place + 1);
    }

    /// <summary>Lets a client go, which has nothing in flight, and disposes of its port.</summary>
    public void Remove(Port port)
    {
        if (port.HasGivenUp) _givingUp--;
        _ports[port.Index] = null;
        while (_portCount > 0 && _ports[_portCount - 1] is null) _portCount--;
        port.Dispose();
    }

    /// <summary>Ends what a client has in flight: it comes back in bounded time, and nothing more is taken from it.</summary>
    public void GiveUp(Port port)
    {
        if (port.HasGivenUp) return;
        port.HasGivenUp = true;
        port.GaveUpAt = _host.GetTime();
        _givingUp++;
        EndWaiting(port);
        port.EndSubmissions();
        port.ForEach(descriptor => _queue.Cancel(descriptor));
        if (port.HasNews) Notify();
    }

    /// <summary>Asks the device to end a descriptor early, unless it still waits here, where it ends at once.</summary>
    public void Cancel(Port port, IoDescriptor* descriptor)
    {
        for (var i = _from; i < _to; i++)
        {
            if (_batch[i] != descriptor) continue;
            RemoveFromBatch(i);
            descriptor->Status = IoStatus.Cancelled;
            port.Complete(descriptor);
            return;
        }

        _queue.Cancel(descriptor);
    }

    /// <inheritdoc/>
    public int Poll()
    {
        if (_armed) Disarm();
        var work = _from == _to ? Take() : 0;
        if (_from != _to) Submit();
        var done = _queue.Poll(_done, BatchRoom);
        for (var i = 0; i < done; i++) _ports[Port.PortOf(_done[i])]!.Complete(_done[i]);
        if (work + done != 0) Notify();
        if (_givingUp != 0) EndGraces();
        return work + done;
    }

    /// <inheritdoc/>
    public long Arm(WaitSet* waitSet)
    {
        for (var i = 0; i < _portCount; i++) _ports[i]?.SetServerSleeps(true);
        _armed = true;

        // Orders the words before the look at the rings; pairs with the barrier in the client's Submit.
        Interlocked.MemoryBarrier();
        var deadline = WaitSet.Forever;
        for (var i = 0; i < _portCount && _from == _to; i++) // Nothing is taken while something waits for the device.
        {
            if (_ports[i] is not { HasSubmissions: true } port) continue;
            var wait = port.IsHeld ? TimeToTokens(port) : 0;
            if (wait == 0) return 0;
            deadline = Math.Min(deadline, wait);
        }

        deadline = Math.Min(deadline, _queue.Arm(waitSet));
        return _from != _to || _givingUp != 0 ? Math.Min(deadline, RetryNs) : deadline;
    }

    /// <summary>
    /// The device broke its contract and threw. Its queue is reset, which brings back what is in flight; should it throw once more, everything fails from then on.
    /// </summary>
    public void Failed(Exception exception)
    {
        try
        {
            if (_hasFailed) FailAll();
            else _queue.Reset();
        }
        catch (Exception)
        {
            FailAll();
        }

        _hasFailed = true;
        _reactor.Add(this);
    }

    bool IClients.HasGivenUp(IoDescriptor* descriptor) => _ports[Port.PortOf(descriptor)]!.HasGivenUp;

    /// <summary>Closes the device's queue. There are no clients any more.</summary>
    public void Dispose()
    {
        _reactor.Remove(this);
        _queue.Dispose();
        NativeMemory.Free(_batch);
        NativeMemory.Free(_done);
    }

    // One turn of every client, beginning with another one each time.
    private int Take()
    {
        _from = _to = 0;
        var taken = 0;
        if (++_next >= _portCount) _next = 0;
        for (var i = 0; i < _portCount && _to < BatchRoom; i++)
        {
            var place = _next + i;
            if (place >= _portCount) place -= _portCount;
            if (_ports[place] is not { HasSubmissions: true } port) continue;
            var took = port.Take(_batch + _to, Math.Min(_burst, BatchRoom - _to));
            _to += took;
            if (!port.IsHeld || took != 0 || port.HasNews) taken++; // Waiting for tokens is no work.
        }

        return taken;
    }

    private long TimeToTokens(Port port)
    {
        var now = _host.GetTime();
        return (long)(port.ReadyAt(now) - now);
    }

    private void Submit()
    {
        _from += _queue.Submit(_batch + _from, _to - _from);
        if (_from == _to) _from = _to = 0;
    }

    private void Notify()
    {
        // Orders the completions before the look at who sleeps; pairs with the barrier in the client's Arm.
        Interlocked.MemoryBarrier();
        for (var i = 0; i < _portCount; i++)
            if (_ports[i] is { HasNews: true } port)
                port.Notify();
    }

    private void Disarm()
    {
        _armed = false;
        for (var i = 0; i < _portCount; i++) _ports[i]?.SetServerSleeps(false);
    }

    private void EndWaiting(Port port)
    {
        for (var i = _to - 1; i >= _from; i--)
        {
            var descriptor = _batch[i];
            if (Port.PortOf(descriptor) != port.Index) continue;
            RemoveFromBatch(i);
            descriptor->Status = IoStatus.Aborted;
            port.Complete(descriptor);
        }
    }

    private void RemoveFromBatch(int index)
    {
        for (var i = index + 1; i < _to; i++) _batch[i - 1] = _batch[i];
        _to--;
    }

    private void FailAll()
    {
        _queue.Fail();
        _from = _to = 0;
        for (var i = 0; i < _portCount; i++)
        {
            if (_ports[i] is not { } port) continue;
            port.ForEach(descriptor =>
            {
                descriptor->Status = IoStatus.DeviceFailed;
                port.Complete(descriptor);
            });
        }

        Notify();
    }

    private void EndGraces()
    {
        var now = _host.GetTime();
        for (var i = 0; i < _portCount; i++)
            if (_ports[i] is { HasGivenUp: true, InFlight: not 0 } port && now - port.GaveUpAt > GraceNs)
                _queue.Reset();
    }
}
