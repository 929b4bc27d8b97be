using System.Runtime.InteropServices.Marshalling;

namespace Comanche.Block.Tests;

/// <summary>A layer with one child for each block of its parent, dealt out over the queues below. A parent without blocks has no child.</summary>
[GeneratedComClass]
internal sealed unsafe partial class FanOutDevice(IHost host, int children) : BlockDevice(host)
{
    public FanOutQueue? Queue { get; private set; }

    public uint DepthBelow { get; init; } = QueueOptions.MaxDepth;

    protected override VolumeInfo DescribeVolume() => default;

    protected override IIoQueue CreateQueue(QueueOptions options)
    {
        var below = Bound<IBlockDevice>().Select(d => Open(d, options)).ToArray();
        Queue = new FanOutQueue(this, below, options.Depth, children);
        return Queue.Opened();
    }

    private IIoQueue Open(IBlockDevice device, QueueOptions options)
    {
        options.Depth = DepthBelow;
        return device.OpenQueue(&options);
    }
}

[GeneratedComClass]
internal sealed unsafe partial class FanOutQueue(BlockDevice device, IIoQueue[] below, uint depth, int children)
    : ChildQueue(device, below, depth, children, watchesChildren: true)
{
    private readonly int _width = below.Length;

    public int ChildrenDone { get; private set; }

    public List<(ulong Tag, IoStatus Status)> Finished { get; } = [];

    public List<ulong> OwnFinished { get; } = [];

    /// <summary>How many further children, one after the other, a parent gets.</summary>
    public int Steps { get; set; }

    public new int FreeChildren => base.FreeChildren;

    public new int OwnInFlight => base.OwnInFlight;

    public void SendOwnWrite(ulong lba)
    {
        var own = TakeOwn();
        own->Operation = IoOperation.Write;
        own->Lba = lba;
        own->BlockCount = 1;
        Send(own, 0);
        SubmitWaiting();
    }

    protected override int CountChildren(IoDescriptor* parent)
    {
        parent->Scratch = (ulong)Steps;
        return (int)parent->BlockCount;
    }

    protected override void MakeChildren(IoDescriptor* parent, int children)
    {
        for (var i = 0; i < children; i++)
        {
            var child = TakeChild(parent);
            child->Lba = parent->Lba + (uint)i;
            child->BlockCount = 1;
            Send(child, i % _width);
        }
    }

    protected override void ChildDone(IoDescriptor* child) => ChildrenDone++;

    protected override void OwnDone(IoDescriptor* own) => OwnFinished.Add(own->Lba);

    protected override IoStatus Finish(IoDescriptor* parent, IoStatus status)
    {
        if (parent->Scratch != 0 && status == IoStatus.Success && Continue(parent, 1))
        {
            var child = TakeChild(parent);
            child->Lba = 1000 + parent->Scratch--;
            child->BlockCount = 1;
            Send(child, 0);
            return status;
        }

        Finished.Add((parent->Tag, status));
        return status;
    }
}
