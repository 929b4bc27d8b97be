using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;

namespace Comanche.ThreadBench;

/// <summary>What one run of the load generator printed.</summary>
internal readonly record struct Sample(double Iops, double P50, double P99, double P999);

/// <summary>The command line, as a load generator and as a server.</summary>
internal sealed class Served : IDisposable
{
    private readonly Process _process;

    /// <summary>Runs a stack until this is disposed of.</summary>
    public Served(string stack, string socket)
    {
        _process = Process.Start(new ProcessStartInfo(Program, ["run", stack, "--interval", "0", "--log", "error"]) { RedirectStandardOutput = true, RedirectStandardInput = true })!;
        var clock = Stopwatch.StartNew();
        while (!File.Exists(socket))
        {
            if (_process.HasExited || clock.Elapsed > TimeSpan.FromSeconds(30)) throw new ComancheException($"{stack} does not serve {socket}");
            Thread.Sleep(20);
        }

        Thread.Sleep(200);
    }

    /// <summary>The executable that was built with this.</summary>
    public static string Program
    {
        get
        {
            var configuration = Path.GetFileName(Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory));
            return Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "..", "..", "Comanche.App", configuration, "comanche"));
        }
    }

    /// <summary>The server's process.</summary>
    public int Id => _process.Id;

    /// <summary>The processor time that the server used so far.</summary>
    public TimeSpan ProcessorTime
    {
        get
        {
            _process.Refresh();
            return _process.TotalProcessorTime;
        }
    }

    /// <summary>Runs a load, its jobs on core 0.</summary>
    public static Sample Load(TimeSpan runtime, params string[] arguments)
    {
        string[] words = ["bench", .. arguments, "--rw", "randread", "--bs", "4k", "--cpus_allowed", "0", "--json", "--runtime", string.Create(CultureInfo.InvariantCulture, $"{runtime.TotalMilliseconds}ms")];
        using var process = Process.Start(new ProcessStartInfo(Program, words) { RedirectStandardOutput = true })!;
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        if (process.ExitCode != 0) throw new ComancheException($"comanche {string.Join(' ', words)} ended with {process.ExitCode}");
        var read = JsonNode.Parse(output)!["jobs"]![0]!["read"]!;
        var percentile = read["clat_ns"]!["percentile"]!;
        double Percentile(string name) => percentile[name]!.GetValue<double>();
        return new Sample(read["iops"]!.GetValue<double>(), Percentile("50.000000"), Percentile("99.000000"), Percentile("99.900000"));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        using (var kill = Process.Start("kill", ["-s", "TERM", _process.Id.ToString(CultureInfo.InvariantCulture)])) kill.WaitForExit();
        if (!_process.WaitForExit(TimeSpan.FromSeconds(20))) _process.Kill();
        _process.Dispose();
    }
}
