using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Comanche.Linux;

/// <summary>Threads of the kernel: identity, cores, and the two ways to wake one. Failing calls give <c>errno</c> as a positive number, 0 is success.</summary>
public static unsafe partial class Threads
{
    private const int FutexWait = 0, FutexWake = 1, FutexPrivate = 128;
    private const int EventNonBlocking = 0x800, EventCloexec = 0x80000;
    private const int MaxCores = 1024;
    private const int ErrAgain = 11, ErrInterrupted = 4;

    /// <summary>The kernel's number of the calling thread.</summary>
    public static int CurrentId => gettid();

    /// <summary>Binds the calling thread to one core.</summary>
    public static int PinToCore(int core)
    {
        if (core is < 0 or >= MaxCores) return 22; // EINVAL
        var mask = stackalloc ulong[MaxCores / 64];
        for (var i = 0; i < MaxCores / 64; i++) mask[i] = 0;
        mask[core / 64] = 1UL << core % 64;
        return Errno(sched_setaffinity(0, MaxCores / 8, mask));
    }

    /// <summary>Whether the calling thread may run on a core.</summary>
    public static bool MayRunOn(int core)
    {
        if (core is < 0 or >= MaxCores) return false;
        var mask = stackalloc ulong[MaxCores / 64];
        for (var i = 0; i < MaxCores / 64; i++) mask[i] = 0;
        return sched_getaffinity(0, MaxCores / 8, mask) >= 0 && (mask[core / 64] >> core % 64 & 1) != 0;
    }

    /// <summary>
    /// Sleeps while a word holds a value, until woken or until the time is up; returns at once where it holds another. May also return for no reason.
    /// </summary>
    /// <param name="word">The word, on a 4-byte boundary.</param>
    /// <param name="expected">The value while which to sleep.</param>
    /// <param name="timeoutNs">Nanoseconds, or <see cref="WaitSet.Forever"/>.</param>
    /// <param name="shared">Whether other processes wait on or wake the same memory.</param>
    public static int Wait(uint* word, uint expected, long timeoutNs, bool shared = false)
    {
        var time = Timespec.FromNanoseconds(timeoutNs);
        var rc = futex(SysFutex, word, FutexWait | (shared ? 0 : FutexPrivate), expected, timeoutNs == WaitSet.Forever ? null : &time, null, 0);
        if (rc >= 0) return 0;
        var error = Marshal.GetLastPInvokeError();
        return error is ErrAgain or ErrInterrupted ? 0 : error;
    }

    /// <summary>Wakes up to so many sleepers of a word; returns how many it woke.</summary>
    public static int Wake(uint* word, int count, bool shared = false) =>
        (int)Math.Max(0, futex(SysFutex, word, FutexWake | (shared ? 0 : FutexPrivate), (uint)count, null, null, 0));

    /// <summary>Makes an event descriptor: readable once signalled, until drained. It never blocks.</summary>
    public static int CreateEvent(out int descriptor)
    {
        descriptor = eventfd(0, EventNonBlocking | EventCloexec);
        return descriptor < 0 ? Marshal.GetLastPInvokeError() : 0;
    }

    /// <summary>
    /// Makes an event of two ends: what is signalled at one makes the other readable. Neither blocks, and whoever has the other end, maybe a stranger, can't change that for this one.
    /// Returns 0 or the errno.
    /// </summary>
    public static int CreateEventPair(out int readable, out int signalled)
    {
        var ends = stackalloc int[2];
        var failed = pipe2(ends, EventNonBlocking | EventCloexec) != 0;
        (readable, signalled) = failed ? (-1, -1) : (ends[0], ends[1]);
        return failed ? Marshal.GetLastPInvokeError() : 0;
    }

    /// <summary>Makes an event readable.</summary>
    public static void SignalEvent(int descriptor)
    {
        ulong one = 1;
        _ = write(descriptor, &one, sizeof(ulong));
    }

    /// <summary>Makes an event unreadable again; true where it was readable.</summary>
    [SkipLocalsInit]
    public static bool DrainEvent(int descriptor)
    {
        ulong count;
        return read(descriptor, &count, sizeof(ulong)) == sizeof(ulong);
    }

    private static nint SysFutex => RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? 98 : 202;

    private static int Errno(int rc) => rc == 0 ? 0 : Marshal.GetLastPInvokeError();

    [LibraryImport("libc")]
    private static partial int gettid();

    [LibraryImport("libc", SetLastError = true)]
    private static partial int sched_setaffinity(int pid, nuint bytes, ulong* mask);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int sched_getaffinity(int pid, nuint bytes, ulong* mask);

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial nint futex(nint number, uint* word, int operation, uint value, Timespec* timeout, uint* word2, uint value3);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int eventfd(uint initial, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int pipe2(int* ends, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint write(int fd, void* buffer, nuint count);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint read(int fd, void* buffer, nuint count);
}
