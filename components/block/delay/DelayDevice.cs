using System.Runtime.InteropServices.Marshalling;

namespace Comanche.Block;

/// <summary>The options of <c>block/delay</c>.</summary>
public sealed record DelayOptions
{
    /// <summary>Delay of reads.</summary>
    [Option("How long a read or compare is held before it goes down", Min = "0s", Max = "1h")]
    public TimeSpan Read { get; init; }

    /// <summary>Delay of changes.</summary>
    [Option("How long a write, discard, write-zeroes, fill, copy or compare-and-write is held before it goes down", Min = "0s", Max = "1h")]
    public TimeSpan Write { get; init; }

    /// <summary>Delay of flushes.</summary>
    [Option("How long a flush is held before it goes down", Min = "0s", Max = "1h")]
    public TimeSpan Flush { get; init; }

    /// <summary>Jitter.</summary>
    [Option("How much longer or shorter each delay may be, evenly spread; a delay that is 0 stays 0", Min = "0s", Max = "1h")]
    public TimeSpan Jitter { get; init; }

    /// <summary>Seed of the jitter.</summary>
    [Option("Seed of the jitter: the same seed gives the same delays", Min = "0")]
    public long Seed { get; init; } = 1;

    /// <summary>Never sleep.</summary>
    [Option("Keep the polling thread awake while something is held: exact to a poll instead of to a wake-up (about 50us), for a whole core")]
    public bool Busy { get; init; }
}

/// <summary>
/// Makes a device slower: every I/O is held for a while and then passed on. What is held has not happened yet, as on a busy device; its latency is
/// the delay and what the device below takes.
/// </summary>
[Component("block/delay", "4f6f2a51-54c1-4b0a-8f4e-0d6c1f6b1a04", "A filter that adds latency to reads, writes and flushes")]
[Binds(typeof(IBlockDevice))]
[Transparent]
[GeneratedComClass]
public sealed unsafe partial class DelayDevice(IHost host, DelayOptions options) : BlockFilter(host), IPlanned
{
    private int _queuesOpened;

    /// <inheritdoc/>
    public static void Plan(PlanContext plan)
    {
        var options = plan.Options<DelayOptions>();
        var (option, message) = Problem(options);
        if (option.Length != 0)
        {
            plan.Error(option, message);
            return;
        }

        if (options.Read + options.Write + options.Flush == TimeSpan.Zero) plan.Warn("", "no delay is given, so nothing is delayed");
        plan.Volume = plan.Below;
    }

    /// <inheritdoc/>
    protected override void OnStart()
    {
        base.OnStart();
        var (option, message) = Problem(options);
        if (option.Length != 0) throw new ComancheException($"{Name}: {option}: {message}");
    }

    /// <inheritdoc/>
    protected override IIoQueue CreateQueue(QueueOptions queue)
    {
        // Every queue has its own row of random numbers, the same ones in every run.
        var random = new SeededRandom((ulong)options.Seed + (ulong)Interlocked.Increment(ref _queuesOpened) * 0x632BE59BD9B4E019);
        return new DelayQueue(this, OpenBelow(queue), queue.Depth, Host, options, random).Opened();
    }

    private static (string Option, string Message) Problem(DelayOptions options)
    {
        foreach (var (name, value) in ((string, TimeSpan)[])
            [("read", options.Read), ("write", options.Write), ("flush", options.Flush), ("jitter", options.Jitter)])
        {
            if (value < TimeSpan.Zero || value > TimeSpan.FromHours(1)) return (name, $"{value} is not from 0s to 1h");
        }

        return ("", "");
    }
}
