using System.CommandLine;
using System.CommandLine.Parsing;
using Comanche.App.Bench;
using Comanche.Runtime.Loading;

namespace Comanche.App.Commands;

/// <summary><c>comanche bench FILE[:DEVICE]</c>, with fio's option names.</summary>
internal static class BenchCommand
{
    // Beyond these nobody waits for the end; the sum of both in nanoseconds is far from 64 bits.
    private static readonly TimeSpan MaxRunTime = TimeSpan.FromDays(365);
    private static readonly TimeSpan MaxRampTime = TimeSpan.FromDays(1);

    private static readonly Argument<string> Target = Arguments.StackFile("FILE[:DEVICE]", "The stack file, and the device to load, or several with commas, which the jobs take in turn; without one, the device that no other stands on; none with --attach", isOptional: true);

    private static readonly Option<string> Rw = Word("--rw", "PATTERN", "read", "What to do: read, write, randread, randwrite, rw (or readwrite), randrw", "--readwrite");
    private static readonly Option<int> RwMixRead = Number("--rwmixread", 50, 0, 100, "The share of reads in rw and randrw, in per cent");
    private static readonly Option<ByteSize> Bs = Size("--bs", "4KiB", "Bytes of an I/O", "--blocksize");
    private static readonly Option<int> IoDepth = Number("--iodepth", 1, 1, (int)QueueOptions.MaxDepth, "I/Os in flight of each job");
    private static readonly Option<int> NumJobs = Number("--numjobs", 1, 1, 1024, "Jobs, each a thread with a queue of its own");
    private static readonly Option<TimeSpan?> RunTime = Time("--runtime", MaxRunTime, "How long to run, like 10, 0.5 or 250ms; plain numbers are seconds (default: 5, where neither --size nor --verify ends it)");
    private static readonly Option<TimeSpan?> RampTime = Time("--ramp_time", MaxRampTime, "How long to run before measuring (default: 250ms with --runtime)", "--ramp-time");
    private static readonly Option<ByteSize> TotalSize = Size("--size", "0", "Use only so many bytes of the volume, in whole I/Os (0: all of it); without --runtime, each job moves so much and ends");
    private static readonly Option<ByteSize> Offset = Size("--offset", "0", "The first byte to use");
    private static readonly Option<string?> Verify = new("--verify")
    {
        Description = "Write units that carry a checksum and read each one back; in rw and randrw reads check what was written before; only crc32c", HelpName = "crc32c",
    };

    private static readonly Option<ulong> Seed = new("--seed") { Description = "Seeds the random choice of blocks and data", HelpName = "N", DefaultValueFactory = _ => 1, Aliases = { "--randseed" } };
    private static readonly Option<bool> Json = new("--json") { Description = "Print fio's JSON layout (jobs[0].read.iops …), all jobs as one, as with fio's --group_reporting" };
    private static readonly Option<bool> Layers = new("--layers") { Description = "Also measure the time spent in each layer, which costs some time itself" };
    private static readonly Option<bool> YesDestroy = new("--yes-destroy") { Description = "Write although there is data on the volume. It will be lost." };

    private static readonly Option<string?> Attach = new("--attach")
    {
        Description = "Load a device that a running stack shares by thread/share, through rings in shared memory", HelpName = "SOCKET[:DEVICE,…]",
    };

    private static readonly Option<bool> Processes = new("--processes") { Description = "Each job is a process of its own instead of a thread; with --attach" };
    private static readonly Option<int[]?> CpusAllowed = new("--cpus_allowed", "--cpus-allowed")
    {
        Description = "The cores that the jobs are pinned to, in turn, like 0 or 0,2", HelpName = "LIST",
        CustomParser = r => ParseCores(r.Tokens[0].Value) ?? Refuse<int[]?>(r, $"--cpus_allowed: numbers of cores like 0,2 were expected, not '{r.Tokens[0].Value}'"),
    };

    private static readonly Option<int?> Worker = new("--worker") { Hidden = true };

    public static Command Make()
    {
        var command = new ExampleCommand(
            "bench", "Loads a device of a stack and measures it, with fio's names for options and fio's JSON for results. Exports are not started.",
            "comanche bench stacks/null.yaml --rw randread --bs 4k --iodepth 32 --runtime 3",
            "comanche bench stacks/layers.yaml:layers8 --rw randread --iodepth 32 --runtime 3 --layers",
            "comanche bench stacks/file.yaml --rw randwrite --iodepth 32 --runtime 10 --json --yes-destroy",
            "comanche bench stacks/memory.yaml --rw randwrite --verify crc32c --iodepth 8 --size 64m",
            "comanche bench --attach data/share.sock:null0 --rw randread --iodepth 32 --numjobs 2 --processes")
        {
            Target, Rw, RwMixRead, Bs, IoDepth, NumJobs, RunTime, RampTime, TotalSize, Offset, Verify, Seed, Json, Layers, YesDestroy, Attach, Processes, CpusAllowed, Worker,
        };
        Verify.AcceptOnlyFromAmong("crc32c");
        Rw.AcceptOnlyFromAmong("read", "write", "randread", "randwrite", "rw", "readwrite", "randrw");
        RunTime.Validators.Add(r =>
        {
            if (r.Tokens.Count == 1 && ParseTime(r.Tokens[0].Value) is { Ticks: <= 0 }) r.AddError("--runtime: more than 0 was expected");
        });
        command.SetAction(Run);
        return command;
    }

    private static int Run(ParseResult result)
    {
        var attach = result.GetValue(Attach);
        var target = result.GetValue(Target);
        if (attach is null == target is null) throw new BadInputException("comanche: either a stack file or --attach SOCKET[:DEVICE] is expected");
        if (result.GetValue(Processes) && attach is null) throw new BadInputException("comanche: --processes needs --attach: a stack of one's own belongs to one process");
        var catalog = Catalog.Open(result);
        var (file, device) = Split(attach ?? target!);
        var devices = device?.Split(',') ?? [];
        var stack = attach is null ? Catalog.Check(file, catalog) : Catalog.CheckAttached(file, devices, catalog);
        if (attach is not null) devices = [.. stack.Devices.Select(d => d.Name)];
        var request = new BenchRequest
        {
            Stack = stack,
            Devices = devices.Length != 0 ? devices : [BenchRequest.TopOf(stack)],
            Pattern = Enum.Parse<Pattern>(result.GetRequiredValue(Rw) is "readwrite" ? "rw" : result.GetRequiredValue(Rw), ignoreCase: true),
            ReadPercent = result.GetRequiredValue(RwMixRead),
            BlockBytes = result.GetRequiredValue(Bs).Bytes,
            Depth = result.GetRequiredValue(IoDepth),
            Jobs = result.GetRequiredValue(NumJobs),
            Runtime = result.GetValue(RunTime),
            Ramp = result.GetValue(RampTime),
            Size = result.GetRequiredValue(TotalSize).Bytes,
            Offset = result.GetRequiredValue(Offset).Bytes,
            Verify = result.GetValue(Verify) is not null,
            Seed = result.GetRequiredValue(Seed),
            Json = result.GetValue(Json),
            Layers = result.GetValue(Layers),
            MayDestroy = result.GetValue(YesDestroy),
            Attaches = attach is not null,
            Worker = result.GetValue(Worker),
            Cores = result.GetValue(CpusAllowed),
            ProcessArguments = result.GetValue(Processes) && result.GetValue(Worker) is null ? [.. result.Tokens.Skip(1).Select(t => t.Value)] : null,
        };
        return BenchRun.Run(request);
    }

    // The part behind the last colon is a device, unless a file has that whole name.
    private static (string File, string? Device) Split(string target)
    {
        var colon = target.LastIndexOf(':');
        return colon <= 0 || File.Exists(target) || colon < target.LastIndexOf('/') ? (target, null) : (target[..colon], target[(colon + 1)..]);
    }

    private static Option<string> Word(string name, string help, string value, string description, params string[] aliases) =>
        new(name, aliases) { Description = description, HelpName = help, DefaultValueFactory = _ => value };

    private static Option<int> Number(string name, int value, int min, int max, string description)
    {
        var option = new Option<int>(name) { Description = $"{description} ({min} to {max})", HelpName = "N", DefaultValueFactory = _ => value };
        option.Validators.Add(r =>
        {
            if (r.Tokens.Count == 1 && int.TryParse(r.Tokens[0].Value, out var given) && (given < min || given > max))
                r.AddError($"{name}: {given} is out of range; it is {min} to {max}");
        });
        return option;
    }

    private static Option<ByteSize> Size(string name, string value, string description, params string[] aliases) => new(name, aliases)
    {
        Description = description, HelpName = "SIZE", DefaultValueFactory = _ => ParseSize(value)!.Value,
        CustomParser = r => ParseSize(r.Tokens[0].Value) ?? Refuse<ByteSize>(r, $"{name}: a size like 4k or 1GiB was expected, not '{r.Tokens[0].Value}'"),
    };

    private static Option<TimeSpan?> Time(string name, TimeSpan max, string description, params string[] aliases) => new(name, aliases)
    {
        Description = description, HelpName = "TIME",
        CustomParser = r => ParseTime(r.Tokens[0].Value) switch
        {
            null => Refuse<TimeSpan?>(r, $"{name}: a duration like 10s or 250ms was expected, not '{r.Tokens[0].Value}'"),
            { } time when time > max => Refuse<TimeSpan?>(r, $"{name}: {r.Tokens[0].Value} is out of range; it is at most {Durations.Format(max)}"),
            var time => time,
        },
    };

    private static T? Refuse<T>(ArgumentResult result, string message)
    {
        result.AddError(message);
        return default;
    }

    private static int[]? ParseCores(string text)
    {
        var cores = text.Split(',').Select(w => int.TryParse(w, System.Globalization.NumberStyles.None, null, out var core) && Linux.Threads.MayRunOn(core) ? core : -1).ToArray();
        return cores.Contains(-1) ? null : cores;
    }

    private static ByteSize? ParseSize(string text) => ByteSize.TryParse(text, out var size) ? size : null;

    // fio's plain numbers are seconds.
    private static TimeSpan? ParseTime(string text) =>
        text.All(c => char.IsAsciiDigit(c) || c == '.') && Durations.TryParse(text + "s", out var seconds) ? seconds : Durations.TryParse(text, out var time) ? time : null;
}
