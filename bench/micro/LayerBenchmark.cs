using BenchmarkDotNet.Attributes;

namespace Comanche.Micro;

/// <summary>Nanoseconds and bytes per I/O of stacks of pass-through layers; an operation is one I/O.</summary>
[MemoryDiagnoser]
public class LayerBenchmark
{
    private const int Ios = 4096;
    private LayerStack? _stack;

    /// <summary>What the layers are.</summary>
    [Params(LayerKind.Single, LayerKind.General, LayerKind.InPlace)]
    public LayerKind Kind { get; set; }

    /// <summary>How many there are over <c>block/null</c>.</summary>
    [Params(0, 1, 4, 8)]
    public int Layers { get; set; }

    /// <summary>Descriptors in flight.</summary>
    [Params(1, 32)]
    public int Depth { get; set; }

    /// <summary>Composes the stack.</summary>
    [GlobalSetup]
    public void Open() => _stack = new LayerStack(Kind, Layers, Depth);

    /// <summary>Takes it apart.</summary>
    [GlobalCleanup]
    public void Close() => _stack!.Dispose();

    /// <summary>Submit and poll.</summary>
    [Benchmark(OperationsPerInvoke = Ios)]
    public long SubmitAndPoll() => _stack!.Run(Ios / Depth);
}
