namespace Comanche.Block;

/// <summary>What a rule does to an I/O that it hits.</summary>
public enum FaultAction
{
    /// <summary>Fails it with the rule's status; nothing goes down.</summary>
    Fail = 0,

    /// <summary>Writes only the first blocks of it, then reports the rule's status (which may be success).</summary>
    Torn = 1,

    /// <summary>Reports success for a change that never goes down.</summary>
    DropWrite = 2,

    /// <summary>Reports success for a flush that never goes down. With such a rule the volume does not claim durable flushes.</summary>
    DropFlush = 3,

    /// <summary>Flips bits in what is read, or in what lies on the device after a write.</summary>
    Corrupt = 4,

    /// <summary>Reads or writes at another place.</summary>
    Misdirect = 5,
}

/// <summary>A rule of <c>block/error</c>: which I/Os it hits, and what it does to them.</summary>
public sealed record ErrorRule
{
    /// <summary>Name.</summary>
    [Option("Name by which the rule is switched on and off at run time", Default = "its number, from 0")]
    public string Name { get; init; } = "";

    /// <summary>What is done.</summary>
    [Option("What is done: fail, torn, drop-write, drop-flush, corrupt or misdirect")]
    public FaultAction Action { get; init; }

    /// <summary>Operations that are hit.</summary>
    [Option("Operations that are hit", Default = "all that the action is made for")]
    public IReadOnlyList<IoOperation> Operations { get; init; } = [];

    /// <summary>First block of the range that is hit.</summary>
    [Option("First block of the range that is hit; with a range, only operations that touch it are, and no flush", Min = "0")]
    public long Lba { get; init; }

    /// <summary>Length of the range that is hit.</summary>
    [Option("Length in blocks of the range that is hit", Min = "0", Default = "the rest of the volume")]
    public long Blocks { get; init; }

    /// <summary>Probability.</summary>
    [Option("Probability that a matching operation is hit", Min = "0", Max = "1")]
    public double Rate { get; init; } = 1;

    /// <summary>Matches that are let pass first.</summary>
    [Option("Matching operations that are let pass before the first is hit", Min = "0")]
    public long After { get; init; }

    /// <summary>Most hits.</summary>
    [Option("Hits after which the rule is spent; 0 for no limit", Min = "0")]
    public long Count { get; init; }

    /// <summary>Reported status.</summary>
    [Option("Status that fail and torn report; torn may report success")]
    public IoStatus Status { get; init; } = IoStatus.MediaError;

    /// <summary>Blocks of a torn write that are written.</summary>
    [Option("Blocks of a torn write that are written, rounded down to where the device may tear; -1 for a random number of them", Min = "-1")]
    public long Keep { get; init; } = -1;

    /// <summary>Bits that corrupt flips.</summary>
    [Option("Bits that corrupt flips, all in one random byte", Min = "1", Max = "8")]
    public int Bits { get; init; } = 1;

    /// <summary>How far misdirect goes.</summary>
    [Option("Blocks by which misdirect misses; beyond an end of the volume it goes on at the other end")]
    public long Shift { get; init; } = 1;

    /// <summary>Whether it is on from the start.</summary>
    [Option("Whether the rule is on from the start; it can be switched at run time")]
    public bool Enabled { get; init; } = true;
}

/// <summary>The options of <c>block/error</c>.</summary>
public sealed record ErrorOptions
{
    /// <summary>Rules.</summary>
    [Option("The rules; the first one that hits an I/O decides", Required = true)]
    public IReadOnlyList<ErrorRule> Rules { get; init; } = [];

    /// <summary>Seed.</summary>
    [Option("Seed of all that is random: the same seed and the same I/Os give the same faults", Min = "0")]
    public long Seed { get; init; } = 1;
}
