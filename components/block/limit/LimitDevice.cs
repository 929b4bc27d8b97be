using System.Runtime.InteropServices.Marshalling;

namespace Comanche.Block;

/// <summary>The options of <c>block/limit</c>.</summary>
public sealed record LimitOptions
{
    /// <summary>I/Os per second.</summary>
    [Option("I/Os per second, reads and changes together; 0 is no limit", Min = "0", Max = "1000000000")]
    public long Iops { get; init; }

    /// <summary>Bytes per second.</summary>
    [Option("Bytes per second, reads and changes together; 0 is no limit", Max = "1TiB")]
    public ByteSize Bandwidth { get; init; }

    /// <summary>Reads per second.</summary>
    [Option("Reads and compares per second; 0 is no limit of their own", Min = "0", Max = "1000000000")]
    public long ReadIops { get; init; }

    /// <summary>Bytes read per second.</summary>
    [Option("Bytes read or compared per second; 0 is no limit of their own", Max = "1TiB")]
    public ByteSize ReadBandwidth { get; init; }

    /// <summary>Changes per second.</summary>
    [Option("Writes, discards and other changes per second; 0 is no limit of their own", Min = "0", Max = "1000000000")]
    public long WriteIops { get; init; }

    /// <summary>Bytes changed per second.</summary>
    [Option("Bytes written, zeroed, filled or copied per second; a discard counts none; 0 is no limit of their own", Max = "1TiB")]
    public ByteSize WriteBandwidth { get; init; }

    /// <summary>Saved-up tokens.</summary>
    [Option("For how long an idle device saves up tokens, which then pass at once; it also makes up for late wake-ups, so that 0s gives less than the limits", Min = "0s", Max = "1h")]
    public TimeSpan Burst { get; init; } = TimeSpan.FromMilliseconds(100);
}

/// <summary>
/// Keeps a device to so many I/Os and bytes per second, whoever uses it: all its queues draw from the same tokens, each in its turn. What finds none is held in its queue,
/// and has not happened yet.
/// </summary>
/// <remarks>
/// Flushes pass freely. An I/O larger than the burst passes, and the next ones wait for what it owes. To bring a stack to rest takes as long as what is held needs to go down, so
/// low limits want small depths, or patience (<c>ctl --timeout</c>).
/// </remarks>
[Component("block/limit", "689857dd-b4bf-4b77-b508-c21f05103df7", "A filter that limits I/Os and bytes per second")]
[Binds(typeof(IBlockDevice))]
[Transparent]
[GeneratedComClass]
public sealed unsafe partial class LimitDevice(IHost host, LimitOptions options) : BlockFilter(host), IPlanned
{
    private const long MaxIops = 1_000_000_000;

    private RateLimit? _all, _reads, _changes;

    /// <inheritdoc/>
    public static void Plan(PlanContext plan)
    {
        var options = plan.Options<LimitOptions>();
        var (option, message) = Problem(options);
        if (option.Length != 0)
        {
            plan.Error(option, message);
            return;
        }

        if (!Limits(options.Iops, options.Bandwidth) && !Limits(options.ReadIops, options.ReadBandwidth) && !Limits(options.WriteIops, options.WriteBandwidth))
            plan.Warn("", "no limit is given, so nothing is limited");
        foreach (var (name, of, common, other) in ((string, ulong, ulong, string)[])
            [
                ("read-iops", (ulong)options.ReadIops, (ulong)options.Iops, "iops"), ("read-bandwidth", options.ReadBandwidth.Bytes, options.Bandwidth.Bytes, "bandwidth"),
                ("write-iops", (ulong)options.WriteIops, (ulong)options.Iops, "iops"), ("write-bandwidth", options.WriteBandwidth.Bytes, options.Bandwidth.Bytes, "bandwidth"),
            ])
        {
            if (common != 0 && of >= common) plan.Warn(name, $"it is never reached, since {other} is not more");
        }

        plan.Volume = plan.Below;
    }

    /// <inheritdoc/>
    protected override void OnStart()
    {
        base.OnStart();
        var (option, message) = Problem(options);
        if (option.Length != 0) throw new ComancheException($"{Name}: {option}: {message}");
        _all = Make(options.Iops, options.Bandwidth);
        _reads = Make(options.ReadIops, options.ReadBandwidth);
        _changes = Make(options.WriteIops, options.WriteBandwidth);
    }

    /// <inheritdoc/>
    protected override IIoQueue CreateQueue(QueueOptions queue) => _all is null && _reads is null && _changes is null
        ? OpenBelow(queue) : new LimitQueue(this, OpenBelow(queue), queue.Depth, Host, _all, _reads, _changes).Opened();

    private RateLimit? Make(long iops, ByteSize bandwidth)
    {
        if (!Limits(iops, bandwidth)) return null;
        VolumeInfo volume;
        Below.GetVolumeInfo(&volume);
        return new RateLimit((ulong)iops, bandwidth.Bytes, options.Burst, volume.BlockSize, Host.GetTime());
    }

    private static bool Limits(long iops, ByteSize bandwidth) => iops != 0 || bandwidth.Bytes != 0;

    private static (string Option, string Message) Problem(LimitOptions options)
    {
        foreach (var (name, value) in ((string, long)[])[("iops", options.Iops), ("read-iops", options.ReadIops), ("write-iops", options.WriteIops)])
            if (value is < 0 or > MaxIops) return (name, $"{value} is not from 0 to {MaxIops}");
        foreach (var (name, value) in ((string, ByteSize)[])
            [("bandwidth", options.Bandwidth), ("read-bandwidth", options.ReadBandwidth), ("write-bandwidth", options.WriteBandwidth)])
        {
            if (value.Bytes > 1UL << 40) return (name, $"{value} is more than 1TiB");
        }

        return options.Burst < TimeSpan.Zero || options.Burst > TimeSpan.FromHours(1) ? ("burst", $"{options.Burst} is not from 0s to 1h") : ("", "");
    }
}
