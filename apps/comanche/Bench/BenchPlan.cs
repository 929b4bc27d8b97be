namespace Comanche.App.Bench;

/// <summary>The order and kind of a load's I/Os, by fio's names.</summary>
internal enum Pattern
{
    Read,
    Write,
    RandRead,
    RandWrite,
    Rw,
    RandRw,
}

/// <summary>What a bench does. Sizes in bytes.</summary>
internal sealed record BenchPlan
{
    public required Pattern Pattern { get; init; }

    public required uint BlockBytes { get; init; }

    public required int Depth { get; init; }

    public required int Jobs { get; init; }

    /// <summary>How long it runs; zero where <see cref="TotalBytes"/> ends it.</summary>
    public required TimeSpan Runtime { get; init; }

    /// <summary>What is run before measuring begins.</summary>
    public required TimeSpan Ramp { get; init; }

    /// <summary>How much each job moves; 0 where <see cref="Runtime"/> ends it.</summary>
    public required ulong TotalBytes { get; init; }

    /// <summary>The first byte of the range that is used.</summary>
    public required ulong Offset { get; init; }

    /// <summary>The length of that range, a multiple of <see cref="BlockBytes"/>.</summary>
    public required ulong RangeBytes { get; init; }

    /// <summary>The share of reads in a mixed load, 0 to 100.</summary>
    public required int ReadPercent { get; init; }

    public required ulong Seed { get; init; }

    public bool Verify { get; init; }

    /// <summary>The cores that jobs are pinned to, in turn; null for none.</summary>
    public int[]? Cores { get; init; }

    /// <summary>Whether each job is a process of its own.</summary>
    public bool Processes { get; init; }

    public ulong Units => RangeBytes / BlockBytes;

    /// <summary>How much will be moved in all where <see cref="Runtime"/> does not end it, a verifying load's own reads included.</summary>
    public double GoalBytes => TotalBytes != 0 ? (double)TotalBytes * Jobs : RangeBytes * (!Writes ? 1 : IsMixed ? 2 - ReadPercent / 100.0 : 2);

    public bool IsMixed => Pattern is Pattern.Rw or Pattern.RandRw;

    public bool IsRandom => Pattern is Pattern.RandRead or Pattern.RandWrite or Pattern.RandRw;

    public bool Writes => Pattern is not (Pattern.Read or Pattern.RandRead);

    /// <summary>fio's word for the pattern.</summary>
    public string PatternName => Pattern.ToString().ToLowerInvariant();

    /// <summary>Pins the calling thread to the core of a job.</summary>
    public void Pin(int job)
    {
        if (Cores is not { Length: > 0 } cores) return;
        var error = Linux.Threads.PinToCore(cores[job % cores.Length]);
        if (error != 0) throw new ComancheException($"job {job} can't run on core {cores[job % cores.Length]}: {Linux.Memory.Describe(error)}");
    }
}
