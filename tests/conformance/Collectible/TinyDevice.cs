using System.Runtime.InteropServices;
using System.Runtime.InteropServices.Marshalling;

namespace Comanche.Collectible;

/// <summary>
/// A small volume of memory, in an assembly that is loaded into a collectible context, handed to native code, and unloaded again.
/// </summary>
[Component("example/tiny", "2f9d7a10-91c7-4d0e-8a55-6b1f0c3e7d21", "A volume of 64 KiB, to be loaded and unloaded")]
[GeneratedComClass]
public sealed unsafe partial class TinyDevice(IHost host) : BlockDevice(host)
{
    private const int BlockSize = 512, Blocks = 128;

    private byte* _data;

    /// <inheritdoc/>
    protected override void OnStart() => _data = (byte*)NativeMemory.AllocZeroed(Blocks * BlockSize);

    /// <inheritdoc/>
    protected override void OnStop()
    {
        base.OnStop();
        NativeMemory.Free(_data);
        _data = null;
    }

    /// <inheritdoc/>
    protected override VolumeInfo DescribeVolume() => new()
    {
        BlockSize = BlockSize, BlockCount = Blocks, MaxTransferBlocks = Blocks, BufferAlignment = 1, MaxSegments = 1, AtomicWriteBlocks = 1,
        DiscardGranularityBlocks = 1, Capabilities = VolumeCapabilities.RetainsData,
    };

    /// <inheritdoc/>
    protected override IIoQueue CreateQueue(QueueOptions options) => new TinyQueue(this, options.Depth, _data).Opened();
}

/// <summary>A queue of <see cref="TinyDevice"/>. Owner thread only.</summary>
[GeneratedComClass]
internal sealed unsafe partial class TinyQueue(TinyDevice device, uint depth, byte* data) : IoQueue(device, depth)
{
    private const int BlockSize = 512;

    private readonly DescriptorRing _accepted = new((int)depth);

    /// <inheritdoc/>
    public override int Submit(IoDescriptor** batch, int count)
    {
        if (IsAbandoned) return 0;
        var taken = Math.Min(count, Depth - InFlight);
        for (var i = 0; i < taken; i++) _accepted.Push(batch[i]);
        InFlight += taken;
        return taken;
    }

    /// <inheritdoc/>
    public override int Poll(IoDescriptor** completed, int capacity)
    {
        var count = _accepted.Pop(completed, capacity);
        for (var i = 0; i < count; i++) completed[i]->Status = Execute(completed[i]);
        InFlight -= count;
        return count;
    }

    /// <inheritdoc/>
    public override long Arm(WaitSet* waitSet) => InFlight == 0 ? WaitSet.Forever : 0;

    /// <inheritdoc/>
    protected override void OnAbandon() { }

    /// <inheritdoc/>
    protected override void OnClose() => _accepted.Dispose();

    private IoStatus Execute(IoDescriptor* descriptor)
    {
        var at = data + descriptor->Lba * BlockSize;
        var length = (nuint)descriptor->BlockCount * BlockSize;
        if (descriptor->Operation == IoOperation.Read) NativeMemory.Copy(at, descriptor->Buffer, length);
        else if (descriptor->Operation == IoOperation.Write) NativeMemory.Copy(descriptor->Buffer, at, length);
        else if (descriptor->Operation is not (IoOperation.Flush or IoOperation.None)) return IoStatus.Unsupported;
        return IoStatus.Success;
    }
}
