using System.Globalization;
using Comanche.Linux;

namespace Comanche.App.Bench;

/// <summary>
/// The other side of <see cref="ProcessJob"/>: does one job and says on standard output how it goes, in lines of words: <c>progress READ WRITTEN</c> (bytes), and at the end
/// <c>end ELAPSED USER SYSTEM ALLOCATED COPIED READS WRITES FAILURE</c>: ticks of 100 ns, bytes, two histograms, and the rest of the line in words.
/// </summary>
internal static class BenchWorker
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(200);

    public static int Run(AppProcess process, BenchPlan plan, Func<int, IBenchJob> make, int index)
    {
        using var job = make(index);
        using var signals = new StopSignals(job.Stop);
        var copied = process.BytesCopied;
        var before = ResourceUsage.Now;
        var worker = new Thread(job.Run) { Name = $"bench-{index}", IsBackground = true };
        worker.Start();
        new Thread(() => StopAtEndOfInput(job)) { Name = "input", IsBackground = true }.Start();
        var isRamping = plan.Ramp > TimeSpan.Zero;
        if (isRamping && !worker.Join(plan.Ramp)) (before, copied) = (ResourceUsage.Now, process.BytesCopied);
        while (!worker.Join(Interval))
        {
            var (read, written) = job.Progress;
            Say($"progress {read} {written}");
        }

        var after = ResourceUsage.Now;
        var outcome = job.Outcome;
        Say($"end {outcome.Elapsed.Ticks} {(after.UserTime - before.UserTime).Ticks} {(after.SystemTime - before.SystemTime).Ticks} {outcome.AllocatedBytes} {process.BytesCopied - copied} "
            + $"{outcome.Reads.ToText()} {outcome.Writes.ToText()} {outcome.Failure?.ReplaceLineEndings(" ")}");
        return outcome.Failure is null ? ExitCode.Success : ExitCode.Failed;
    }

    private static void Say(string line)
    {
        Console.Out.WriteLine(line);
        Console.Out.Flush();
    }

    private static void StopAtEndOfInput(IBenchJob job)
    {
        while (Console.In.Read() >= 0) { }
        job.Stop();
    }
}
