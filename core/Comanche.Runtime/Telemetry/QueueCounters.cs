using System.Runtime.InteropServices;

namespace Comanche.Runtime;

/// <summary>What a queue counts of one operation: a cache line, so that two operations, or two queues, never share one.</summary>
[StructLayout(LayoutKind.Sequential, Size = 64)]
public struct OperationCounter
{
    /// <summary>Descriptors that came back.</summary>
    public ulong Operations;

    /// <summary>Blocks that they named.</summary>
    public ulong Blocks;

    /// <summary>How many of them failed; a miscompare is an answer, no failure.</summary>
    public ulong Errors;

    internal void Add(in OperationCounter other)
    {
        Operations += other.Operations;
        Blocks += other.Blocks;
        Errors += other.Errors;
    }
}

/// <summary>
/// The counters and histograms of one queue, in native memory. The owner thread writes them with plain stores; readers add up what they see.
/// </summary>
internal sealed unsafe class QueueCounters : IDisposable
{
    // One for each value of the lower 4 bits of an operation: the data path masks instead of checking.
    public const int Slots = 16;

    public QueueCounters(uint blockSize, bool latency, bool stacked)
    {
        IsStacked = stacked;
        BlockSize = blockSize;
        Operations = (OperationCounter*)NativeMemory.AlignedAlloc(Slots * (nuint)sizeof(OperationCounter), 64);
        NativeMemory.Clear(Operations, Slots * (nuint)sizeof(OperationCounter));
        Layer = (LayerCounter*)NativeMemory.AlignedAlloc((nuint)sizeof(LayerCounter), 64);
        *Layer = default;
        if (latency) Latency = [new(), new(), new()];
    }

    /// <summary>Whether its queue stands on another queue of the same edge, which counts as the open one.</summary>
    public bool IsStacked { get; }

    public uint BlockSize { get; }

    public OperationCounter* Operations { get; }

    public LayerCounter* Layer { get; }

    /// <summary>Reads, writes, and the rest; null where latency is not measured.</summary>
    public LatencyHistogram[]? Latency { get; }

    public void Dispose()
    {
        NativeMemory.AlignedFree(Operations);
        NativeMemory.AlignedFree(Layer);
        if (Latency is null) return;
        foreach (var histogram in Latency) histogram.Dispose();
    }
}

/// <summary>What a probe between layers counts.</summary>
[StructLayout(LayoutKind.Sequential, Size = 64)]
public struct LayerCounter
{
    /// <summary>Nanoseconds in this layer's Submit and Poll, without those of the layers below it that are measured too.</summary>
    public ulong ExclusiveNs;

    /// <summary>Descriptors that the layer gave back.</summary>
    public ulong Descriptors;

    /// <summary>Calls of Submit and Poll.</summary>
    public ulong Calls;

    internal void Add(in LayerCounter other)
    {
        ExclusiveNs += other.ExclusiveNs;
        Descriptors += other.Descriptors;
        Calls += other.Calls;
    }
}
