using System.Runtime.InteropServices.Marshalling;

namespace Comanche.Partition;

/// <summary>A range of blocks of a device, which is to be a volume of its own.</summary>
/// <param name="FirstLba">First block on the device below.</param>
/// <param name="BlockCount">Length in blocks.</param>
internal readonly record struct Window(ulong FirstLba, ulong BlockCount)
{
    /// <summary>
    /// The geometry of the window, from that of the device below. What the device promises for naturally aligned ranges (atomic writes,
    /// compare-and-write) holds in the window only for ranges that are aligned on both sides: up to the greatest common divisor with the
    /// window's first block.
    /// </summary>
    /// <param name="below">The device below.</param>
    /// <param name="readOnly">Whether the window may not be changed though the device may.</param>
    public VolumeInfo Describe(in VolumeInfo below, bool readOnly = false)
    {
        var info = below;
        info.BlockCount = BlockCount;
        info.AtomicWriteBlocks = Aligned(below.AtomicWriteBlocks);
        info.CompareAndWriteBlocks = Aligned(below.CompareAndWriteBlocks);
        if (below.OptimalIoBlocks != 0 && FirstLba % below.OptimalIoBlocks != 0) info.OptimalIoBlocks = 0;
        if (readOnly) info.Capabilities |= VolumeCapabilities.ReadOnly;
        return info;
    }

    private uint Aligned(uint blocks)
    {
        // Euclid: the greatest unit that divides both the device's unit and the window's first block.
        var (a, b) = (FirstLba, (ulong)blocks);
        while (b != 0) (a, b) = (b, a % b);
        return blocks == 0 ? 0 : (uint)a;
    }
}

/// <summary>
/// A window on a device as a device of its own, for partitions and regions that are opened by an interface. It holds a count of the device below
/// and, where one is given, of the component that owns the table, and tells that component when it closes.
/// </summary>
/// <remarks>Born with one count, for the caller; <see cref="Open"/> starts it.</remarks>
[GeneratedComClass]
internal sealed unsafe partial class WindowDevice : BlockDevice
{
    private readonly IBlockDevice _below;
    private readonly Window _window;
    private readonly Action? _closed;

    private WindowDevice(IHost host, IBlockDevice below, Window window, Action? closed) : base(host)
    {
        _below = below;
        _window = window;
        _closed = closed;
    }

    /// <summary>Makes a started device of a window.</summary>
    /// <param name="host">The owner's host.</param>
    /// <param name="below">The device below, started.</param>
    /// <param name="window">The range; it lies on the device.</param>
    /// <param name="owner">Who keeps the table: it stays alive while the window is open. Null where the window is the owner's own.</param>
    /// <param name="closed">Called once, when the last count is released.</param>
    public static WindowDevice Open(IHost host, IBlockDevice below, Window window, IBase? owner = null, Action? closed = null)
    {
        VolumeInfo info;
        below.GetVolumeInfo(&info);
        if (window.BlockCount == 0 || window.FirstLba > info.BlockCount || window.BlockCount > info.BlockCount - window.FirstLba)
            throw new ComancheException(
                $"{host.GetName()}: {window.BlockCount} blocks from LBA {window.FirstLba} do not lie on a device of {info.BlockCount} blocks");
        var device = new WindowDevice(host, below, window, closed);
        device.Bind(below, "");
        if (owner is not null) device.Bind(owner, "owner");
        device.Start();
        return device;
    }

    /// <inheritdoc/>
    public override ulong GetEventNumber() => base.GetEventNumber() + _below.GetEventNumber();

    /// <inheritdoc/>
    public override void GetHealth(DeviceHealth* health) => _below.GetHealth(health);

    /// <inheritdoc/>
    protected override VolumeInfo DescribeVolume()
    {
        VolumeInfo info;
        _below.GetVolumeInfo(&info);
        return _window.Describe(info, IsReadOnly);
    }

    /// <inheritdoc/>
    protected override IIoQueue CreateQueue(QueueOptions options) => WindowQueue.Open(this, _below, _window, options);

    /// <inheritdoc/>
    protected override void OnClose() => _closed?.Invoke();
}

/// <summary>
/// A queue of a window: moves the LBA on the way down and back on the way up. Owner thread only.
/// </summary>
/// <remarks>
/// The entry queue of a stack answers descriptors that end beyond the volume with <see cref="IoStatus.OutOfRange"/>, so none should come here. Should one
/// come all the same, it must not reach the neighbour's blocks: it goes down as <see cref="IoOperation.None"/>, with the operation parked in the four upper
/// bits of the flags (which no flag uses, and which layers below leave as they are), and comes up as it was, with that status.
/// </remarks>
[GeneratedComClass]
internal sealed unsafe partial class WindowQueue : InPlaceQueue
{
    private const int ParkedShift = 4; // IoOperation has 10 values and IoFlags 4 bits: both halves of the byte hold theirs.

    private readonly ulong _firstLba;
    private readonly ulong _blockCount;

    private WindowQueue(BlockDevice device, IIoQueue below, Window window, uint depth) : base(device, below, depth)
    {
        _firstLba = window.FirstLba;
        _blockCount = window.BlockCount;
    }

    /// <summary>Opens a queue of a window, over a queue of the device below.</summary>
    public static IoQueue Open(BlockDevice device, IBlockDevice below, Window window, QueueOptions options) =>
        new WindowQueue(device, below.OpenQueue(&options), window, options.Depth).Opened();

    /// <inheritdoc/>
    protected override void Down(IoDescriptor* descriptor)
    {
        var operation = descriptor->Operation;
        if (!operation.HasRange()) return;
        if (!IsInside(descriptor->Lba, descriptor->BlockCount)
            || (operation == IoOperation.Copy && !IsInside(descriptor->Auxiliary, descriptor->BlockCount)))
        {
            descriptor->Flags |= (IoFlags)((int)operation << ParkedShift);
            descriptor->Operation = IoOperation.None;
            return;
        }

        descriptor->Lba += _firstLba;
        if (operation == IoOperation.Copy) descriptor->Auxiliary += _firstLba;
    }

    /// <inheritdoc/>
    protected override void Up(IoDescriptor* descriptor, bool refused)
    {
        var operation = descriptor->Operation;
        if (operation.HasRange())
        {
            descriptor->Lba -= _firstLba;
            if (operation == IoOperation.Copy) descriptor->Auxiliary -= _firstLba;
            return;
        }

        var parked = (int)descriptor->Flags >> ParkedShift;
        if (operation != IoOperation.None || parked == 0) return;
        descriptor->Operation = (IoOperation)parked;
        descriptor->Flags &= (IoFlags)((1 << ParkedShift) - 1);
        if (!refused) descriptor->Status = IoStatus.OutOfRange;
    }

    private bool IsInside(ulong lba, uint blocks) => lba <= _blockCount && blocks <= _blockCount - lba;
}
