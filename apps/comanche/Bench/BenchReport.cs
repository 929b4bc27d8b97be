using System.Globalization;
using System.Text.Json.Nodes;

namespace Comanche.App.Bench;

/// <summary>What one layer of a stack cost during a bench.</summary>
/// <param name="Name">The device.</param>
/// <param name="Descriptors">How many descriptors passed its queue.</param>
/// <param name="OwnNanoseconds">The processor time in it, without what lies below, in nanoseconds.</param>
internal sealed record LayerCost(string Name, ulong Descriptors, ulong OwnNanoseconds);

/// <summary>The outcome of a bench, all jobs together, as text and in fio's JSON layout.</summary>
internal sealed class BenchReport(BenchPlan plan, string device, DateTimeOffset at)
{
    private static readonly double[] Percentiles = [1, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 99, 99.5, 99.9, 99.95, 99.99];

    public required LatencyHistogram Reads { get; init; }

    public required LatencyHistogram Writes { get; init; }

    public required TimeSpan Elapsed { get; init; }

    /// <summary>CPU time of the process while it ran, in per cent of one core for each job, as fio says it.</summary>
    public required double UserPercent { get; init; }

    public required double SystemPercent { get; init; }

    public required long AllocatedBytes { get; init; }

    /// <summary>Bytes that layers copied between buffers.</summary>
    public required ulong CopiedBytes { get; init; }

    public IReadOnlyList<LayerCost> Layers { get; init; } = [];

    public string? Failure { get; init; }

    public double ReadIops => Reads.Count / Math.Max(Elapsed.TotalSeconds, 1e-9);

    public double WriteIops => Writes.Count / Math.Max(Elapsed.TotalSeconds, 1e-9);

    /// <summary>Prints it for people.</summary>
    public void Print(TextWriter output)
    {
        output.WriteLine(
            $"{device}: {plan.PatternName}, bs {new ByteSize(plan.BlockBytes)}, iodepth {plan.Depth}, numjobs {plan.Jobs}, {Elapsed.TotalSeconds:F2} s"
            + (plan.Verify ? ", verified with crc32c" : ""));
        if (Reads.Count != 0) Print(output, "read", Reads, ReadIops);
        if (Writes.Count != 0) Print(output, "write", Writes, WriteIops);
        var total = Reads.Count + Writes.Count;
        var cpu = total == 0 ? 0 : (UserPercent + SystemPercent) / 100 * plan.Jobs * Elapsed.TotalSeconds * 1e9 / total;
        output.WriteLine($"  cpu    usr {UserPercent:F1} %, sys {SystemPercent:F1} %, {cpu:F1} ns per I/O; {AllocatedBytes} bytes allocated, {CopiedBytes} copied");
        foreach (var layer in Layers)
        {
            var per = Math.Max(1, layer.Descriptors);
            output.WriteLine($"  layer  {layer.Name,-16} {layer.Descriptors,14:N0} descriptors  {(double)layer.OwnNanoseconds / per,8:F1} ns each");
        }
    }

    /// <summary>Makes fio's JSON.</summary>
    public JsonObject ToJson()
    {
        var job = new JsonObject
        {
            ["jobname"] = device,
            ["groupid"] = 0,
            ["error"] = Failure is null ? 0 : 5, // EIO, as fio says it.
            ["elapsed"] = (long)Math.Ceiling(Elapsed.TotalSeconds),
            ["job options"] = Options(),
            ["read"] = Direction(Reads, ReadIops),
            ["write"] = Direction(Writes, WriteIops),
            ["job_runtime"] = (long)Elapsed.TotalMilliseconds,
            ["usr_cpu"] = Math.Round(UserPercent, 6),
            ["sys_cpu"] = Math.Round(SystemPercent, 6),
            ["allocated_bytes"] = AllocatedBytes,
            ["copied_bytes"] = CopiedBytes,
        };
        if (Layers.Count != 0) job["layers"] = new JsonArray([.. Layers.Select(l => (JsonNode)ToJson(l))]);
        return new JsonObject
        {
            ["fio version"] = $"comanche-{Terminal.Version}",
            ["timestamp"] = at.ToUnixTimeSeconds(),
            ["timestamp_ms"] = at.ToUnixTimeMilliseconds(),
            ["time"] = at.ToString("ddd MMM d HH:mm:ss yyyy", CultureInfo.InvariantCulture),
            ["jobs"] = new JsonArray(job),
        };
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

    private JsonObject Options()
    {
        var options = new JsonObject
        {
            ["name"] = device, ["rw"] = plan.PatternName, ["bs"] = plan.BlockBytes.ToString(CultureInfo.InvariantCulture),
            ["iodepth"] = plan.Depth.ToString(CultureInfo.InvariantCulture), ["numjobs"] = plan.Jobs.ToString(CultureInfo.InvariantCulture),
        };
        if (plan.Runtime > TimeSpan.Zero) options["runtime"] = plan.Runtime.TotalSeconds.ToString(CultureInfo.InvariantCulture);
        if (plan.Verify) options["verify"] = "crc32c";
        return options;
    }

    private JsonObject Direction(LatencyHistogram latency, double iops)
    {
        var bytes = latency.Count * plan.BlockBytes;
        var bandwidth = iops * plan.BlockBytes;
        // One time stamp a batch serves submission and completion: latency and completion latency are the same here.
        return new JsonObject
        {
            ["io_bytes"] = bytes,
            ["io_kbytes"] = bytes >> 10,
            ["bw_bytes"] = (long)bandwidth,
            ["bw"] = (long)(bandwidth / 1024),
            ["iops"] = Math.Round(iops, 6),
            ["runtime"] = latency.Count == 0 ? 0 : (long)Elapsed.TotalMilliseconds,
            ["total_ios"] = latency.Count,
            ["short_ios"] = 0,
            ["drop_ios"] = 0,
            ["slat_ns"] = Statistics(null),
            ["clat_ns"] = Statistics(latency, withPercentiles: true),
            ["lat_ns"] = Statistics(latency),
        };
    }

    private static JsonObject Statistics(LatencyHistogram? latency, bool withPercentiles = false)
    {
        var json = new JsonObject
        {
            ["min"] = latency?.Min ?? 0, ["max"] = latency?.Max ?? 0, ["mean"] = Math.Round(latency?.Mean ?? 0, 6), ["stddev"] = Math.Round(latency?.Deviation ?? 0, 6),
            ["N"] = latency?.Count ?? 0,
        };
        if (!withPercentiles || latency is not { Count: > 0 }) return json;
        var percentiles = new JsonObject();
        foreach (var p in Percentiles) percentiles[p.ToString("F6", CultureInfo.InvariantCulture)] = latency.Percentile(p);
        json["percentile"] = percentiles;
        return json;
    }

    private static JsonObject ToJson(LayerCost layer) => new()
    {
        ["name"] = layer.Name,
        ["descriptors"] = layer.Descriptors,
        ["own_ns"] = layer.OwnNanoseconds,
        ["ns_per_descriptor"] = Math.Round((double)layer.OwnNanoseconds / Math.Max(1, layer.Descriptors), 3),
    };
}
