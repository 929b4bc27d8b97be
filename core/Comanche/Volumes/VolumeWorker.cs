using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;

namespace Comanche;

/// <summary>
/// The reactor's side of a <see cref="Volume"/>: cuts requests into pieces that the device takes, carries them through the queue, and puts
/// blocks together that a request touches only in part.
/// </summary>
/// <remarks>
/// <para>A piece is one descriptor, with a bounce buffer where the caller's memory is not fit for the device. An edge piece of a write is read, changed and
/// written with the same descriptor and buffer.</para>
/// <para>A change enters <see cref="VolumeLocks"/> before its first piece is made, so whoever holds a descriptor or a buffer never waits for a lock: pieces always
/// come back, and nothing can wait in a circle. Requests that lack a descriptor or a buffer stand in a line and take turns, a few pieces each.</para>
/// <para>A queue that throws is not touched again but to give up what it holds; every request fails then (<see cref="Failed"/>).</para>
/// <para>Reactor thread only, but for <see cref="Push"/> and <see cref="CancelSoon"/>. Nothing is allocated after the constructor.</para>
/// </remarks>
internal sealed unsafe partial class VolumeWorker : IPoller
{
    private const int PollBatch = 64;

    // Pieces that a request makes in one turn: a large request keeps a device busy and does not take all descriptors at once.
    private const int PiecesPerTurn = 8;

    private readonly Volume _volume;
    private readonly VolumeInfo _info;
    private readonly IReactor _reactor;
    private readonly IBlockDevice _device;
    private readonly IIoQueue _queue;
    private readonly VolumeLocks _locks;
    private readonly RequestRing _incoming;
    private readonly DescriptorSlab _slab;
    private readonly DescriptorRing _ready;
    private readonly Piece[] _pieces;
    private readonly IoDescriptor** _completed;
    private readonly VolumeRequest[] _active;
    private readonly VolumeRequest?[] _stalled; // A ring: those that wait for a descriptor or a buffer.
    private readonly int[] _freeBounces;
    private readonly IoBuffer _bounceBuffer;
    private readonly byte* _bounces;
    private readonly uint _bounceRegion;
    private readonly uint _bounceBytes;
    private readonly nuint _bounceStride; // From one bounce buffer to the next: each is aligned as the device asks.
    private readonly ulong* _copiedCounter;
    private readonly bool _inline;
    private int _activeCount;
    private uint _stalledHead, _stalledTail;
    private int _freeBounceCount;
    private int _cancels; // Any thread: set when a request's cancellation is to be looked at.
    private ulong _copied;

    /// <summary>Opens the queue. On the reactor's thread.</summary>
    public VolumeWorker(Volume volume, IBlockDevice device, IReactor reactor, in VolumeInfo info, VolumeOptions options)
    {
        (_volume, _device, _reactor, _info, _inline) = (volume, device, reactor, info, options.InlineContinuations);
        _locks = VolumeLocks.Of(device);
        _incoming = new RequestRing(options.MaxRequests);
        _active = new VolumeRequest[options.MaxRequests];
        _stalled = new VolumeRequest?[(int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)options.MaxRequests)];
        _pieces = new Piece[options.Depth];
        _copiedCounter = options.Host is { } host ? host.AddCounter("volume.copied", "By", "Bytes copied between callers' memory and DMA memory") : null;
        var blocks = Math.Clamp(((uint)options.BounceBytes + info.BlockSize - 1) / info.BlockSize, 1, info.MaxTransferBlocks);
        _bounceBytes = blocks * info.BlockSize;
        _bounceStride = (_bounceBytes + (nuint)info.BufferAlignment - 1) / info.BufferAlignment * info.BufferAlignment;
        _bounceBuffer = device.AllocateIoBuffer((nuint)options.BounceBuffers * _bounceStride, Math.Max(info.BufferAlignment, 4096), -1);
        IoBufferInfo memory;
        device.GetBufferInfo(_bounceBuffer, &memory);
        _bounces = (byte*)memory.Address;
        _bounceRegion = memory.Region;
        try
        {
            var queue = new QueueOptions { Depth = (uint)options.Depth };
            _queue = device.OpenQueue(&queue);
        }
        catch
        {
            device.FreeIoBuffer(_bounceBuffer);
            throw;
        }

        _freeBounces = new int[options.BounceBuffers];
        for (var i = options.BounceBuffers - 1; i >= 0; i--) _freeBounces[_freeBounceCount++] = i;
        _slab = new DescriptorSlab(options.Depth);
        _ready = new DescriptorRing(options.Depth);
        _completed = (IoDescriptor**)NativeMemory.Alloc(PollBatch, (nuint)sizeof(IoDescriptor*));
    }

    /// <summary>Bytes that were copied between callers' memory and bounce buffers. Any thread.</summary>
    public ulong CopiedBytes => Volatile.Read(ref _copied);

    /// <summary>Hands a request over, a new one or one that may go ahead now. Any thread.</summary>
    public void Push(VolumeRequest request)
    {
        _incoming.Push(request);
        _reactor.Wake();
    }

    /// <summary>Has cancelled requests looked for. Any thread.</summary>
    public void CancelSoon()
    {
        Volatile.Write(ref _cancels, 1);
        _reactor.Wake();
    }

    /// <inheritdoc/>
    public int Poll()
    {
        var done = TakeIncoming();
        if (_failure is not null) return done;
        if (Volatile.Read(ref _cancels) != 0 && Interlocked.Exchange(ref _cancels, 0) != 0) CancelActive();
        if (_ready.Count != 0) Submit();
        var count = _queue.Poll(_completed, PollBatch);
        for (var i = 0; i < count; i++) PieceIsBack(_completed[i]);
        done += count;
        if (_stalledHead != _stalledTail) done += ContinueStalled();
        if (_ready.Count != 0) done += Submit();
        return done;
    }

    /// <inheritdoc/>
    public long Arm(WaitSet* waitSet)
    {
        if (_failure is not null) return _incoming.IsEmpty ? WaitSet.Forever : 0;

        // What is ready and not submitted waits for room in the queue, which a completion makes.
        var deadline = _queue.Arm(waitSet);
        return _incoming.IsEmpty && Volatile.Read(ref _cancels) == 0 ? deadline : 0;
    }

    /// <summary>Closes the queue and gives the memory back; nothing is in progress. Throws where a queue that failed kept pieces: then all of it stays.</summary>
    public void Close()
    {
        if (Lost != 0)
        {
            var name = _device is INamed named ? named.Name : "a volume";
            throw new ComancheException($"{name}: a queue failed with {Lost} I/Os that did not come back: it is not closed, and the device stays in use", _failure);
        }

        _queue.Close();
        NativeObject.FinalRelease(_queue);
        _device.FreeIoBuffer(_bounceBuffer);
        _slab.Dispose();
        _ready.Dispose();
        NativeMemory.Free(_completed);
    }

    private int TakeIncoming()
    {
        var done = 0;
        for (; _incoming.Pop() is { } request; done++)
        {
            if (_failure is not null) request.Fail(_failure);
            if (request.IsStarted) Continue(request);
            else Start(request);
        }

        return done;
    }

    private int Submit()
    {
        _isSubmitting = true;
        var count = _ready.SubmitTo(_queue);
        _isSubmitting = false;
        return count;
    }

    private void Start(VolumeRequest request)
    {
        request.IsStarted = true;
        request.ActiveIndex = _activeCount;
        _active[_activeCount++] = request;
        if (request.IsOver) Continue(request);
        else if (!request.Operation.IsChange() || _locks.Enter(request)) Continue(request);
    }

    // Makes pieces as far as a turn, the descriptors and the buffers go; ends the request where there is nothing left to do.
    private void Continue(VolumeRequest request)
    {
        for (var turn = 0; !request.IsOver && !IsCut(request); turn++)
        {
            if (turn == PiecesPerTurn || !MakePiece(request))
            {
                Stall(request);
                return;
            }
        }

        if (request.Outstanding != 0) return;
        if (request.Status == IoStatus.Success && !IsCut(request)) request.Status = IoStatus.Cancelled;
        End(request);
    }

    private static bool IsCut(VolumeRequest request) => request.Cursor == Math.Max(request.Length, 1);

    private void Stall(VolumeRequest request)
    {
        if (request.IsStalled) return;
        request.IsStalled = true;
        _stalled[_stalledTail++ & (_stalled.Length - 1)] = request;
    }

    private int ContinueStalled()
    {
        // Each once: those that stall again stand behind.
        var waiting = _stalledTail - _stalledHead;
        var done = 0;
        for (; done < waiting && _slab.Available != 0; done++)
        {
            var free = (_slab.Available, _freeBounceCount);
            var request = TakeStalled();
            Continue(request);
            if (free == (_slab.Available, _freeBounceCount) && request.IsStalled) break;
        }

        return done;
    }

    private VolumeRequest TakeStalled()
    {
        ref var slot = ref _stalled[_stalledHead++ & (_stalled.Length - 1)];
        var request = slot!;
        slot = null;
        request.IsStalled = false;
        return request;
    }

    // Takes out of the line what is over; the others keep their order.
    private void SiftStalled()
    {
        for (var left = _stalledTail - _stalledHead; left != 0; left--)
        {
            var request = TakeStalled();
            if (request.IsOver) Continue(request);
            else Stall(request);
        }
    }

    private void End(VolumeRequest request)
    {
        var last = _active[--_activeCount];
        _active[request.ActiveIndex] = last;
        last.ActiveIndex = request.ActiveIndex;
        _active[_activeCount] = null!;
        if (request.HoldsLock && !request.IsLost) _locks.Leave(request);
        _volume.SlotIsFree();
        try
        {
            request.Complete(_inline);
        }
        catch (Exception e)
        {
            // A continuation on this thread threw: its caller's mistake, and no other caller's. As posted work it is the reactor's to report.
            _reactor.Post(() => ExceptionDispatchInfo.Throw(e));
        }
    }

    private void CancelActive()
    {
        for (var i = 0; i < _slab.Capacity; i++)
            if (_pieces[i].Request is { IsCancelled: true })
                _queue.Cancel(_slab[i]);
        SiftStalled();
        WithdrawFromLocks();
    }

    // Ends what is over and waits for a lock.
    private void WithdrawFromLocks()
    {
        // Backwards: one that ends is replaced by the last, which was looked at.
        for (var i = _activeCount - 1; i >= 0; i--)
        {
            var request = _active[i];
            if (!request.IsOver || request.Outstanding != 0) continue;

            // If it got the lock meanwhile it comes through the ring, and ends there.
            if (request.HoldsLock && _locks.Withdraw(request)) Continue(request);
        }
    }

    private bool MakePiece(VolumeRequest request)
    {
        if (_slab.Available == 0) return false;
        var blockSize = _info.BlockSize;
        var piece = new Piece { Request = request, Bounce = -1, Start = request.Cursor };
        var wanted = new IoDescriptor { Operation = request.Operation, Flags = request.Flags };
        long length;
        if (request.Operation == IoOperation.Flush)
        {
            length = 1;
        }
        else
        {
            var left = request.Length - request.Cursor;
            var position = request.Offset + request.Cursor;
            piece.Skip = (uint)(position % blockSize);
            wanted.Lba = (ulong)(position / blockSize);
            length = Cut(request, ref piece, ref wanted, left);
            if (length == 0) return false;
        }

        var descriptor = _slab.Take();
        *descriptor = wanted;
        piece.Length = (uint)Math.Min(length, uint.MaxValue); // Only what is copied needs it, and that is at most a bounce buffer.
        _pieces[_slab.IndexOf(descriptor)] = piece;
        request.Cursor += length;
        request.Outstanding++;
        _ready.Push(descriptor);
        return true;
    }

    // How many bytes the next piece covers, and how; 0 where there is no buffer for it.
    private long Cut(VolumeRequest request, ref Piece piece, ref IoDescriptor wanted, long left)
    {
        var blockSize = _info.BlockSize;
        var whole = piece.Skip == 0 ? left / blockSize : 0;
        if (whole != 0 && NeedsNoBuffer(request.Operation))
        {
            wanted.BlockCount = (uint)Math.Min(whole, _info.MaxRangeBlocks);
            return (long)wanted.BlockCount * blockSize;
        }

        var memory = request.Memory + request.Cursor;
        if (whole != 0 && request.IsDma && (ulong)memory % _info.BufferAlignment == 0)
        {
            wanted.BlockCount = (uint)Math.Min(whole, _info.MaxTransferBlocks);
            wanted.Buffer = memory;
            wanted.Region = request.Region;
            return (long)wanted.BlockCount * blockSize;
        }

        if (_freeBounceCount == 0) return 0;
        piece.Bounce = _freeBounces[--_freeBounceCount];
        var bounce = BounceAt(piece.Bounce);
        wanted.Buffer = bounce;
        wanted.Region = _bounceRegion;
        if (request.Operation == IoOperation.Read)
        {
            // Blocks at the edges are read whole, and what is asked of them is copied out. With DMA memory an edge goes alone, so that the rest is not copied.
            var room = request.IsDma && whole == 0 ? blockSize : _bounceBytes;
            var bytes = Math.Min(left, room - piece.Skip);
            wanted.BlockCount = (uint)((piece.Skip + bytes + blockSize - 1) / blockSize);
            return bytes;
        }

        if (whole == 0)
        {
            // An edge: read first; the write follows with the same descriptor.
            piece.IsEdge = true;
            (wanted.Operation, wanted.Flags, wanted.BlockCount) = (IoOperation.Read, IoFlags.None, 1);
            return Math.Min(left, blockSize - piece.Skip);
        }

        var length = Math.Min(whole * blockSize, _bounceBytes);
        (wanted.Operation, wanted.BlockCount) = (IoOperation.Write, (uint)(length / blockSize));
        wanted.Flags &= IoFlags.ForceUnitAccess;
        Fill(request, request.Cursor, bounce, (uint)length);
        return length;
    }

    private bool NeedsNoBuffer(IoOperation operation) =>
        operation == IoOperation.Discard || (operation == IoOperation.WriteZeroes && _info.Has(VolumeCapabilities.WriteZeroes));

    private void PieceIsBack(IoDescriptor* descriptor)
    {
        ref var piece = ref _pieces[_slab.IndexOf(descriptor)];
        var request = piece.Request!;
        if (descriptor->Status == IoStatus.Success)
        {
            if (piece.IsEdge && descriptor->Operation == IoOperation.Read && request.Status == IoStatus.Success && !request.IsCancelled)
            {
                Fill(request, piece.Start, descriptor->Buffer + piece.Skip, piece.Length);
                descriptor->Operation = IoOperation.Write;
                descriptor->Flags = request.Flags & IoFlags.ForceUnitAccess;
                _ready.Push(descriptor);
                return;
            }

            if (piece.IsEdge && descriptor->Operation == IoOperation.Read && request.Status == IoStatus.Success) request.Status = IoStatus.Cancelled;
            if (piece.Bounce >= 0 && request.Operation == IoOperation.Read)
            {
                Buffer.MemoryCopy(descriptor->Buffer + piece.Skip, request.Memory + piece.Start, piece.Length, piece.Length);
                Count(piece.Length);
            }
        }
        else if (request.Status == IoStatus.Success)
        {
            request.Status = descriptor->Status;
        }

        if (piece.Bounce >= 0) _freeBounces[_freeBounceCount++] = piece.Bounce;
        piece = default;
        _slab.Return(descriptor);
        if (--request.Outstanding == 0 && !request.IsStalled) Continue(request);
    }

    private void Fill(VolumeRequest request, long start, byte* into, uint length)
    {
        if (request.Memory is null)
        {
            NativeMemory.Clear(into, length);
            return;
        }

        Buffer.MemoryCopy(request.Memory + start, into, length, length);
        Count(length);
    }

    private void Count(uint bytes)
    {
        Volatile.Write(ref _copied, _copied + bytes);
        if (_copiedCounter is not null) *_copiedCounter += bytes;
    }

    private byte* BounceAt(int index) => _bounces + (nuint)index * _bounceStride;

    private struct Piece
    {
        public VolumeRequest? Request;
        public long Start;  // Of the request's bytes, those from here on …
        public uint Length; // … so many …
        public uint Skip;   // … lie so far into the first block.
        public int Bounce;  // -1 for none.
        public bool IsEdge; // A block that a change writes in part.
    }
}
