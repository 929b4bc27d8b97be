using Comanche.Linux;

namespace Comanche.Block;

/// <summary>What both kinds of queues of <c>block/file</c> share: which descriptors never reach the kernel, and what an error means.</summary>
internal readonly struct FileQueueRules(FileMedium medium, VolumeInfo volume)
{
    private const uint Done = 1u << (int)IoOperation.None | 1u << (int)IoOperation.Read | 1u << (int)IoOperation.Write | 1u << (int)IoOperation.Flush
        | 1u << (int)IoOperation.WriteZeroes;

    private readonly uint _supported = volume.Has(VolumeCapabilities.Discard) ? Done | 1u << (int)IoOperation.Discard : Done;
    private readonly ulong _blocks = volume.BlockCount;
    private readonly uint _maxTransfer = volume.MaxTransferBlocks;
    private readonly uint _maxSegments = volume.MaxSegments;
    private readonly uint _memoryMask = volume.BufferAlignment - 1;
    private readonly bool _isReadOnly = medium.IsReadOnly;

    /// <summary>
    /// Whether a descriptor goes to the kernel. If not, its status is set. The range is looked at here too: a write beyond the end would make the file longer.
    /// </summary>
    public unsafe bool Admits(IoDescriptor* descriptor)
    {
        var operation = descriptor->Operation;
        if (operation.HasRange() && (descriptor->Lba >= _blocks || descriptor->BlockCount > _blocks - descriptor->Lba || descriptor->BlockCount == 0))
            return Refuse(descriptor, descriptor->BlockCount == 0 ? IoStatus.InvalidArgument : IoStatus.OutOfRange);
        if ((uint)operation >= IoOperations.Count || (_supported >> (int)operation & 1) == 0) return Refuse(descriptor, IoStatus.Unsupported);
        if (operation == IoOperation.None) return Refuse(descriptor, IoStatus.Success);
        if (_isReadOnly && operation.IsChange()) return Refuse(descriptor, IoStatus.ReadOnly);
        if (operation.HasBuffer() && (descriptor->BlockCount > _maxTransfer
            || ((descriptor->Flags & IoFlags.Segments) != 0 && (uint)descriptor->SegmentCount - 1 >= _maxSegments)))
            return Refuse(descriptor, IoStatus.InvalidArgument);
        return true;
    }

    /// <summary>The status of an I/O that the kernel refused with this error (positive).</summary>
    public unsafe IoStatus Status(IoDescriptor* descriptor, int error) =>
        error == Errno.EINVAL && descriptor->Operation.HasBuffer() && IsMisaligned(descriptor) ? IoStatus.Misaligned : Errno.ToStatus(error);

    private unsafe bool IsMisaligned(IoDescriptor* descriptor)
    {
        if ((descriptor->Flags & IoFlags.Segments) == 0) return ((nuint)descriptor->Buffer & _memoryMask) != 0;
        for (var i = 0; i < descriptor->SegmentCount; i++)
            if ((((nuint)descriptor->Segments[i].Address | descriptor->Segments[i].Length) & _memoryMask) != 0)
                return true;
        return false;
    }

    private static unsafe bool Refuse(IoDescriptor* descriptor, IoStatus status)
    {
        descriptor->Status = status;
        return false;
    }
}
