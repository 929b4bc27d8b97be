using System.Runtime.CompilerServices;

namespace Comanche;

/// <summary>
/// The contract of a descriptor, as limits that are worked out once when a queue opens. <see cref="IsPlain"/> passes what almost every I/O is, a good read or write
/// of one buffer, in seven comparisons; <see cref="Check"/> knows every rule.
/// </summary>
public unsafe struct DescriptorRules
{
    private const IoFlags KnownFlags = IoFlags.ForceUnitAccess | IoFlags.Segments | IoFlags.NoCache | IoFlags.NoUnmap;
    private const uint NotPlainFlags = (uint)(byte)~(IoFlags.ForceUnitAccess | IoFlags.NoCache);

    private readonly VolumeInfo _volume;
    private readonly ulong _blockCount;
    private readonly nuint _alignmentMask;
    private readonly uint _maxTransfer;
    private readonly uint _plainOperations; // Read, or read and write: how many operations from Read on are plain.
    private readonly int _blockShift;

    /// <summary>Works the limits of a volume out.</summary>
    public DescriptorRules(in VolumeInfo volume)
    {
        _volume = volume;
        _blockCount = volume.BlockCount;
        _alignmentMask = Math.Max(volume.BufferAlignment, 1) - 1;
        _maxTransfer = volume.MaxTransferBlocks;
        _plainOperations = volume.Has(VolumeCapabilities.ReadOnly) ? 1u : 2u;
        _blockShift = System.Numerics.BitOperations.TrailingZeroCount(volume.BlockSize);
    }

    /// <summary>The volume's length in blocks when this was made; it may have grown since.</summary>
    public readonly ulong BlockCount => _blockCount;

    /// <summary>Whether this is a read or write of one buffer that breaks no rule. False says nothing.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly bool IsPlain(IoDescriptor* descriptor)
    {
        uint head = *(ushort*)descriptor; // Operation and, above it, flags.
        var blocks = descriptor->BlockCount;
        var buffer = (nuint)descriptor->Buffer;

        // With blocks ≥ 1 the subtraction below wraps for an LBA beyond the end only if the LBA is beyond the count, which the first half refuses.
        return (head & 0xFF) - 1 < _plainOperations
            && (head >> 8 & NotPlainFlags) == 0
            && blocks - 1 < _maxTransfer
            && descriptor->Lba <= _blockCount
            && blocks <= _blockCount - descriptor->Lba
            && (buffer & _alignmentMask) == 0
            && buffer != 0;
    }

    /// <summary>Checks every rule; success, or the status that the descriptor comes back with.</summary>
    public readonly IoStatus Check(IoDescriptor* descriptor)
    {
        var operation = descriptor->Operation;
        var flags = descriptor->Flags;
        if ((int)operation >= IoOperations.Count || (flags & ~KnownFlags) != 0) return IoStatus.InvalidArgument;
        if (operation == IoOperation.None) return IoStatus.Success;
        if ((flags & IoFlags.Segments) != 0 && !operation.HasBuffer()) return IoStatus.InvalidArgument;
        if (operation == IoOperation.Flush)
            return descriptor->Lba == 0 && descriptor->BlockCount == 0 && descriptor->Buffer is null ? IoStatus.Success : IoStatus.InvalidArgument;
        if (operation.IsChange() && _volume.Has(VolumeCapabilities.ReadOnly)) return IoStatus.ReadOnly;
        if (!_volume.Has(operation.Needs())) return IoStatus.Unsupported;
        var status = CheckRange(descriptor, operation);
        if (status == IoStatus.Success && operation.HasBuffer()) status = CheckBuffer(descriptor);
        if (status == IoStatus.Success && operation == IoOperation.CompareAndWrite) status = CheckCompareAndWrite(descriptor);
        if (status == IoStatus.Success && operation == IoOperation.Copy) status = CheckCopy(descriptor);
        return status;
    }

    private readonly IoStatus CheckRange(IoDescriptor* descriptor, IoOperation operation)
    {
        var most = operation == IoOperation.CompareAndWrite ? Math.Min(_maxTransfer, _volume.CompareAndWriteBlocks)
            : operation.HasBuffer() ? _maxTransfer : _volume.MaxRangeBlocks;
        if (descriptor->BlockCount == 0 || descriptor->BlockCount > most) return IoStatus.InvalidArgument;
        return Fits(descriptor->Lba, descriptor->BlockCount) ? IoStatus.Success : IoStatus.OutOfRange;
    }

    private readonly IoStatus CheckBuffer(IoDescriptor* descriptor)
    {
        if (descriptor->Buffer is null) return IoStatus.InvalidArgument;
        if ((descriptor->Flags & IoFlags.Segments) == 0)
            return ((nuint)descriptor->Buffer & _alignmentMask) == 0 ? IoStatus.Success : IoStatus.Misaligned;
        if (descriptor->SegmentCount == 0 || descriptor->SegmentCount > _volume.MaxSegments) return IoStatus.InvalidArgument;
        ulong sum = 0;
        for (var i = 0; i < descriptor->SegmentCount; i++)
        {
            var segment = descriptor->Segments[i];
            if (segment.Address is null || segment.Length == 0 || (segment.Length & (_volume.BlockSize - 1)) != 0) return IoStatus.InvalidArgument;
            if (((nuint)segment.Address & _alignmentMask) != 0) return IoStatus.Misaligned;
            sum += segment.Length;
        }

        return sum == (ulong)descriptor->BlockCount << _blockShift ? IoStatus.Success : IoStatus.InvalidArgument;
    }

    private readonly IoStatus CheckCompareAndWrite(IoDescriptor* descriptor)
    {
        var boundary = _volume.CompareAndWriteBlocks; // Not 0: the block count was at most this.
        var crosses = descriptor->Lba % boundary + descriptor->BlockCount > boundary;
        if (descriptor->Auxiliary == 0 || crosses) return IoStatus.InvalidArgument;
        return (descriptor->Auxiliary & (_volume.BufferAlignment - 1)) != 0 ? IoStatus.Misaligned : IoStatus.Success;
    }

    private readonly IoStatus CheckCopy(IoDescriptor* descriptor)
    {
        ulong source = descriptor->Auxiliary, target = descriptor->Lba, blocks = descriptor->BlockCount;
        if (!Fits(source, blocks)) return IoStatus.OutOfRange;
        return source < target + blocks && target < source + blocks ? IoStatus.InvalidArgument : IoStatus.Success;
    }

    private readonly bool Fits(ulong lba, ulong blocks) => lba <= _blockCount && blocks <= _blockCount - lba;
}
