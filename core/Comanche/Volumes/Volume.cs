using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Comanche;

/// <summary>
/// A block device for applications: asynchronous and synchronous reads and writes of any offset and length, on any thread.
/// </summary>
/// <remarks>
/// <para><b>Threads.</b> Any thread may call. The work is done on a reactor, where the volume has a queue of its own; calls travel there through a ring without locks,
/// and continuations run on the thread pool (see <see cref="VolumeOptions.InlineContinuations"/>). Synchronous calls must not be made on that reactor.</para>
/// <para><b>Copies.</b> Memory of a <see cref="DmaBuffer"/> goes to the device as it is where offset, length and address are aligned. Anything else is copied through a
/// bounded pool of DMA buffers; <see cref="CopiedBytes"/> counts that.</para>
/// <para><b>Unaligned changes</b> read, change and write the blocks at their edges. Two changes that share such a block are done one after the other, also across
/// volumes that are open on the same device object. Changes that overlap otherwise have no order, as on a disk.</para>
/// <para><b>Bounds.</b> At most <see cref="VolumeOptions.MaxRequests"/> calls are in progress; further ones wait their turn without blocking. Calls allocate nothing in
/// steady state. As with every pooled <see cref="ValueTask"/>, the result is awaited once.</para>
/// <para><b>Cancellation</b> is a request: the task ends when the device has given the caller's memory back, with <see cref="OperationCanceledException"/> where
/// something was left undone. What a cancelled change had done by then is undefined.</para>
/// <para><b>Errors</b> of the device are <see cref="ComancheIoException"/> with their <see cref="IoStatus"/>. Where its queue breaks the contract and throws, all calls, also later ones,
/// fail with <see cref="IoStatus.DeviceFailed"/> and that as their cause.</para>
/// </remarks>
public sealed class Volume : IAsyncDisposable
{
    private readonly IBlockDevice _device;
    private readonly IReactor _reactor;
    private readonly VolumeOptions _options;
    private readonly Lock _lock = new();
    private readonly VolumeRequest?[] _pool;                // Under _lock.
    private readonly Queue<TaskCompletionSource> _waiters = new(); // Under _lock; calls that wait for a slot.
    private readonly TaskCompletionSource _closed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private VolumeWorker _worker = null!;
    private VolumeInfo _info;
    private int _pooled;      // Under _lock.
    private int _slots;       // Under _lock: calls that may still start.
    private bool _closing;    // Under _lock.
    private ulong _eventNumber;

    private Volume(IBlockDevice device, IReactor reactor, VolumeOptions options)
    {
        (_device, _reactor, _options) = (device, reactor, options);
        _slots = options.MaxRequests;
        _pool = new VolumeRequest?[options.MaxRequests];
        _eventNumber = device.GetEventNumber();
        _info = Describe(device);
        device.Retain();
    }

    /// <summary>The device's geometry.</summary>
    public VolumeInfo Info => _info;

    /// <summary>Bytes of a block.</summary>
    public int BlockSize => (int)_info.BlockSize;

    /// <summary>The volume's length in bytes. It may grow.</summary>
    public long Length
    {
        get
        {
            Refresh();
            return (long)Volatile.Read(ref _info.BlockCount) * _info.BlockSize;
        }
    }

    /// <summary>Whether every change is refused.</summary>
    public bool IsReadOnly => _info.Has(VolumeCapabilities.ReadOnly);

    /// <summary>Bytes that were copied between callers' memory and DMA memory.</summary>
    public long CopiedBytes => (long)_worker.CopiedBytes;

    /// <summary>Opens a queue of a device on a reactor.</summary>
    /// <param name="device">The device, started. It is retained until the volume is disposed of.</param>
    /// <param name="reactor">Where the work is done.</param>
    /// <param name="options">How; null for the defaults.</param>
    public static Task<Volume> OpenAsync(IBlockDevice device, IReactor reactor, VolumeOptions? options = null)
    {
        options ??= new();
        ArgumentOutOfRangeException.ThrowIfNotEqual(options.Depth is > 0 and <= (int)QueueOptions.MaxDepth, true, nameof(options));
        ArgumentOutOfRangeException.ThrowIfNotEqual(options.MaxRequests is > 0 and <= 65536, true, nameof(options));
        ArgumentOutOfRangeException.ThrowIfNotEqual(options is { BounceBuffers: > 0, BounceBytes: > 0 }, true, nameof(options));
        var volume = new Volume(device, reactor, options);
        var opened = new TaskCompletionSource<Volume>(TaskCreationOptions.RunContinuationsAsynchronously);
        try
        {
            reactor.Post(() => volume.Open(opened));
        }
        catch
        {
            device.Release();
            throw;
        }

        return opened.Task;
    }

    /// <summary>Allocates DMA memory that is aligned for this device.</summary>
    public DmaBuffer AllocateBuffer(int length) => DmaBuffer.Allocate(_device, length, (int)Math.Max(_info.BufferAlignment, 4096));

    /// <summary>Fills memory from the volume. The memory must not be touched until the task ends.</summary>
    /// <param name="offset">First byte.</param>
    /// <param name="buffer">The memory; that of a <see cref="DmaBuffer"/> is read into directly where all is aligned.</param>
    /// <param name="cancellationToken">Asks for an early end.</param>
    public ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default) =>
        RunAsync(IoOperation.Read, IoFlags.None, offset, buffer.Length, buffer, cancellationToken);

    /// <summary>Fills a DMA buffer from the volume.</summary>
    public ValueTask ReadAsync(long offset, DmaBuffer buffer, CancellationToken cancellationToken = default) =>
        ReadAsync(offset, buffer.Memory, cancellationToken);

    /// <summary>Writes memory to the volume. The memory must not be changed until the task ends.</summary>
    /// <param name="offset">First byte.</param>
    /// <param name="buffer">The memory; that of a <see cref="DmaBuffer"/> is written from directly where all is aligned.</param>
    /// <param name="forceUnitAccess">Whether the data are to be durable when the task ends, without a flush.</param>
    /// <param name="cancellationToken">Asks for an early end.</param>
    public ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> buffer, bool forceUnitAccess = false, CancellationToken cancellationToken = default) =>
        RunAsync(
            IoOperation.Write, forceUnitAccess ? IoFlags.ForceUnitAccess : IoFlags.None, offset, buffer.Length, MemoryMarshal.AsMemory(buffer), cancellationToken);

    /// <summary>Writes memory to the volume.</summary>
    public ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken) =>
        WriteAsync(offset, buffer, false, cancellationToken);

    /// <summary>Writes a DMA buffer to the volume.</summary>
    public ValueTask WriteAsync(long offset, DmaBuffer buffer, bool forceUnitAccess = false, CancellationToken cancellationToken = default) =>
        WriteAsync(offset, (ReadOnlyMemory<byte>)buffer.Memory, forceUnitAccess, cancellationToken);

    /// <summary>Makes durable every change whose task had ended before this call.</summary>
    public ValueTask FlushAsync(CancellationToken cancellationToken = default) =>
        RunAsync(IoOperation.Flush, IoFlags.None, 0, 0, default, cancellationToken);

    /// <summary>
    /// Says that a range's content is not needed any more. Only blocks that lie in it whole are discarded; it is advice, and does nothing on a volume without
    /// the capability.
    /// </summary>
    public ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        if (Problem(IoOperation.Discard, offset, length) is { } problem) return ValueTask.FromException(problem);
        if (!_info.Has(VolumeCapabilities.Discard)) return default;
        var first = (offset + BlockSize - 1) / BlockSize * BlockSize;
        var end = (offset + length) / BlockSize * BlockSize;
        return end <= first ? default : RunAsync(IoOperation.Discard, IoFlags.None, first, end - first, default, cancellationToken);
    }

    /// <summary>Makes a range read as zeroes; by writing them, where the volume can't do it otherwise.</summary>
    public ValueTask WriteZeroesAsync(long offset, long length, bool forceUnitAccess = false, CancellationToken cancellationToken = default) =>
        RunAsync(IoOperation.WriteZeroes, forceUnitAccess ? IoFlags.ForceUnitAccess : IoFlags.None, offset, length, default, cancellationToken);

    /// <summary>Fills memory from the volume and waits for it.</summary>
    public unsafe void Read(long offset, Span<byte> buffer)
    {
        fixed (byte* memory = buffer) Run(IoOperation.Read, IoFlags.None, offset, buffer.Length, memory);
    }

    /// <summary>Writes memory to the volume and waits for it.</summary>
    public unsafe void Write(long offset, ReadOnlySpan<byte> buffer, bool forceUnitAccess = false)
    {
        fixed (byte* memory = buffer)
            Run(IoOperation.Write, forceUnitAccess ? IoFlags.ForceUnitAccess : IoFlags.None, offset, buffer.Length, memory);
    }

    /// <summary>Makes durable every change that had ended before this call, and waits for it.</summary>
    public unsafe void Flush() => Run(IoOperation.Flush, IoFlags.None, 0, 0, null);

    /// <summary>
    /// Takes no further calls, waits for those that are in progress, and closes the queue. Calls that wait for their turn fail with
    /// <see cref="ObjectDisposedException"/>. What was written is not flushed. Not to be waited for synchronously on the reactor.
    /// </summary>
    public ValueTask DisposeAsync()
    {
        List<TaskCompletionSource> waiters;
        bool idle;
        lock (_lock)
        {
            if (_closing) return new ValueTask(_closed.Task);
            _closing = true;
            idle = _slots == _options.MaxRequests;
            waiters = [.. _waiters];
            _waiters.Clear();
        }

        foreach (var waiter in waiters) waiter.TrySetException(new ObjectDisposedException(nameof(Volume)));
        if (idle) CloseSoon();
        return new ValueTask(_closed.Task);
    }

    /// <summary>A call is over: its slot goes to one that waits. Reactor's thread.</summary>
    internal void SlotIsFree()
    {
        bool idle;
        lock (_lock)
        {
            // A waiter that was cancelled meanwhile is passed over.
            while (_waiters.TryDequeue(out var waiter))
                if (waiter.TrySetResult())
                    return;
            _slots++;
            idle = _closing && _slots == _options.MaxRequests;
        }

        if (idle) CloseSoon();
    }

    /// <summary>Takes a request back whose result was fetched.</summary>
    internal void Return(VolumeRequest request)
    {
        lock (_lock)
            if (_pooled < _pool.Length)
                _pool[_pooled++] = request;
    }

    private void Open(TaskCompletionSource<Volume> opened)
    {
        try
        {
            _worker = new VolumeWorker(this, _device, _reactor, _info, _options);
            _reactor.Add(_worker);
            opened.SetResult(this);
        }
        catch (Exception e)
        {
            _device.Release();
            opened.SetException(e);
        }
    }

    private ValueTask RunAsync(IoOperation operation, IoFlags flags, long offset, long length, Memory<byte> memory, CancellationToken token)
    {
        if (token.IsCancellationRequested) return ValueTask.FromCanceled(token);
        if (Problem(operation, offset, length) is { } problem) return ValueTask.FromException(problem);
        if (length == 0 && operation != IoOperation.Flush) return default;
        return TryTakeSlot(out var wait)
            ? Launch(operation, flags, offset, length, memory, token)
            : LaunchLater(wait, operation, flags, offset, length, memory, token);
    }

    private async ValueTask LaunchLater(
        TaskCompletionSource wait, IoOperation operation, IoFlags flags, long offset, long length, Memory<byte> memory, CancellationToken token)
    {
        using (token.UnsafeRegister(static (state, t) => ((TaskCompletionSource)state!).TrySetCanceled(t), wait))
            await wait.Task.ConfigureAwait(false);
        await Launch(operation, flags, offset, length, memory, token).ConfigureAwait(false);
    }

    private ValueTask Launch(IoOperation operation, IoFlags flags, long offset, long length, Memory<byte> memory, CancellationToken token)
    {
        var request = TakeRequest();
        try
        {
            request.Prepare(operation, flags, offset, length, memory, token);
        }
        catch (Exception e)
        {
            // The caller's memory, or its token, was disposed of.
            request.Abort();
            SlotIsFree();
            Return(request);
            return ValueTask.FromException(e);
        }

        // The request is the reactor's once it is pushed, so the task comes first.
        var task = request.Task;
        _worker.Push(request);
        return task;
    }

    private unsafe void Run(IoOperation operation, IoFlags flags, long offset, long length, byte* memory)
    {
        if (_reactor.IsCurrent) throw new InvalidOperationException($"a synchronous call on reactor {_reactor.Name} would wait for itself");
        if (Problem(operation, offset, length) is { } problem) throw problem;
        if (length == 0 && operation != IoOperation.Flush) return;
        if (!TryTakeSlot(out var wait)) wait.Task.GetAwaiter().GetResult();
        var request = TakeRequest();
        request.PrepareSynchronous(operation, flags, offset, length, memory);
        _worker.Push(request);
        request.Wait();
    }

    private bool TryTakeSlot([System.Diagnostics.CodeAnalysis.NotNullWhen(false)] out TaskCompletionSource? wait)
    {
        wait = null;
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_closing, this);
            if (_slots > 0)
            {
                _slots--;
                return true;
            }

            wait = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            _waiters.Enqueue(wait);
            return false;
        }
    }

    private VolumeRequest TakeRequest()
    {
        lock (_lock)
        {
            if (_pooled != 0)
            {
                var request = _pool[--_pooled]!;
                _pool[_pooled] = null;
                return request;
            }
        }

        return new VolumeRequest(this, _worker);
    }

    private Exception? Problem(IoOperation operation, long offset, long length)
    {
        if (offset < 0) return new ArgumentOutOfRangeException(nameof(offset), offset, "an offset is not negative");
        if (length < 0) return new ArgumentOutOfRangeException(nameof(length), length, "a length is not negative");
        if (operation.IsChange() && IsReadOnly)
            return new ComancheIoException($"{operation.ToString().ToLowerInvariant()} of {length} bytes at offset {offset}", IoStatus.ReadOnly);
        if (offset <= Length && length <= Length - offset) return null;
        return new ComancheIoException(
            $"{operation.ToString().ToLowerInvariant()} of {length} bytes at offset {offset} of a volume of {Length} bytes", IoStatus.OutOfRange);
    }

    private void Refresh()
    {
        var number = _device.GetEventNumber();
        if (number == Volatile.Read(ref _eventNumber)) return;

        // Only the length may change while the device is started.
        Volatile.Write(ref _info.BlockCount, Describe(_device).BlockCount);
        Volatile.Write(ref _eventNumber, number);
    }

    private static unsafe VolumeInfo Describe(IBlockDevice device)
    {
        VolumeInfo info;
        device.GetVolumeInfo(&info);
        return info;
    }

    private void CloseSoon() => _reactor.Post(() =>
    {
        try
        {
            _reactor.Remove(_worker);
            _worker.Close();
            _device.Release();
            _closed.SetResult();
        }
        catch (Exception e)
        {
            _closed.SetException(e);
        }
    });
}
