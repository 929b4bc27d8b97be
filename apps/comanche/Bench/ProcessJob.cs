using System.Diagnostics;
using System.Globalization;

namespace Comanche.App.Bench;

/// <summary>
/// A job that is a process of its own: the same program with the same words and <c>--worker</c>, which writes lines that <see cref="BenchWorker"/> documents. It ends early where its
/// standard input does, so that it never outlives this one.
/// </summary>
internal sealed class ProcessJob(string[] arguments, int index) : IBenchJob
{
    private readonly Lock _lock = new();
    private readonly LatencyHistogram _reads = new(), _writes = new();
    private Process? _process; // Under the lock.
    private bool _stop;        // Likewise.
    private ulong _readBytes, _writtenBytes;
    private string? _failure;

    /// <inheritdoc/>
    public (ulong Read, ulong Written) Progress => (Volatile.Read(ref _readBytes), Volatile.Read(ref _writtenBytes));

    /// <inheritdoc/>
    public JobOutcome Outcome { get; private set; } = new(new LatencyHistogram(), new LatencyHistogram(), TimeSpan.Zero, 0, "it did not run");

    /// <inheritdoc/>
    public void Run()
    {
        var words = new[] { "bench" }.Concat(arguments).Append($"--worker={index}");
        var start = new ProcessStartInfo(Environment.ProcessPath!, words) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        string[]? end = null;
        try
        {
            using var process = Process.Start(start)!;
            lock (_lock)
            {
                _process = process;
                if (_stop) process.StandardInput.Close();
            }

            var errors = process.StandardError.ReadToEndAsync();
            while (process.StandardOutput.ReadLine() is { } line)
            {
                if (line.Split(' ') is ["progress", var read, var written]) SetProgress(read, written);
                else if (line.StartsWith("end ", StringComparison.Ordinal)) end = line.Split(' ', 9);
            }

            process.WaitForExit();
            var said = errors.Result.Trim();
            if (end is null) _failure = said.Length == 0 ? $"job {index} ended with exit status {process.ExitCode}" : said.ReplaceLineEndings(" ");
        }
        finally
        {
            lock (_lock) _process = null;
        }

        Outcome = end is null ? Outcome with { Failure = _failure } : Read(end);
    }

    /// <inheritdoc/>
    public void Stop()
    {
        lock (_lock)
        {
            if (_stop) return;
            _stop = true;
            _process?.StandardInput.Close();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _reads.Dispose();
        _writes.Dispose();
    }

    private JobOutcome Read(string[] words)
    {
        if (words is not ["end", var elapsed, var user, var system, var allocated, var copied, var reads, var writes, var failure]
            || !_reads.AddText(reads) || !_writes.AddText(writes))
            return Outcome with { Failure = $"job {index} did not say what came of it" };
        return new JobOutcome(_reads, _writes, Time(elapsed), Number(allocated), failure.Length == 0 ? null : failure)
        {
            UserTime = Time(user), SystemTime = Time(system), CopiedBytes = (ulong)Number(copied),
        };
    }

    private void SetProgress(string read, string written)
    {
        Volatile.Write(ref _readBytes, (ulong)Number(read));
        Volatile.Write(ref _writtenBytes, (ulong)Number(written));
    }

    private static long Number(string word) => long.TryParse(word, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : 0;

    private static TimeSpan Time(string ticks) => TimeSpan.FromTicks(Number(ticks));
}
