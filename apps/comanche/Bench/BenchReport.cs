namespace Comanche.App.Bench;

/// <summary>What one layer of a stack cost during a bench.</summary>
/// <param name="Name">The device.</param>
/// <param name="Descriptors">How many descriptors passed its queue.</param>
/// <param name="OwnNanoseconds">The processor time in it, without what lies below, in nanoseconds.</param>
internal sealed record LayerCost(string Name, ulong Descriptors, ulong OwnNanoseconds);

/// <summary>What came of one job.</summary>
/// <param name="Reads">The latencies of its reads.</param>
/// <param name="Writes">The latencies of its writes.</param>
/// <param name="Elapsed">How long was measured.</param>
/// <param name="AllocatedBytes">What the garbage collector gave out during the measured loop.</param>
/// <param name="Failure">What went wrong, or null.</param>
internal sealed record JobOutcome(LatencyHistogram Reads, LatencyHistogram Writes, TimeSpan Elapsed, long AllocatedBytes, string? Failure)
{
    /// <summary>Processor time in the program of a process of its own.</summary>
    public TimeSpan UserTime { get; init; }

    /// <summary>Processor time in the kernel of a process of its own.</summary>
    public TimeSpan SystemTime { get; init; }

    /// <summary>Bytes that the layers of a process of its own copied.</summary>
    public ulong CopiedBytes { get; init; }
}

/// <summary>The outcome of a bench, all jobs together.</summary>
internal sealed class BenchReport(BenchPlan plan, string device, DateTimeOffset at)
{
    public BenchPlan Plan => plan;

    public string Device => device;

    public DateTimeOffset At => at;

    public LatencyHistogram Reads { get; } = new();

    public LatencyHistogram Writes { get; } = new();

    /// <summary>How long the longest job took.</summary>
    public required TimeSpan Elapsed { get; init; }

    /// <summary>How long all jobs took, one after the other.</summary>
    public required TimeSpan JobTime { get; init; }

    /// <summary>What the process used meanwhile.</summary>
    public required BenchMeter Meter { get; init; }

    /// <summary>What processes of their own used besides.</summary>
    public TimeSpan OtherUserTime { get; init; }

    /// <summary>Likewise, in the kernel.</summary>
    public TimeSpan OtherSystemTime { get; init; }

    /// <summary>Bytes copied in processes of their own.</summary>
    public ulong OtherCopiedBytes { get; init; }

    public required long AllocatedBytes { get; init; }

    public string? Failure { get; init; }

    /// <summary>User time in per cent of the time of all jobs, as fio says it: 100 where each job keeps a core busy.</summary>
    public double UserPercent => (Meter.UserPercent + OtherUserTime / Elapsed * 100) / plan.Jobs;

    /// <summary>System time, likewise.</summary>
    public double SystemPercent => (Meter.SystemPercent + OtherSystemTime / Elapsed * 100) / plan.Jobs;

    /// <summary>Bytes copied between buffers, in all processes.</summary>
    public ulong CopiedBytes => Meter.CopiedBytes + OtherCopiedBytes;

    public double ReadIops => Reads.Count / Math.Max(Elapsed.TotalSeconds, 1e-9);

    public double WriteIops => Writes.Count / Math.Max(Elapsed.TotalSeconds, 1e-9);

    /// <summary>Prints it for people.</summary>
    public void Print(TextWriter output)
    {
        output.WriteLine(
            $"{device}: {plan.PatternName}, bs {new ByteSize(plan.BlockBytes)}, iodepth {plan.Depth}, numjobs {plan.Jobs}{(plan.Processes ? " (processes)" : "")}, {Elapsed.TotalSeconds:F2} s"
            + (plan.Verify ? ", verified with crc32c" : ""));
        if (Reads.Count != 0) Print(output, "read", Reads, ReadIops);
        if (Writes.Count != 0) Print(output, "write", Writes, WriteIops);
        var cpu = (Meter.ProcessorTime + OtherUserTime + OtherSystemTime).TotalNanoseconds / Math.Max(1, Reads.Count + Writes.Count);
        output.WriteLine($"  cpu    usr {UserPercent:F1} %, sys {SystemPercent:F1} %, {cpu:F1} ns per I/O; {AllocatedBytes} bytes allocated, {CopiedBytes} copied");
        foreach (var layer in Meter.Layers)
        {
            var per = Math.Max(1, layer.Descriptors);
            output.WriteLine($"  layer  {layer.Name,-16} {layer.Descriptors,14:N0} descriptors  {(double)layer.OwnNanoseconds / per,8:F1} ns each");
        }
    }

    private static string Rate(double perSecond) => perSecond switch
    {
        >= 1e6 => $"{perSecond / 1e6:F2} M",
        >= 1e4 => $"{perSecond / 1e3:F1} k",
        _ => $"{perSecond:F0} ",
    };

    private void Print(TextWriter output, string name, LatencyHistogram latency, double iops)
    {
        var mib = iops * plan.BlockBytes / (1 << 20);
        output.WriteLine($"  {name,-5}  {Rate(iops)}IOPS, {(mib >= 10240 ? $"{mib / 1024:F1} GiB" : $"{mib:F1} MiB")}/s, {latency.Count:N0} I/Os");
        output.WriteLine($"         latency mean {Terminal.Time(latency.Mean)}, min {Terminal.Time(latency.Min)}, max {Terminal.Time(latency.Max)}");
        var percentiles = new[] { 50, 99, 99.9, 99.99 }.Select(p => FormattableString.Invariant($"{p} % {Terminal.Time(latency.Percentile(p))}"));
        output.WriteLine($"                 {string.Join(", ", percentiles)}");
    }
}
