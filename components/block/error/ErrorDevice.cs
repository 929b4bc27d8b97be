using System.Runtime.InteropServices.Marshalling;

namespace Comanche.Block;

/// <summary>
/// Injects faults by rule: I/Os that fail, writes that tear or vanish, flushes that lie, data that rots, blocks that land elsewhere. The rules
/// can be switched while I/O is in flight (<see cref="IFaultInjection"/>). For an I/O that hangs, take <c>block/delay</c>.
/// </summary>
[Component("block/error", "4f6f2a51-54c1-4b0a-8f4e-0d6c1f6b1a05", "A filter that injects faults: failed, torn, dropped, corrupted and misdirected I/O")]
[Binds(typeof(IBlockDevice))]
[Transparent]
[GeneratedComClass]
public sealed unsafe partial class ErrorDevice : BlockFilter, IPlanned, IFaultInjection
{
    private readonly ErrorOptions _options;
    private readonly FaultRule[] _rules;
    private ulong _readErrors;
    private ulong _writeErrors;
    private ulong _flushErrors;

    /// <summary>Makes the device.</summary>
    public ErrorDevice(IHost host, ErrorOptions options) : base(host)
    {
        _options = options;
        _rules = [.. options.Rules.Select((rule, i) => new FaultRule(rule, i, (ulong)options.Seed))];
    }

    /// <inheritdoc/>
    public static void Plan(PlanContext plan)
    {
        var options = plan.Options<ErrorOptions>();
        var problems = Problems(options, plan.Below).ToList();
        foreach (var problem in problems) plan.Error("rules", problem);
        if (problems.Count == 0 && plan.Below is { } below) plan.Volume = Describe(below, options);
    }

    /// <inheritdoc/>
    public override void GetHealth(DeviceHealth* health)
    {
        base.GetHealth(health);
        health->ReadErrors += Interlocked.Read(ref _readErrors);
        health->WriteErrors += Interlocked.Read(ref _writeErrors);
        health->FlushErrors += Interlocked.Read(ref _flushErrors);
    }

    /// <inheritdoc/>
    public int GetRuleCount() => _rules.Length;

    /// <inheritdoc/>
    public int FindRule(string name) => Array.FindIndex(_rules, r => r.Name == name);

    /// <inheritdoc/>
    public void GetRule(int rule, FaultRuleInfo* info) => *info = RuleAt(rule).Info;

    /// <inheritdoc/>
    public void SetEnabled(int rule, int enabled) => RuleAt(rule).SetEnabled(enabled != 0);

    /// <summary>Counts an I/O that a rule failed. Any thread.</summary>
    internal void CountError(IoOperation operation)
    {
        if (operation == IoOperation.Flush) Interlocked.Increment(ref _flushErrors);
        else if (operation.IsChange()) Interlocked.Increment(ref _writeErrors);
        else Interlocked.Increment(ref _readErrors);
    }

    /// <inheritdoc/>
    protected override void OnStart()
    {
        base.OnStart();
        if (Problems(_options, base.DescribeVolume()).FirstOrDefault() is { } problem) throw new ComancheException($"{Name}: {problem}");
    }

    /// <inheritdoc/>
    protected override VolumeInfo DescribeVolume() => Describe(base.DescribeVolume(), _options);

    /// <inheritdoc/>
    protected override IIoQueue CreateQueue(QueueOptions queue)
    {
        var volume = base.DescribeVolume();
        var hits = Host.AddCounter("faults.injected", "{request}", "I/Os that a rule has hit.");
        return new ErrorQueue(this, OpenBelow(queue), queue.Depth, _rules, volume, hits).Opened();
    }

    private static VolumeInfo Describe(VolumeInfo below, ErrorOptions options)
    {
        // Also for a rule that is off: it can be switched on.
        if (options.Rules.Any(r => r.Action == FaultAction.DropFlush)) below.Capabilities &= ~VolumeCapabilities.DurableFlush;
        return below;
    }

    private static IEnumerable<string> Problems(ErrorOptions options, VolumeInfo? below)
    {
        if (options.Rules.Count > ushort.MaxValue - 1) yield return $"{options.Rules.Count} rules are more than {ushort.MaxValue - 1}";
        var names = new HashSet<string>(StringComparer.Ordinal);
        for (var i = 0; i < options.Rules.Count; i++)
        {
            var rule = options.Rules[i];
            var name = FaultRule.NameOf(rule, i);
            if (!names.Add(name)) yield return $"two rules are called {name}";
            if (FaultRule.Problem(rule) is { Length: > 0 } problem) yield return $"rule {name}: {problem}";
            else if (below is { } volume && (ulong)rule.Lba >= volume.BlockCount) yield return $"rule {name}: lba {rule.Lba} lies beyond the {volume.BlockCount} blocks of the volume";
        }
    }

    private FaultRule RuleAt(int rule) =>
        (uint)rule < (uint)_rules.Length ? _rules[rule] : throw new ComancheException($"{Name}: there is no rule {rule}, only 0 to {_rules.Length - 1}");
}
