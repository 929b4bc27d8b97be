using Comanche.App.Bench;
using Comanche.Runtime;
using Comanche.Runtime.Composition;

namespace Comanche.App;

/// <summary>The process that a command composes a stack in, and what it measures there.</summary>
internal sealed class AppProcess : IDisposable
{
    private readonly ComancheProcess _process;

    /// <summary>Sets a process up.</summary>
    /// <param name="log">Where log lines go.</param>
    /// <param name="measuresLayers">Whether the time in each layer is measured.</param>
    /// <param name="countsEveryDevice">Whether every device has figures of its own, latencies included.</param>
    /// <param name="isChangeable">Whether devices may come and go while the stack runs.</param>
    public AppProcess(ILogSink log, bool measuresLayers = false, bool countsEveryDevice = false, bool isChangeable = false)
    {
        _process = new ComancheProcess(new ComancheProcessOptions { Log = log });
        Stack = new StackProcess(_process) { MeasuresLayers = measuresLayers, MeasuresLatency = countsEveryDevice, CountsEveryDevice = countsEveryDevice,
            IsChangeable = isChangeable,
        };
    }

    /// <summary>The statistics of all devices, and all counters.</summary>
    public ProcessStatistics Statistics => _process.Statistics;

    /// <summary>What the composer uses.</summary>
    public StackProcess Stack { get; }

    /// <summary>Bytes that layers copied between buffers so far.</summary>
    public ulong BytesCopied => _process.Statistics.BytesCopied;

    /// <summary>What a device has done since it was started.</summary>
    public DeviceSample Sample(RunningDevice device)
    {
        var statistics = _process.Statistics.GetDevice(device.Name);
        var total = statistics.Total;
        var (sum, timed) = (0.0, 0UL);
        foreach (var kind in Enum.GetValues<LatencyKind>())
        {
            using var latency = statistics.GetLatency(kind);
            var count = latency.Count;
            sum += latency.Mean * count;
            timed += count;
        }

        return new DeviceSample(total.Operations, total.Bytes, total.Errors, (ulong)sum, timed);
    }

    /// <summary>What each layer of a stack took so far, top-down.</summary>
    public IReadOnlyList<LayerCost> MeasureLayers(RunningStack stack) =>
    [
        .. stack.Devices.Reverse().Where(d => d.Device is not null).Select(d =>
        {
            var layer = _process.Statistics.GetDevice(d.Name).Layer;
            return new LayerCost(d.Name, layer.Descriptors, layer.ExclusiveNs);
        }),
    ];

    public void Dispose()
    {
        Stack.Dispose();
        _process.Dispose();
    }
}
