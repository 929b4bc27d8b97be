using System.Runtime.InteropServices.Marshalling;

namespace Comanche.Runtime;

/// <summary>
/// What a parent or an application is given instead of a device: it forwards everything, holds <c>readonly</c>, and puts checks, counters and clocks around
/// the queues that are opened through it.
/// </summary>
/// <remarks>
/// <para>What it is made of is a component; the device is that, or the part of it that answers for <see cref="IBlockDevice"/> (aggregation). I/O goes to the device; count,
/// bindings, start and stop are those of the component as a whole. Every other interface of it is reached by <see cref="Query"/>, unwatched.</para>
/// <para>An edge has a count of its own, born as one; it retains its component and releases it when that count ends. Under an open queue, or where the component
/// can't be closed, it does not end.</para>
/// </remarks>
[GeneratedComClass]
public sealed unsafe partial class Edge : IBlockDevice, IEdge, INamed
{
    // A layer that breaks a rule breaks it with every I/O: the first lines say it all.
    private const int MostReported = 20;

    private readonly ComancheProcess _process;
    private readonly IBase _component;
    private readonly IBlockDevice _device;
    private readonly EdgeOptions _options;
    private ComponentCount _count = new();
    private int _openQueues;
    private int _violations;

    internal Edge(ComancheProcess process, string name, IBase component, EdgeOptions options)
    {
        _process = process;
        _component = component;
        _device = component.Query<IBlockDevice>() ?? throw new ComancheException($"{name}: an edge was asked for, but it is no block device");
        _options = options;
        Name = name;
        Statistics = process.Statistics.GetDevice(name);
        component.Retain();
    }

    /// <summary>The device's name.</summary>
    public string Name { get; }

    /// <summary>The device behind the edge.</summary>
    public IBlockDevice Device => _device;

    /// <summary>What the edge does.</summary>
    public EdgeOptions Options => _options;

    /// <summary>What is counted at this edge; all 0 where its queues are the device's own.</summary>
    public DeviceStatistics Statistics { get; }

    /// <summary>How many queues are open that this edge watches.</summary>
    public int OpenQueues => Volatile.Read(ref _openQueues);

    /// <inheritdoc/>
    public IBase? Query(in Guid interfaceId) => ComponentModel.Implements(this, interfaceId) ? this : _component.Query(interfaceId);

    /// <inheritdoc/>
    public uint Retain() => _count.Retain(Name);

    /// <inheritdoc/>
    public uint Release()
    {
        var left = _count.Release(Name);
        if (left == 0) ReleaseComponent();
        return left;
    }

    /// <inheritdoc/>
    public void Bind(IBase component, string role) => _component.Bind(component, role);

    /// <inheritdoc/>
    public void Unbind() => _component.Unbind();

    /// <inheritdoc/>
    public void Start() => _component.Start();

    /// <inheritdoc/>
    public void Stop()
    {
        if (OpenQueues != 0) throw new ComancheException($"{Name}: stopped with {OpenQueues} open queues");
        _component.Stop();
    }

    /// <inheritdoc/>
    public uint GetVersion() => _component.GetVersion();

    /// <inheritdoc/>
    public void GetVolumeInfo(VolumeInfo* info)
    {
        _device.GetVolumeInfo(info);
        if (_options.ReadOnly) info->Capabilities |= VolumeCapabilities.ReadOnly;
    }

    /// <inheritdoc/>
    public IIoQueue OpenQueue(QueueOptions* options)
    {
        if (options->Depth is 0 or > QueueOptions.MaxDepth)
            throw new ComancheException($"{Name}: a queue of depth {options->Depth} was asked for; 1 to {QueueOptions.MaxDepth} can be had");
        VolumeInfo volume;
        GetVolumeInfo(&volume);
        var entry = _options.Entry || _options.ReadOnly;
        var queue = _device.OpenQueue(options);
        if (_options.Check) queue = new CheckQueue(this, queue, *options, volume, _options.OnViolation ?? Report);
        if (_options.Layers) queue = new ProbeQueue(this, queue, options->Depth, volume, counts: !entry, _process.Clock);
        if (entry) queue = new EntryQueue(this, queue, options->Depth, volume, _options.Entry && _options.Latency, _process.Clock);
        return queue;
    }

    internal void QueueOpened() => Interlocked.Increment(ref _openQueues);

    internal void QueueClosed() => Interlocked.Decrement(ref _openQueues);

    /// <inheritdoc/>
    public ulong GetEventNumber() => _device.GetEventNumber();

    /// <inheritdoc/>
    public void GetHealth(DeviceHealth* health) => _device.GetHealth(health);

    /// <inheritdoc/>
    public IoBuffer AllocateIoBuffer(nuint size, uint alignment, int numaNode) => _device.AllocateIoBuffer(size, alignment, numaNode);

    /// <inheritdoc/>
    public void ReallocateIoBuffer(IoBuffer buffer, nuint size, uint alignment) => _device.ReallocateIoBuffer(buffer, size, alignment);

    /// <inheritdoc/>
    public void FreeIoBuffer(IoBuffer buffer) => _device.FreeIoBuffer(buffer);

    /// <inheritdoc/>
    public IoBuffer RegisterMemory(void* address, nuint length) => _device.RegisterMemory(address, length);

    /// <inheritdoc/>
    public void UnregisterMemory(IoBuffer buffer) => _device.UnregisterMemory(buffer);

    /// <inheritdoc/>
    public void GetBufferInfo(IoBuffer buffer, IoBufferInfo* info) => _device.GetBufferInfo(buffer, info);

    /// <inheritdoc/>
    public int Translate(void* address, nuint length, MemoryRun* runs, int capacity) => _device.Translate(address, length, runs, capacity);

    /// <inheritdoc/>
    public int GetRegions(MemoryRegion* regions, int capacity) => _device.GetRegions(regions, capacity);

    /// <inheritdoc/>
    public ulong* GetGeneration() => _device.GetGeneration();

    private void ReleaseComponent()
    {
        try
        {
            if (OpenQueues != 0) throw new ComancheException($"{Name}: released with {OpenQueues} open queues; it is not closed, and keeps what it holds");
            if (_component.Release() == 0) NativeObject.FinalRelease(_component);
        }
        catch
        {
            _count.Restore();
            throw;
        }
    }

    private void Report(string violation)
    {
        if (Interlocked.Increment(ref _violations) <= MostReported) _process.Log.Write(LogLevel.Error, Name, $"contract broken: {violation}");
    }
}
