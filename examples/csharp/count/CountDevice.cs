using System.Runtime.InteropServices.Marshalling;

namespace Comanche.Examples;

/// <summary>A filter that counts the blocks which pass. Whatever it does not define goes to the device below.</summary>
[Component("example/count", "7d1c3a52-0f6e-4c1b-9a60-5e2b8f4d7a13", "Counts the blocks that are read and written; an example")]
[Binds(typeof(IBlockDevice))]
[Transparent]
[GeneratedComClass]
public sealed partial class CountDevice(IHost host) : BlockFilter(host), IPlanned
{
    public static void Plan(PlanContext plan) => plan.Volume = plan.Below;

    protected override IIoQueue CreateQueue(QueueOptions queue) => new CountQueue(this, OpenBelow(queue), queue.Depth, Host).Opened();
}

[GeneratedComClass]
internal sealed unsafe partial class CountQueue(CountDevice device, IIoQueue below, uint depth, IHost host) : InPlaceQueue(device, below, depth)
{
    private readonly ulong* _read = host.AddCounter("count.read", "{block}", "Blocks that were read");
    private readonly ulong* _written = host.AddCounter("count.written", "{block}", "Blocks that were written");

    protected override void Down(IoDescriptor* descriptor) { }

    protected override void Up(IoDescriptor* descriptor, bool refused)
    {
        if (refused || descriptor->Status != IoStatus.Success) return;
        if (descriptor->Operation == IoOperation.Read) *_read += descriptor->BlockCount;
        if (descriptor->Operation == IoOperation.Write) *_written += descriptor->BlockCount;
    }
}
