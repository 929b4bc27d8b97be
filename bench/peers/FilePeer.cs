using System.Diagnostics;

using System.Text.Json;

namespace Comanche.Peers;

/// <summary><c>block/file</c> beside fio with io_uring: the same warmed file, direct I/O, registered file and buffers, 4 KiB at random.</summary>
internal sealed unsafe partial class FilePeer : IPeer
{
    public string Name => "file";

    public string Summary => "block/file beside fio --ioengine=io_uring --fixedbufs --registerfiles (--path --size --runtime-ms --alternations --depths --rw)";

    public int Run(Arguments arguments)
    {
        var path = Path.GetFullPath(arguments.Text("path", "data/bench.img"));
        var size = arguments.Size("size", "512MiB");
        var runtimeMs = arguments.Number("runtime-ms", 700);
        var alternations = arguments.Number("alternations", 11);
        var depths = arguments.Numbers("depths", "1,32,128");
        var reached = true;
        Warm(path, size);
        foreach (var rw in arguments.Text("rw", "randread,randwrite").Split(','))
        {
            foreach (var depth in depths)
            {
                var ours = new Sample[alternations];
                var theirs = new Sample[alternations];
                using (var job = new FileJob(path, depth))
                {
                    job.Measure(rw == "randwrite", 200); // Compiled and warm.
                    for (var i = 0; i < alternations; i++)
                    {
                        // Each goes first in turn.
                        if (i % 2 == 0) ours[i] = job.Measure(rw == "randwrite", runtimeMs);
                        theirs[i] = Fio(path, size, rw, depth, runtimeMs);
                        if (i % 2 != 0) ours[i] = job.Measure(rw == "randwrite", runtimeMs);
                    }
                }

                reached &= Print(rw, depth, ours, theirs);
            }
        }

        return reached ? 0 : 1;
    }

    private static bool Print(string rw, int depth, Sample[] ours, Sample[] theirs)
    {
        double[] Pick(Sample[] samples, Func<Sample, double> value) => [.. samples.Select(value)];
        var (ratio, low, high) = Statistics.RatioOfMedians(Pick(ours, s => s.Iops), Pick(theirs, s => s.Iops));
        var (cpu, cpuLow, cpuHigh) = Statistics.RatioOfMedians(Pick(ours, s => s.CpuNs), Pick(theirs, s => s.CpuNs));
        Console.WriteLine($"{rw} depth {depth}");
        Console.WriteLine($"  IOPS        block/file {Statistics.Spread(Pick(ours, s => s.Iops))}   fio {Statistics.Spread(Pick(theirs, s => s.Iops))}   ratio {ratio:F3} [{low:F3}, {high:F3}]");
        Console.WriteLine($"  CPU ns/I/O  block/file {Statistics.Spread(Pick(ours, s => s.CpuNs))}   fio {Statistics.Spread(Pick(theirs, s => s.CpuNs))}   ratio {cpu:F3} [{cpuLow:F3}, {cpuHigh:F3}]");
        Console.WriteLine($"  sleeps/I/O  block/file {Statistics.Spread(Pick(ours, s => s.Sleeps), "F2")}");
        return low >= 0.90 && high >= 1.00 && cpuLow <= 1.00;
    }

    // The first touch of a range is the host's, not ours: everything is written once, directly.
    private static void Warm(string path, ByteSize size)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        if (File.Exists(path) && (ulong)new FileInfo(path).Length == size.Bytes) return;
        Console.Error.WriteLine($"writing {size} to {path} …");
        Execute("dd", "if=/dev/urandom", $"of={path}", "bs=4M", $"count={size.Bytes >> 22}", "oflag=direct", "status=none");
    }

    private static Sample Fio(string path, ByteSize size, string rw, int depth, int runtimeMs)
    {
        var json = Execute("fio", "--name=peer", $"--filename={path}", $"--size={size.Bytes}", $"--rw={rw}", "--bs=4k", $"--iodepth={depth}", "--ioengine=io_uring",
            "--fixedbufs", "--registerfiles", "--direct=1", "--time_based", $"--runtime={runtimeMs}ms", "--norandommap", "--randrepeat=0", "--thread",
            "--output-format=json");
        using var document = JsonDocument.Parse(json[json.IndexOf('{')..]);
        var job = document.RootElement.GetProperty("jobs")[0];
        var side = job.GetProperty(rw.EndsWith("read", StringComparison.Ordinal) ? "read" : "write");
        var iops = side.GetProperty("iops").GetDouble();
        var ios = side.GetProperty("total_ios").GetDouble();
        var runtimeNs = job.GetProperty("job_runtime").GetDouble() * 1e6;
        var cpu = (job.GetProperty("usr_cpu").GetDouble() + job.GetProperty("sys_cpu").GetDouble()) / 100;
        return new Sample(iops, cpu * runtimeNs / ios, 0);
    }

    private static string Execute(string program, params string[] arguments)
    {
        var start = new ProcessStartInfo(program) { RedirectStandardOutput = true };
        foreach (var argument in arguments) start.ArgumentList.Add(argument);
        using var process = Process.Start(start) ?? throw new ComancheException($"{program} can't be run");
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0 ? output : throw new ComancheException($"{program} {string.Join(' ', arguments)} failed:\n{output}");
    }

    /// <summary>One measurement.</summary>
    /// <param name="Iops">I/Os a second.</param>
    /// <param name="CpuNs">Nanoseconds of the processor, user and system, for each I/O.</param>
    /// <param name="Sleeps">Sleeps for each I/O.</param>
    internal readonly record struct Sample(double Iops, double CpuNs, double Sleeps);
}
