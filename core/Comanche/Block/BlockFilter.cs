namespace Comanche;

/// <summary>
/// The base of layers over one device: whatever a filter does not define is passed on. A filter that defines nothing costs nothing, since
/// its queues are then those of the device below.
/// </summary>
public abstract unsafe class BlockFilter(IHost host) : BlockDevice(host)
{
    private IBlockDevice? _below;

    /// <summary>The device below. Valid while started.</summary>
    protected IBlockDevice Below => _below ?? throw new ComancheException($"{Name}: used before it is started");

    /// <inheritdoc/>
    public override ulong GetEventNumber() => base.GetEventNumber() + Below.GetEventNumber();

    /// <inheritdoc/>
    public override void GetHealth(DeviceHealth* health) => Below.GetHealth(health);

    /// <summary>Finds the device below; a filter that overrides this calls it first.</summary>
    protected override void OnStart() => _below = BoundOne<IBlockDevice>();

    /// <inheritdoc/>
    protected override VolumeInfo DescribeVolume()
    {
        VolumeInfo info;
        Below.GetVolumeInfo(&info);
        return info;
    }

    /// <summary>Opens a queue: that of the device below, unless the filter has its own.</summary>
    protected override IIoQueue CreateQueue(QueueOptions options) => OpenBelow(options);

    /// <summary>Opens a queue of the device below.</summary>
    protected IIoQueue OpenBelow(QueueOptions options) => Below.OpenQueue(&options);
}

/// <summary>
/// A queue of a 1:1 layer that changes descriptors in place: <see cref="Down"/> on their way down, <see cref="Up"/> on their way up, which also undoes
/// what <see cref="Down"/> did to one that was refused below. It accepts nothing itself, so it needs no memory.
/// </summary>
/// <param name="device">The filter.</param>
/// <param name="below">The queue below, which this one owns and closes.</param>
/// <param name="depth">The depth that was asked for.</param>
public abstract unsafe class InPlaceQueue(BlockDevice device, IIoQueue below, uint depth) : IoQueue(device, depth), IWaitingQueue
{
    private readonly IWaitingQueue? _waiting = below as IWaitingQueue;

    /// <summary>The queue below.</summary>
    protected readonly IIoQueue Below = below;

    /// <inheritdoc/>
    public sealed override int Submit(IoDescriptor** batch, int count)
    {
        for (var i = 0; i < count; i++) Down(batch[i]);
        var taken = Below.Submit(batch, count);
        for (var i = taken; i < count; i++) Up(batch[i], refused: true);
        InFlight += taken;
        return taken;
    }

    /// <inheritdoc/>
    public sealed override int Poll(IoDescriptor** completed, int capacity)
    {
        var count = Below.Poll(completed, capacity);
        for (var i = 0; i < count; i++) Up(completed[i], refused: false);
        InFlight -= count;
        return count;
    }

    /// <inheritdoc/>
    public override int Cancel(IoDescriptor* descriptor) => Below.Cancel(descriptor);

    /// <inheritdoc/>
    public override long Arm(WaitSet* waitSet) => Below.Arm(waitSet);

    /// <inheritdoc/>
    public bool Wait(int wanted, long timeoutNs) => _waiting is not null && _waiting.Wait(wanted, timeoutNs);

    /// <summary>Changes a descriptor on its way down.</summary>
    protected abstract void Down(IoDescriptor* descriptor);

    /// <summary>Restores it, and does what is to be done with its data.</summary>
    /// <param name="descriptor">The descriptor.</param>
    /// <param name="refused">True where it comes back not done, because the queue below is full; it will be submitted again.</param>
    protected abstract void Up(IoDescriptor* descriptor, bool refused);

    /// <inheritdoc/>
    protected override void OnAbandon() => Below.Abandon();

    /// <inheritdoc/>
    protected override void OnClose() => Below.Close();
}
