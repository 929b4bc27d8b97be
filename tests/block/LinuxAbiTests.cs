using System.Runtime.InteropServices;
using Comanche.Linux;

namespace Comanche.Block.Tests;

public sealed unsafe class LinuxAbiTests
{
    [Fact]
    public void Structures_have_the_kernels_sizes()
    {
        Assert.Equal(64, sizeof(io_uring_sqe));
        Assert.Equal(16, sizeof(io_uring_cqe));
        Assert.Equal(40, sizeof(io_sqring_offsets));
        Assert.Equal(40, sizeof(io_cqring_offsets));
        Assert.Equal(120, sizeof(io_uring_params));
        Assert.Equal(32, sizeof(io_uring_rsrc_register));
        Assert.Equal(16, sizeof(io_uring_rsrc_update));
        Assert.Equal(32, sizeof(io_uring_rsrc_update2));
        Assert.Equal(8, sizeof(io_uring_probe_op));
        Assert.Equal(16, sizeof(io_uring_probe));
        Assert.Equal(24, sizeof(io_uring_getevents_arg));
        Assert.Equal(16, sizeof(kernel_timespec));
        Assert.Equal(16, sizeof(iovec));
        Assert.Equal(16, sizeof(statx_timestamp));
        Assert.Equal(256, sizeof(statx));
        Assert.Equal(144, sizeof(rusage));
    }

    [Theory]
    [InlineData(typeof(io_uring_params), nameof(io_uring_params.features), 20)]
    [InlineData(typeof(io_uring_params), nameof(io_uring_params.sq_off), 40)]
    [InlineData(typeof(io_uring_params), nameof(io_uring_params.cq_off), 80)]
    [InlineData(typeof(io_sqring_offsets), nameof(io_sqring_offsets.flags), 16)]
    [InlineData(typeof(io_sqring_offsets), nameof(io_sqring_offsets.array), 24)]
    [InlineData(typeof(io_cqring_offsets), nameof(io_cqring_offsets.cqes), 20)]
    [InlineData(typeof(io_cqring_offsets), nameof(io_cqring_offsets.flags), 24)]
    [InlineData(typeof(io_uring_sqe), nameof(io_uring_sqe.fd), 4)]
    [InlineData(typeof(io_uring_sqe), nameof(io_uring_sqe.off), 8)]
    [InlineData(typeof(io_uring_sqe), nameof(io_uring_sqe.addr), 16)]
    [InlineData(typeof(io_uring_sqe), nameof(io_uring_sqe.len), 24)]
    [InlineData(typeof(io_uring_sqe), nameof(io_uring_sqe.rw_flags), 28)]
    [InlineData(typeof(io_uring_sqe), nameof(io_uring_sqe.user_data), 32)]
    [InlineData(typeof(io_uring_sqe), nameof(io_uring_sqe.buf_index), 40)]
    [InlineData(typeof(io_uring_cqe), nameof(io_uring_cqe.res), 8)]
    [InlineData(typeof(io_uring_rsrc_update2), nameof(io_uring_rsrc_update2.nr), 24)]
    [InlineData(typeof(io_uring_rsrc_register), nameof(io_uring_rsrc_register.data), 16)]
    [InlineData(typeof(rusage), nameof(rusage.ru_minflt), 64)]
    [InlineData(typeof(rusage), nameof(rusage.ru_nivcsw), 136)]
    [InlineData(typeof(statx), nameof(statx.stx_mode), 28)]
    [InlineData(typeof(statx), nameof(statx.stx_ino), 32)]
    [InlineData(typeof(statx), nameof(statx.stx_size), 40)]
    [InlineData(typeof(statx), nameof(statx.stx_blocks), 48)]
    [InlineData(typeof(statx), nameof(statx.stx_rdev_major), 128)]
    [InlineData(typeof(statx), nameof(statx.stx_dev_major), 136)]
    [InlineData(typeof(statx), nameof(statx.stx_dio_mem_align), 152)]
    public void A_field_lies_where_the_kernel_has_it(Type structure, string field, int offset) =>
        Assert.Equal(offset, (int)Marshal.OffsetOf(structure, field));

    [Theory]
    [InlineData(Errno.EIO, IoStatus.MediaError)]
    [InlineData(Errno.ENOSPC, IoStatus.NoSpace)]
    [InlineData(Errno.EDQUOT, IoStatus.NoSpace)]
    [InlineData(Errno.EFBIG, IoStatus.NoSpace)]
    [InlineData(Errno.ENODEV, IoStatus.DeviceRemoved)]
    [InlineData(Errno.EROFS, IoStatus.ReadOnly)]
    [InlineData(Errno.EPERM, IoStatus.PermissionDenied)]
    [InlineData(Errno.EOPNOTSUPP, IoStatus.Unsupported)]
    [InlineData(Errno.EAGAIN, IoStatus.Busy)]
    [InlineData(Errno.EUCLEAN, IoStatus.DataCorrupt)]
    [InlineData(9999, IoStatus.DeviceFailed)]
    public void An_error_number_becomes_a_status(int error, IoStatus status) => Assert.Equal(status, Errno.ToStatus(error));

    [Fact]
    public void An_error_has_a_text() => Assert.Equal("No space left on device (28)", Errno.Describe(Errno.ENOSPC));

    [Fact]
    public void The_holder_of_a_lock_is_found_by_device_and_inode()
    {
        string[] locks =
        [
            "1: POSIX  ADVISORY  WRITE 11 fe:00:77 0 EOF",
            "2: FLOCK  ADVISORY  WRITE 12 fe:00:78 0 EOF",
            "3: FLOCK  ADVISORY  WRITE 13 fe:00:77 0 EOF",
            "nonsense",
        ];
        Assert.Equal(13, FileLocks.Holder(locks, 0xfe, 0, 77));
        Assert.Equal(0, FileLocks.Holder(locks, 0xfe, 1, 77));
    }
}
