using System.Runtime.InteropServices;

namespace Comanche.Linux;

// Structures and constants of <linux/io_uring.h>, in the kernel's own spelling. Sizes and offsets are held by a test.
#pragma warning disable CS1591, IDE1006

/// <summary>A submission queue entry, 64 bytes. Unions appear as fields at one offset; only those that are used here.</summary>
[StructLayout(LayoutKind.Explicit, Size = 64)]
public struct io_uring_sqe
{
    [FieldOffset(0)] public byte opcode;
    [FieldOffset(1)] public byte flags;
    [FieldOffset(2)] public ushort ioprio;
    [FieldOffset(4)] public int fd;
    [FieldOffset(8)] public ulong off;
    [FieldOffset(8)] public uint cmd_op;
    [FieldOffset(16)] public ulong addr;
    [FieldOffset(24)] public uint len;
    [FieldOffset(28)] public uint rw_flags;
    [FieldOffset(28)] public uint fsync_flags;
    [FieldOffset(28)] public uint cancel_flags;
    [FieldOffset(28)] public uint poll32_events;
    [FieldOffset(32)] public ulong user_data;
    [FieldOffset(40)] public ushort buf_index;
    [FieldOffset(42)] public ushort personality;
    [FieldOffset(44)] public int splice_fd_in;
    [FieldOffset(48)] public ulong addr3;
}

/// <summary>A completion queue entry.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct io_uring_cqe
{
    public ulong user_data;
    public int res;
    public uint flags;
}

[StructLayout(LayoutKind.Sequential)]
public struct io_sqring_offsets
{
    public uint head, tail, ring_mask, ring_entries, flags, dropped, array, resv1;
    public ulong user_addr;
}

[StructLayout(LayoutKind.Sequential)]
public struct io_cqring_offsets
{
    public uint head, tail, ring_mask, ring_entries, overflow, cqes, flags, resv1;
    public ulong user_addr;
}

[StructLayout(LayoutKind.Sequential)]
public struct io_uring_params
{
    public uint sq_entries, cq_entries, flags, sq_thread_cpu, sq_thread_idle, features, wq_fd;
    private readonly uint _resv0, _resv1, _resv2;
    public io_sqring_offsets sq_off;
    public io_cqring_offsets cq_off;
}

[StructLayout(LayoutKind.Sequential)]
public struct io_uring_rsrc_register
{
    public uint nr, flags;
    public ulong resv2, data, tags;
}

[StructLayout(LayoutKind.Sequential)]
public struct io_uring_rsrc_update
{
    public uint offset, resv;
    public ulong data;
}

[StructLayout(LayoutKind.Sequential)]
public struct io_uring_rsrc_update2
{
    public uint offset, resv;
    public ulong data, tags;
    public uint nr, resv2;
}

[StructLayout(LayoutKind.Sequential)]
public struct io_uring_probe_op
{
    public byte op, resv;
    public ushort flags;
    public uint resv2;
}

/// <summary>The head of a probe; the operations follow.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct io_uring_probe
{
    public byte last_op, ops_len;
    public ushort resv;
    private readonly uint _resv0, _resv1, _resv2;
}

/// <summary>How an enter waits, with IORING_ENTER_EXT_ARG.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct io_uring_getevents_arg
{
    public ulong sigmask;
    public uint sigmask_sz, min_wait_usec;
    public ulong ts;
}

[StructLayout(LayoutKind.Sequential)]
public struct kernel_timespec
{
    public long tv_sec, tv_nsec;
}

/// <summary>The constants of io_uring.</summary>
public static class IoUringAbi
{
    // The same numbers on every architecture that came after them; x86-64 and arm64 among these.
    public const int SYS_io_uring_setup = 425;
    public const int SYS_io_uring_enter = 426;
    public const int SYS_io_uring_register = 427;

    public const byte IORING_OP_NOP = 0;
    public const byte IORING_OP_READV = 1;
    public const byte IORING_OP_WRITEV = 2;
    public const byte IORING_OP_FSYNC = 3;
    public const byte IORING_OP_READ_FIXED = 4;
    public const byte IORING_OP_WRITE_FIXED = 5;
    public const byte IORING_OP_POLL_ADD = 6;
    public const byte IORING_OP_ASYNC_CANCEL = 14;
    public const byte IORING_OP_FALLOCATE = 17;
    public const byte IORING_OP_READ = 22;
    public const byte IORING_OP_WRITE = 23;
    public const byte IORING_OP_URING_CMD = 46;

    public const byte IOSQE_FIXED_FILE = 1 << 0;
    public const byte IOSQE_IO_LINK = 1 << 2;
    public const byte IOSQE_ASYNC = 1 << 4;

    public const uint IORING_SETUP_SQPOLL = 1u << 1;
    public const uint IORING_SETUP_CQSIZE = 1u << 3;
    public const uint IORING_SETUP_CLAMP = 1u << 4;
    public const uint IORING_SETUP_SUBMIT_ALL = 1u << 7;
    public const uint IORING_SETUP_COOP_TASKRUN = 1u << 8;
    public const uint IORING_SETUP_TASKRUN_FLAG = 1u << 9;
    public const uint IORING_SETUP_SINGLE_ISSUER = 1u << 12;
    public const uint IORING_SETUP_DEFER_TASKRUN = 1u << 13;
    public const uint IORING_SETUP_NO_SQARRAY = 1u << 16;

    public const uint IORING_FEAT_SINGLE_MMAP = 1u << 0;
    public const uint IORING_FEAT_NODROP = 1u << 1;
    public const uint IORING_FEAT_SUBMIT_STABLE = 1u << 2;

    public const uint IORING_FEAT_EXT_ARG = 1u << 8;

    public const uint IORING_SQ_NEED_WAKEUP = 1u << 0;
    public const uint IORING_SQ_CQ_OVERFLOW = 1u << 1;
    public const uint IORING_SQ_TASKRUN = 1u << 2;

    public const uint IORING_CQ_EVENTFD_DISABLED = 1u << 0;

    public const uint IORING_ENTER_GETEVENTS = 1u << 0;
    public const uint IORING_ENTER_SQ_WAKEUP = 1u << 1;
    public const uint IORING_ENTER_EXT_ARG = 1u << 3;
    public const uint IORING_ENTER_REGISTERED_RING = 1u << 4;

    public const uint IORING_REGISTER_FILES = 2;
    public const uint IORING_UNREGISTER_FILES = 3;
    public const uint IORING_REGISTER_EVENTFD = 4;
    public const uint IORING_REGISTER_PROBE = 8;
    public const uint IORING_REGISTER_BUFFERS2 = 15;
    public const uint IORING_REGISTER_BUFFERS_UPDATE = 16;
    public const uint IORING_REGISTER_RING_FDS = 20;
    public const uint IORING_UNREGISTER_RING_FDS = 21;
    public const uint IORING_RSRC_REGISTER_SPARSE = 1u << 0;

    public const uint IORING_FSYNC_DATASYNC = 1u << 0;
    public const uint IORING_ASYNC_CANCEL_ALL = 1u << 0;
    public const uint IORING_ASYNC_CANCEL_ANY = 1u << 2;

    public const ulong IORING_OFF_SQ_RING = 0;
    public const ulong IORING_OFF_SQES = 0x10000000;

    public const ushort IO_URING_OP_SUPPORTED = 1 << 0;

    /// <summary>The most bytes of one registered buffer: the kernel's limit of 1 GiB.</summary>
    public const ulong MaxRegisteredBytes = 1ul << 30;
}
