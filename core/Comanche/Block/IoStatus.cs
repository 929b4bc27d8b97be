namespace Comanche;

/// <summary>
/// The outcome of an I/O: a closed set, version 1. A status with <see cref="IoStatusExtensions.RetryableBit"/> may go away when the same
/// descriptor is submitted again; the others will not.
/// </summary>
public enum IoStatus : ushort
{
    /// <summary>Done, whole: there are no short transfers.</summary>
    Success = 0,

    /// <summary>A field of the descriptor breaks the contract (block count 0, too many blocks or segments, bad segment …).</summary>
    InvalidArgument = 1,

    /// <summary>The range ends beyond the volume.</summary>
    OutOfRange = 2,

    /// <summary>A buffer or segment is not aligned as the volume asks.</summary>
    Misaligned = 3,

    /// <summary>The volume does not do this operation, or not in this form.</summary>
    Unsupported = 4,

    /// <summary>The volume may not be changed.</summary>
    ReadOnly = 5,

    /// <summary>The medium could not be read or written there.</summary>
    MediaError = 6,

    /// <summary>What was read is not what was written: a checksum or label does not match.</summary>
    DataCorrupt = 7,

    /// <summary>A compare found a difference. Nothing was written.</summary>
    Miscompare = 8,

    /// <summary>There is no space left for the write.</summary>
    NoSpace = 9,

    /// <summary>The device is gone.</summary>
    DeviceRemoved = 10,

    /// <summary>The device failed in a way that has no status of its own.</summary>
    DeviceFailed = 11,

    /// <summary>The access was not permitted.</summary>
    PermissionDenied = 12,

    /// <summary>Cancelled by <see cref="IIoQueue.Cancel"/>. What it had done by then is undefined.</summary>
    Cancelled = 0x8001,

    /// <summary>The driver's time was up. Whether it took effect is unknown.</summary>
    TimedOut = 0x8002,

    /// <summary>The device has no room for it now.</summary>
    Busy = 0x8003,

    /// <summary>Ended by a reset or by <see cref="IIoQueue.Abandon"/>. Whether it took effect is unknown.</summary>
    Aborted = 0x8004,
}

/// <summary>What can be said of a status without knowing each.</summary>
public static class IoStatusExtensions
{
    /// <summary>The bit that every status carries after which a retry makes sense.</summary>
    public const ushort RetryableBit = 0x8000;

    /// <summary>Whether submitting the same descriptor again may succeed.</summary>
    public static bool IsRetryable(this IoStatus status) => ((ushort)status & RetryableBit) != 0;
}
