using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;

namespace Comanche.ThreadBench;

/// <summary>
/// Four processes write and read verified units through a shared stack; one of them is killed again and again and replaced, and a layer comes and goes under them. At the end nothing is lost, and the
/// server has what it had at the start.
/// </summary>
internal sealed class Stress(long operations, int kills)
{
    private const int Workers = 4, Units = 1024;

    private readonly string _folder = Directory.CreateTempSubdirectory("comanche-stress-").FullName;
    private readonly Random _random = new(1);
    private readonly Worker?[] _workers = new Worker?[Workers];
    private long _ended;

    private string Socket => Path.Combine(_folder, "share.sock");

    /// <summary>Runs it; returns whether all was well.</summary>
    public bool Run()
    {
        try
        {
            return RunIn();
        }
        finally
        {
            foreach (var worker in _workers) worker?.Dispose();
            Directory.Delete(_folder, recursive: true);
        }
    }

    private bool RunIn()
    {
        var stack = Path.Combine(_folder, "stress.yaml");
        File.WriteAllText(stack, $"devices:\n  disk: {{ use: block/memory, size: 32MiB }}\nexports:\n  share: {{ use: thread/share, on: disk, socket: {Socket}, names: [disk] }}\n");
        using var server = new Served(stack, Socket);

        // What is made once (code, pools, tables) is there before the first look.
        for (var i = 0; i < Workers; i++) _workers[i] = Start(i);
        Change(stack, inserts: true);
        Change(stack, inserts: false);
        Thread.Sleep(1000);
        for (var i = 0; i < Workers; i++) if (!End(i)) return false;
        Wait(stack);
        var before = Look(server.Id);
        for (var i = 0; i < Workers; i++) _workers[i] = Start(i);
        var clock = Stopwatch.StartNew();
        var (killed, changes, longest) = (0, 0, 0.0);
        var (nextChange, nextReport) = (TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(5));
        while (Done < operations || killed < kills || changes % 2 != 0)
        {
            Thread.Sleep(_random.Next(200, 800));
            if (clock.Elapsed >= nextReport)
            {
                Console.Error.WriteLine($"{clock.Elapsed.TotalSeconds,4:F0} s  {Done,12:N0} operations  {killed,3} killed  {Look(server.Id)}");
                nextReport += TimeSpan.FromSeconds(5);
            }

            if (clock.Elapsed >= nextChange)
            {
                longest = Math.Max(longest, Change(stack, inserts: changes++ % 2 == 0));
                nextChange += TimeSpan.FromSeconds(1);
            }

            for (var i = 0; i < Workers; i++)
            {
                if (_workers[i]!.Failure is not { } failure) continue;
                Console.WriteLine($"worker {i}: {failure}");
                return false;
            }

            if (killed >= kills) continue;
            var victim = _random.Next(Workers);
            _workers[victim]!.Kill();
            _ended += _workers[victim]!.Done;
            _workers[victim]!.Dispose();
            _workers[victim] = Start(victim);
            killed++;
        }

        var seconds = clock.Elapsed.TotalSeconds;
        for (var i = 0; i < Workers; i++) if (!End(i)) return false;
        Wait(stack);
        var after = Look(server.Id);
        Console.WriteLine($"{Done:N0} verified operations in {seconds:F0} s, {killed} clients killed, {changes} changes under them (the longest pause {longest / 1000:F1} ms): nothing lost, torn or misdirected");
        Console.WriteLine($"server before: {before}");
        Console.WriteLine($"server after:  {after}");
        var good = after.Descriptors <= before.Descriptors && after.SharedMappings <= before.SharedMappings && after.ResidentKiB <= before.ResidentKiB + 16 * 1024;
        if (!good) Console.WriteLine("it holds more than at the start");
        return good;
    }

    private long Done => _ended + _workers.Sum(w => w?.Done ?? 0);

    private Worker Start(int index) => new(Socket, index, Units, Path.Combine(_folder, $"journal{index}"));

    private bool End(int index)
    {
        var worker = _workers[index]!;
        var failure = worker.End();
        _ended += worker.Done;
        worker.Dispose();
        _workers[index] = null;
        if (failure is not null) Console.WriteLine($"worker {index}: {failure}");
        return failure is null;
    }

    // Microseconds that I/O stood still.
    private static double Change(string stack, bool inserts)
    {
        string[] words = inserts ? ["insert", "layer: { use: block/pass, child: true }", "--below", "disk"] : ["remove", "layer"];
        return Ask(stack, words)["pause_us"]!.GetValue<double>();
    }

    private static void Wait(string stack)
    {
        var clock = Stopwatch.StartNew();
        while (Ask(stack, "clients").AsArray().Count != 0)
        {
            if (clock.Elapsed > TimeSpan.FromSeconds(20)) throw new ComancheException("clients that are gone are still attached");
            Thread.Sleep(50);
        }
    }

    private static JsonNode Ask(string stack, params string[] words)
    {
        using var process = Process.Start(new ProcessStartInfo(Served.Program, ["ctl", "--stack", stack, "--json", .. words]) { RedirectStandardOutput = true })!;
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0 ? JsonNode.Parse(output)! : throw new ComancheException($"ctl {string.Join(' ', words)} failed");
    }

    private static Holding Look(int process)
    {
        var status = File.ReadAllLines($"/proc/{process}/status").First(l => l.StartsWith("VmRSS:", StringComparison.Ordinal));
        var resident = long.Parse(status.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture);
        return new Holding(Directory.EnumerateFileSystemEntries($"/proc/{process}/fd").Count(), File.ReadLines($"/proc/{process}/maps").Count(l => l.Contains("/memfd:comanche", StringComparison.Ordinal)), resident);
    }

    private readonly record struct Holding(int Descriptors, int SharedMappings, long ResidentKiB)
    {
        public override string ToString() => $"{Descriptors} file descriptors, {SharedMappings} shared mappings, {ResidentKiB / 1024.0:F1} MiB resident";
    }

    // A worker's process, and what it last said.
    private sealed class Worker : IDisposable
    {
        private readonly Process _process;
        private readonly Task<string> _errors;
        private long _done;
        private bool _wasKilled;

        public Worker(string socket, int index, int units, string journal)
        {
            string[] words = ["worker", socket, "disk", index.ToString(CultureInfo.InvariantCulture), units.ToString(CultureInfo.InvariantCulture), journal];
            _process = Process.Start(new ProcessStartInfo(Environment.ProcessPath!, words) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true })!;
            _process.OutputDataReceived += (_, e) =>
            {
                if (long.TryParse(e.Data, NumberStyles.None, CultureInfo.InvariantCulture, out var done)) Volatile.Write(ref _done, done);
            };
            _process.BeginOutputReadLine();
            _errors = _process.StandardError.ReadToEndAsync();
        }

        public long Done => Volatile.Read(ref _done);

        public string? Failure => _process.HasExited && !_wasKilled ? $"ended with {_process.ExitCode}: {_errors.Result}" : null;

        public void Kill()
        {
            _wasKilled = true;
            _process.Kill();
            _process.WaitForExit();
        }

        public string? End()
        {
            _process.StandardInput.Close();
            if (!_process.WaitForExit(TimeSpan.FromSeconds(20))) return "does not end";
            _process.WaitForExit();
            return _process.ExitCode == 0 ? null : $"ended with {_process.ExitCode}: {_errors.Result}";
        }

        public void Dispose()
        {
            if (!_process.HasExited) _process.Kill();
            _process.Dispose();
        }
    }
}
