using System.Runtime.InteropServices;
using System.Runtime.InteropServices.Marshalling;

namespace Comanche.Raid;

/// <summary>
/// A queue of <c>raid/stripe</c>: cuts a request at chunk boundaries and sends one child to each member that it touches.
/// </summary>
/// <remarks>
/// <para>A request within a chunk is one child: its parent with another LBA. A request over m chunks and n members is min(m, n) children. A member's chunks
/// are contiguous on it, so its child is one transfer whose data lies in pieces in the parent's buffer or segments: a segment list says where. Nothing is copied.
/// Where members take no segments each chunk is a child. Discard, write-zeroes and fill have no data: one range per member. A flush goes to all members.</para>
/// <para><b>Segment lists.</b> A parent that needs any takes one fixed-size part of the queue's segment memory, large enough for all its children: with
/// s segments and m chunks at most s + m - 1 pieces (each cut adds one), so a part holds MaxSegments + chunks in the largest transfer. Its number, plus one, stands in the
/// parent's Scratch until <see cref="Finish"/> gives it back. Where all parts are taken the parent is refused for now.</para>
/// <para><b>Bounds.</b> Let K be the children of the largest parent. The slab has max(K, min(depth·K, max(2·depth, 4096))) children: every parent within two chunks
/// finds its children at any depth, and of the larger ones as many as fit 4096. Reservation is all or nothing and the slab holds at least K, so a parent that is refused waits
/// only for others that have all they need: no deadlock. Segment memory is limited to 4 MiB, or one part if that is larger. At most 32768 children (2.3 MiB) and
/// their rings; at depth 128 over four members with 64 KiB chunks: 512 children (36 KiB) and 128 parts (0.6 MiB).</para>
/// </remarks>
[GeneratedComClass]
internal sealed unsafe partial class StripeQueue : ChildQueue
{
    private const int UsualChildren = 4096;
    private const int SegmentBytes = 4 << 20;

    // Scratch of a parent that is answered without children: this and the status. Otherwise the number of its part plus one, or 0.
    private const ulong Answered = 1UL << 32;

    private readonly StripeDevice _device;
    private readonly uint _members;
    private readonly ulong _reciprocal; // ⌈2^64 / members⌉
    private readonly int _chunkShift;
    private readonly uint _chunkBlocks;
    private readonly ulong _dataLba;
    private readonly ulong _blockCount;
    private readonly uint _blockSize;
    private readonly uint _maxTransfer;
    private readonly uint _maxSegments;
    private readonly bool _gathers;
    private readonly int _children;
    private readonly int _partSegments;
    private readonly int* _freeParts;
    private IoSegment* _parts;
    private int _freeCount;

    private StripeQueue(
        StripeDevice device, StripeGeometry geometry, in VolumeInfo volume, bool gathers, IIoQueue[] below, uint depth, int children, int parts)
        : base(device, below, depth, children)
    {
        _device = device;
        _members = geometry.Members;
        _reciprocal = Reciprocal(geometry.Members);
        _chunkShift = (int)uint.Log2(geometry.ChunkBlocks);
        _chunkBlocks = geometry.ChunkBlocks;
        _dataLba = geometry.DataLba;
        _blockCount = volume.BlockCount;
        _blockSize = volume.BlockSize;
        _maxTransfer = volume.MaxTransferBlocks;
        _maxSegments = volume.MaxSegments;
        _gathers = gathers;
        _children = children;
        _partSegments = PartSegments(geometry, volume);
        _parts = (IoSegment*)NativeMemory.Alloc((nuint)parts * (nuint)_partSegments, (nuint)sizeof(IoSegment));
        _freeParts = (int*)NativeMemory.Alloc((nuint)parts, sizeof(int));
        for (var i = parts - 1; i >= 0; i--) _freeParts[_freeCount++] = i;
    }

    /// <summary>Opens a queue on every member and one over them.</summary>
    public static IoQueue Open(StripeDevice device, StripeGeometry geometry, in VolumeInfo volume, bool gathers, IBlockDevice[] members, QueueOptions options)
    {
        var chunks = LargestChunks(geometry, volume);
        var perParent = gathers ? geometry.Members : Math.Max(geometry.Members, chunks);
        var children = Math.Max(perParent, Math.Min((ulong)options.Depth * perParent, Math.Max(2 * options.Depth, UsualChildren)));
        var parts = Math.Clamp(SegmentBytes / (PartSegments(geometry, volume) * sizeof(IoSegment)), 1, (int)options.Depth);
        if (geometry.Members == 1) children = options.Depth;

        // A parent has one child on a member as a rule; where it has two, the second may wait.
        var below = new IIoQueue[members.Length];
        var opened = 0;
        try
        {
            for (; opened < members.Length; opened++)
            {
                var memberOptions = options;
                below[opened] = members[opened].OpenQueue(&memberOptions);
            }

            return new StripeQueue(device, geometry, volume, gathers, below, options.Depth, (int)children, parts).Opened();
        }
        catch
        {
            for (var i = 0; i < opened; i++) below[i].Close();
            throw;
        }
    }

    /// <summary>What <see cref="Divide"/> multiplies by.</summary>
    internal static ulong Reciprocal(uint members) => members == 1 ? 0 : (ulong)((((UInt128)1 << 64) + members - 1) / members);

    /// <summary>
    /// A chunk's row and member, without a division. ⌈2^64/n⌉ is (2^64+e)/n with e &lt; n, so chunk·⌈2^64/n⌉/2^64 exceeds chunk/n by chunk·e/(n·2^64): less than 1/n, and
    /// so without effect on the integer part, while chunk·e &lt; 2^64. Chunks are fewer than 2^55 (2^64 bytes in blocks of 512), and e is less than 2^6.
    /// </summary>
    internal static ulong Divide(ulong chunk, uint members, ulong reciprocal, out uint member)
    {
        if (members == 1)
        {
            member = 0;
            return chunk;
        }

        var row = Math.BigMul(chunk, reciprocal, out _);
        member = (uint)(chunk - row * members);
        return row;
    }

    /// <inheritdoc/>
    protected override int CountChildren(IoDescriptor* parent)
    {
        var operation = parent->Operation;
        parent->Scratch = 0;
        if (operation == IoOperation.Flush) return (int)_members;
        if (operation == IoOperation.None) return Answer(parent, IoStatus.Success);
        if (!operation.HasRange() || operation == IoOperation.Copy) return Answer(parent, IoStatus.Unsupported);
        var lba = parent->Lba;
        var blocks = parent->BlockCount;

        // The entry queue checks this; here it keeps a mistake from reaching another chunk's blocks, or memory beyond a segment list.
        if (blocks == 0) return Answer(parent, IoStatus.InvalidArgument);
        if (lba >= _blockCount || blocks > _blockCount - lba) return Answer(parent, IoStatus.OutOfRange);
        if (_members == 1) return 1;
        var chunks = ((lba + blocks - 1) >> _chunkShift) - (lba >> _chunkShift) + 1;
        return chunks == 1 ? 1 : CountMany(parent, chunks);
    }

    /// <inheritdoc/>
    protected override void MakeChildren(IoDescriptor* parent, int children)
    {
        if (parent->Operation == IoOperation.Flush)
        {
            for (var i = 0; i < children; i++) Send(TakeChild(parent), i);
            return;
        }

        var chunk = parent->Lba >> _chunkShift;
        var row = Divide(chunk, _members, _reciprocal, out var member);
        if (children == 1)
        {
            var child = TakeChild(parent);
            child->Lba = _dataLba + (_members == 1 ? parent->Lba : (row << _chunkShift) + (parent->Lba & (_chunkBlocks - 1)));
            Send(child, (int)member);
            return;
        }

        MakeMany(parent, children, row, member);
    }

    /// <inheritdoc/>
    protected override void ChildFailed(IoDescriptor* parent, IoDescriptor* child, int queue) => _device.MemberFailed(queue, child->Status);

    /// <inheritdoc/>
    protected override IoStatus Finish(IoDescriptor* parent, IoStatus status)
    {
        var scratch = parent->Scratch;
        if (scratch != 0)
        {
            if ((scratch & Answered) != 0) return (IoStatus)(ushort)scratch;
            _freeParts[_freeCount++] = (int)scratch - 1;
        }

        if (status != IoStatus.Success) _device.Failed(parent, status);
        return status;
    }

    /// <inheritdoc/>
    protected override void OnClose()
    {
        base.OnClose();
        NativeMemory.Free(_parts);
        NativeMemory.Free(_freeParts);
        _parts = null;
    }

    private static int PartSegments(StripeGeometry geometry, in VolumeInfo volume) => (int)(volume.MaxSegments + LargestChunks(geometry, volume));

    private static uint LargestChunks(StripeGeometry geometry, in VolumeInfo volume) =>
        geometry.Members == 1 ? 1 : (volume.MaxTransferBlocks + 2 * geometry.ChunkBlocks - 2) / geometry.ChunkBlocks;

    private static int Answer(IoDescriptor* parent, IoStatus status)
    {
        parent->Scratch = Answered | (ushort)status;
        return 0;
    }

    // A request over several chunks.
    private int CountMany(IoDescriptor* parent, ulong chunks)
    {
        var operation = parent->Operation;
        var perMember = (int)Math.Min(chunks, _members);
        if (!operation.HasBuffer()) return perMember;
        if (operation == IoOperation.CompareAndWrite || parent->BlockCount > _maxTransfer) return Answer(parent, IoStatus.InvalidArgument);
        var scattered = (parent->Flags & IoFlags.Segments) != 0;
        if (scattered && parent->SegmentCount > _maxSegments) return Answer(parent, IoStatus.InvalidArgument);
        if (!_gathers && !scattered) return (int)chunks;
        if (!scattered && chunks <= _members) return perMember;

        // Those that have the parts are in flight with a child, so the whole slab is never free then, and this many are refused for now.
        if (_freeCount == 0) return _children;
        parent->Scratch = 1; // Some part; MakeMany says which.
        return _gathers ? perMember : (int)chunks;
    }

    private void MakeMany(IoDescriptor* parent, int children, ulong row, uint member)
    {
        var cutter = new Cutter(parent);
        if (parent->Scratch != 0)
        {
            var part = _freeParts[--_freeCount];
            parent->Scratch = (ulong)part + 1;
            cutter.Free = _parts + (nint)part * _partSegments;
        }

        var gathers = _gathers || !parent->Operation.HasBuffer();
        var (start, end) = (parent->Lba & ~((ulong)_chunkBlocks - 1), parent->Lba + parent->BlockCount);
        for (var i = 0; i < children; i++, start += _chunkBlocks)
        {
            var child = TakeChild(parent);
            var first = Math.Max(start, parent->Lba);
            child->Lba = _dataLba + (row << _chunkShift) + (first - start);
            child->BlockCount = gathers ? BlocksOfMember(start, first, end) : (uint)(Math.Min(start + _chunkBlocks, end) - first);
            if (parent->Operation.HasBuffer()) Cut(ref cutter, child, start, end);
            Send(child, (int)member);
            if (++member != _members) continue;
            member = 0;
            row++;
        }
    }

    // How many blocks of a range lie in this chunk and in those that follow it on the same member.
    private uint BlocksOfMember(ulong start, ulong first, ulong end)
    {
        var stride = (ulong)_members << _chunkShift;
        var further = (end - 1 - start) / stride; // Chunks after this one.
        var last = start + further * stride;      // The start of the last of them.
        return (uint)((further << _chunkShift) + Math.Min(_chunkBlocks, end - last) - (first - start));
    }

    // Collects the pieces of a child's data: those of this chunk and, where they go together, of the chunks that follow it on the member.
    private void Cut(ref Cutter cutter, IoDescriptor* child, ulong start, ulong end)
    {
        var parentLba = child->Parent->Lba;
        var stride = _gathers ? (ulong)_members << _chunkShift : 1UL << 62; // Beyond every volume.
        cutter.Begin();
        for (; start < end; start += stride)
        {
            var from = Math.Max(start, parentLba);
            var to = Math.Min(start + _chunkBlocks, end);
            cutter.Add((from - parentLba) * _blockSize, (uint)(to - from) * _blockSize);
        }

        cutter.End(child);
    }

    /// <summary>Cuts a parent's buffer or segments into those of its children.</summary>
    private struct Cutter(IoDescriptor* parent)
    {
        /// <summary>Where the next list begins.</summary>
        public IoSegment* Free;

        private readonly IoDescriptor* _parent = parent;
        private readonly bool _scattered = (parent->Flags & IoFlags.Segments) != 0;
        private IoSegment _only;
        private int _count;
        private int _source;       // The parent's segment that the last piece ended in …
        private ulong _sourceAt;   // … and the offset of that segment's first byte in the parent's data.

        /// <summary>Begins a child. Its own pieces come in rising order, so its walk along the parent's segments goes one way.</summary>
        public void Begin()
        {
            _count = 0;
            _source = 0;
            _sourceAt = 0;
        }

        /// <summary>Adds bytes of the parent's data to the child.</summary>
        public void Add(ulong offset, uint length)
        {
            if (!_scattered)
            {
                Append(new IoSegment { Address = _parent->Buffer + offset, Length = length, Region = _parent->Region });
                return;
            }

            while (length != 0 && _source < _parent->SegmentCount)
            {
                var segment = _parent->Segments + _source;
                var skip = offset - _sourceAt;
                if (skip >= segment->Length)
                {
                    _sourceAt += segment->Length;
                    _source++;
                    continue;
                }

                var piece = Math.Min(length, segment->Length - (uint)skip);
                Append(new IoSegment { Address = segment->Address + skip, Length = piece, Region = segment->Region });
                offset += piece;
                length -= piece;
            }
        }

        /// <summary>Ends a child: one piece is a buffer, more are a list.</summary>
        public void End(IoDescriptor* child)
        {
            if (_count == 1)
            {
                child->Flags &= ~IoFlags.Segments;
                child->SegmentCount = 0;
                child->Buffer = _only.Address;
                child->Region = _only.Region;
                return;
            }

            child->Flags |= IoFlags.Segments;
            child->SegmentCount = (ushort)_count;
            child->Segments = Free;
            child->Region = 0;
            Free += _count;
        }

        private void Append(IoSegment segment)
        {
            if (_count == 0) _only = segment;
            if (Free is not null) Free[_count] = segment;
            _count++;
        }
    }
}
