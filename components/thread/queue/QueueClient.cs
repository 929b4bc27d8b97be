using System.Runtime.InteropServices;
using System.Runtime.InteropServices.Marshalling;
using Comanche.Linux;

namespace Comanche.Threading;

/// <summary>A client's queue of <c>thread/queue</c>, and the port behind it.</summary>
/// <remarks>
/// Where the client lives on the very reactor that serves it, nobody else would do the work while it waits: then it does a turn of the lane itself.
/// </remarks>
[GeneratedComClass]
internal sealed unsafe partial class QueueClient : RingQueue
{
    private readonly IReactor _reactor;
    private readonly Lane _lane;
    private readonly LocalPort _port;
    private readonly bool _isInline;
    private EventDescriptor? _event;

    public QueueClient(QueueDevice device, IHost host, IReactor reactor, Lane lane, uint depth, TimeSpan spin)
        : base(device, NewChannel(depth), depth, host, reactor.IsCurrent ? TimeSpan.Zero : spin)
    {
        _reactor = reactor;
        _lane = lane;
        _isInline = reactor.IsCurrent;
        _port = new LocalPort(this, Channel, (int)depth);
        reactor.Invoke(() => lane.Add(_port));
    }

    /// <inheritdoc/>
    protected override int Event => _event?.Number ?? -1;

    /// <inheritdoc/>
    protected override bool Write(IoDescriptor* slot, IoDescriptor* descriptor, uint index)
    {
        Channel.CopyContent(slot, descriptor);
        return true;
    }

    /// <inheritdoc/>
    protected override void WakeServer() => _reactor.Wake();

    /// <inheritdoc/>
    protected override bool PrepareSleep() => _event is not null || EventDescriptor.Create(out _event) == 0;

    /// <inheritdoc/>
    protected override void Help()
    {
        if (_isInline && InFlight != 0) _lane.Poll();
    }

    /// <inheritdoc/>
    protected override long AddToSleep(WaitSet* waitSet) => _isInline ? _lane.Arm(waitSet) : WaitSet.Forever;

    /// <inheritdoc/>
    protected override void OnAbandon() => _reactor.Post(() => _lane.GiveUp(_port));

    /// <inheritdoc/>
    protected override void OnClose()
    {
        _reactor.Invoke(() => _lane.Remove(_port));
        NativeMemory.AlignedFree(Channel.Memory);
        Free();
        _event?.Dispose();
    }

    private static Channel NewChannel(uint depth)
    {
        var bytes = Channel.BytesFor((int)depth);
        var memory = (byte*)NativeMemory.AlignedAlloc(bytes, 64);
        NativeMemory.Clear(memory, bytes);
        return new Channel(memory, (int)depth);
    }

    private sealed class LocalPort(QueueClient client, Channel channel, int depth) : Port(channel, depth)
    {
        protected override IoStatus Translate(IoDescriptor* descriptor, uint index) => IoStatus.Success;

        protected override void OnCancel(IoDescriptor* descriptor) => client._lane.Cancel(this, descriptor);

        // It is our own queue that writes there.
        protected override void OnViolation() => throw new ComancheException("a ring of thread/queue holds an index that is in use");

        protected override void WakeClient() => client._event!.Signal();
    }
}
