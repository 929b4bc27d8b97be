using System.Runtime.InteropServices.Marshalling;

namespace Comanche.Runtime;

/// <summary>
/// What a parent or an application is given instead of a device: it forwards everything, holds <c>readonly</c>, and puts checks, counters and clocks around
/// the queues that are opened through it. One that is <see cref="EdgeOptions.Changeable"/> can be made to lead to another device while it is used.
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
    private volatile EdgeTarget _target;
    private ComponentCount _count = new();
    private int _openQueues;
    private int _violations;

    internal Edge(ComancheProcess process, string name, IBase component, EdgeOptions options)
    {
        _process = process;
        _target = new EdgeTarget(process, name, component, options);
        component.Retain();
    }

    /// <summary>The device's name.</summary>
    public string Name => _target.Name;

    /// <summary>The component behind the edge, of which the edge holds a count.</summary>
    internal IBase Component => _target.Component;

    /// <summary>The device behind the edge.</summary>
    public IBlockDevice Device => _target.Device;

    /// <summary>What the edge does.</summary>
    public EdgeOptions Options => _target.Options;

    /// <summary>What is counted at this edge; all 0 where its queues are the device's own.</summary>
    public DeviceStatistics Statistics => _target.Statistics;

    /// <summary>How many queues are open that this edge watches.</summary>
    public int OpenQueues => Volatile.Read(ref _openQueues);

    /// <inheritdoc/>
    public IBase? Query(in Guid interfaceId) => ComponentModel.Implements(this, interfaceId) ? this : _target.Component.Query(interfaceId);

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
    public void Bind(IBase component, string role) => _target.Component.Bind(component, role);

    /// <inheritdoc/>
    public void Unbind() => _target.Component.Unbind();

    /// <inheritdoc/>
    public void Start() => _target.Component.Start();

    /// <inheritdoc/>
    public void Stop()
    {
        if (OpenQueues != 0) throw new ComancheException($"{Name}: stopped with {OpenQueues} open queues");
        _target.Component.Stop();
    }

    /// <inheritdoc/>
    public uint GetVersion() => _target.Component.GetVersion();

    /// <inheritdoc/>
    public void GetVolumeInfo(VolumeInfo* info)
    {
        var target = _target;
        target.Device.GetVolumeInfo(info);
        if (target.Options.ReadOnly) info->Capabilities |= VolumeCapabilities.ReadOnly;
    }

    /// <inheritdoc/>
    public IIoQueue OpenQueue(QueueOptions* options)
    {
        if (options->Depth is 0 or > QueueOptions.MaxDepth)
            throw new ComancheException($"{Name}: a queue of depth {options->Depth} was asked for; 1 to {QueueOptions.MaxDepth} can be had");
        return Options.Changeable ? new SwitchQueue(this, *options) : OpenChain(options);
    }

    internal IIoQueue OpenChain(QueueOptions* options)
    {
        VolumeInfo volume;
        GetVolumeInfo(&volume);
        var edge = Options;
        var entry = edge.Entry || edge.ReadOnly;
        var queue = Device.OpenQueue(options);
        if (edge.Check) queue = new CheckQueue(this, queue, *options, volume, edge.OnViolation ?? Report);
        if (edge.Layers) queue = new ProbeQueue(this, queue, options->Depth, volume, counts: !entry, _process.Clock);
        if (entry) queue = new EntryQueue(this, queue, options->Depth, volume, edge.Entry && edge.Latency, _process.Clock);
        return queue;
    }

    internal void QueueOpened() => Interlocked.Increment(ref _openQueues);

    internal void QueueClosed() => Interlocked.Decrement(ref _openQueues);

    /// <inheritdoc/>
    public ulong GetEventNumber() => _target.Device.GetEventNumber() + Volatile.Read(ref _changes);

    /// <inheritdoc/>
    public void GetHealth(DeviceHealth* health) => _target.Device.GetHealth(health);

    /// <inheritdoc/>
    public IoBuffer AllocateIoBuffer(nuint size, uint alignment, int numaNode) => _target.Device.AllocateIoBuffer(size, alignment, numaNode);

    /// <inheritdoc/>
    public void ReallocateIoBuffer(IoBuffer buffer, nuint size, uint alignment) => _target.Device.ReallocateIoBuffer(buffer, size, alignment);

    /// <inheritdoc/>
    public void FreeIoBuffer(IoBuffer buffer) => _target.Device.FreeIoBuffer(buffer);

    /// <inheritdoc/>
    public IoBuffer RegisterMemory(void* address, nuint length) => _target.Device.RegisterMemory(address, length);

    /// <inheritdoc/>
    public void UnregisterMemory(IoBuffer buffer) => _target.Device.UnregisterMemory(buffer);

    /// <inheritdoc/>
    public void GetBufferInfo(IoBuffer buffer, IoBufferInfo* info) => _target.Device.GetBufferInfo(buffer, info);

    /// <inheritdoc/>
    public int Translate(void* address, nuint length, MemoryRun* runs, int capacity) => _target.Device.Translate(address, length, runs, capacity);

    /// <inheritdoc/>
    public int GetRegions(MemoryRegion* regions, int capacity) => _target.Device.GetRegions(regions, capacity);

    /// <inheritdoc/>
    public ulong* GetGeneration() => _target.Device.GetGeneration();

    private void ReleaseComponent()
    {
        try
        {
            if (OpenQueues != 0) throw new ComancheException($"{Name}: released with {OpenQueues} open queues; it is not closed, and keeps what it holds");
            _target.Release();
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
