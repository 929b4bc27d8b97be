using System.Globalization;
using System.Text.Json.Nodes;

namespace Comanche.App.Bench;

/// <summary>
/// A report in fio's JSON layout, with all that a reader of it looks for: one job, as with <c>--group_reporting</c>. Rates and times in fio's units; what is not measured
/// here (submission latency, batch sizes) is zero, and what fio does not have stands at the end of the job.
/// </summary>
internal static class FioJson
{
    private static readonly double[] Percentiles = [1, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 99, 99.5, 99.9, 99.95, 99.99];

    // A bucket holds what is below its name and not below the name before; the first of µs and ms begin where ns and µs end.
    private static readonly ulong[] Buckets = [2, 4, 10, 20, 50, 100, 250, 500, 750, 1000];

    public static JsonObject Make(BenchReport report) => new()
    {
        ["fio version"] = $"comanche-{Terminal.Version}",
        ["timestamp"] = report.At.ToUnixTimeSeconds(),
        ["timestamp_ms"] = report.At.ToUnixTimeMilliseconds(),
        ["time"] = report.At.ToString("ddd MMM d HH:mm:ss yyyy", CultureInfo.InvariantCulture),
        ["jobs"] = new JsonArray(Job(report)),
    };

    private static JsonObject Job(BenchReport report)
    {
        var (plan, meter) = (report.Plan, report.Meter);
        var job = new JsonObject
        {
            ["jobname"] = report.Device,
            ["groupid"] = 0,
            ["error"] = report.Failure is null ? 0 : 5, // EIO, as fio says it.
            ["eta"] = 0,
            ["elapsed"] = (long)Math.Ceiling(meter.Elapsed.TotalSeconds),
            ["job options"] = Options(report),
            ["read"] = Direction(report, report.Reads, report.ReadIops, meter.Reads),
            ["write"] = Direction(report, report.Writes, report.WriteIops, meter.Writes),
            ["trim"] = Direction(report, null, 0, new RateSamples()),
            ["sync"] = new JsonObject { ["total_ios"] = 0, ["lat_ns"] = Statistics(null) },
            ["job_runtime"] = (long)report.JobTime.TotalMilliseconds,
            ["usr_cpu"] = Math.Round(report.UserPercent, 6),
            ["sys_cpu"] = Math.Round(report.SystemPercent, 6),
            ["ctx"] = meter.ContextSwitches,
            ["majf"] = meter.MajorFaults,
            ["minf"] = meter.MinorFaults,
            ["iodepth_level"] = Depths(plan.Depth),
            ["iodepth_submit"] = Batches(),
            ["iodepth_complete"] = Batches(),
            ["latency_ns"] = Latencies(report, 1, Buckets),
            ["latency_us"] = Latencies(report, 1_000, Buckets),
            ["latency_ms"] = Latencies(report, 1_000_000, [.. Buckets, 2000, ulong.MaxValue]),
            ["latency_depth"] = plan.Depth,
            ["latency_target"] = 0,
            ["latency_percentile"] = 100.0,
            ["latency_window"] = 0,
            ["allocated_bytes"] = report.AllocatedBytes,
            ["copied_bytes"] = report.CopiedBytes,
        };
        if (meter.Layers.Count != 0) job["layers"] = new JsonArray([.. meter.Layers.Select(l => (JsonNode)Layer(l))]);
        return job;
    }

    // As one would have typed them for fio: all of them text.
    private static JsonObject Options(BenchReport report)
    {
        var plan = report.Plan;
        var options = new JsonObject
        {
            ["name"] = report.Device, ["ioengine"] = "comanche", ["rw"] = plan.PatternName, ["bs"] = Size(plan.BlockBytes), ["iodepth"] = Text(plan.Depth),
            ["numjobs"] = Text(plan.Jobs), ["group_reporting"] = "1", ["size"] = Size(plan.RangeBytes), ["randseed"] = Text(plan.Seed),
        };
        if (plan.Offset != 0) options["offset"] = Size(plan.Offset);
        if (plan.IsMixed) options["rwmixread"] = Text(plan.ReadPercent);
        if (plan.Runtime > TimeSpan.Zero) (options["runtime"], options["time_based"]) = (Seconds(plan.Runtime), "1");
        if (plan.Ramp > TimeSpan.Zero) options["ramp_time"] = Seconds(plan.Ramp);
        if (plan.Verify) options["verify"] = "crc32c";
        return options;
    }

    private static JsonObject Direction(BenchReport report, LatencyHistogram? latency, double iops, RateSamples samples)
    {
        var count = latency?.Count ?? 0;
        var block = report.Plan.BlockBytes;
        var bandwidth = iops * block;
        // One time stamp a batch serves submission and completion: latency and completion latency are the same here.
        return new JsonObject
        {
            ["io_bytes"] = count * block,
            ["io_kbytes"] = count * block >> 10,
            ["bw_bytes"] = (long)bandwidth,
            ["bw"] = (long)(bandwidth / 1024),
            ["iops"] = Math.Round(iops, 6),
            ["runtime"] = count == 0 ? 0 : (long)report.Elapsed.TotalMilliseconds,
            ["total_ios"] = count,
            ["short_ios"] = 0,
            ["drop_ios"] = 0,
            ["slat_ns"] = Statistics(null),
            ["clat_ns"] = Statistics(latency, withPercentiles: true),
            ["lat_ns"] = Statistics(latency),
            ["bw_min"] = (long)(samples.Min / 1024),
            ["bw_max"] = (long)(samples.Max / 1024),
            ["bw_agg"] = count == 0 ? 0.0 : 100.0,
            ["bw_mean"] = Math.Round(samples.Mean / 1024, 6),
            ["bw_dev"] = Math.Round(samples.Deviation / 1024, 6),
            ["bw_samples"] = samples.Count,
            ["iops_min"] = (long)(samples.Min / block),
            ["iops_max"] = (long)(samples.Max / block),
            ["iops_mean"] = Math.Round(samples.Mean / block, 6),
            ["iops_stddev"] = Math.Round(samples.Deviation / block, 6),
            ["iops_samples"] = samples.Count,
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

    // The share of I/Os at each depth: a job keeps its queue full, so that all are at one.
    private static JsonObject Depths(int depth)
    {
        var json = new JsonObject();
        foreach (var (name, from, to) in new[] { ("1", 1, 1), ("2", 2, 3), ("4", 4, 7), ("8", 8, 15), ("16", 16, 31), ("32", 32, 63), (">=64", 64, int.MaxValue) })
            json[name] = depth >= from && depth <= to ? 100.0 : 0.0;
        return json;
    }

    private static JsonObject Batches() => new() { ["0"] = 0.0, ["4"] = 0.0, ["8"] = 0.0, ["16"] = 0.0, ["32"] = 0.0, ["64"] = 0.0, [">=64"] = 0.0 };

    private static JsonObject Latencies(BenchReport report, ulong unit, ulong[] names)
    {
        var json = new JsonObject();
        var all = Math.Max(1, report.Reads.Count + report.Writes.Count);
        var before = unit == 1 ? 0 : Below(unit);
        foreach (var name in names)
        {
            var below = name == ulong.MaxValue ? report.Reads.Count + report.Writes.Count : Below(name * unit);
            json[name == ulong.MaxValue ? ">=2000" : Text(name)] = Math.Round((below - before) * 100.0 / all, 6);
            before = below;
        }

        return json;

        ulong Below(ulong nanoseconds) => report.Reads.CountBelow(nanoseconds) + report.Writes.CountBelow(nanoseconds);
    }

    private static JsonObject Layer(LayerCost layer) => new()
    {
        ["name"] = layer.Name,
        ["descriptors"] = layer.Descriptors,
        ["own_ns"] = layer.OwnNanoseconds,
        ["ns_per_descriptor"] = Math.Round((double)layer.OwnNanoseconds / Math.Max(1, layer.Descriptors), 3),
    };

    private static string Text(IFormattable value) => value.ToString(null, CultureInfo.InvariantCulture);

    private static string Seconds(TimeSpan time) => time.Milliseconds == 0 ? Text((long)time.TotalSeconds) : $"{(long)time.TotalMilliseconds}ms";

    // fio's k, m, g and t are powers of 1024.
    private static string Size(ulong bytes)
    {
        var unit = 0;
        while (unit < 4 && bytes != 0 && bytes % 1024 == 0) (bytes, unit) = (bytes / 1024, unit + 1);
        return unit == 0 ? Text(bytes) : $"{bytes}{"kmgt"[unit - 1]}";
    }
}
