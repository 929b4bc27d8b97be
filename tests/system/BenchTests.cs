using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Comanche.Testing;

namespace Comanche.System.Tests;

/// <summary>The load generator: fio's JSON, no allocation, verification, and that it asks before it destroys.</summary>
public sealed partial class BenchTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public BenchTests()
    {
        _folder.Write("null.yaml", "devices:\n  top: { use: block/null }\n");
        _folder.Write("memory.yaml", "devices:\n  ram: { use: block/memory, size: 16MiB }\n  top: { use: block/pass, on: ram }\n");
    }

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void The_JSON_has_fios_layout()
    {
        var json = Bench("null.yaml", "--rw", "randread", "--bs", "4k", "--iodepth", "32", "--runtime", "1", "--json");
        var job = json["jobs"]![0]!;
        var read = job["read"]!;
        var iops = (double)read["iops"]!;
        Assert.InRange(iops, 100_000, 1e10);
        Assert.InRange((double)read["bw_bytes"]! / iops, 4095, 4097);
        Assert.Equal((long)read["total_ios"]! * 4096, (long)read["io_bytes"]!);
        Assert.Equal((long)read["total_ios"]!, (long)read["lat_ns"]!["N"]!);
        Assert.InRange((double)read["lat_ns"]!["mean"]!, (double)read["lat_ns"]!["min"]!, (double)read["lat_ns"]!["max"]!);
        var percentiles = read["clat_ns"]!["percentile"]!.AsObject().Select(p => (double)p.Value!).ToList();
        Assert.Equal(percentiles.Order(), percentiles);
        Assert.NotNull(read["clat_ns"]!["percentile"]!["50.000000"]);
        Assert.NotNull(read["lat_ns"]!["stddev"]);
        Assert.Equal(0, (long)job["write"]!["total_ios"]!);
        Assert.True((double)job["usr_cpu"]! > 0);
        Assert.NotNull(job["sys_cpu"]);
    }

    [Fact]
    public void Every_field_of_fios_report_is_there_and_of_its_kind()
    {
        Tools.Need("fio", "fio");
        var fio = Cli.RunProgram(
            "fio", _folder.Path, TimeSpan.FromSeconds(60), "--name=x", "--ioengine=null", "--rw=randrw", "--bs=4k", "--iodepth=4", "--numjobs=2", "--group_reporting", "--size=1g",
            "--runtime=1", "--time_based", "--output-format=json");
        var expected = JsonNode.Parse(fio.Output[fio.Output.IndexOf('{', StringComparison.Ordinal)..])!;
        var ours = Bench("null.yaml", "--rw", "randrw", "--bs", "4k", "--iodepth", "4", "--numjobs", "2", "--runtime", "1", "--json");
        var options = ours["jobs"]![0]!["job options"]!;
        foreach (var option in new[] { "rw", "bs", "iodepth", "numjobs", "runtime" }) Assert.Equal((string?)expected["jobs"]![0]!["job options"]![option], (string?)options[option]);
        Assert.Equal([], Missing(expected, ours, ""));

        static IEnumerable<string> Missing(JsonNode? expected, JsonNode? ours, string at) => (expected, ours) switch
        {
            (JsonObject e, JsonObject o) => e.SelectMany(p => o.ContainsKey(p.Key) ? Missing(p.Value, o[p.Key], $"{at}/{p.Key}") : [$"{at}/{p.Key}"]),
            (JsonArray { Count: > 0 } e, JsonArray { Count: > 0 } o) => Missing(e[0], o[0], at),
            _ => expected!.GetValueKind() == ours!.GetValueKind() ? [] : [$"{at} is {ours.GetValueKind()}"],
        };
    }

    [Fact]
    public void The_shares_of_the_latencies_are_those_of_all_IOs()
    {
        var job = Bench("memory.yaml", "--rw", "randrw", "--iodepth", "8", "--runtime", "1300ms", "--json")["jobs"]![0]!;
        var shares = new[] { "latency_ns", "latency_us", "latency_ms" }.SelectMany(u => job[u]!.AsObject()).Sum(p => (double)p.Value!);
        Assert.InRange(shares, 99.99, 100.01);
        Assert.Equal(100, (double)job["iodepth_level"]!["8"]!);
        Assert.InRange((int)job["read"]!["iops_samples"]!, 1, 2); // Two whole half seconds, where this machine has time.
        Assert.InRange((double)job["read"]!["iops_mean"]! / (double)job["read"]!["iops"]!, 0.5, 2);
    }

    [Fact]
    public void The_processors_time_of_an_IO_does_not_hang_on_the_number_of_jobs()
    {
        var (one, four) = (Nanoseconds("1"), Nanoseconds("4"));
        Assert.InRange(four / one, 0.5, 4);

        double Nanoseconds(string jobs)
        {
            var result = Cli.Run(_folder.Path, "bench", "null.yaml", "--iodepth", "32", "--runtime", "500ms", "--numjobs", jobs);
            var figures = CpuLine().Match(result.Output);
            Assert.InRange(Figure(1) + Figure(2), 1, 110); // Of the time of each job.
            return Figure(3);

            double Figure(int group) => double.Parse(figures.Groups[group].Value, global::System.Globalization.CultureInfo.InvariantCulture);
        }
    }

    [Fact]
    public void Layers_are_measured_for_the_load_alone_and_not_for_the_look_at_the_data_before_it()
    {
        Assert.SkipUnless(Components.Has("block/file"), "block/file is not there");
        _folder.Write("new.yaml", "devices:\n  disk: { use: block/file, path: new.img, size: 8MiB }\n");
        var job = Bench("new.yaml", "--rw", "write", "--bs", "4k", "--size", "1m", "--layers", "--json")["jobs"]![0]!;
        Assert.Equal(256, (long)job["layers"]![0]!["descriptors"]!);
    }

    [Fact]
    public void The_loop_allocates_nothing()
    {
        var json = Bench("memory.yaml", "--rw", "randrw", "--bs", "4k", "--iodepth", "16", "--runtime", "1", "--json");
        Assert.Equal(0, (long)json["jobs"]![0]!["allocated_bytes"]!);
        Assert.True((long)json["jobs"]![0]!["read"]!["total_ios"]! > 1000);
    }

    [Fact]
    public void A_mixed_load_keeps_its_share()
    {
        var job = Bench("null.yaml", "--rw", "randrw", "--rwmixread", "80", "--iodepth", "8", "--runtime", "500ms", "--json")["jobs"]![0]!;
        var reads = (double)job["read"]!["total_ios"]!;
        Assert.InRange(reads / (reads + (double)job["write"]!["total_ios"]!), 0.79, 0.81);
    }

    [Fact]
    public void Data_anywhere_in_the_range_that_would_be_written_is_found_and_data_outside_of_it_is_none_of_its_business()
    {
        var path = Path.Combine(_folder.Path, "disk.img");
        using (var file = File.Create(path))
        {
            file.SetLength(64 << 20);
            file.Position = (5 << 20) + 12_345;
            file.WriteByte(1);
        }

        _folder.Write("file.yaml", "devices:\n  disk: { use: block/file, path: disk.img }\n");
        var hit = Cli.Run(_folder.Path, "bench", "file.yaml", "--rw", "write", "--offset", "5m", "--size", "64k", "--runtime", "100ms");
        Assert.Equal(2, hit.ExitCode);
        Assert.Contains("there is data at byte 5255225", hit.Error);
        var missed = Cli.Run(_folder.Path, "bench", "file.yaml", "--rw", "write", "--offset", "6m", "--size", "64k", "--runtime", "100ms");
        Assert.Equal((0, ""), (missed.ExitCode, missed.Error));
        using var after = File.OpenRead(path);
        after.Position = (5 << 20) + 12_345;
        Assert.Equal(1, after.ReadByte());
    }

    [Fact]
    public void A_size_ends_a_load_that_has_no_time()
    {
        var job = Bench("memory.yaml", "--rw", "write", "--bs", "64k", "--size", "8m", "--numjobs", "2", "--json")["jobs"]![0]!;
        Assert.Equal(2 * 8 << 20, (long)job["write"]!["io_bytes"]!);
    }

    [Theory]
    [InlineData("write")]
    [InlineData("randwrite")]
    public void Verify_reads_back_everything_that_it_wrote(string pattern)
    {
        var job = Bench("memory.yaml", "--rw", pattern, "--bs", "4k", "--iodepth", "8", "--numjobs", "3", "--verify", "crc32c", "--json")["jobs"]![0]!;
        Assert.Equal(16 << 20, (long)job["write"]!["io_bytes"]!);
        Assert.Equal(16 << 20, (long)job["read"]!["io_bytes"]!);
    }

    [Theory]
    [InlineData("rw", 50)]
    [InlineData("randrw", 30)]
    [InlineData("randrw", 100)]
    public void In_a_mixed_load_too_all_that_was_written_is_read_back(string pattern, int reads)
    {
        var job = Bench("memory.yaml", "--rw", pattern, "--rwmixread", $"{reads}", "--bs", "4k", "--iodepth", "8", "--numjobs", "3", "--verify", "crc32c", "--json")["jobs"]![0]!;
        var written = (double)job["write"]!["io_bytes"]! * 100 / (16 << 20);
        Assert.InRange(100 - written, reads - 2, reads + 2);
        Assert.Equal(16 << 20, (long)job["read"]!["io_bytes"]!); // What was not written in the one pass, and what was.
    }

    [Theory]
    [InlineData("write")]
    [InlineData("randrw")]
    public void A_write_that_is_lost_in_a_later_pass_is_found(string pattern)
    {
        _folder.Write("loses.yaml", """
            devices:
              ram: { use: block/memory, size: 1MiB }
              top: { use: block/error, on: ram, rules: [{ action: drop-write, after: 1000, count: 1 }] }
            """);
        var result = Cli.Run(_folder.Path, "bench", "loses.yaml:top", "--rw", pattern, "--bs", "4k", "--iodepth", "4", "--runtime", "20", "--verify", "crc32c");
        Assert.Equal(1, result.ExitCode);
        Assert.Matches("^comanche: top: verify: LBA [0-9]+: it holds pass [0-9]+, not [0-9]+: a write was lost", result.Error);
    }

    [Fact]
    public void Verify_finds_what_does_not_keep_its_data()
    {
        var result = Cli.Run(_folder.Path, "bench", "null.yaml", "--rw", "write", "--size", "1m", "--verify", "crc32c");
        Assert.Equal(1, result.ExitCode);
        Assert.StartsWith("comanche: top: verify: LBA ", result.Error);
    }

    [Theory]
    [InlineData("--bs 1000", "is not a multiple of the block size")]
    [InlineData("--size 1GiB", "is more than")]
    [InlineData("--offset 16MiB", "nothing of the volume")]
    [InlineData("--runtime 10000000d", "--runtime: 10000000d is out of range; it is at most 365d")]
    [InlineData("--ramp_time 25h", "--ramp_time: 25h is out of range; it is at most 1d")]
    public void What_cannot_be_is_2(string options, string expected)
    {
        var result = Cli.Run(_folder.Path, ["bench", "memory.yaml", .. options.Split(' ')]);
        Assert.Equal(2, result.ExitCode);
        Assert.Contains(expected, result.Error);
    }

    [Fact]
    public void The_device_is_chosen_by_its_name_and_the_top_is_the_default()
    {
        Assert.Equal("top", (string?)Bench("memory.yaml", "--size", "1m", "--json")["jobs"]![0]!["jobname"]);
        Assert.Equal("ram", (string?)Bench("memory.yaml:ram", "--size", "1m", "--json")["jobs"]![0]!["jobname"]);
        var result = Cli.Run(_folder.Path, "bench", "memory.yaml:rom", "--size", "1m");
        Assert.Equal((2, "comanche: memory.yaml has no device 'rom'; did you mean 'ram'?\n"), (result.ExitCode, result.Error));
    }

    [Fact]
    public void Writing_over_data_is_refused_unless_it_is_asked_for()
    {
        Assert.SkipUnless(Components.Has("block/file"), "block/file is not there");
        _folder.Write("file.yaml", "devices:\n  disk: { use: block/file, path: disk.img, size: 8MiB }\n");
        Assert.Equal(0, Run().ExitCode); // Empty: no question.
        var refused = Run();
        Assert.Equal(2, refused.ExitCode);
        Assert.Contains("--yes-destroy", refused.Error);
        Assert.Equal(0, Run("--yes-destroy").ExitCode);
        Assert.Equal(0, Cli.Run(_folder.Path, "bench", "file.yaml", "--rw", "read", "--size", "1m").ExitCode);

        CliResult Run(params string[] more) => Cli.Run(_folder.Path, ["bench", "file.yaml", "--rw", "write", "--size", "1m", .. more]);
    }

    [GeneratedRegex("cpu    usr ([0-9.]+) %, sys ([0-9.]+) %, ([0-9.]+) ns per I/O")]
    private static partial Regex CpuLine();

    private JsonNode Bench(params string[] arguments)
    {
        var result = Cli.Run(_folder.Path, ["bench", .. arguments]);
        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        return JsonNode.Parse(result.Output)!;
    }
}

/// <summary>Which components there are.</summary>
internal static class Components
{
    private static readonly Lazy<string> List = new(() => Cli.Run(Path.GetTempPath(), "components").Output);

    public static bool Has(string id) => List.Value.Contains($" {id} ", StringComparison.Ordinal);
}
