using System.Runtime.InteropServices;

namespace Comanche.Linux;

/// <summary>Error numbers of the kernel (the same on x86-64 and arm64), their texts, and the I/O status that each becomes.</summary>
public static class Errno
{
#pragma warning disable CS1591 // The kernel's own names; their texts are in Describe.
    public const int EPERM = 1;
    public const int ENOENT = 2;
    public const int EINTR = 4;
    public const int EIO = 5;
    public const int ENXIO = 6;
    public const int EBADF = 9;
    public const int EAGAIN = 11;
    public const int ENOMEM = 12;
    public const int EACCES = 13;
    public const int EFAULT = 14;
    public const int EBUSY = 16;
    public const int EEXIST = 17;
    public const int ENODEV = 19;
    public const int ENOTDIR = 20;
    public const int EISDIR = 21;
    public const int EINVAL = 22;
    public const int ENFILE = 23;
    public const int EMFILE = 24;
    public const int EFBIG = 27;
    public const int ENOSPC = 28;
    public const int EROFS = 30;
    public const int ENOSYS = 38;
    public const int ELOOP = 40;
    public const int ETIME = 62;
    public const int EREMOTEIO = 121;
    public const int EBADMSG = 74;
    public const int EILSEQ = 84;
    public const int EOPNOTSUPP = 95;
    public const int ENOBUFS = 105;
    public const int ESHUTDOWN = 108;
    public const int ETIMEDOUT = 110;
    public const int EALREADY = 114;
    public const int ESTALE = 116;
    public const int EUCLEAN = 117;
    public const int EDQUOT = 122;
    public const int ECANCELED = 125;
#pragma warning restore CS1591

    /// <summary>The error of the call before, of this thread. To be read on the next line.</summary>
    public static int Last => Marshal.GetLastSystemError();

    /// <summary>The C library's text, with the number: <c>No space left on device (28)</c>. For messages; it allocates.</summary>
    public static string Describe(int error) => $"{Marshal.GetPInvokeErrorMessage(error)} ({error})";

    /// <summary>What an I/O that ended with this error (positive) reports.</summary>
    public static IoStatus ToStatus(int error) => error switch
    {
        0 => IoStatus.Success,
        EIO or EREMOTEIO => IoStatus.MediaError,
        EILSEQ or EBADMSG or EUCLEAN => IoStatus.DataCorrupt,
        ENOSPC or EDQUOT or EFBIG => IoStatus.NoSpace,
        ENODEV or ENXIO or ESHUTDOWN or ESTALE => IoStatus.DeviceRemoved,
        EROFS => IoStatus.ReadOnly,
        EPERM or EACCES => IoStatus.PermissionDenied,
        EINVAL or EFAULT => IoStatus.InvalidArgument,
        EOPNOTSUPP or ENOSYS => IoStatus.Unsupported,
        ECANCELED => IoStatus.Aborted,
        ETIMEDOUT or ETIME => IoStatus.TimedOut,
        EAGAIN or EINTR or EBUSY or ENOMEM or ENOBUFS => IoStatus.Busy,
        _ => IoStatus.DeviceFailed,
    };
}
