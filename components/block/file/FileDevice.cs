using System.Runtime.InteropServices.Marshalling;
using Comanche.Linux;

namespace Comanche.Block;

/// <summary>
/// A volume in a file or on a block device of the kernel.
/// </summary>
/// <remarks>
/// <para>Every queue has an io_uring of its own: a submitted batch is one call into the kernel for every few descriptors, and polling makes one only when there is something to
/// fetch. Memory of the process's registry is registered with the ring, so that the kernel need not pin pages for each I/O. Where io_uring is
/// forbidden a queue makes one blocking call for each I/O instead.</para>
/// <para>The file is locked (flock): exclusively, or shared where the device is read-only.</para>
/// <para>Discard makes holes, which give their space back and read as zeroes. Write-zeroes makes holes too, or, with
/// <see cref="IoFlags.NoUnmap"/> or <c>preallocate</c>, zeroed space that stays allocated; where the file system has neither, it writes zeroes.</para>
/// </remarks>
[Component("block/file", "4f6f2a51-54c1-4b0a-8f4e-0d6c1f6b1a0f", "A volume in a file or on a block device, by io_uring")]
[GeneratedComClass]
public sealed unsafe partial class FileDevice(IHost host, FileDeviceOptions options) : BlockDevice(host), IPlanned
{
    // Writing zeroes where the file system can't make them: 128 KiB a step.
    internal const uint ZeroBytes = 128 * 1024;
    private const uint MaxTransferBytes = 16u << 20;
    private const uint MaxSegments = 256;

    private static readonly Lazy<IoUringProbe> Machine = new(IoUring.Probe);

    private readonly Stack<nint> _syscallCounters = []; // Under its own lock; those of closed queues, to be used again.
    private FileMedium? _medium;
    private IoBuffer _zeroes;
    private bool _ring;
    private ulong _readErrors;
    private ulong _writeErrors;
    private ulong _flushErrors;
    private ulong _timeouts;
    private int _durability; // An IoStatus; 0 is success.
    private bool _isLossSaid; // Set-up thread only.
    private bool _removed;

    /// <summary>What the machine offers; a test may say something else.</summary>
    internal Func<IoUringProbe> Probe { get; init; } = () => Machine.Value;

    /// <summary>Opens the medium; a test may bring one whose I/O never ends.</summary>
    internal Func<IHost, FileDeviceOptions, FileMedium> OpenMedium { get; init; } = FileMedium.Open;

    /// <summary>Set-up flags of io_uring that are not tried, for tests of older kernels.</summary>
    internal uint WithoutFlags { get; init; }

    /// <summary>The open medium.</summary>
    internal FileMedium Medium => _medium ?? throw new ComancheException($"{Name}: used before it is started");

    /// <summary>Zeroes, <see cref="ZeroBytes"/> long, to write from.</summary>
    internal byte* Zeroes { get; private set; }

    /// <summary>The longest time of an I/O in nanoseconds, 0 for no limit.</summary>
    internal ulong TimeoutNs => (ulong)options.Timeout.Ticks * 100;

    /// <inheritdoc/>
    public static void Plan(PlanContext plan)
    {
        var options = plan.Options<FileDeviceOptions>();
        if (options.Path.Length == 0)
        {
            plan.Error("path", "is empty");
            return;
        }

        if (options.Path.Contains('\0'))
        {
            plan.Error("path", "holds a NUL character, which no path can");
            return;
        }

        var path = Path.GetFullPath(options.Path);
        plan.Claim($"file {path}", "path");
        if (options.Engine == FileEngine.Sync && options.Sqpoll) plan.Warn("sqpoll", "does nothing with engine: sync");
        if (options.Timeout < TimeSpan.Zero) plan.Error("timeout", "is negative");

        var length = options.Size.Bytes;
        var exists = PosixFile.Stat(path, out var stat) >= 0;
        if (!exists && (plan.IsReadOnly || !options.Create)) plan.Error("path", $"{path} does not exist");
        else if (!exists && length == 0) plan.Error("size", $"is needed, since {path} does not exist");
        if (exists && stat is { IsRegularFile: false, IsBlockDevice: false }) plan.Error("path", $"{path} is neither a file nor a block device");
        if (exists && stat.IsRegularFile)
        {
            if (length == 0) length = stat.stx_size;
            else if (stat.stx_size > length) plan.Error("size", $"{options.Size} is less than the {new ByteSize(stat.stx_size)} of {path}, which is never shrunk");
            else if (stat.stx_size < length && (plan.IsReadOnly || !options.Create))
                plan.Error("size", $"{options.Size} is more than the {new ByteSize(stat.stx_size)} of {path}");
        }

        var blockSize = options.BlockSize.Bytes != 0
            ? options.BlockSize
            : new ByteSize(Math.Max(512, options.Direct ? FileMedium.PlannedAlignment(path) : 512));
        if (!Geometry.Check(plan, blockSize, options.Size.Bytes == 0 ? blockSize : options.Size) || length < blockSize.Bytes) return;
        plan.Volume = Describe((uint)blockSize.Bytes, length / blockSize.Bytes, plan.IsReadOnly);
    }

    /// <inheritdoc/>
    public override void GetHealth(DeviceHealth* health) => *health = new DeviceHealth
    {
        State = Volatile.Read(ref _removed) ? DeviceState.Failed : DeviceState.Healthy,
        ReadErrors = Volatile.Read(ref _readErrors),
        WriteErrors = Volatile.Read(ref _writeErrors),
        FlushErrors = Volatile.Read(ref _flushErrors),
        Timeouts = Volatile.Read(ref _timeouts),
    };

    /// <inheritdoc/>
    protected override void OnStart()
    {
        if (options.BlockSize.Bytes != 0 || options.Size.Bytes != 0)
        {
            var blockSize = options.BlockSize.Bytes != 0 ? options.BlockSize : new ByteSize(512);
            Geometry.Require(Name, blockSize, options.Size.Bytes != 0 ? options.Size : blockSize);
        }

        (_durability, _isLossSaid) = (0, false);
        _ring = ChooseEngine();
        _medium = OpenMedium(Host, options);
        try
        {
            _zeroes = AllocateIoBuffer(ZeroBytes, 4096, -1);
            IoBufferInfo info;
            GetBufferInfo(_zeroes, &info);
            Zeroes = (byte*)info.Address;
        }
        catch
        {
            CloseMedium();
            throw;
        }
    }

    /// <inheritdoc/>
    protected override void OnStop()
    {
        base.OnStop();
        if (!Medium.IsReadOnly && PosixFile.SyncData(Medium.Descriptor) is < 0 and var error) CountLoss(Errno.ToStatus(-error));
        if (Durability is var lost and not IoStatus.Success && !_isLossSaid)
        {
            // Said once: whoever stops it again has heard it, and wants the medium closed.
            _isLossSaid = true;
            throw new ComancheException($"{Name}: {Medium.Path}: making data durable failed with {lost}; what was written since the last good flush may be lost", lost);
        }

        FreeIoBuffer(_zeroes);
        Zeroes = null;
        CloseMedium();
    }

    /// <inheritdoc/>
    protected override void OnClose() => CloseMedium();

    /// <inheritdoc/>
    protected override VolumeInfo DescribeVolume()
    {
        var volume = Describe(Medium.BlockSize, Medium.BlockCount, Medium.IsReadOnly);
        volume.BufferAlignment = Medium.MemoryAlignment;
        volume.DiscardGranularityBlocks = Medium.DiscardGranularity / Medium.BlockSize;
        if (!Medium.CanDiscard) volume.Capabilities &= ~(VolumeCapabilities.Discard | VolumeCapabilities.DiscardReadsZero);
        if (Medium.IsBlockDevice) volume.Capabilities &= ~VolumeCapabilities.DiscardReadsZero;
        return volume;
    }

    /// <inheritdoc/>
    protected override IIoQueue CreateQueue(QueueOptions queue)
    {
        if (!_ring) return new SyncFileQueue(this, Host, queue.Depth).Opened();
        var ring = IoUring.Open(new IoUringOptions
        {
            Entries = queue.Depth + UringFileQueue.SpareEntries,
            SingleIssuer = (queue.Flags & QueueFlags.Movable) == 0,
            SubmissionPolling = options.Sqpoll,
            SubmissionPollingIdleMs = 50,
            WithoutFlags = WithoutFlags,
        });
        try
        {
            return new UringFileQueue(this, Host, ring, queue).Opened();
        }
        catch
        {
            ring.Dispose();
            throw;
        }
    }

    /// <summary>
    /// What a flush or an FUA write may report at best. The kernel tells of a lost write-back once, to one of those that ask, and forgets it: the first failure is kept, so that no later
    /// flush claims what that one could not do. Until the next start. Any thread.
    /// </summary>
    internal IoStatus Durability => (IoStatus)Volatile.Read(ref _durability);

    /// <summary>Notes that something that was to be made durable may be lost. Any thread.</summary>
    internal void CountLoss(IoStatus status)
    {
        if (Interlocked.CompareExchange(ref _durability, (int)status, 0) == 0)
            Host.Log(LogLevel.Error, $"{Medium.Path}: {status} while making data durable: every flush fails from here on, until the device is started anew");
    }

    /// <summary>Counts a failure. Any thread.</summary>
    internal void CountFailure(IoOperation operation, IoStatus status)
    {
        if (operation == IoOperation.Flush) Interlocked.Increment(ref _flushErrors);
        else if (operation.IsChange()) Interlocked.Increment(ref _writeErrors);
        else Interlocked.Increment(ref _readErrors);
        if (status != IoStatus.DeviceRemoved || Interlocked.Exchange(ref _removed, true)) return;
        RaiseEvent();
    }

    /// <summary>Counts an I/O whose time was up. Any thread.</summary>
    internal void CountTimeout() => Interlocked.Increment(ref _timeouts);

    /// <summary>A counter of system calls for one queue.</summary>
    internal ulong* TakeSyscallCounter()
    {
        lock (_syscallCounters)
        {
            if (_syscallCounters.TryPop(out var cell)) return (ulong*)cell;
        }

        return Host.AddCounter("io.syscalls", "{call}", "Calls into the kernel for submission and completion of I/O");
    }

    /// <summary>Gives a counter back when its queue closes.</summary>
    internal void ReturnSyscallCounter(ulong* cell)
    {
        lock (_syscallCounters) _syscallCounters.Push((nint)cell);
    }

    private bool ChooseEngine()
    {
        if (options.Engine == FileEngine.Sync) return false;
        var probe = Probe();
        if (probe.IsAvailable) return true;
        if (options.Engine == FileEngine.Uring) throw new ComancheException($"{Name}: engine: uring can't be had: {probe.Reason}");
        Host.Log(LogLevel.Warning, $"io_uring can't be used: {probe.Reason}; every I/O is a blocking system call instead (engine: sync says that this is meant)");
        return false;
    }

    private void CloseMedium()
    {
        _medium?.Dispose();
        _medium = null;
    }

    private static VolumeInfo Describe(uint blockSize, ulong blockCount, bool readOnly) => new()
    {
        BlockSize = blockSize,
        BlockCount = blockCount,
        MaxTransferBlocks = MaxTransferBytes / blockSize,
        BufferAlignment = blockSize,
        MaxSegments = MaxSegments,
        AtomicWriteBlocks = 1,
        MaxRangeBlocks = uint.MaxValue,
        DiscardGranularityBlocks = Math.Max(1, 4096 / blockSize),
        Capabilities = VolumeCapabilities.Persistent | VolumeCapabilities.RetainsData | VolumeCapabilities.DurableFlush | VolumeCapabilities.VolatileCache
            | VolumeCapabilities.Discard | VolumeCapabilities.DiscardReadsZero | VolumeCapabilities.WriteZeroes
            | (readOnly ? VolumeCapabilities.ReadOnly : VolumeCapabilities.None),
    };
}
