using System.Runtime.InteropServices.Marshalling;

namespace Comanche.Block;

/// <summary>
/// A queue of <c>block/error</c>. Each I/O's fate is decided when it is accepted, and kept in its <see cref="IoDescriptor.Scratch"/>: the number of the rule that hit
/// it plus one, or 0.
/// </summary>
/// <remarks>
/// <para>A corrupted write takes two steps: the write as it was asked, then one block of it again with flipped bits, out of a buffer of the queue's own.
/// The caller's buffer is never changed: another layer may be writing from it too.</para>
/// <para>A torn write of a scattered buffer is cut without a list of its own: one child with the segments that are whole, one with the piece of the next.</para>
/// </remarks>
[GeneratedComClass]
internal sealed unsafe partial class ErrorQueue : ChildQueue
{
    private const ulong RuleMask = 0xFFFF;
    private const int SlotShift = 16; // Above the rule: the slot of the second step plus one, or 0.

    private readonly ErrorDevice _device;
    private readonly FaultRule[] _rules;
    private readonly VolumeInfo _volume;
    private readonly ulong* _hits;
    private readonly IoBuffer _memory;
    private readonly IoBufferInfo _buffers;
    private readonly uint _slotBytes;
    private readonly int[] _freeSlots;
    private int _freeSlotCount;
    private uint _keep; // From CountChildren to MakeChildren of the same parent: how much of a torn write is written.

    public ErrorQueue(ErrorDevice device, IIoQueue below, uint depth, FaultRule[] rules, VolumeInfo volume, ulong* hits)
        : base(device, [below], depth, 2 * (int)depth)
    {
        _device = device;
        _rules = rules;
        _volume = volume;
        _hits = hits;
        _freeSlots = new int[rules.Any(r => r.Options.Action == FaultAction.Corrupt) ? (int)depth : 0];
        if (_freeSlots.Length == 0) return;
        _slotBytes = Math.Max(volume.BlockSize, volume.BufferAlignment);
        _memory = device.AllocateIoBuffer((nuint)_slotBytes * depth, Math.Max(volume.BufferAlignment, 4096), -1);
        IoBufferInfo info;
        device.GetBufferInfo(_memory, &info);
        _buffers = info;
        for (var i = 0; i < _freeSlots.Length; i++) _freeSlots[_freeSlotCount++] = i;
    }

    /// <inheritdoc/>
    protected override int CountChildren(IoDescriptor* parent)
    {
        parent->Scratch = 0;
        for (var i = 0; i < _rules.Length; i++)
        {
            if (!_rules[i].Hits(*parent)) continue;
            ++*_hits;
            parent->Scratch = (ulong)i + 1;
            return _rules[i].Options.Action switch
            {
                FaultAction.Fail or FaultAction.DropWrite or FaultAction.DropFlush => 0,
                FaultAction.Torn => CountTorn(parent, _rules[i]),
                _ => 1,
            };
        }

        return 1;
    }

    /// <inheritdoc/>
    protected override void MakeChildren(IoDescriptor* parent, int children)
    {
        var child = TakeChild(parent);
        if (parent->Scratch != 0)
        {
            var options = RuleOf(parent).Options;
            if (options.Action == FaultAction.Torn) Tear(parent, child, children);
            else if (options.Action == FaultAction.Misdirect) child->Lba = Misdirected(parent, options.Shift);
        }

        Send(child, 0);
    }

    /// <inheritdoc/>
    protected override IoStatus Finish(IoDescriptor* parent, IoStatus status)
    {
        if (parent->Scratch == 0) return status;
        var rule = RuleOf(parent);
        switch (rule.Options.Action)
        {
            case FaultAction.Fail:
                _device.CountError(parent->Operation);
                return rule.Options.Status;
            case FaultAction.Torn when status == IoStatus.Success && rule.Options.Status != IoStatus.Success:
                _device.CountError(parent->Operation);
                return rule.Options.Status;
            case FaultAction.Corrupt:
                Corrupt(parent, rule, status);
                return status;
            default:
                return status;
        }
    }

    /// <inheritdoc/>
    protected override void OnClose()
    {
        base.OnClose();
        if (_freeSlots.Length != 0) _device.FreeIoBuffer(_memory);
    }

    private FaultRule RuleOf(IoDescriptor* parent) => _rules[(int)(parent->Scratch & RuleMask) - 1];

    // Decides where a write tears, at a multiple of the device's atomic unit, and says how many children write what is kept.
    private int CountTorn(IoDescriptor* parent, FaultRule rule)
    {
        var atomic = Math.Max(1u, _volume.AtomicWriteBlocks);
        var keep = rule.Options.Keep;
        if (keep < 0)
        {
            var random = rule.Draw();
            keep = (long)random.Below(parent->BlockCount);
        }

        keep = Math.Min(keep, parent->BlockCount);
        if (keep != parent->BlockCount) keep = (long)Math.Max((parent->Lba + (ulong)keep) / atomic * atomic, parent->Lba) - (long)parent->Lba;
        _keep = (uint)keep;
        if (keep == 0) return 0;
        if ((parent->Flags & IoFlags.Segments) == 0) return 1;
        var whole = WholeSegments(parent, keep, out var left);
        return (whole != 0 ? 1 : 0) + (left != 0 ? 1 : 0);
    }

    private int WholeSegments(IoDescriptor* parent, long blocks, out long leftBytes)
    {
        leftBytes = blocks * _volume.BlockSize;
        var whole = 0;
        while (whole < parent->SegmentCount && parent->Segments[whole].Length <= leftBytes) leftBytes -= parent->Segments[whole++].Length;
        return whole;
    }

    // The first child is already taken; it gets the whole segments, or the piece where there are none.
    private void Tear(IoDescriptor* parent, IoDescriptor* child, int children)
    {
        child->BlockCount = _keep;
        if ((parent->Flags & IoFlags.Segments) == 0) return;
        var whole = WholeSegments(parent, _keep, out var left);
        var pieceBlocks = (uint)(left / _volume.BlockSize);
        child->SegmentCount = (ushort)whole;
        child->BlockCount = _keep - pieceBlocks;
        if (left == 0) return;
        var piece = children == 2 ? TakeChild(parent) : child;
        piece->Flags &= ~IoFlags.Segments;
        piece->SegmentCount = 0;
        piece->Lba = parent->Lba + (_keep - pieceBlocks);
        piece->BlockCount = pieceBlocks;
        piece->Buffer = parent->Segments[whole].Address;
        piece->Region = parent->Segments[whole].Region;
        if (piece != child) Send(piece, 0);
    }

    private ulong Misdirected(IoDescriptor* parent, long shift)
    {
        // The places where a range of this length can lie, as a circle.
        var places = _volume.BlockCount - parent->BlockCount + 1;
        if (parent->BlockCount > _volume.BlockCount) return parent->Lba;
        var distance = (ulong)(shift < 0 ? -(shift + 1) : shift) % places;
        return shift < 0 ? (parent->Lba + places - (distance + 1) % places) % places : (parent->Lba + distance) % places;
    }

    private void Corrupt(IoDescriptor* parent, FaultRule rule, IoStatus status)
    {
        var slot = (int)(parent->Scratch >> SlotShift) - 1;
        if (slot >= 0)
        {
            _freeSlots[_freeSlotCount++] = slot;
            return;
        }

        if (status != IoStatus.Success) return;
        var random = rule.Draw();
        var block = rule.RandomBlock(*parent, ref random);
        var data = AddressOf(parent, block * _volume.BlockSize);
        if (parent->Operation == IoOperation.Read)
        {
            Flip(data, ref random, rule.Options.Bits);
            return;
        }

        if (!Continue(parent, 1)) return;
        slot = _freeSlots[--_freeSlotCount];
        parent->Scratch |= (ulong)(slot + 1) << SlotShift;
        var copy = (byte*)_buffers.Address + (nuint)slot * _slotBytes;
        new Span<byte>(data, (int)_volume.BlockSize).CopyTo(new Span<byte>(copy, (int)_volume.BlockSize));
        Flip(copy, ref random, rule.Options.Bits);
        var child = TakeChild(parent);
        child->Flags &= ~IoFlags.Segments;
        child->SegmentCount = 0;
        child->Lba = parent->Lba + block;
        child->BlockCount = 1;
        child->Buffer = copy;
        child->Region = _buffers.Region;
        Send(child, 0);
    }

    // Different bits of one byte of the block.
    private void Flip(byte* data, ref SeededRandom random, int bits)
    {
        var at = random.Below(_volume.BlockSize);
        for (byte flipped = 0; byte.PopCount(flipped) < bits;)
        {
            var bit = (byte)(1 << (int)random.Below(8));
            if ((flipped & bit) != 0) continue;
            flipped |= bit;
            data[at] ^= bit;
        }
    }

    // Where a byte of the I/O's data lies; a block never lies in two segments.
    private static byte* AddressOf(IoDescriptor* io, ulong offset)
    {
        if ((io->Flags & IoFlags.Segments) == 0) return io->Buffer + offset;
        var segment = io->Segments;
        while (offset >= segment->Length) offset -= (segment++)->Length;
        return segment->Address + offset;
    }
}
