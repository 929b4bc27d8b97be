using System.Diagnostics.Metrics;
using System.Runtime.InteropServices;

namespace Comanche.Runtime;

/// <summary>A counter that a component asked its host for, cells of one name added up.</summary>
/// <param name="Device">The component's name.</param>
/// <param name="Name">The counter's name.</param>
/// <param name="Unit">Its unit.</param>
/// <param name="Value">Its value.</param>
public readonly record struct HostCounter(string Device, string Name, string Unit, ulong Value);

/// <summary>
/// The statistics of a process, published as instruments of the meter <see cref="MeterName"/>. Any thread.
/// </summary>
/// <remarks>
/// Instruments: <c>comanche.device.operations</c> ({operation}), <c>comanche.device.io</c> (By), <c>comanche.device.errors</c> ({error}),
/// <c>comanche.device.latency</c> (s, quantiles), each with the tags <c>comanche.device.name</c> and <c>comanche.operation.name</c>; <c>comanche.layer.time</c> (s) and
/// <c>comanche.layer.descriptors</c> ({descriptor}) of probes; and <c>comanche.NAME</c> for every counter NAME that components have. They are observed: nothing is done while nobody listens.
/// </remarks>
public sealed unsafe class ProcessStatistics : IDisposable
{
    /// <summary>The name of the meter.</summary>
    public const string MeterName = "Comanche";

    /// <summary>The counter to which layers add every byte that they copy between buffers.</summary>
    public const string CopiedCounter = "io.copied";

    private const string DeviceTag = "comanche.device.name", OperationTag = "comanche.operation.name";
    private static readonly double[] Quantiles = [50, 90, 99, 99.9];
    private static readonly string[] OperationNames =
        ["none", "read", "write", "flush", "discard", "write_zeroes", "fill", "compare", "compare_and_write", "copy"];

    private sealed record Cell(string Device, string Name, string Unit, nint Address);

    private readonly Lock _lock = new();
    private readonly Meter _meter = new(MeterName);
    private readonly List<DeviceStatistics> _devices = [];
    private readonly List<Cell> _cells = [];
    private readonly HashSet<string> _published = [];

    internal ProcessStatistics()
    {
        _meter.CreateObservableCounter("comanche.device.operations", () => Observe(s => s.Operations), "{operation}", "I/Os that a device finished.");
        _meter.CreateObservableCounter("comanche.device.io", () => Observe(s => s.Bytes), "By", "Bytes that finished I/Os named.");
        _meter.CreateObservableCounter("comanche.device.errors", () => Observe(s => s.Errors), "{error}", "I/Os that a device finished with a failure.");
        _meter.CreateObservableGauge("comanche.device.latency", ObserveLatency, "s", "Quantiles of the time from submission to completion.");
        _meter.CreateObservableCounter("comanche.layer.time", () => ObserveLayers(l => l.ExclusiveNs / 1e9), "s", "Processor time in a layer without those below it.");
        _meter.CreateObservableCounter("comanche.layer.descriptors", () => ObserveLayers(l => (double)l.Descriptors), "{descriptor}", "Descriptors that a layer gave back.");
    }

    /// <summary>The devices that have statistics, in order of their making.</summary>
    public IReadOnlyList<DeviceStatistics> Devices
    {
        get
        {
            lock (_lock) return [.. _devices];
        }
    }

    /// <summary>The counters that components asked for.</summary>
    public IReadOnlyList<HostCounter> Counters
    {
        get
        {
            lock (_lock)
            {
                return [.. _cells.GroupBy(c => (c.Device, c.Name, c.Unit))
                    .Select(g => new HostCounter(g.Key.Device, g.Key.Name, g.Key.Unit, g.Aggregate(0UL, (sum, cell) => sum + Read(cell))))];
            }
        }
    }

    /// <summary>Bytes that the layers of this process copied between buffers: what zero-copy is measured by.</summary>
    public ulong BytesCopied => GetCounter(CopiedCounter);

    /// <summary>A counter's sum over all components.</summary>
    public ulong GetCounter(string name)
    {
        lock (_lock)
        {
            ulong sum = 0;
            foreach (var cell in _cells)
                if (cell.Name == name)
                    sum += Read(cell);
            return sum;
        }
    }

    /// <summary>The statistics of a device by its name; made where there are none.</summary>
    public DeviceStatistics GetDevice(string name)
    {
        lock (_lock)
        {
            foreach (var device in _devices)
                if (device.Name == name)
                    return device;
            var made = new DeviceStatistics(name);
            _devices.Add(made);
            return made;
        }
    }

    /// <summary>Ends the publishing. The cells of counters stay, since components keep their addresses as long as the process.</summary>
    public void Dispose() => _meter.Dispose();

    internal ulong* AddCounter(string device, string name, string unit, string description)
    {
        var address = (ulong*)NativeMemory.AlignedAlloc(64, 64);
        NativeMemory.Clear(address, 64);
        bool publish;
        lock (_lock)
        {
            _cells.Add(new Cell(device, name, unit, (nint)address));
            publish = _published.Add(name);
        }

        if (publish) _meter.CreateObservableCounter($"comanche.{name}", () => ObserveCounter(name), unit, description);
        return address;
    }

    private static ulong Read(Cell cell) => Volatile.Read(ref *(ulong*)cell.Address);

    private IEnumerable<Measurement<long>> ObserveCounter(string name) =>
        Counters.Where(c => c.Name == name).Select(c => new Measurement<long>((long)c.Value, new KeyValuePair<string, object?>(DeviceTag, c.Device)));

    private IEnumerable<Measurement<long>> Observe(Func<OperationStatistics, ulong> value)
    {
        foreach (var device in Devices)
        {
            for (var i = 0; i < IoOperations.Count; i++)
            {
                var statistics = device[(IoOperation)i];
                if (statistics.Operations == 0) continue;
                yield return new Measurement<long>((long)value(statistics), Tags(device, OperationNames[i]));
            }
        }
    }

    private IEnumerable<Measurement<double>> ObserveLatency()
    {
        foreach (var device in Devices)
        {
            foreach (var kind in Enum.GetValues<LatencyKind>())
            {
                using var latency = device.GetLatency(kind);
                if (latency.Count == 0) continue;
                foreach (var quantile in Quantiles)
                {
                    yield return new Measurement<double>(
                        latency.Percentile(quantile) / 1e9,
                        [.. Tags(device, kind.ToString().ToLowerInvariant()), new KeyValuePair<string, object?>("quantile", quantile / 100)]);
                }
            }
        }
    }

    private IEnumerable<Measurement<double>> ObserveLayers(Func<LayerCounter, double> value) =>
        Devices.Where(d => d.Layer.Calls != 0).Select(d => new Measurement<double>(value(d.Layer), new KeyValuePair<string, object?>(DeviceTag, d.Name)));

    private static KeyValuePair<string, object?>[] Tags(DeviceStatistics device, string operation) =>
        [new(DeviceTag, device.Name), new(OperationTag, operation)];
}
