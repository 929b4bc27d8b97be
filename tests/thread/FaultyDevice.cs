using System.Runtime.InteropServices.Marshalling;

namespace Comanche.Threading.Tests;

/// <summary>The options of <c>test/faulty</c>.</summary>
public sealed record FaultyOptions
{
    /// <summary>What fails.</summary>
    [Option("What fails: create, bind, start, stop, restart or open")]
    public string Fails { get; init; } = "";
}

/// <summary>A filter of which a call can fail.</summary>
[Component("test/faulty", "3b1c0d5e-7a52-4f0c-9d34-8a0f5c2e6b17", "Passes everything on, and fails where it is told to")]
[Transparent]
[Binds(typeof(IBlockDevice))]
[GeneratedComClass]
public sealed unsafe partial class FaultyDevice : BlockFilter, IPlanned
{
    private readonly string _fails;
    private int _starts;

    public FaultyDevice(IHost host, FaultyOptions options) : base(host)
    {
        _fails = options.Fails;
        FailWhere("create");
    }

    public static void Plan(PlanContext plan) => plan.Volume = plan.Below;

    /// <summary>Whether geometry, health and events can't be had, as those of a device that is being changed.</summary>
    public bool IsDown { get; set; }

    public override ulong GetEventNumber() => IsDown ? throw new ComancheException("it is down") : base.GetEventNumber();

    public override void GetHealth(DeviceHealth* health)
    {
        if (IsDown) throw new ComancheException("it is down");
        base.GetHealth(health);
    }

    protected override VolumeInfo DescribeVolume()
    {
        if (IsDown) throw new ComancheException("it is down");
        var volume = base.DescribeVolume();
        if (_fails is "restart" or "start") volume.Capabilities |= VolumeCapabilities.Persistent; // One that is stopped before another one takes its place.
        return volume;
    }

    protected override void OnBind(IBase component, string role) => FailWhere("bind");

    protected override void OnStart()
    {
        FailWhere("start");
        if (_starts++ != 0) FailWhere("restart");
        base.OnStart();
    }

    protected override void OnStop()
    {
        FailWhere("stop");
        base.OnStop();
    }

    protected override IIoQueue CreateQueue(QueueOptions queue)
    {
        FailWhere("open");
        return OpenBelow(queue);
    }

    private void FailWhere(string step)
    {
        if (_fails == step) throw new ComancheException($"{step} fails");
    }
}
