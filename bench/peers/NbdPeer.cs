using System.Diagnostics;
using System.Globalization;
using System.Text.Json;

namespace Comanche.Peers;

/// <summary><c>network/nbd</c> over <c>block/memory</c> beside <c>nbdkit memory</c>: the same client, fio's nbd engine, 4 KiB at random over a Unix socket.</summary>
/// <remarks>
/// Both servers are processes of their own, and both run all the time; the one that is not measured sleeps. Ours is <c>comanche run</c> with a stack file, as a user runs it.
/// </remarks>
internal sealed class NbdPeer : IPeer
{
    // The goal at depth 32. At depth 1 it is wake-ups that are measured, and the figures are only reported.
    private const double Goal = 1.3;
    private const double TickNs = 1e9 / 100; // USER_HZ, which is 100 on every machine that .NET runs on.

    public string Name => "nbd";

    public string Summary => "network/nbd over block/memory beside nbdkit memory, by fio --ioengine=nbd (--comanche --size --runtime-ms --alternations --depths --rw)";

    public int Run(Arguments arguments)
    {
        var size = arguments.Size("size", "256MiB");
        var runtimeMs = arguments.Number("runtime-ms", 1000);
        var alternations = arguments.Number("alternations", 7);
        var depths = arguments.Numbers("depths", "1,32");
        var folder = Directory.CreateTempSubdirectory("comanche-peers-").FullName;
        var reached = true;
        try
        {
            using var ours = StartOurs(arguments.Text("comanche", DefaultProgram()), folder, size);
            using var theirs = StartTheirs(folder, size);
            foreach (var depth in depths)
            {
                foreach (var rw in arguments.Text("rw", "randread,randwrite").Split(','))
                {
                    ours.Measure(rw, depth, size, runtimeMs); // Compiled and warm.
                    theirs.Measure(rw, depth, size, 200);
                    var samples = (Ours: new Sample[alternations], Theirs: new Sample[alternations]);
                    for (var i = 0; i < alternations; i++)
                    {
                        // Each goes first in turn.
                        if (i % 2 == 0) samples.Ours[i] = ours.Measure(rw, depth, size, runtimeMs);
                        samples.Theirs[i] = theirs.Measure(rw, depth, size, runtimeMs);
                        if (i % 2 != 0) samples.Ours[i] = ours.Measure(rw, depth, size, runtimeMs);
                    }

                    var ratio = Print(rw, depth, samples.Ours, samples.Theirs);
                    if (depth >= 32) reached &= ratio >= Goal;
                }
            }
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }

        return reached ? 0 : 1;
    }

    private static double Print(string rw, int depth, Sample[] ours, Sample[] theirs)
    {
        double[] Pick(Sample[] samples, Func<Sample, double> value) => [.. samples.Select(value)];
        var (ratio, low, high) = Statistics.RatioOfMedians(Pick(ours, s => s.Iops), Pick(theirs, s => s.Iops));
        var (cpu, cpuLow, cpuHigh) = Statistics.RatioOfMedians(Pick(ours, s => s.CpuUs), Pick(theirs, s => s.CpuUs));
        Console.WriteLine($"{rw} depth {depth}");
        Console.WriteLine($"  IOPS                  comanche {Statistics.Spread(Pick(ours, s => s.Iops))}   nbdkit {Statistics.Spread(Pick(theirs, s => s.Iops))}   ratio {ratio:F2} [{low:F2}, {high:F2}]");
        Console.WriteLine($"  server CPU µs/request comanche {Statistics.Spread(Pick(ours, s => s.CpuUs), "F1")}   nbdkit {Statistics.Spread(Pick(theirs, s => s.CpuUs), "F1")}   ratio {cpu:F2} [{cpuLow:F2}, {cpuHigh:F2}]");
        return ratio;
    }

    private static Server StartOurs(string program, string folder, ByteSize size)
    {
        var socket = Path.Combine(folder, "comanche.sock");
        var stack = Path.Combine(folder, "bench.yaml");
        File.WriteAllText(stack, $$"""
            stack: bench
            devices:
              memory: { use: block/memory, size: {{size}} }
            exports:
              nbd: { use: network/nbd, on: memory, listen: "unix:{{socket}}" }
            """);
        return new Server(socket, program, "run", stack);
    }

    private static Server StartTheirs(string folder, ByteSize size)
    {
        var socket = Path.Combine(folder, "nbdkit.sock");
        return new Server(socket, "nbdkit", "--foreground", "--unix", socket, "memory", size.Bytes.ToString(CultureInfo.InvariantCulture));
    }

    // The command line that was built beside this program.
    private static string DefaultProgram()
    {
        var here = AppContext.BaseDirectory.TrimEnd('/');
        return Path.Combine(here, "..", "..", "Comanche.App", Path.GetFileName(here), "comanche");
    }

    /// <summary>One measurement.</summary>
    /// <param name="Iops">Requests a second.</param>
    /// <param name="CpuUs">Microseconds of the server's processor time, user and system, for each request.</param>
    private readonly record struct Sample(double Iops, double CpuUs);

    /// <summary>A server process that listens on a socket.</summary>
    private sealed class Server : IDisposable
    {
        private readonly Process _process;
        private readonly string _socket;

        public Server(string socket, string program, params string[] arguments)
        {
            _socket = socket;
            var start = new ProcessStartInfo(program) { RedirectStandardOutput = true, RedirectStandardError = true };
            foreach (var argument in arguments) start.ArgumentList.Add(argument);
            _process = Process.Start(start) ?? throw new ComancheException($"{program} can't be run");
            _process.OutputDataReceived += (_, _) => { };
            _process.ErrorDataReceived += (_, _) => { };
            _process.BeginOutputReadLine();
            _process.BeginErrorReadLine();
            for (var i = 0; !File.Exists(socket); i++)
            {
                if (i == 600 || _process.HasExited) throw new ComancheException($"{program} does not listen on {socket}");
                Thread.Sleep(50);
            }
        }

        public Sample Measure(string rw, int depth, ByteSize size, int runtimeMs)
        {
            var before = CpuTicks();
            var json = Fio($"--uri=nbd+unix:///?socket={_socket}", $"--rw={rw}", $"--iodepth={depth}", $"--size={size.Bytes}", $"--runtime={runtimeMs}ms");
            var ticks = CpuTicks() - before;
            using var document = JsonDocument.Parse(json[json.IndexOf('{')..]);
            var side = document.RootElement.GetProperty("jobs")[0].GetProperty(rw.EndsWith("read", StringComparison.Ordinal) ? "read" : "write");
            return new Sample(side.GetProperty("iops").GetDouble(), ticks * TickNs / 1000 / side.GetProperty("total_ios").GetDouble());
        }

        public void Dispose()
        {
            _process.Kill();
            _process.WaitForExit();
            _process.Dispose();
        }

        // utime and stime: fields 14 and 15 of stat, counted behind the name, which may hold blanks.
        private double CpuTicks()
        {
            var stat = File.ReadAllText($"/proc/{_process.Id}/stat");
            var fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
            return double.Parse(fields[11], CultureInfo.InvariantCulture) + double.Parse(fields[12], CultureInfo.InvariantCulture);
        }

        private static string Fio(params string[] arguments)
        {
            var start = new ProcessStartInfo("fio") { RedirectStandardOutput = true };
            string[] common = ["--name=peer", "--ioengine=nbd", "--bs=4k", "--time_based", "--norandommap", "--randrepeat=0", "--thread", "--output-format=json"];
            foreach (var argument in common.Concat(arguments)) start.ArgumentList.Add(argument);
            using var fio = Process.Start(start) ?? throw new ComancheException("fio can't be run");
            var output = fio.StandardOutput.ReadToEnd();
            fio.WaitForExit();
            return fio.ExitCode == 0 ? output : throw new ComancheException($"fio failed:\n{output}");
        }
    }
}
