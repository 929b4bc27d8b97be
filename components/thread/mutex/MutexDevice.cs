using System.Runtime.InteropServices.Marshalling;

namespace Comanche.Threading;

/// <summary>The options of <c>thread/mutex</c>.</summary>
public sealed record MutexDeviceOptions
{
    /// <summary>Depth of the device's queue.</summary>
    [Option("The most I/Os that all clients together have in flight at the device", Min = "1", Max = "16384")]
    public int Depth { get; init; } = 256;
}

/// <summary>
/// Lets any number of threads use one queue of a device, one at a time, under a lock: no thread is needed to serve them (figure 2b of the paper). Whoever polls takes
/// back what is done for the others too.
/// </summary>
[Component("thread/mutex", "5f8a4d90-2d0e-4bd4-9a4b-0b1b6ad1c3f7", "Shares a device among threads by a lock around one queue of it")]
[Binds(typeof(IBlockDevice))]
[Transparent]
[GeneratedComClass]
public sealed unsafe partial class MutexDevice(IHost host, MutexDeviceOptions options) : BlockFilter(host), IPlanned
{
    private MutexCore? _core;

    /// <inheritdoc/>
    public static void Plan(PlanContext plan) => plan.Volume = plan.Below;

    /// <inheritdoc/>
    protected override void OnStart()
    {
        base.OnStart();
        _core = new MutexCore(Host, Below, (uint)options.Depth);
    }

    /// <inheritdoc/>
    protected override void OnStop()
    {
        base.OnStop();
        _core!.Dispose();
        _core = null;
    }

    /// <inheritdoc/>
    protected override IIoQueue CreateQueue(QueueOptions queue) => new MutexQueue(this, _core!, queue.Depth).Opened();
}
