using System.Runtime.InteropServices.Marshalling;

namespace Comanche.Block;

/// <summary>The options of <c>block/pass</c>.</summary>
public sealed record PassOptions
{
    /// <summary>Child descriptors.</summary>
    [Option("Serve every I/O by a descriptor of the layer's own, as layers that change I/Os do, instead of not being there at all")]
    public bool Child { get; init; }
}

/// <summary>A filter that passes everything on: the shortest one, and the measure of what a layer costs.</summary>
[Component("block/pass", "4f6f2a51-54c1-4b0a-8f4e-0d6c1f6b1a03", "A filter that passes everything on; measures what a layer costs")]
[Binds(typeof(IBlockDevice))]
[Transparent]
[GeneratedComClass]
public sealed unsafe partial class PassDevice(IHost host, PassOptions options) : BlockFilter(host), IPlanned
{
    /// <inheritdoc/>
    public static void Plan(PlanContext plan) => plan.Volume = plan.Below;

    /// <inheritdoc/>
    protected override IIoQueue CreateQueue(QueueOptions queue) =>
        options.Child ? new PassQueue(this, OpenBelow(queue), queue.Depth).Opened() : OpenBelow(queue);
}

/// <summary>A queue with a child descriptor for each I/O, and nothing done to it.</summary>
[GeneratedComClass]
internal sealed partial class PassQueue(PassDevice device, IIoQueue below, uint depth) : SingleChildQueue(device, below, depth);
