using System.Runtime.InteropServices.Marshalling;
using Comanche.Linux;

namespace Comanche.Block;

/// <summary>The options of <c>block/memory</c>.</summary>
public sealed record MemoryOptions
{
    /// <summary>Length.</summary>
    [Option("Length of the volume; all of it is allocated and locked at start", Required = true, Min = "512")]
    public ByteSize Size { get; init; }

    /// <summary>Block size.</summary>
    [Option("Bytes of a block: a power of two", Min = "512", Max = "64KiB")]
    public ByteSize BlockSize { get; init; } = new(512);
}

/// <summary>
/// A volume in DMA memory. Does every operation; what it holds is gone when it closes.
/// </summary>
/// <remarks>
/// An operation is carried out by the queue's thread in <c>Poll</c>. Queues on several threads work on the same memory without locks, as on a
/// disk: ranges that overlap in flight have no order. Only compare-and-write takes a lock, one for the device, and only against its own kind.
/// </remarks>
[Component("block/memory", "4f6f2a51-54c1-4b0a-8f4e-0d6c1f6b1a01", "A volume in memory, gone when the process ends")]
[GeneratedComClass]
public sealed unsafe partial class MemoryDevice(IHost host, MemoryOptions options) : BlockDevice(host), IPlanned
{
    private readonly Lock _compareAndWrite = new();
    private IoBuffer _buffer;
    private byte* _data;

    /// <inheritdoc/>
    public static void Plan(PlanContext plan)
    {
        var options = plan.Options<MemoryOptions>();
        if (Geometry.Check(plan, options.BlockSize, options.Size)) plan.Volume = Describe(options);
    }

    /// <inheritdoc/>
    protected override void OnStart()
    {
        Geometry.Require(Name, options.BlockSize, options.Size);
        if (options.Size.Bytes > Limits.AvailableMemory)
            throw new ComancheException($"{Name}: size: {options.Size} is more than the {new ByteSize(Limits.AvailableMemory)} of memory that this machine has to spare");
        _buffer = AllocateIoBuffer((nuint)options.Size.Bytes, 4096, -1);
        IoBufferInfo info;
        GetBufferInfo(_buffer, &info);
        _data = (byte*)info.Address;
    }

    /// <inheritdoc/>
    protected override void OnStop()
    {
        base.OnStop();
        FreeIoBuffer(_buffer);
        _data = null;
    }

    /// <inheritdoc/>
    protected override VolumeInfo DescribeVolume() => Describe(options);

    /// <inheritdoc/>
    protected override IIoQueue CreateQueue(QueueOptions queue) =>
        new MemoryQueue(this, queue.Depth, _data, (uint)options.BlockSize.Bytes, _compareAndWrite).Opened();

    private static VolumeInfo Describe(MemoryOptions options)
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
            CompareAndWriteBlocks = 65536 / blockSize,
            Capabilities = VolumeCapabilities.Discard | VolumeCapabilities.WriteZeroes | VolumeCapabilities.Fill | VolumeCapabilities.Compare
                | VolumeCapabilities.CompareAndWrite | VolumeCapabilities.Copy | VolumeCapabilities.DiscardReadsZero
                | VolumeCapabilities.DurableFlush | VolumeCapabilities.RetainsData | VolumeCapabilities.FastZeroes,
        };
    }
}
