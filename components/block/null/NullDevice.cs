using System.Runtime.InteropServices.Marshalling;

namespace Comanche.Block;

/// <summary>The options of <c>block/null</c>.</summary>
public sealed record NullOptions
{
    /// <summary>Length.</summary>
    [Option("Length of the volume; nothing is allocated for it", Min = "512")]
    public ByteSize Size { get; init; } = new(1UL << 40);

    /// <summary>Block size.</summary>
    [Option("Bytes of a block: a power of two", Min = "512", Max = "64KiB")]
    public ByteSize BlockSize { get; init; } = new(512);
}

/// <summary>
/// A volume that does nothing and says that it is done: every descriptor comes back with success by the next <c>Poll</c>, and no buffer is touched.
/// What it measures is the stack above it.
/// </summary>
[Component("block/null", "4f6f2a51-54c1-4b0a-8f4e-0d6c1f6b1a02", "A volume that completes everything at once and keeps nothing")]
[GeneratedComClass]
public sealed unsafe partial class NullDevice(IHost host, NullOptions options) : BlockDevice(host), IPlanned
{
    /// <inheritdoc/>
    public static void Plan(PlanContext plan)
    {
        var options = plan.Options<NullOptions>();
        if (Geometry.Check(plan, options.BlockSize, options.Size)) plan.Volume = Describe(options, plan.IsReadOnly);
    }

    /// <inheritdoc/>
    protected override void OnStart() => Geometry.Require(Name, options.BlockSize, options.Size);

    /// <inheritdoc/>
    protected override VolumeInfo DescribeVolume() => Describe(options, IsReadOnly);

    /// <inheritdoc/>
    protected override IIoQueue CreateQueue(QueueOptions queue) => new NullQueue(this, queue.Depth).Opened();

    // No compare and no durable flush are claimed: there is nothing to compare with, and nothing that could survive.
    private static VolumeInfo Describe(NullOptions options, bool readOnly)
    {
        var blockSize = (uint)options.BlockSize.Bytes;
        return new VolumeInfo
        {
            BlockSize = blockSize,
            BlockCount = options.Size.Bytes / blockSize,
            MaxTransferBlocks = (16u << 20) / blockSize,
            BufferAlignment = 1,
            MaxSegments = 256,
            AtomicWriteBlocks = 1,
            MaxRangeBlocks = uint.MaxValue,
            DiscardGranularityBlocks = 1,
            Capabilities = VolumeCapabilities.Discard | VolumeCapabilities.WriteZeroes | VolumeCapabilities.Fill | VolumeCapabilities.Copy | VolumeCapabilities.FastZeroes
                | (readOnly ? VolumeCapabilities.ReadOnly : VolumeCapabilities.None),
        };
    }
}
