using System.Runtime.InteropServices;
using System.Runtime.InteropServices.Marshalling;
using Comanche.Linux;

namespace Comanche.Threading;

/// <summary>A queue of <c>thread/attach</c>: addresses become offsets in regions that the server knows, and what lies elsewhere is copied.</summary>
[GeneratedComClass]
internal sealed unsafe partial class AttachQueue : RingQueue
{
    // How many empty polls pass between two looks whether the server still lives, each a system call.
    private const uint PollsPerLook = 1 << 14;
    private const IoFlags WireFlags = IoFlags.ForceUnitAccess | IoFlags.Segments | IoFlags.NoCache | IoFlags.NoUnmap;
    private const int NoPage = -1;

    private readonly AttachEnd _end;
    private readonly AttachMemory _memory;
    private readonly ulong* _copied;
    private readonly int* _pages; // By index: the first page of a copy, or -1.
    private readonly int _blockShift;
    private BounceBuffer? _bounce;
    private uint _emptyPolls;

    public AttachQueue(AttachDevice device, IHost host, in AttachEnd end, AttachMemory memory, in VolumeInfo volume, uint depth, TimeSpan spin)
        : base(device, end.Channel, depth, host, spin)
    {
        _end = end;
        _memory = memory;
        _copied = host.AddCounter("io.copied", "By", "Bytes copied between memory that can't be shared and memory that is");
        _pages = (int*)NativeMemory.Alloc(depth, sizeof(int));
        new Span<int>(_pages, (int)depth).Fill(NoPage);
        _blockShift = System.Numerics.BitOperations.TrailingZeroCount(volume.BlockSize);
    }

    /// <inheritdoc/>
    protected override int Event => _end.Wakes.Number;

    /// <inheritdoc/>
    protected override bool IsLost
    {
        get
        {
            if (_end.Link.IsLost) return true;
            if (++_emptyPolls % PollsPerLook == 0) _end.Link.Look();
            return _end.Link.IsLost;
        }
    }

    /// <inheritdoc/>
    protected override bool Write(IoDescriptor* slot, IoDescriptor* descriptor, uint index)
    {
        Channel.CopyContent(slot, descriptor);
        slot->Flags &= WireFlags;
        slot->Parent = null;
        if (!descriptor->Operation.HasBuffer() || (int)descriptor->Operation >= IoOperations.Count)
        {
            slot->Buffer = null;
            return true;
        }

        if (_memory.IsStale) _memory.Refresh();
        var length = (ulong)descriptor->BlockCount << _blockShift;
        var isDirect = (descriptor->Flags & IoFlags.Segments) != 0 ? TryWriteSegments(slot, descriptor, index) : TryWriteBuffer(slot, descriptor, length);
        return isDirect || TryCopy(slot, descriptor, index, length);
    }

    /// <inheritdoc/>
    protected override void Finish(IoDescriptor* descriptor, uint index)
    {
        var page = _pages[index];
        if (page == NoPage) return;
        _pages[index] = NoPage;
        var length = (ulong)descriptor->BlockCount << _blockShift;
        if (descriptor->Operation == IoOperation.Read && descriptor->Status == IoStatus.Success) CopyOut(descriptor, _bounce![page], length);
        _bounce!.Return(page, BytesOf(descriptor, length));
    }

    /// <inheritdoc/>
    protected override void WakeServer()
    {
        // Orders the submissions before the look at the word; pairs with the barrier in Lane.Arm.
        Interlocked.MemoryBarrier();
        var sleeps = Channel.ServerSleeps;
        if (Volatile.Read(ref *sleeps) == 0) return;

        // Visible before the wake-up is: a store that came late would undo what the server says when it sleeps the next time.
        Interlocked.Exchange(ref *sleeps, 0);
        _end.ServerEvent.Signal();
    }

    /// <inheritdoc/>
    protected override bool PrepareSleep() => true;

    /// <inheritdoc/>
    protected override long AddToSleep(WaitSet* waitSet)
    {
        waitSet->Add(_end.Link.Socket);
        if (!_end.Link.Look()) return 0;
        return WaitSet.Forever;
    }

    /// <inheritdoc/>
    protected override void OnAbandon() => Tell(ShareRequest.Abandon);

    /// <inheritdoc/>
    protected override void OnClose()
    {
        Tell(ShareRequest.CloseQueue);
        _bounce?.Dispose();
        NativeMemory.Free(_pages);
        Free();
        Memory.Unmap(Channel.Memory, _end.Bytes);
        _end.Wakes.Dispose();
    }

    private void Tell(ShareRequest request)
    {
        var message = ShareMessage.Of(request);
        message.Number = _end.Number;
        try
        {
            _end.Link.Ask(ref message, -1, []);
        }
        catch (ComancheException)
        {
            // The server is gone: what is in flight comes back as that.
        }
    }

    private bool TryWriteBuffer(IoDescriptor* slot, IoDescriptor* descriptor, ulong length)
    {
        if (!TryFind(descriptor->Buffer, length, out var region, out var offset)) return false;
        if (descriptor->Operation == IoOperation.CompareAndWrite)
        {
            // Both buffers are named by one region.
            if (!TryFind((byte*)descriptor->Auxiliary, length, out var other, out var compare) || other != region) return false;
            slot->Auxiliary = compare;
        }

        slot->Region = region;
        slot->Buffer = (byte*)offset;
        return true;
    }

    private bool TryWriteSegments(IoDescriptor* slot, IoDescriptor* descriptor, uint index)
    {
        if (descriptor->SegmentCount > _end.Segments) return false;
        var to = Channel.Segments(index);
        for (var i = 0; i < descriptor->SegmentCount; i++)
        {
            var segment = descriptor->Segments[i];
            if (!TryFind(segment.Address, segment.Length, out var region, out var offset)) return false;
            to[i] = new IoSegment { Address = (byte*)offset, Length = segment.Length, Region = region };
        }

        slot->Region = 0;
        if (descriptor->Operation == IoOperation.CompareAndWrite)
        {
            if (!TryFind((byte*)descriptor->Auxiliary, (ulong)descriptor->BlockCount << _blockShift, out var region, out var compare)) return false;
            slot->Region = region;
            slot->Auxiliary = compare;
        }

        slot->Segments = (IoSegment*)1; // Not null: where they lie is known.
        return true;
    }

    private bool TryFind(byte* address, ulong length, out uint region, out ulong offset)
    {
        if (Search(address, length, out region, out offset)) return true;
        if (!_memory.TryAdd(address)) return false;
        return Search(address, length, out region, out offset);
    }

    private bool Search(byte* address, ulong length, out uint region, out ulong offset)
    {
        // The table of all queues, not a copy: another queue may have seen first that memory is gone, and other memory may lie at its address by now.
        foreach (var known in _memory.Regions)
        {
            var start = (byte*)known.Address;
            if (address < start || address >= start + known.Length || length > (ulong)(start + known.Length - address)) continue;
            region = known.Number;
            offset = (ulong)(address - start);
            return true;
        }

        (region, offset) = (0, 0);
        return false;
    }

    // False where there is no room now. What can't be copied at all goes down as nonsense, and comes back as such.
    private bool TryCopy(IoDescriptor* slot, IoDescriptor* descriptor, uint index, ulong length)
    {
        slot->Flags &= ~IoFlags.Segments;
        slot->SegmentCount = 0;
        slot->Region = 0;
        if (length == 0 || length > BounceBuffer.MaxBytes || !HasLength(descriptor, length) || !TryMakeBounce()) return true;
        var page = _bounce!.Take(BytesOf(descriptor, length));
        if (page < 0) return false;
        _pages[index] = page;
        slot->Region = _bounce.Number;
        slot->Buffer = (byte*)BounceBuffer.OffsetOf(page);
        if (descriptor->Operation != IoOperation.Read) CopyIn(descriptor, _bounce[page], length);
        if (descriptor->Operation == IoOperation.CompareAndWrite)
        {
            var second = BytesOf(descriptor, length) / 2;
            slot->Auxiliary = BounceBuffer.OffsetOf(page) + second;
            NativeMemory.Copy((void*)descriptor->Auxiliary, _bounce[page] + second, (nuint)length);
        }

        return true;
    }

    private bool TryMakeBounce()
    {
        try
        {
            _bounce ??= new BounceBuffer(_memory);
            return true;
        }
        catch (ComancheException)
        {
            return false;
        }
    }

    // A compare-and-write has two buffers, each on a page's boundary.
    private static ulong BytesOf(IoDescriptor* descriptor, ulong length) =>
        descriptor->Operation == IoOperation.CompareAndWrite ? 2 * BounceBuffer.WholePages(length) : length;

    private static bool HasLength(IoDescriptor* descriptor, ulong length)
    {
        if ((descriptor->Flags & IoFlags.Segments) == 0) return true;
        ulong sum = 0;
        for (var i = 0; i < descriptor->SegmentCount; i++) sum += descriptor->Segments[i].Length;
        return sum == length;
    }

    private void CopyIn(IoDescriptor* descriptor, byte* to, ulong length)
    {
        *_copied += length;
        if ((descriptor->Flags & IoFlags.Segments) == 0)
        {
            NativeMemory.Copy(descriptor->Buffer, to, (nuint)length);
            return;
        }

        for (var i = 0; i < descriptor->SegmentCount; to += descriptor->Segments[i++].Length)
            NativeMemory.Copy(descriptor->Segments[i].Address, to, descriptor->Segments[i].Length);
    }

    private void CopyOut(IoDescriptor* descriptor, byte* from, ulong length)
    {
        *_copied += length;
        if ((descriptor->Flags & IoFlags.Segments) == 0)
        {
            NativeMemory.Copy(from, descriptor->Buffer, (nuint)length);
            return;
        }

        for (var i = 0; i < descriptor->SegmentCount; from += descriptor->Segments[i++].Length)
            NativeMemory.Copy(from, descriptor->Segments[i].Address, descriptor->Segments[i].Length);
    }
}
