using System.Runtime.InteropServices.Marshalling;

namespace Comanche.Micro;

/// <summary>A pass-through layer on the general child queue.</summary>
[GeneratedComClass]
internal sealed unsafe partial class GeneralDevice(IHost host) : BlockFilter(host)
{
    /// <inheritdoc/>
    protected override IIoQueue CreateQueue(QueueOptions options) => new GeneralQueue(this, OpenBelow(options), options.Depth).Opened();
}

[GeneratedComClass]
internal sealed unsafe partial class GeneralQueue(BlockDevice device, IIoQueue below, uint depth) : ChildQueue(device, [below], depth, (int)depth)
{
    protected override int CountChildren(IoDescriptor* parent) => 1;

    protected override void MakeChildren(IoDescriptor* parent, int children) => Send(TakeChild(parent), 0);
}

/// <summary>A layer that changes the LBA in place, as a partition does.</summary>
[GeneratedComClass]
internal sealed unsafe partial class InPlaceDevice(IHost host) : BlockFilter(host)
{
    /// <inheritdoc/>
    protected override IIoQueue CreateQueue(QueueOptions options) => new ShiftQueue(this, OpenBelow(options), options.Depth).Opened();
}

[GeneratedComClass]
internal sealed unsafe partial class ShiftQueue(BlockDevice device, IIoQueue below, uint depth) : InPlaceQueue(device, below, depth)
{
    protected override void Down(IoDescriptor* descriptor) => descriptor->Lba += 2048;

    protected override void Up(IoDescriptor* descriptor, bool refused) => descriptor->Lba -= 2048;
}
