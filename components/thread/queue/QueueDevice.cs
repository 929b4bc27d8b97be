using System.Runtime.InteropServices.Marshalling;

namespace Comanche.Threading;

/// <summary>The options of <c>thread/queue</c>.</summary>
public sealed record QueueDeviceOptions
{
    /// <summary>Depth of the device's queue.</summary>
    [Option("The most I/Os that all clients together have in flight at the device", Min = "1", Max = "16384")]
    public int Depth { get; init; } = 256;

    /// <summary>A client's turn.</summary>
    [Option("How many I/Os of one client are taken before the next client has its turn", Min = "1", Max = "128")]
    public int Burst { get; init; } = 32;

    /// <summary>A client's patience.</summary>
    [Option("How long a client that waits polls on before it sleeps; the default is about what a wake-up costs", Min = "0s", Max = "1s")]
    public TimeSpan Spin { get; init; } = TimeSpan.FromMicroseconds(50);
}

/// <summary>
/// Lets any number of threads use one device that a single thread, its reactor, serves: each client has rings of its own, and no lock is taken (figure 2c of the paper).
/// </summary>
[Component("thread/queue", "0d2b8c1e-5d0a-4f0e-8f3c-6a5f2b7c9e41", "Shares a device among threads by lock-free rings to the one thread that owns it")]
[Binds(typeof(IBlockDevice))]
[Transparent]
[GeneratedComClass]
public sealed unsafe partial class QueueDevice(IHost host, QueueDeviceOptions options) : BlockFilter(host), IPlanned
{
    private IReactor? _reactor;
    private Lane? _lane;

    /// <inheritdoc/>
    public static void Plan(PlanContext plan) => plan.Volume = plan.Below;

    /// <inheritdoc/>
    protected override void OnStart()
    {
        base.OnStart();
        var reactor = (Host as IReactorHost)?.GetReactor() ?? throw new ComancheException($"{Name}: its host has no reactor");
        reactor.Invoke(() => _lane = new Lane(Host, reactor, Below, (uint)options.Depth, options.Burst));
        _reactor = reactor;
    }

    /// <inheritdoc/>
    protected override void OnStop()
    {
        base.OnStop();
        _reactor!.Invoke(_lane!.Dispose);
        _lane = null;
    }

    /// <inheritdoc/>
    protected override IIoQueue CreateQueue(QueueOptions queue) => new QueueClient(this, Host, _reactor!, _lane!, queue.Depth, options.Spin).Opened();
}
