using System.Runtime.InteropServices;

namespace Comanche.Linux;

// Structures and constants of <sys/uio.h>, <linux/stat.h>, <fcntl.h>, <linux/falloc.h> and <linux/fs.h>, in the kernel's own spelling.
#pragma warning disable CS1591, IDE1006, CS8981

/// <summary>A piece of memory for a scattered transfer.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct iovec
{
    public void* iov_base;
    public nuint iov_len;
}

[StructLayout(LayoutKind.Sequential)]
public struct statx_timestamp
{
    public long tv_sec;
    public uint tv_nsec;
    private readonly int _reserved;
}

/// <summary>What statx tells, 256 bytes.</summary>
[StructLayout(LayoutKind.Sequential, Size = 256)]
public struct statx
{
    public uint stx_mask;
    public uint stx_blksize;
    public ulong stx_attributes;
    public uint stx_nlink;
    public uint stx_uid;
    public uint stx_gid;
    public ushort stx_mode;
    private readonly ushort _spare0;
    public ulong stx_ino;
    public ulong stx_size;
    public ulong stx_blocks;
    public ulong stx_attributes_mask;
    public statx_timestamp stx_atime, stx_btime, stx_ctime, stx_mtime;
    public uint stx_rdev_major, stx_rdev_minor;
    public uint stx_dev_major, stx_dev_minor;
    public ulong stx_mnt_id;
    public uint stx_dio_mem_align, stx_dio_offset_align;

    /// <summary>Whether it is a regular file.</summary>
    public readonly bool IsRegularFile => (stx_mode & FileAbi.S_IFMT) == FileAbi.S_IFREG;

    /// <summary>Whether it is a block device.</summary>
    public readonly bool IsBlockDevice => (stx_mode & FileAbi.S_IFMT) == FileAbi.S_IFBLK;

    /// <summary>Whether it is a pipe, with or without a name.</summary>
    public readonly bool IsPipe => (stx_mode & FileAbi.S_IFMT) == FileAbi.S_IFIFO;
}

/// <summary>The constants of files.</summary>
public static class FileAbi
{
    public const int O_RDONLY = 0;
    public const int O_RDWR = 2;
    public const int O_CREAT = 0x40;
    public const int O_EXCL = 0x80;
    public const int O_CLOEXEC = 0x80000;

    /// <summary>One of the flags that differ between x86-64 and arm64.</summary>
    public static readonly int O_DIRECT = RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? 0x10000 : 0x4000;

    public static readonly int O_DIRECTORY = RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? 0x4000 : 0x10000;
    public static readonly int O_NOFOLLOW = RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? 0x8000 : 0x20000;

    public const int AT_FDCWD = -100;
    public const int AT_EMPTY_PATH = 0x1000;
    public const uint STATX_BASIC_STATS = 0x7ff;
    public const uint STATX_DIOALIGN = 0x2000;

    public const ushort S_IFMT = 0xF000;
    public const ushort S_IFREG = 0x8000;
    public const ushort S_IFBLK = 0x6000;
    public const ushort S_IFIFO = 0x1000;

    public const int FALLOC_FL_KEEP_SIZE = 1;
    public const int FALLOC_FL_PUNCH_HOLE = 2;
    public const int FALLOC_FL_ZERO_RANGE = 0x10;

    public const uint RWF_DSYNC = 2;

    public const int LOCK_SH = 1;
    public const int LOCK_EX = 2;
    public const int LOCK_NB = 4;
    public const int LOCK_UN = 8;

    // _IO(0x12, n) and _IOR(0x12, 114, size_t) of <linux/fs.h>; the encoding is the same on x86-64 and arm64.
    public const uint BLKROGET = 0x125E;
    public const uint BLKSSZGET = 0x1268;
    public const uint BLKGETSIZE64 = 0x80081272;
    public const uint BLKDISCARD = 0x1277;
    public const uint BLKPBSZGET = 0x127B;
    public const uint BLKZEROOUT = 0x127F;
}
