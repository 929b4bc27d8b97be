using Comanche.App.Commands;
using Comanche.Runtime.Composition;

namespace Comanche.App.Bench;

/// <summary>What the command line asks of a bench.</summary>
internal sealed record BenchRequest
{
    public required CheckedStack Stack { get; init; }

    /// <summary>The devices, which the jobs take in turn.</summary>
    public required IReadOnlyList<string> Devices { get; init; }

    /// <summary>Their names, for people.</summary>
    public string Device => string.Join(",", Devices);

    public required Pattern Pattern { get; init; }

    public required int ReadPercent { get; init; }

    public required ulong BlockBytes { get; init; }

    public required int Depth { get; init; }

    public required int Jobs { get; init; }

    public required TimeSpan? Runtime { get; init; }

    public required TimeSpan? Ramp { get; init; }

    public required ulong Size { get; init; }

    public required ulong Offset { get; init; }

    public required bool Verify { get; init; }

    public required ulong Seed { get; init; }

    public required bool Json { get; init; }

    public required bool Layers { get; init; }

    public required bool MayDestroy { get; init; }

    /// <summary>The cores that jobs are pinned to, in turn; null for none.</summary>
    public int[]? Cores { get; init; }

    /// <summary>The words of the command line, for processes that each do one job; null where jobs are threads.</summary>
    public string[]? ProcessArguments { get; init; }

    /// <summary>Of all the jobs, the only one that this process does, by the command of another; null for all.</summary>
    public int? Worker { get; init; }

    /// <summary>Whether the stack is that of another process, and this one only attaches to it.</summary>
    public bool Attaches { get; init; }

    /// <summary>The one device that no other stands on.</summary>
    public static string TopOf(CheckedStack stack)
    {
        var stoodOn = stack.Devices.Where(d => !d.Definition.IsExport).SelectMany(d => d.Bindings.Select(b => b.Device)).ToHashSet();
        var tops = stack.Devices.Where(d => !d.Definition.IsExport && !stoodOn.Contains(d)).Select(d => d.Name).Order(StringComparer.Ordinal).ToList();
        if (tops.Count == 1) return tops[0];
        throw new BadInputException($"comanche: {stack.File.Path} has several devices at the top: say which one, as {stack.File.Path}:{tops.FirstOrDefault() ?? "DEVICE"}"
            + (tops.Count == 0 ? "" : $" (there are {string.Join(", ", tops)})"));
    }
}

/// <summary>Composes the part of a stack that a device needs, loads it, reports.</summary>
internal static unsafe class BenchRun
{
    private static readonly TimeSpan DefaultRuntime = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan DefaultRamp = TimeSpan.FromMilliseconds(250); // The JIT has compiled and recompiled the loop by then.

    // Buffers of one job beyond this are a slip of the keyboard.
    private const ulong MaxBufferBytes = 1UL << 30;

    public static int Run(BenchRequest request)
    {
        foreach (var name in request.Devices)
        {
            if (request.Stack.Find(name) is { Definition.IsExport: false }) continue;
            var names = request.Stack.Devices.Where(d => !d.Definition.IsExport).Select(d => d.Name);
            throw new BadInputException($"comanche: {request.Stack.File.Path} has no device '{name}'{Comanche.Runtime.Loading.Spelling.Suggest(name, names)}");
        }

        using var stackLock = request.Attaches ? null : StackLock.Take(request.Stack.File.Path);
        using var process = new AppProcess(TextLog.Make(LogLevel.Warning), request.Layers);
        using var running = Start(request, process);
        var targets = request.Devices.Select(name => running.Find(name)!).ToArray();
        if (targets.FirstOrDefault(t => t.Device is null) is { } other) throw new BadInputException($"comanche: '{other.Name}' is no block device");
        var plan = Plan(request, targets);
        if (plan.Writes && request.Worker is null)
            foreach (var target in targets)
                GuardData(request, target, plan);
        if (request.Worker is { } index) return BenchWorker.Run(process, plan, i => MakeJob(targets, plan, i), index);
        Func<int, IBenchJob> make = request.ProcessArguments is { } words ? i => new ProcessJob(words, i) : i => MakeJob(targets, plan, i);
        var report = Drive(request, process, plan, running, make);
        StopAll(request, running, report);
        if (report.Failure is not null && report.Reads.Count + report.Writes.Count == 0) throw new ComancheException($"comanche: {request.Device}: {report.Failure}");
        if (request.Json) Console.WriteLine(FioJson.Make(report).ToJsonString(DescribeCommand.Indented));
        else report.Print(Console.Out);
        if (report.Failure is null) return ExitCode.Success;
        TextLog.Say($"comanche: {request.Device}: {report.Failure}");
        return ExitCode.Failed;
    }

    // Of a device that is gone the end fails too, which says nothing new.
    private static void StopAll(BenchRequest request, RunningStack running, BenchReport report)
    {
        try
        {
            running.Stop();
        }
        catch (ComancheException) when (request.Attaches && report.Failure is not null)
        {
        }
    }

    private static RunningStack Start(BenchRequest request, AppProcess process)
    {
        try
        {
            return RunningStack.Start(request.Stack, process.Stack, new ComposeOptions { Only = request.Devices, WithExports = false });
        }
        catch (ComancheException e) when (request.Attaches)
        {
            // There is no stack file, and so no place in it.
            var place = e.Message.IndexOf("error: ", StringComparison.Ordinal);
            throw new ComancheException($"comanche: {(place < 0 ? e.Message : e.Message[(place + "error: ".Length)..])}", e);
        }
    }

    private static IBenchJob MakeJob(RunningDevice[] targets, BenchPlan plan, int index)
    {
        var target = targets[index % targets.Length];
        return plan.Verify ? new VerifyJob(target.Device!, target.Host, plan, index) : new BenchJob(target.Device!, target.Host, plan, index);
    }

    // What fits all of the devices.
    private static BenchPlan Plan(BenchRequest request, RunningDevice[] targets) => targets.Select(t => Plan(request, t.Device!)).MinBy(p => p.RangeBytes)!;

    private static BenchPlan Plan(BenchRequest request, IBlockDevice device)
    {
        VolumeInfo volume;
        device.GetVolumeInfo(&volume);
        var block = request.BlockBytes;
        if (block == 0 || block % volume.BlockSize != 0) throw Bad($"--bs {new ByteSize(block)} is not a multiple of the block size, {volume.BlockSize}");
        if (block / volume.BlockSize > volume.MaxTransferBlocks)
            throw Bad($"--bs {new ByteSize(block)} is more than the device moves at once, {new ByteSize((ulong)volume.MaxTransferBlocks * volume.BlockSize)}");
        if (block * (ulong)request.Depth > MaxBufferBytes) throw Bad($"--bs × --iodepth is more than {new ByteSize(MaxBufferBytes)} of buffers for each job");
        if (request.Offset % volume.BlockSize != 0) throw Bad($"--offset {new ByteSize(request.Offset)} is not a multiple of the block size, {volume.BlockSize}");
        if (request.Offset >= volume.ByteLength || volume.ByteLength - request.Offset < block) throw Bad($"nothing of the volume ({volume.ByteLength} bytes) is left from --offset on");
        var range = volume.ByteLength - request.Offset;
        if (request.Size > range) throw Bad($"--size {new ByteSize(request.Size)} is more than the {range} bytes there are");
        if (request.Size != 0) range = request.Size;
        range -= range % block;
        if (range == 0) throw Bad("--size is less than --bs");
        if (request.Verify && range / block < (ulong)request.Jobs) throw Bad("--verify needs at least one unit for each job");
        var isTimed = request.Runtime is not null || (request.Size == 0 && !request.Verify);
        return new BenchPlan
        {
            Pattern = request.Pattern, BlockBytes = (uint)block, Depth = request.Depth, Jobs = request.Jobs,
            Runtime = isTimed ? request.Runtime ?? DefaultRuntime : TimeSpan.Zero,
            Ramp = request.Ramp ?? (isTimed ? DefaultRamp : TimeSpan.Zero),
            TotalBytes = isTimed || request.Verify ? 0 : range,
            Offset = request.Offset, RangeBytes = range, ReadPercent = request.ReadPercent, Seed = request.Seed, Verify = request.Verify,
            Processes = request.ProcessArguments is not null, Cores = request.Cores,
        };
    }

    private static void GuardData(BenchRequest request, RunningDevice target, BenchPlan plan)
    {
        VolumeInfo volume;
        target.Device!.GetVolumeInfo(&volume);
        if (volume.Has(VolumeCapabilities.ReadOnly)) throw Bad($"'{target.Name}' is read-only; --rw {request.Pattern.ToString().ToLowerInvariant()} can't be done");
        if (!request.MayDestroy && DataGuard.FindData(target.Device, target.Host, target.Name, plan.Offset, plan.RangeBytes) is { } found)
            throw Bad($"'{target.Name}' {found}. A bench that writes destroys it; --yes-destroy says that this is meant");
    }

    private static BenchReport Drive(BenchRequest request, AppProcess process, BenchPlan plan, RunningStack running, Func<int, IBenchJob> make)
    {
        var jobs = Enumerable.Range(0, plan.Jobs).Select(make).ToList();
        var threads = jobs.Select((job, i) => new Thread(job.Run) { Name = $"bench-{i}", IsBackground = true }).ToList();
        using var signals = new StopSignals(() => jobs.ForEach(j => j.Stop()));
        var at = DateTimeOffset.Now;
        var meter = new BenchMeter(
            plan, process, () => request.Layers ? process.MeasureLayers(running) : [],
            () => Progress(jobs));
        threads.ForEach(t => t.Start());
        try
        {
            Watch(request, plan, threads, meter, () => Progress(jobs));
        }
        finally
        {
            // Whatever happens to the reporter, the stack is not taken down under jobs that use it.
            jobs.ForEach(j => j.Stop());
            threads.ForEach(t => t.Join());
        }

        meter.End();
        var outcomes = jobs.Select(j => j.Outcome).ToList();
        var report = new BenchReport(plan, request.Device, at)
        {
            Meter = meter,
            Elapsed = outcomes.Max(o => o.Elapsed),
            JobTime = outcomes.Aggregate(TimeSpan.Zero, (sum, o) => sum + o.Elapsed),
            AllocatedBytes = outcomes.Sum(o => o.AllocatedBytes),
            OtherUserTime = outcomes.Aggregate(TimeSpan.Zero, (sum, o) => sum + o.UserTime),
            OtherSystemTime = outcomes.Aggregate(TimeSpan.Zero, (sum, o) => sum + o.SystemTime),
            OtherCopiedBytes = outcomes.Aggregate(0UL, (sum, o) => sum + o.CopiedBytes),
            Failure = outcomes.Select(o => o.Failure).FirstOrDefault(f => f is not null),
        };
        foreach (var o in outcomes)
        {
            report.Reads.Add(o.Reads);
            report.Writes.Add(o.Writes);
        }

        jobs.ForEach(j => j.Dispose());
        return report;
    }

    private static (ulong Read, ulong Written) Progress(List<IBenchJob> jobs) =>
        jobs.Select(j => j.Progress).Aggregate((a, b) => (a.Read + b.Read, a.Written + b.Written));

    // Waits for the jobs; on a terminal, with a line of progress. It goes to standard error, so that results can be piped.
    private static void Watch(BenchRequest request, BenchPlan plan, List<Thread> threads, BenchMeter meter, Func<(ulong Read, ulong Written)> progress)
    {
        using var line = Terminal.IsErrorInteractive ? new LiveLines(RawOutput.StandardError) : null;
        var total = (plan.Ramp + plan.Runtime).TotalSeconds;
        var before = (Bytes: 0UL, Time: 0.0);
        foreach (var thread in threads)
        {
            while (!thread.Join(meter.Due))
            {
                meter.Look();
                if (line is null) continue;
                var (read, written) = progress();
                var now = meter.Elapsed.TotalSeconds;
                var bytes = read + written;
                var rate = (bytes - before.Bytes) / Math.Max(now - before.Time, 1e-3);
                var done = plan.Runtime > TimeSpan.Zero ? now / total : bytes / plan.GoalBytes;
                line.Draw([$"{request.Device} {plan.PatternName} {Math.Min(done, 1) * 100,3:F0} %  {rate / plan.BlockBytes,11:N0} IOPS  {Terminal.Rate(rate),9}  {now,4:F0} s"]);
                before = (bytes, now);
            }
        }
    }

    private static BadInputException Bad(string message) => new($"comanche: {message}");
}
