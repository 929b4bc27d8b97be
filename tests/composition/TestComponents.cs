using System.Runtime.InteropServices;
using System.Runtime.InteropServices.Marshalling;

namespace Comanche.Composition.Tests;

/// <summary>Choices of <see cref="EverythingOptions"/>.</summary>
public enum Flavour
{
    PlainOne,
    SweetOne,
}

/// <summary>Nested options.</summary>
public sealed record NestedOptions
{
    [Option("How deep", Min = "1", Max = "9")]
    public int Depth { get; init; } = 3;

    [Option("A word", Required = true)]
    public string Word { get; init; } = "";
}

/// <summary>An option of every kind.</summary>
public sealed record EverythingOptions
{
    [Option("Text")]
    public string Text { get; init; } = "nothing";

    [Option("A switch")]
    public bool Switch { get; init; }

    [Option("A count", Min = "1", Max = "100")]
    public uint Count { get; init; } = 7;

    [Option("A ratio", Min = "0", Max = "1")]
    public double Ratio { get; init; } = 0.5;

    [Option("A size", Min = "512", Max = "1MiB")]
    public ByteSize Size { get; init; } = ByteSize.KiB(4);

    [Option("A wait", Max = "10s")]
    public TimeSpan Wait { get; init; } = TimeSpan.FromMilliseconds(250);

    [Option("A flavour")]
    public Flavour Flavour { get; init; } = Flavour.SweetOne;

    [Option("Some sizes")]
    public IReadOnlyList<ByteSize> Sizes { get; init; } = [];

    [Option("Nested things")]
    public NestedOptions? Nested { get; init; }

    [Option("A password", Secret = true)]
    public string Password { get; init; } = "";

    [Option("A limit; nothing where there is none", Default = "the rest")]
    public ByteSize? Limit { get; init; }
}

/// <summary>What components of these tests left behind: the order of starts and stops, and the options that they got.</summary>
public static class Diary
{
    [ThreadStatic] private static List<string>? t_lines;

    public static List<string> Lines => t_lines ??= [];

    public static EverythingOptions? Options { get; set; }

    /// <summary>The name of a device that fails to stop so many times.</summary>
    [ThreadStatic] public static (string Name, int Times) Stuck;
}

/// <summary>A tiny volume that keeps a diary and can fail on purpose.</summary>
public abstract unsafe class DiaryDevice(IHost host) : BlockDevice(host)
{
    protected override void OnStart() => Diary.Lines.Add($"start {Name}");

    protected override void OnStop()
    {
        base.OnStop();
        if (Diary.Stuck.Name == Name && Diary.Stuck.Times-- > 0) throw new ComancheException($"{Name}: is stuck");
        Diary.Lines.Add($"stop {Name}");
    }

    protected override void OnClose() => Diary.Lines.Add($"close {Name}");

    protected override VolumeInfo DescribeVolume() => Volume();

    protected override IIoQueue CreateQueue(QueueOptions options) => new NothingQueue(this, options.Depth).Opened();

    public static VolumeInfo Volume() => new()
    {
        BlockSize = 512, BlockCount = 2048, MaxTransferBlocks = 256, BufferAlignment = 1, MaxSegments = 1, AtomicWriteBlocks = 1,
        MaxRangeBlocks = 256, DiscardGranularityBlocks = 1,
    };
}

/// <summary>Completes everything.</summary>
[GeneratedComClass]
internal sealed unsafe partial class NothingQueue(BlockDevice device, uint depth) : IoQueue(device, depth)
{
    private readonly DescriptorRing _ring = new((int)depth);

    public override int Submit(IoDescriptor** batch, int count)
    {
        var taken = Math.Min(count, Depth - InFlight);
        for (var i = 0; i < taken; i++)
        {
            if (batch[i]->Operation == IoOperation.Flush) Diary.Lines.Add("flush");
            _ring.Push(batch[i]);
        }

        InFlight += taken;
        return taken;
    }

    public override int Poll(IoDescriptor** completed, int capacity)
    {
        var count = _ring.Pop(completed, capacity);
        for (var i = 0; i < count; i++) completed[i]->Status = IoStatus.Success;
        InFlight -= count;
        return count;
    }

    public override long Arm(WaitSet* waitSet) => InFlight == 0 ? WaitSet.Forever : 0;

    protected override void OnAbandon() { }

    protected override void OnClose() => _ring.Dispose();
}

/// <summary>Stands on nothing, has every kind of option.</summary>
[Component("test/everything", "7e570000-0000-4000-8000-000000000001", "A device with an option of every kind")]
[GeneratedComClass]
public sealed partial class EverythingDevice(IHost host, EverythingOptions options) : DiaryDevice(host), IPlanned
{
    public static void Plan(PlanContext plan)
    {
        var options = plan.Options<EverythingOptions>();
        if (options.Text == "/same") plan.Claim("file /same", "text");
        if (options.Count == 13) plan.Error("count", "13 brings bad luck");
        if (options.Count == 14) plan.Warn("count", "14 is next to 13");
        plan.Volume = Volume();
    }

    protected override void OnStart()
    {
        if (options.Text == "fail") throw new ComancheException($"{Name}: was asked to fail");
        Diary.Options = options;
        base.OnStart();
    }
}

/// <summary>Stands on one device.</summary>
[Component("test/filter", "7e570000-0000-4000-8000-000000000002", "A device on another one")]
[Binds(typeof(IBlockDevice))]
[GeneratedComClass]
public sealed partial class FilterDevice(IHost host) : DiaryDevice(host), IPlanned
{
    public static void Plan(PlanContext plan)
    {
        if (plan.Below is { } below && below.Has(VolumeCapabilities.ReadOnly) && !plan.IsReadOnly) plan.Error("", "what it stands on is read-only");
        plan.Volume = plan.Below;
    }
}

/// <summary>Stands on two or more.</summary>
[Component("test/many", "7e570000-0000-4000-8000-000000000003", "A device on two to four others")]
[Binds(typeof(IBlockDevice), Min = 2, Max = 4)]
[GeneratedComClass]
public sealed partial class ManyDevice(IHost host) : DiaryDevice(host);

/// <summary>Stands on others in roles.</summary>
[Component("test/roles", "7e570000-0000-4000-8000-000000000004", "A device on others in roles")]
[Binds(typeof(IBlockDevice), Role = "data")]
[Binds(typeof(IRegionManager), Role = "regions", Min = 0)]
[GeneratedComClass]
public sealed partial class RolesDevice(IHost host) : DiaryDevice(host);

/// <summary>Shares what it stands on.</summary>
[Component("test/slice", "7e570000-0000-4000-8000-000000000005", "A slice of a shared device")]
[Binds(typeof(IBlockDevice))]
[GeneratedComClass]
public sealed partial class SliceDevice(IHost host) : DiaryDevice(host), IPlanned
{
    public static void Plan(PlanContext plan) => plan.Share(plan.Bindings[0], "slices");
}

/// <summary>Serves a device.</summary>
[Component("test/export", "7e570000-0000-4000-8000-000000000006", "An export")]
[Binds(typeof(IBlockDevice))]
[GeneratedComClass]
public sealed partial class ExportComponent(IHost host) : Component(host)
{
    protected override void OnStart() => Diary.Lines.Add($"start {Name}");

    protected override void OnStop() => Diary.Lines.Add($"stop {Name}");

    protected override void OnClose() => Diary.Lines.Add($"close {Name}");
}

/// <summary>When a <see cref="FailingDevice"/> fails.</summary>
public enum FailureMoment
{
    Create,
    Bind,
    Start,
    Stop,
}

/// <summary>How it does.</summary>
public enum FailureKind
{
    /// <summary>In words, with its name before them.</summary>
    Named,

    /// <summary>In words.</summary>
    Words,

    /// <summary>By a mistake of its own.</summary>
    Bug,

    /// <summary>In words over two lines.</summary>
    TwoLines,

    /// <summary>In what runs before its first line.</summary>
    Static,

    /// <summary>In another language, in words.</summary>
    Foreign,

    /// <summary>In another language, without any.</summary>
    ForeignSilent,

    /// <summary>In another language for want of memory, in words.</summary>
    ForeignMemory,
}

/// <summary>Options of <see cref="FailingDevice"/>.</summary>
public sealed record FailingOptions
{
    [Option("When it fails", Required = true)]
    public FailureMoment Moment { get; init; }

    [Option("How", Required = true)]
    public FailureKind Kind { get; init; }
}

/// <summary>Fails when and how it is told to, and does not even close.</summary>
[Component("test/failing", "7e570000-0000-4000-8000-000000000007", "A device that fails")]
[Binds(typeof(IBlockDevice))]
[GeneratedComClass]
public sealed partial class FailingDevice : DiaryDevice
{
    private readonly FailingOptions _options;

    public FailingDevice(IHost host, FailingOptions options) : base(host)
    {
        _options = options;
        FailAt(FailureMoment.Create);
    }

    protected override void OnBind(IBase component, string role) => FailAt(FailureMoment.Bind);

    protected override void OnStart() => FailAt(FailureMoment.Start);

    protected override void OnStop()
    {
        base.OnStop();
        FailAt(FailureMoment.Stop);
    }

    protected override void OnClose() => throw new InvalidOperationException("closing fails too");

    private void FailAt(FailureMoment moment)
    {
        if (moment != _options.Moment) return;
        if (_options.Kind is FailureKind.Foreign or FailureKind.ForeignMemory) Host.Fail("the disk is upside down");
        throw _options.Kind switch
        {
            FailureKind.Named => new ComancheException($"{Name}: the disk is upside down"),
            FailureKind.Words => new ComancheException("the disk is upside down"),
            FailureKind.Bug => new InvalidOperationException("the disk is upside down"),
            FailureKind.TwoLines => new ArgumentException("the disk is\nupside down"),
            FailureKind.Static => new TypeInitializationException("Some.Type", new AggregateException(new ComancheException("the disk is upside down"))),
            FailureKind.ForeignMemory => Marshal.GetExceptionForHR(unchecked((int)0x8007000E))!, // E_OUTOFMEMORY
            _ => Marshal.GetExceptionForHR(unchecked((int)0x80004005))!, // E_FAIL
        };
    }
}
