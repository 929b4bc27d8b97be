namespace Comanche.Runtime;

/// <summary>Which operations a latency is of.</summary>
public enum LatencyKind
{
    /// <summary>Reads.</summary>
    Read = 0,

    /// <summary>Writes.</summary>
    Write = 1,

    /// <summary>Everything else: flush, discard, copy …</summary>
    Other = 2,
}

/// <summary>What was counted of one operation.</summary>
/// <param name="Operations">Descriptors that came back.</param>
/// <param name="Bytes">Bytes that they named.</param>
/// <param name="Errors">How many of them failed.</param>
public readonly record struct OperationStatistics(ulong Operations, ulong Bytes, ulong Errors);

/// <summary>
/// The statistics of a device: the sum over its queues, open and closed. Any thread reads; figures of open queues are those of a moment ago.
/// </summary>
public sealed unsafe class DeviceStatistics
{
    private readonly Lock _lock = new();
    private readonly List<QueueCounters> _open = [];
    private readonly OperationStatistics[] _closed = new OperationStatistics[IoOperations.Count];
    private readonly LatencyHistogram[] _closedLatency = [new(), new(), new()];
    private LayerCounter _closedLayer;

    internal DeviceStatistics(string name) => Name = name;

    /// <summary>The device's name in the stack.</summary>
    public string Name { get; }

    /// <summary>How many queues are open.</summary>
    public int OpenQueues
    {
        get
        {
            lock (_lock) return _open.Count(q => !q.IsStacked);
        }
    }

    /// <summary>What was counted of one operation.</summary>
    public OperationStatistics this[IoOperation operation]
    {
        get
        {
            lock (_lock)
            {
                var sum = _closed[(int)operation];
                foreach (var queue in _open) sum = Sum(sum, queue, (int)operation);
                return sum;
            }
        }
    }

    /// <summary>What was counted of all operations together.</summary>
    public OperationStatistics Total
    {
        get
        {
            ulong operations = 0, bytes = 0, errors = 0;
            for (var i = 0; i < IoOperations.Count; i++)
            {
                var one = this[(IoOperation)i];
                operations += one.Operations;
                bytes += one.Bytes;
                errors += one.Errors;
            }

            return new OperationStatistics(operations, bytes, errors);
        }
    }

    /// <summary>What probes measured of this layer; all 0 without <c>--layers</c>.</summary>
    public LayerCounter Layer
    {
        get
        {
            lock (_lock)
            {
                var sum = _closedLayer;
                foreach (var queue in _open) sum.Add(*queue.Layer);
                return sum;
            }
        }
    }

    /// <summary>A copy of the latencies, from acceptance by the entry queue to the return from its Poll.</summary>
    public LatencyHistogram GetLatency(LatencyKind kind)
    {
        var sum = new LatencyHistogram();
        lock (_lock)
        {
            sum.Add(_closedLatency[(int)kind]);
            foreach (var queue in _open)
                if (queue.Latency is { } latency)
                    sum.Add(latency[(int)kind]);
        }

        return sum;
    }

    internal QueueCounters Open(uint blockSize, bool latency, bool stacked)
    {
        var counters = new QueueCounters(blockSize, latency, stacked);
        lock (_lock) _open.Add(counters);
        return counters;
    }

    internal void Close(QueueCounters counters)
    {
        lock (_lock)
        {
            if (!_open.Remove(counters)) return;
            for (var i = 0; i < IoOperations.Count; i++) _closed[i] = Sum(_closed[i], counters, i);
            _closedLayer.Add(*counters.Layer);
            for (var i = 0; counters.Latency is not null && i < _closedLatency.Length; i++) _closedLatency[i].Add(counters.Latency[i]);
            counters.Dispose();
        }
    }

    private static OperationStatistics Sum(OperationStatistics sum, QueueCounters queue, int operation)
    {
        var counter = queue.Operations[operation];
        return new OperationStatistics(sum.Operations + counter.Operations, sum.Bytes + counter.Blocks * queue.BlockSize, sum.Errors + counter.Errors);
    }
}
