namespace Comanche;

/// <summary>
/// The base of managed block devices: the memory interface is the host's registry, and open queues are counted, so that
/// a device is never stopped under one.
/// </summary>
public abstract unsafe class BlockDevice(IHost host) : Component(host), IBlockDevice
{
    private readonly IZerocopyMemory _memory = host.GetMemory();
    private int _openQueues;
    private ulong _ownEvents;

    /// <summary>The number of queues that are open. Any thread.</summary>
    protected int OpenQueues => Volatile.Read(ref _openQueues);

    /// <inheritdoc/>
    public void GetVolumeInfo(VolumeInfo* info)
    {
        if (!IsStarted) throw new ComancheException($"{Name}: asked for its geometry before it is started");
        *info = DescribeVolume();
    }

    /// <inheritdoc/>
    public IIoQueue OpenQueue(QueueOptions* options)
    {
        if (!IsStarted) throw new ComancheException($"{Name}: a queue was opened before it is started");
        if (options->Depth is 0 or > QueueOptions.MaxDepth)
            throw new ComancheException($"{Name}: a queue of depth {options->Depth} was asked for; 1 to {QueueOptions.MaxDepth} can be had");
        return CreateQueue(*options);
    }

    /// <inheritdoc/>
    public virtual ulong GetEventNumber() => Volatile.Read(ref _ownEvents);

    /// <inheritdoc/>
    public virtual void GetHealth(DeviceHealth* health) => *health = default;

    /// <inheritdoc/>
    public IoBuffer AllocateIoBuffer(nuint size, uint alignment, int numaNode) => _memory.AllocateIoBuffer(size, alignment, numaNode);

    /// <inheritdoc/>
    public void ReallocateIoBuffer(IoBuffer buffer, nuint size, uint alignment) => _memory.ReallocateIoBuffer(buffer, size, alignment);

    /// <inheritdoc/>
    public void FreeIoBuffer(IoBuffer buffer) => _memory.FreeIoBuffer(buffer);

    /// <inheritdoc/>
    public IoBuffer RegisterMemory(void* address, nuint length) => _memory.RegisterMemory(address, length);

    /// <inheritdoc/>
    public void UnregisterMemory(IoBuffer buffer) => _memory.UnregisterMemory(buffer);

    /// <inheritdoc/>
    public void GetBufferInfo(IoBuffer buffer, IoBufferInfo* info) => _memory.GetBufferInfo(buffer, info);

    /// <inheritdoc/>
    public int Translate(void* address, nuint length, MemoryRun* runs, int capacity) => _memory.Translate(address, length, runs, capacity);

    /// <inheritdoc/>
    public int GetRegions(MemoryRegion* regions, int capacity) => _memory.GetRegions(regions, capacity);

    /// <inheritdoc/>
    public ulong* GetGeneration() => _memory.GetGeneration();

    /// <summary>The volume's geometry. The device is started.</summary>
    protected abstract VolumeInfo DescribeVolume();

    /// <summary>Makes a queue; the depth is checked. A queue that derives from <see cref="IoQueue"/> counts itself.</summary>
    protected abstract IIoQueue CreateQueue(QueueOptions options);

    /// <summary>Announces a notice: <see cref="GetEventNumber"/> grows. Any thread.</summary>
    protected void RaiseEvent() => Interlocked.Increment(ref _ownEvents);

    /// <summary>Refuses to stop under an open queue; a device that overrides this calls it first.</summary>
    protected override void OnStop()
    {
        if (OpenQueues != 0) throw new ComancheException($"{Name}: stopped with {OpenQueues} open queues");
    }

    internal void QueueOpened() => Interlocked.Increment(ref _openQueues);

    internal void QueueClosed() => Interlocked.Decrement(ref _openQueues);
}
