using Comanche.App.Bench;
using Comanche.Runtime;
using Comanche.Runtime.Composition;

namespace Comanche.App;

/// <summary>The process that a command composes a stack in, and what it measures there.</summary>
internal sealed class AppProcess : IDisposable
{
    private readonly ComancheProcess _process;

    public AppProcess(ILogSink log, bool measuresLayers = false, bool measuresLatency = true)
    {
        _process = new ComancheProcess(new ComancheProcessOptions { Log = log });
        Stack = new StackProcess(_process) { MeasuresLayers = measuresLayers, MeasuresLatency = measuresLatency };
    }

    /// <summary>What the composer uses.</summary>
    public StackProcess Stack { get; }

    /// <summary>What a device has done since it was started.</summary>
    public static DeviceSample Sample(RunningDevice device)
    {
        _ = device;
        return default;
    }

    /// <summary>What each layer of a stack took.</summary>
    public static IReadOnlyList<LayerCost> MeasureLayers(RunningStack stack)
    {
        _ = stack;
        return [];
    }

    public void Dispose()
    {
        Stack.Dispose();
        _process.Dispose();
    }
}
