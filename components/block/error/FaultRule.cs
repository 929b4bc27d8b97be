namespace Comanche.Block;

/// <summary>A rule at work: its counts, its row of random numbers, its switch. Queues on any threads ask it at once.</summary>
internal sealed class FaultRule
{
    private readonly ErrorRule _options;
    private readonly ulong _seed;
    private readonly uint _operations; // Bit n speaks of operation n.
    private readonly ulong _first;
    private readonly ulong _end;
    private long _draws;
    private long _matches;
    private long _hits;
    private int _enabled;

    public FaultRule(ErrorRule options, int number, ulong seed)
    {
        _options = options;
        _seed = seed + (ulong)number * 0xD1342543DE82EF95;
        foreach (var operation in options.Operations.Count != 0 ? options.Operations : DefaultOperations(options.Action)) _operations |= 1u << (int)operation;
        _first = (ulong)options.Lba;
        _end = options.Blocks == 0 ? ulong.MaxValue : _first + (ulong)options.Blocks;
        HasRange = options.Lba != 0 || options.Blocks != 0;
        _enabled = options.Enabled ? 1 : 0;
        Name = NameOf(options, number);
    }

    public string Name { get; }

    public ErrorRule Options => _options;

    public bool HasRange { get; }

    public FaultRuleInfo Info => new()
    {
        Enabled = Volatile.Read(ref _enabled),
        Matches = (ulong)Interlocked.Read(ref _matches),
        Hits = (ulong)Math.Min(Interlocked.Read(ref _hits), _options.Count == 0 ? long.MaxValue : _options.Count),
    };

    public static string NameOf(ErrorRule rule, int number) =>
        rule.Name.Length != 0 ? rule.Name : number.ToString(System.Globalization.CultureInfo.InvariantCulture);

    /// <summary>The operations that an action can be done to, which are also those that it is done to where a rule names none.</summary>
    public static IEnumerable<IoOperation> DefaultOperations(FaultAction action) => action switch
    {
        FaultAction.Fail => Enum.GetValues<IoOperation>().Where(o => o != IoOperation.None),
        FaultAction.Torn => [IoOperation.Write],
        FaultAction.DropWrite => Enum.GetValues<IoOperation>().Where(o => o.IsChange()),
        FaultAction.DropFlush => [IoOperation.Flush],
        FaultAction.Corrupt => [IoOperation.Read, IoOperation.Write],
        _ => [IoOperation.Read, IoOperation.Write],
    };

    /// <summary>What is wrong with a rule; empty where nothing is.</summary>
    public static string Problem(ErrorRule rule)
    {
        if (!Enum.IsDefined(rule.Action)) return $"there is no action {(int)rule.Action}";
        foreach (var operation in rule.Operations)
            if (!DefaultOperations(rule.Action).Contains(operation))
                return $"{rule.Action} can't be done to {operation}, only to {string.Join(", ", DefaultOperations(rule.Action))}";
        if (rule.Lba < 0) return $"lba {rule.Lba} is negative";
        if (rule.Blocks < 0) return $"blocks {rule.Blocks} is negative";
        if (!(rule.Rate >= 0 && rule.Rate <= 1)) return $"rate {rule.Rate} is not from 0 to 1";
        if (rule.After < 0 || rule.Count < 0) return "after and count are not negative";
        if (rule.Keep < -1) return $"keep {rule.Keep} is neither a number of blocks nor -1";
        if (rule.Bits is < 1 or > 8) return $"bits {rule.Bits} is not from 1 to 8";
        if (rule.Action == FaultAction.Fail && rule.Status == IoStatus.Success) return "fail can't report success: use drop-write or drop-flush";
        if (rule.Action == FaultAction.Misdirect && rule.Shift == 0) return "a shift of 0 misdirects nothing";
        return "";
    }

    public void SetEnabled(bool enabled)
    {
        if (enabled)
        {
            Interlocked.Exchange(ref _matches, 0);
            Interlocked.Exchange(ref _hits, 0);
        }

        Volatile.Write(ref _enabled, enabled ? 1 : 0);
    }

    /// <summary>Whether the rule hits this I/O; counts it.</summary>
    public bool Hits(in IoDescriptor io)
    {
        if (Volatile.Read(ref _enabled) == 0 || (_operations >> (int)io.Operation & 1) == 0) return false;
        if (HasRange && (!io.Operation.HasRange() || io.Lba >= _end || io.Lba + io.BlockCount <= _first)) return false;
        if (Interlocked.Increment(ref _matches) <= _options.After) return false;
        if (_options.Rate < 1 && Draw().NextDouble() >= _options.Rate) return false;
        return Interlocked.Increment(ref _hits) <= _options.Count || _options.Count == 0;
    }

    /// <summary>Random numbers for one decision.</summary>
    public SeededRandom Draw() => new(_seed + (ulong)Interlocked.Increment(ref _draws) * 0xA0761D6478BD642F);

    /// <summary>A random block of the I/O that lies in the rule's range, counted from the I/O's first.</summary>
    public ulong RandomBlock(in IoDescriptor io, ref SeededRandom random)
    {
        var from = Math.Max(io.Lba, _first) - io.Lba;
        var to = Math.Min(io.Lba + io.BlockCount, _end) - io.Lba;
        return from + random.Below(to - from);
    }
}
