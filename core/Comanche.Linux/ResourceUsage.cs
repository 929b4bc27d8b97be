using System.Runtime.InteropServices;

namespace Comanche.Linux;

// A structure of <sys/resource.h>, in the kernel's own spelling.
#pragma warning disable CS1591, IDE1006, CS8981

/// <summary>What a process has used so far; times are <c>struct timeval</c>, 144 bytes in all.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct rusage
{
    public long ru_utime_sec, ru_utime_usec;
    public long ru_stime_sec, ru_stime_usec;
    public long ru_maxrss, ru_ixrss, ru_idrss, ru_isrss;
    public long ru_minflt, ru_majflt, ru_nswap;
    public long ru_inblock, ru_oublock;
    public long ru_msgsnd, ru_msgrcv, ru_nsignals;
    public long ru_nvcsw, ru_nivcsw;

    /// <summary>Processor time in the program.</summary>
    public readonly TimeSpan UserTime => TimeSpan.FromSeconds(ru_utime_sec) + TimeSpan.FromMicroseconds(ru_utime_usec);

    /// <summary>Processor time in the kernel on its behalf.</summary>
    public readonly TimeSpan SystemTime => TimeSpan.FromSeconds(ru_stime_sec) + TimeSpan.FromMicroseconds(ru_stime_usec);
}

#pragma warning restore CS1591, IDE1006, CS8981

/// <summary>What this process uses of the machine.</summary>
public static unsafe partial class ResourceUsage
{
    private const int Self = 0;

    /// <summary>All of its threads together, those that have ended too.</summary>
    public static rusage Now
    {
        get
        {
            rusage usage;
            return getrusage(Self, &usage) == 0 ? usage : default;
        }
    }

    [LibraryImport("libc")]
    private static partial int getrusage(int who, rusage* usage);
}
