using System.Runtime.InteropServices;
using static Comanche.Linux.IoUringAbi;

namespace Comanche.Linux;

/// <summary>What this machine's io_uring offers to this process.</summary>
public sealed record IoUringProbe
{
    /// <summary>Whether a ring can be opened and does reads and writes.</summary>
    public required bool IsAvailable { get; init; }

    /// <summary>Where it can't: why, in words for the operator. Otherwise empty.</summary>
    public string Reason { get; init; } = "";

    /// <summary>Rings of one thread (Linux 6.0).</summary>
    public bool SingleIssuer { get; init; }

    /// <summary>Completion work on the owner's call (Linux 6.1).</summary>
    public bool DeferredTaskRun { get; init; }

    /// <summary>A kernel thread that fetches submissions.</summary>
    public bool SubmissionPolling { get; init; }

    /// <summary>Registered buffers that come and go (Linux 5.19).</summary>
    public bool SparseBuffers { get; init; }

    /// <summary>The highest operation number that the kernel knows.</summary>
    public int LastOperation { get; init; }
}

public sealed unsafe partial class IoUring
{
    /// <summary>Finds out what io_uring offers here, by opening small rings. Set-up only.</summary>
    public static IoUringProbe Probe()
    {
        var descriptor = TryOpen(new IoUringOptions { Entries = 4, SingleIssuer = true }, out var parameters);
        if (descriptor < 0) return new IoUringProbe { IsAvailable = false, Reason = Explain(-descriptor) };
        PosixFile.Close(descriptor);
        if ((parameters.features & IORING_FEAT_SUBMIT_STABLE) == 0) return TooOld();
        using var ring = Open(new IoUringOptions { Entries = 4, SingleIssuer = true });
        var last = ring.LastOperation();
        if (last < IORING_OP_WRITE) return TooOld();
        return new IoUringProbe
        {
            IsAvailable = true,
            SingleIssuer = (ring.SetupFlags & IORING_SETUP_SINGLE_ISSUER) != 0,
            DeferredTaskRun = (ring.SetupFlags & IORING_SETUP_DEFER_TASKRUN) != 0,
            SparseBuffers = ring.RegisterSparseBuffers(1) >= 0,
            SubmissionPolling = CanPollSubmissions(),
            LastOperation = last,
        };
    }

    /// <summary>Why a ring could not be opened, from the error number and what the system says of itself.</summary>
    public static string Explain(int error) => Explain(error, ReadLine("/proc/sys/kernel/io_uring_disabled"), HasSeccompFilter());

    internal static string Explain(int error, string? disabled, bool hasSeccompFilter) => error switch
    {
        Errno.EPERM when disabled == "2" => "forbidden by kernel.io_uring_disabled = 2 (allow it: sysctl kernel.io_uring_disabled=0)",
        Errno.EPERM when disabled == "1" =>
            "kernel.io_uring_disabled = 1 allows it only to CAP_SYS_ADMIN and to the group kernel.io_uring_group",
        Errno.EPERM or Errno.EACCES or Errno.ENOSYS when hasSeccompFilter =>
            "forbidden by a seccomp filter (containers do this; allow io_uring_setup, io_uring_enter and io_uring_register)",
        Errno.EPERM or Errno.EACCES => "forbidden by a security policy of this machine",
        Errno.ENOSYS => "the kernel was built without it, or is older than 5.6",
        Errno.ENOMEM => "too little memory, or too little lockable memory (ulimit -l)",
        _ => Errno.Describe(error),
    };

    private static IoUringProbe TooOld() => new() { IsAvailable = false, Reason = "the kernel is older than 5.6" };

    private static bool CanPollSubmissions()
    {
        var descriptor = TryOpen(new IoUringOptions { Entries = 4, SingleIssuer = true, SubmissionPolling = true, SubmissionPollingIdleMs = 1 }, out _);
        if (descriptor < 0) return false;
        PosixFile.Close(descriptor);
        return true;
    }

    private static bool HasSeccompFilter() => ReadLine("/proc/self/status", "Seccomp:") == "2";

    private static string? ReadLine(string path, string prefix = "")
    {
        try
        {
            return File.ReadLines(path).FirstOrDefault(l => l.StartsWith(prefix, StringComparison.Ordinal))?[prefix.Length..].Trim();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    // The highest supported operation number, or -1 where the kernel can't say (before 5.6).
    private int LastOperation()
    {
        const int Room = 128;
        var bytes = (nuint)(sizeof(io_uring_probe) + Room * sizeof(io_uring_probe_op));
        var probe = (io_uring_probe*)NativeMemory.AllocZeroed(bytes);
        try
        {
            return Register(IORING_REGISTER_PROBE, probe, Room) < 0 ? -1 : probe->last_op;
        }
        finally
        {
            NativeMemory.Free(probe);
        }
    }
}
