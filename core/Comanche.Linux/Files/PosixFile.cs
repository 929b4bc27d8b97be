using System.Runtime.InteropServices;
using static Comanche.Linux.FileAbi;

namespace Comanche.Linux;

/// <summary>
/// System calls on files and block devices. Every method returns what the kernel returns: 0 or more, or a negative error number
/// (see <see cref="Errno"/>). A call that a signal interrupted is made again. Any thread; nothing is allocated, except for path names.
/// </summary>
public static unsafe partial class PosixFile
{
    /// <summary>Opens a file and returns its descriptor; O_CLOEXEC is added.</summary>
    /// <param name="path">Its path.</param>
    /// <param name="flags">O_ flags.</param>
    /// <param name="mode">Permissions of a file that is created.</param>
    public static int Open(string path, int flags, uint mode = 0x1B4)
    {
        int result;
        do result = Check(Native.open(path, flags | O_CLOEXEC, mode));
        while (result == -Errno.EINTR);
        return result;
    }

    /// <summary>Opens a file in an open folder, wherever that is by now; O_CLOEXEC is added.</summary>
    public static int Open(int folder, string name, int flags, uint mode = 0x1B4)
    {
        int result;
        do result = Check(Native.openat(folder, name, flags | O_CLOEXEC, mode));
        while (result == -Errno.EINTR);
        return result;
    }

    /// <summary>Closes a descriptor.</summary>
    public static int Close(int descriptor) => Check(Native.close(descriptor));

    /// <summary>Tells of an open file, its direct I/O alignment among it where the kernel knows.</summary>
    public static int Stat(int descriptor, out statx result)
    {
        fixed (statx* p = &result) return Check(Native.statx(descriptor, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_DIOALIGN, p));
    }

    /// <summary>Tells of a path without opening it.</summary>
    public static int Stat(string path, out statx result)
    {
        fixed (statx* p = &result) return Check(Native.statx(AT_FDCWD, path, 0, STATX_BASIC_STATS | STATX_DIOALIGN, p));
    }

    /// <summary>Sets a file's length in bytes.</summary>
    public static int Truncate(int descriptor, ulong length)
    {
        int result;
        do result = Check(Native.ftruncate(descriptor, (long)length));
        while (result == -Errno.EINTR);
        return result;
    }

    /// <summary>Allocates, punches or zeroes a range (FALLOC_FL_ flags).</summary>
    public static int Allocate(int descriptor, int mode, ulong offset, ulong length)
    {
        int result;
        do result = Check(Native.fallocate(descriptor, mode, (long)offset, (long)length));
        while (result == -Errno.EINTR);
        return result;
    }

    /// <summary>Reads at an offset; may be short.</summary>
    public static nint Read(int descriptor, void* buffer, nuint length, ulong offset)
    {
        nint result;
        do result = Check(Native.pread(descriptor, buffer, length, (long)offset));
        while (result == -Errno.EINTR);
        return result;
    }

    /// <summary>Writes at an offset; may be short.</summary>
    public static nint Write(int descriptor, void* buffer, nuint length, ulong offset)
    {
        nint result;
        do result = Check(Native.pwrite(descriptor, buffer, length, (long)offset));
        while (result == -Errno.EINTR);
        return result;
    }

    /// <summary>Writes where the descriptor stands, as to a pipe, a terminal or a log; may be short.</summary>
    public static nint Append(int descriptor, void* buffer, nuint length)
    {
        nint result;
        do result = Check(Native.write(descriptor, buffer, length));
        while (result == -Errno.EINTR);
        return result;
    }

    /// <summary>Reads at an offset into pieces of memory; may be short.</summary>
    /// <param name="descriptor">The file.</param>
    /// <param name="vectors">The pieces.</param>
    /// <param name="count">Their number, at most 1024.</param>
    /// <param name="offset">In bytes.</param>
    /// <param name="flags">RWF_ flags.</param>
    public static nint ReadVector(int descriptor, iovec* vectors, int count, ulong offset, uint flags)
    {
        nint result;
        do result = Check(Native.preadv2(descriptor, vectors, count, (long)offset, (int)flags));
        while (result == -Errno.EINTR);
        return result;
    }

    /// <summary>Writes pieces of memory at an offset; may be short.</summary>
    public static nint WriteVector(int descriptor, iovec* vectors, int count, ulong offset, uint flags)
    {
        nint result;
        do result = Check(Native.pwritev2(descriptor, vectors, count, (long)offset, (int)flags));
        while (result == -Errno.EINTR);
        return result;
    }

    /// <summary>Makes a file's data durable, and as much of its metadata as reading it back needs.</summary>
    public static int SyncData(int descriptor)
    {
        int result;
        do result = Check(Native.fdatasync(descriptor));
        while (result == -Errno.EINTR);
        return result;
    }

    /// <summary>Makes a file, or a directory's entries, durable.</summary>
    public static int Sync(int descriptor)
    {
        int result;
        do result = Check(Native.fsync(descriptor));
        while (result == -Errno.EINTR);
        return result;
    }

    /// <summary>
    /// Locks the open file (LOCK_SH or LOCK_EX) without waiting, or unlocks it; EAGAIN where another opener, in this process or another,
    /// holds it. The lock goes with the last copy of the descriptor.
    /// </summary>
    public static int Lock(int descriptor, int operation) => Check(Native.flock(descriptor, operation | LOCK_NB));

    /// <summary>Takes O_DIRECT from an open file; its lock stays.</summary>
    public static int ClearDirect(int descriptor)
    {
        const int GetFlags = 3, SetFlags = 4;
        var flags = Check(Native.fcntl(descriptor, GetFlags, 0));
        return flags < 0 ? flags : Check(Native.fcntl(descriptor, SetFlags, flags & ~O_DIRECT));
    }

    /// <summary>A block device's length in bytes.</summary>
    public static int GetDeviceSize(int descriptor, out ulong bytes)
    {
        ulong value = 0;
        var result = Check(Native.ioctl(descriptor, BLKGETSIZE64, &value));
        bytes = value;
        return result;
    }

    /// <summary>A block device's logical block size in bytes.</summary>
    public static int GetLogicalBlockSize(int descriptor, out uint bytes)
    {
        uint value = 0;
        var result = Check(Native.ioctl(descriptor, BLKSSZGET, &value));
        bytes = value;
        return result;
    }

    /// <summary>Whether a block device refuses writes: 1 or 0.</summary>
    public static int GetDeviceReadOnly(int descriptor)
    {
        var value = 0;
        var result = Check(Native.ioctl(descriptor, BLKROGET, &value));
        return result < 0 ? result : value;
    }

    /// <summary>Discards a range of a block device.</summary>
    public static int DeviceDiscard(int descriptor, ulong offset, ulong length)
    {
        var range = stackalloc ulong[] { offset, length };
        return Check(Native.ioctl(descriptor, BLKDISCARD, range));
    }

    /// <summary>Zeroes a range of a block device.</summary>
    public static int DeviceZero(int descriptor, ulong offset, ulong length)
    {
        var range = stackalloc ulong[] { offset, length };
        return Check(Native.ioctl(descriptor, BLKZEROOUT, range));
    }

    private static int Check(int result) => result >= 0 ? result : -Errno.Last;

    private static nint Check(nint result) => result >= 0 ? result : -Errno.Last;

    // One function each, errors by errno. preadv2 and pwritev2 take the offset as one 64-bit number on the 64-bit machines that we run on.
    private static partial class Native
    {
        [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
        internal static partial int open(string path, int flags, uint mode);

        [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
        internal static partial int openat(int folder, string name, int flags, uint mode);

        [LibraryImport("libc")]
        internal static partial int close(int descriptor);

        [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
        internal static partial int statx(int directory, string path, int flags, uint mask, statx* result);

        [LibraryImport("libc")]
        internal static partial int ftruncate(int descriptor, long length);

        [LibraryImport("libc")]
        internal static partial int fallocate(int descriptor, int mode, long offset, long length);

        [LibraryImport("libc")]
        internal static partial nint pread(int descriptor, void* buffer, nuint length, long offset);

        [LibraryImport("libc")]
        internal static partial nint pwrite(int descriptor, void* buffer, nuint length, long offset);

        [LibraryImport("libc")]
        internal static partial nint write(int descriptor, void* buffer, nuint length);

        [LibraryImport("libc")]
        internal static partial nint preadv2(int descriptor, iovec* vectors, int count, long offset, int flags);

        [LibraryImport("libc")]
        internal static partial nint pwritev2(int descriptor, iovec* vectors, int count, long offset, int flags);

        [LibraryImport("libc")]
        internal static partial int fdatasync(int descriptor);

        [LibraryImport("libc")]
        internal static partial int fsync(int descriptor);

        [LibraryImport("libc")]
        internal static partial int flock(int descriptor, int operation);

        [LibraryImport("libc")]
        internal static partial int fcntl(int descriptor, int command, nint argument);

        [LibraryImport("libc")]
        internal static partial int ioctl(int descriptor, nuint request, void* argument);
    }
}
