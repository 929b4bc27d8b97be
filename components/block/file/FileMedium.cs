using Comanche.Linux;
using static Comanche.Linux.FileAbi;

namespace Comanche.Block;

/// <summary>
/// The open, locked file or block device of a <c>block/file</c>, and its geometry. Opening it makes or extends the file where that is asked for; what fails
/// leaves nothing behind.
/// </summary>
internal sealed unsafe class FileMedium : IDisposable
{
    // A process that was killed holds its lock until the kernel has ended its rings in the background: milliseconds, so that a second is ample.
    private const int LockAttempts = 50;
    private const long LockPauseNs = 20_000_000;

    private const uint SectorBytes = 512; // What stx_blocks counts.

    private readonly IHost _host;
    private readonly string _name;
    private readonly FileDeviceOptions _options;
    private bool _made; // It made the file, which was still empty when the lock on it was its own: nobody else has put anything into it.

    private FileMedium(IHost host, FileDeviceOptions options)
    {
        _host = host;
        _name = host.GetName();
        _options = options;
        Path = System.IO.Path.GetFullPath(options.Path);
        IsReadOnly = (host.GetFlags() & HostFlags.ReadOnly) != 0;
    }

    /// <summary>Its full path.</summary>
    public string Path { get; }

    /// <summary>The open file.</summary>
    public int Descriptor { get; private set; } = -1;

    /// <summary>Whether it was opened for reading only.</summary>
    public bool IsReadOnly { get; }

    /// <summary>A device node rather than a file.</summary>
    public bool IsBlockDevice { get; private set; }

    /// <summary>Whether the page cache is passed by.</summary>
    public bool IsDirect { get; private set; }

    /// <summary>Bytes of a block.</summary>
    public uint BlockSize { get; private set; }

    /// <summary>The volume's length in blocks.</summary>
    public ulong BlockCount { get; private set; }

    /// <summary>What offsets and lengths must be multiples of, in bytes; a part of a transfer ends at such a multiple.</summary>
    public uint OffsetAlignment { get; private set; } = 1;

    /// <summary>What buffers must be aligned to, in bytes.</summary>
    public uint MemoryAlignment { get; private set; } = 1;

    /// <summary>Whether a range can be given back.</summary>
    public bool CanDiscard { get; private set; }

    /// <summary>Discards of less may do nothing; in bytes.</summary>
    public uint DiscardGranularity { get; private set; }

    /// <summary>Whether zeroing must leave the space allocated, always.</summary>
    public bool KeepAllocated => _options.Preallocate;

    /// <summary>Opens it; throws with the path and the reason where that fails.</summary>
    public static FileMedium Open(IHost host, FileDeviceOptions options)
    {
        var medium = new FileMedium(host, options);
        try
        {
            medium.OpenAndCheck();
            return medium;
        }
        catch
        {
            if (medium._made) File.Delete(medium.Path);
            medium.Dispose();
            throw;
        }
    }

    /// <summary>A medium of a descriptor that is open already, like a pipe; it is owned from here on.</summary>
    internal static FileMedium Of(IHost host, int descriptor, uint blockSize, ulong blockCount) =>
        new(host, new FileDeviceOptions { Path = "." }) { Descriptor = descriptor, BlockSize = blockSize, BlockCount = blockCount, DiscardGranularity = blockSize };

    /// <summary>What direct I/O at a path, present or not, is aligned to, as far as that can be known without opening it.</summary>
    public static uint PlannedAlignment(string path)
    {
        for (var at = path; !string.IsNullOrEmpty(at); at = System.IO.Path.GetDirectoryName(at))
        {
            if (PosixFile.Stat(at, out var stat) < 0) continue;
            if ((stat.stx_mask & STATX_DIOALIGN) != 0 && stat.stx_dio_offset_align != 0) return stat.stx_dio_offset_align;
            return LogicalBlockSize(stat.IsBlockDevice ? (stat.stx_rdev_major, stat.stx_rdev_minor) : (stat.stx_dev_major, stat.stx_dev_minor));
        }

        return 512;
    }

    /// <summary>Unlocks and closes it.</summary>
    public void Dispose()
    {
        if (Descriptor < 0) return;
        PosixFile.Lock(Descriptor, LOCK_UN); // At once, whatever else may still hold the open file.
        PosixFile.Close(Descriptor);
        Descriptor = -1;
    }

    private void OpenAndCheck()
    {
        var made = MakeIfAbsent();
        OpenFile();
        LockFile();
        var stat = StatFile();
        _made = made && stat.stx_size == 0;
        var length = IsBlockDevice ? DeviceLength() : FileLength(stat.stx_size);
        SetAlignment(stat);
        CheckDirect(length);
        SetGeometry(length);
        FindDiscard(stat, length);
    }

    // Whether it made the file. Between that and the lock somebody else may open it, lock it, and be the one who has it.
    private bool MakeIfAbsent()
    {
        if (PosixFile.Stat(Path, out _) != -Errno.ENOENT) return false;
        if (IsReadOnly || !_options.Create) throw Problem("does not exist");
        if (_options.Size.Bytes == 0) throw Problem("does not exist; give size: to have it made");
        var folder = System.IO.Path.GetDirectoryName(Path)!;
        MakeFolder(folder);
        var entries = OpenFolder(folder); // Before the file is made: one whose name can't be made durable is not begun.
        const uint OwnerWritesGroupReads = 0b110_100_000;
        var made = PosixFile.Open(Path, O_RDWR | O_CREAT | O_EXCL, OwnerWritesGroupReads);
        if (made >= 0) PosixFile.Close(made);
        SyncFolder(folder, entries);
        if (made == -Errno.EEXIST) return false;
        if (made < 0) throw Problem("can't be made", made);
        _host.Log(LogLevel.Information, $"{Path} made, {_options.Size} long");
        return true;
    }

    // With every folder above that is absent. Each name survives a power cut as the data will.
    private void MakeFolder(string folder)
    {
        if (Directory.Exists(folder)) return;
        var above = System.IO.Path.GetDirectoryName(folder);
        if (above is not null) MakeFolder(above);
        try
        {
            Directory.CreateDirectory(folder);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ComancheException($"{_name}: {folder} can't be made: {e.Message}", e);
        }

        if (above is not null) SyncFolder(above, OpenFolder(above));
    }

    private int OpenFolder(string folder)
    {
        var entries = PosixFile.Open(folder, O_RDONLY | O_DIRECTORY);
        return entries >= 0 ? entries : throw new ComancheException($"{_name}: {folder} can't be opened to make it durable: {Errno.Describe(-entries)}");
    }

    // A file system that does not sync folders (EINVAL) has nothing to be told.
    private void SyncFolder(string folder, int entries)
    {
        var result = PosixFile.Sync(entries);
        PosixFile.Close(entries);
        if (result is < 0 and not -Errno.EINVAL) throw new ComancheException($"{_name}: {folder} can't be made durable: {Errno.Describe(-result)}");
    }

    private void OpenFile()
    {
        if (PosixFile.Stat(Path, out var stat) is < 0 and var error) throw Problem("can't be opened", error);
        if (stat is { IsRegularFile: false, IsBlockDevice: false }) throw Problem("is neither a file nor a block device");
        IsBlockDevice = stat.IsBlockDevice;

        // O_EXCL on a device: not while it is mounted or part of something else.
        var flags = IsReadOnly ? O_RDONLY : O_RDWR | (IsBlockDevice ? O_EXCL : 0);
        var opened = _options.Direct ? PosixFile.Open(Path, flags | O_DIRECT) : -Errno.EINVAL;
        IsDirect = opened >= 0;
        if (opened == -Errno.EINVAL)
        {
            opened = PosixFile.Open(Path, flags);
            if (opened >= 0 && _options.Direct) WarnBuffered();
        }

        if (opened == -Errno.EBUSY) throw Problem("is mounted or in use by another part of the kernel");
        if (opened < 0) throw Problem("can't be opened", opened);
        Descriptor = opened;
    }

    private void LockFile()
    {
        var operation = IsReadOnly ? LOCK_SH : LOCK_EX;
        for (var attempt = 0; ; attempt++)
        {
            var result = PosixFile.Lock(Descriptor, operation);
            if (result >= 0) break;
            if (result != -Errno.EAGAIN) throw Problem("can't be locked", result);
            if (attempt == LockAttempts) throw Problem(InUse());
            WaitSet none = default;
            _host.Wait(&none, LockPauseNs);
        }

        // While it waited, the file that it opened may have been deleted by the one who had it.
        var isThere = PosixFile.Stat(Path, out var named) >= 0 && PosixFile.Stat(Descriptor, out var opened) >= 0
            && (named.stx_ino, named.stx_dev_major, named.stx_dev_minor) == (opened.stx_ino, opened.stx_dev_major, opened.stx_dev_minor);
        if (!isThere) throw Problem("was replaced or deleted while it was opened");
    }

    private string InUse()
    {
        var holder = PosixFile.Stat(Descriptor, out var stat) < 0 ? 0 : FileLocks.Holder(stat);
        if (holder == Environment.ProcessId) return "is in use by another device of this process";
        return holder > 0 ? $"is in use by another process ({holder})" : "is in use by another process";
    }

    private statx StatFile()
    {
        var result = PosixFile.Stat(Descriptor, out var stat);
        return result >= 0 ? stat : throw Problem("can't be looked at", result);
    }

    private ulong DeviceLength()
    {
        var result = PosixFile.GetDeviceSize(Descriptor, out var length);
        if (result < 0) throw Problem("does not tell its size", result);
        if (!IsReadOnly && PosixFile.GetDeviceReadOnly(Descriptor) == 1) throw Problem("is a read-only device; use it with readonly: true");
        if (_options.Size.Bytes != 0 && _options.Size.Bytes != length)
            throw Problem($"is {new ByteSize(length)} long, not {_options.Size}; leave size: away for a device");
        return length;
    }

    private ulong FileLength(ulong length)
    {
        var wanted = _options.Size.Bytes;
        if (wanted == 0) wanted = length;
        if (length > wanted) throw Problem($"is {new ByteSize(length)} long, more than size: {_options.Size}; it is never shrunk");
        if (IsReadOnly || !_options.Create)
        {
            if (length < wanted) throw Problem($"is {new ByteSize(length)} long, less than size: {_options.Size}");
            return length;
        }

        if (length < wanted && PosixFile.Truncate(Descriptor, wanted) is < 0 and var grow)
            throw Problem($"can't be made {_options.Size} long", grow);
        if (length != 0 && length < wanted) _host.Log(LogLevel.Information, $"{Path} extended from {new ByteSize(length)} to {_options.Size}");
        try
        {
            if (_options.Preallocate) Preallocate(wanted);
        }
        catch
        {
            if (!_made) PosixFile.Truncate(Descriptor, length);
            throw;
        }

        if (length < wanted && PosixFile.Sync(Descriptor) is < 0 and var sync) throw Problem("can't be made durable", sync);
        return wanted;
    }

    private void Preallocate(ulong length)
    {
        if (length == 0) return;

        // The kernel fills the disk before it gives up, and does not say which holes it filled.
        var free = (ulong)new DriveInfo(Path).TotalFreeSpace;
        if (PosixFile.Stat(Descriptor, out var stat) >= 0 && length > stat.stx_blocks * SectorBytes && length - stat.stx_blocks * SectorBytes > free)
            throw Problem($"{new ByteSize(length)} can't be allocated: its file system has {new ByteSize(free)} left");
        var result = PosixFile.Allocate(Descriptor, 0, 0, length);
        if (result == -Errno.EOPNOTSUPP) _host.Log(LogLevel.Warning, $"{Path}: its file system does not preallocate; the file is sparse");
        else if (result < 0) throw Problem($"{new ByteSize(length)} can't be allocated", result);
    }

    private void SetAlignment(in statx stat)
    {
        if (!IsDirect) return;
        if ((stat.stx_mask & STATX_DIOALIGN) != 0)
        {
            if (stat.stx_dio_offset_align == 0)
            {
                FallBackToBuffered();
                return;
            }

            OffsetAlignment = stat.stx_dio_offset_align;
            MemoryAlignment = stat.stx_dio_mem_align;
            return;
        }

        OffsetAlignment = IsBlockDevice && PosixFile.GetLogicalBlockSize(Descriptor, out var logical) >= 0
            ? logical
            : LogicalBlockSize((stat.stx_dev_major, stat.stx_dev_minor));
        MemoryAlignment = OffsetAlignment;
    }

    // The kernel's word is tried once: a file system that opens a file for direct I/O may still refuse to do it.
    private void CheckDirect(ulong length)
    {
        const uint Usual = 4096;
        var largest = Math.Max(Usual, OffsetAlignment);
        if (!IsDirect || length < largest) return;
        var buffer = System.Runtime.InteropServices.NativeMemory.AlignedAlloc(largest, Math.Max(largest, MemoryAlignment));
        try
        {
            if (PosixFile.Read(Descriptor, buffer, OffsetAlignment, 0) != -Errno.EINVAL) return;
            if (OffsetAlignment < Usual)
            {
                OffsetAlignment = MemoryAlignment = Usual;
                if (PosixFile.Read(Descriptor, buffer, Usual, 0) != -Errno.EINVAL) return;
            }

            FallBackToBuffered();
        }
        finally
        {
            System.Runtime.InteropServices.NativeMemory.AlignedFree(buffer);
        }
    }

    private void SetGeometry(ulong length)
    {
        BlockSize = _options.BlockSize.Bytes != 0 ? (uint)_options.BlockSize.Bytes : Math.Max(512, OffsetAlignment);
        if (BlockSize < OffsetAlignment)
            throw Problem($"is aligned to {OffsetAlignment} bytes for direct I/O, more than block-size: {_options.BlockSize}; take block-size: {OffsetAlignment}, or direct: false");
        BlockCount = length / BlockSize;
        if (BlockCount == 0) throw Problem(length == 0 ? "is empty; give size: to have it extended" : $"is shorter than a block of {BlockSize} bytes");
        if (length % BlockSize != 0)
            _host.Log(LogLevel.Warning, $"{Path}: its last {length % BlockSize} bytes are not a whole block of {BlockSize} and are not used");
    }

    private void FindDiscard(in statx stat, ulong length)
    {
        DiscardGranularity = BlockSize;
        if (IsBlockDevice)
        {
            var device = (stat.stx_rdev_major, stat.stx_rdev_minor);
            CanDiscard = QueueAttribute(device, "discard_max_bytes") > 0;
            DiscardGranularity = (uint)Math.Clamp(QueueAttribute(device, "discard_granularity"), BlockSize, uint.MaxValue);
            return;
        }

        // A hole beyond the end changes nothing and tells whether holes can be made. The end is the file's: the volume ends with its last whole block, before that maybe.
        // What is to stay allocated gives nothing back.
        var beyond = (length + BlockSize - 1) / BlockSize * BlockSize;
        CanDiscard = !IsReadOnly && !KeepAllocated && PosixFile.Allocate(Descriptor, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, beyond, BlockSize) >= 0;
        DiscardGranularity = Math.Max(BlockSize, stat.stx_blksize);
    }

    private void FallBackToBuffered()
    {
        if (PosixFile.ClearDirect(Descriptor) is < 0 and var error) throw Problem("does no direct I/O, and can't be used without", error);
        IsDirect = false;
        OffsetAlignment = MemoryAlignment = 1;
        WarnBuffered();
    }

    private void WarnBuffered() =>
        _host.Log(LogLevel.Warning, $"{Path}: its file system does no direct I/O; I/O goes through the page cache (direct: false says that this is meant)");

    private ComancheException Problem(string what) => new($"{_name}: {Path} {what}");

    private ComancheException Problem(string what, int error) => Problem($"{what}: {Errno.Describe(-error)}");

    private static uint LogicalBlockSize((uint Major, uint Minor) device) => (uint)Math.Clamp(QueueAttribute(device, "logical_block_size"), 512, 65536);

    // A number of a block device's queue, which a partition shares with its whole device; 0 where there is none.
    private static ulong QueueAttribute((uint Major, uint Minor) device, string attribute)
    {
        // The link is followed first: ".." is the folder above the device's own, not above the link's.
        var link = $"/sys/dev/block/{device.Major}:{device.Minor}";
        if (!Directory.Exists(link) || Directory.ResolveLinkTarget(link, returnFinalTarget: true)?.FullName is not { } folder) return 0;
        foreach (var owner in (ReadOnlySpan<string>)[folder, System.IO.Path.GetDirectoryName(folder)!])
        {
            var path = $"{owner}/queue/{attribute}";
            if (File.Exists(path) && ulong.TryParse(File.ReadAllText(path).Trim(), out var value)) return value;
        }

        return 0;
    }
}
