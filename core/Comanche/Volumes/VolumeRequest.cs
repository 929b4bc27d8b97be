using System.Buffers;
using System.Runtime.InteropServices;
using System.Threading.Tasks.Sources;

namespace Comanche;

/// <summary>
/// One call of a <see cref="Volume"/>, from the caller's thread to the reactor and back: the state of its pieces, and the task that the caller awaits.
/// </summary>
/// <remarks>
/// Taken from the volume's pool by the call, and given back when its result is fetched. In between it belongs to the caller until it is pushed, to the reactor
/// until it is complete, then to whoever fetches the result. A result that is never fetched costs the pool one object and nothing else.
/// </remarks>
internal sealed unsafe class VolumeRequest(Volume volume, VolumeWorker worker) : IValueTaskSource, IThreadPoolWorkItem
{
    private ManualResetValueTaskSourceCore<bool> _core;
    private MemoryHandle _pin;
    private CancellationTokenRegistration _registration;
    private CancellationToken _token;
    private ManualResetEventSlim? _event; // Of the thread that waits, in a synchronous call.
    private Exception? _cause;            // Of a failure that is not the device's answer.
    private bool _synchronous;
    private int _cancelled;

    /// <summary>Who serves it.</summary>
    public VolumeWorker Worker => worker;

    /// <summary>What is asked.</summary>
    public IoOperation Operation { get; private set; }

    /// <summary>How.</summary>
    public IoFlags Flags { get; private set; }

    /// <summary>First byte.</summary>
    public long Offset { get; private set; }

    /// <summary>Length in bytes.</summary>
    public long Length { get; private set; }

    /// <summary>The caller's memory; null for zeroes.</summary>
    public byte* Memory { get; private set; }

    /// <summary>Whether that is DMA memory.</summary>
    public bool IsDma { get; private set; }

    /// <summary>The region of DMA memory.</summary>
    public uint Region { get; private set; }

    /// <summary>First block that it touches.</summary>
    public ulong FirstLba { get; private set; }

    /// <summary>Last block that it touches.</summary>
    public ulong LastLba { get; private set; }

    /// <summary>A change that does not write its first block whole.</summary>
    public bool HasHeadEdge { get; private set; }

    /// <summary>A change that does not write its last block whole.</summary>
    public bool HasTailEdge { get; private set; }

    /// <summary>Whether either.</summary>
    public bool HasEdges => HasHeadEdge || HasTailEdge;

    /// <summary>Whether the caller does not want it any more. Any thread.</summary>
    public bool IsCancelled => Volatile.Read(ref _cancelled) != 0;

    /// <summary>Whether nothing more is to be done of it. Reactor thread only.</summary>
    public bool IsOver => Status != IoStatus.Success || IsCancelled;

    /// <summary>Whether a device that failed may still touch its memory: that stays pinned, and its blocks locked, for good. Reactor thread only.</summary>
    public bool IsLost { get; set; }

    // The list of VolumeLocks, under its lock. HoldsLock is read by the reactor too, which alone brings it in and takes it out.
    public VolumeRequest? Previous;
    public VolumeRequest? Next;
    public VolumeRequest? NextGranted;
    public bool IsWaiting;
    public bool HoldsLock;

    // Reactor thread only.
    public long Cursor;         // Bytes for which pieces were made.
    public int Outstanding;     // Pieces that are not back.
    public IoStatus Status;     // The first failure.
    public bool IsStarted;
    public bool IsStalled;      // In the line of those that wait for descriptors or bounce buffers.
    public int ActiveIndex;     // Its place among the worker's active requests.

    /// <summary>The caller's task.</summary>
    public ValueTask Task => new(this, _core.Version);

    /// <summary>Fills in what is asked. The memory is pinned until <see cref="Finish"/>.</summary>
    public void Prepare(IoOperation operation, IoFlags flags, long offset, long length, Memory<byte> memory, CancellationToken token)
    {
        Reset(operation, flags, offset, length);
        if (!memory.IsEmpty)
        {
            _pin = memory.Pin();
            Memory = (byte*)_pin.Pointer;
            IsDma = MemoryMarshal.TryGetMemoryManager<byte, DmaBuffer>(memory, out var manager);
            Region = IsDma ? manager!.Region : 0;
        }

        _token = token;
        if (token.CanBeCanceled) _registration = token.UnsafeRegister(static state => ((VolumeRequest)state!).Cancel(), this);
    }

    /// <summary>The same for a caller that waits: its memory stays where it is by itself.</summary>
    public void PrepareSynchronous(IoOperation operation, IoFlags flags, long offset, long length, byte* memory)
    {
        Reset(operation, flags, offset, length);
        Memory = memory;
        _synchronous = true;
        (_event ??= new ManualResetEventSlim(false, spinCount: 50)).Reset();
    }

    /// <summary>Undoes what a failed <see cref="Prepare"/> had begun.</summary>
    public void Abort()
    {
        _registration.Dispose();
        _pin.Dispose();
        _pin = default;
    }

    /// <summary>Waits for the end of a synchronous call, and throws what came of it.</summary>
    public void Wait()
    {
        _event!.Wait();
        var version = _core.Version;
        GetResult(version);
    }

    /// <summary>Makes it fail for what became of its volume, if it has not failed for something else.</summary>
    public void Fail(Exception cause)
    {
        if (Status != IoStatus.Success) return;
        Status = IoStatus.DeviceFailed;
        _cause = cause;
    }

    /// <summary>Called on the reactor when all pieces are back. Nothing of this may be used afterwards.</summary>
    public void Complete(bool inline)
    {
        if (_synchronous || inline) Finish();
        else ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
    }

    void IThreadPoolWorkItem.Execute() => Finish();

    /// <summary>Throws what came of it, and gives the request back. Asked too early, or with the token of an earlier call, it throws and the request stays where it is.</summary>
    public void GetResult(short token)
    {
        if (_core.GetStatus(token) == ValueTaskSourceStatus.Pending) throw new InvalidOperationException("the result of a call was asked for before its end");
        try
        {
            _core.GetResult(token);
        }
        finally
        {
            _core.Reset();
            if (!IsLost) volume.Return(this); // Else it stands in the list of locks for good.
        }
    }

    /// <inheritdoc/>
    public ValueTaskSourceStatus GetStatus(short token) => _core.GetStatus(token);

    /// <inheritdoc/>
    public void OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _core.OnCompleted(continuation, state, token, flags);

    private void Reset(IoOperation operation, IoFlags flags, long offset, long length)
    {
        (Operation, Flags, Offset, Length) = (operation, flags, offset, length);
        Memory = null;
        (IsDma, Region, _token, _registration, _pin, _synchronous, _cancelled) = (false, 0, default, default, default, false, 0);
        (Cursor, Outstanding, Status, IsStarted, IsStalled, IsLost, _cause) = (0, 0, IoStatus.Success, false, false, false, null);
        var blockSize = (long)volume.BlockSize;
        FirstLba = (ulong)(offset / blockSize);
        LastLba = (ulong)((offset + Math.Max(length, 1) - 1) / blockSize);
        var change = operation is IoOperation.Write or IoOperation.WriteZeroes;
        HasHeadEdge = change && offset % blockSize != 0;
        HasTailEdge = change && (offset + length) % blockSize != 0;
    }

    private void Cancel()
    {
        Volatile.Write(ref _cancelled, 1);
        worker.CancelSoon();
    }

    private void Finish()
    {
        // After this no callback runs any more; one that runs now is waited for, and it only sets a flag.
        _registration.Dispose();
        if (!IsLost) _pin.Dispose();
        var waiter = _synchronous ? _event : null;
        SetOutcome();
        waiter?.Set();
    }

    private void SetOutcome()
    {
        if (Status == IoStatus.Success) _core.SetResult(true);
        else if (Status == IoStatus.Cancelled && IsCancelled) _core.SetException(new OperationCanceledException(_token));
        else _core.SetException(new ComancheIoException($"{Operation.ToString().ToLowerInvariant()} of {Length} bytes at offset {Offset}", Status, _cause));
    }
}
