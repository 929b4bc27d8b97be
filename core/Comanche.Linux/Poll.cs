using System.Runtime.InteropServices;

namespace Comanche.Linux;

/// <summary><c>struct timespec</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct Timespec
{
    /// <summary>Seconds.</summary>
    public long Seconds;

    /// <summary>Nanoseconds, 0 to 999,999,999.</summary>
    public long Nanoseconds;

    /// <summary>Splits nanoseconds; negative ones count as 0.</summary>
    public static Timespec FromNanoseconds(long ns) =>
        ns <= 0 ? default : new Timespec { Seconds = ns / 1_000_000_000, Nanoseconds = ns % 1_000_000_000 };
}

/// <summary><c>struct pollfd</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct PollFd
{
    /// <summary>The file descriptor.</summary>
    public int Descriptor;

    /// <summary>What is waited for.</summary>
    public short Events;

    /// <summary>What has come.</summary>
    public short Revents;
}

/// <summary>Sleeping on a <see cref="WaitSet"/>.</summary>
public static unsafe partial class Poll
{
    private const short PollIn = 1;
    private const int OnStack = 64;

    /// <summary>
    /// Sleeps until one of the descriptors is readable (or closed, or in error), or the time is up, or a signal came. Returns how many are ready.
    /// A set that counts more descriptors than it has room for sleeps no longer than a millisecond.
    /// </summary>
    /// <param name="waitSet">The descriptors.</param>
    /// <param name="timeoutNs">Nanoseconds; 0 or less only looks, <see cref="WaitSet.Forever"/> has no end.</param>
    public static int Wait(WaitSet* waitSet, long timeoutNs)
    {
        var count = Math.Min(waitSet->Count, waitSet->Capacity);
        if (waitSet->Count > waitSet->Capacity) timeoutNs = Math.Min(timeoutNs, 1_000_000);
        if (count <= OnStack)
        {
            var few = stackalloc PollFd[OnStack];
            return Wait(waitSet->Descriptors, few, count, timeoutNs);
        }

        var many = (PollFd*)NativeMemory.Alloc((nuint)count, (nuint)sizeof(PollFd));
        var ready = Wait(waitSet->Descriptors, many, count, timeoutNs);
        NativeMemory.Free(many);
        return ready;
    }

    private static int Wait(int* descriptors, PollFd* polled, int count, long timeoutNs)
    {
        for (var i = 0; i < count; i++) polled[i] = new PollFd { Descriptor = descriptors[i], Events = PollIn };
        var time = Timespec.FromNanoseconds(timeoutNs);
        return Math.Max(0, ppoll(polled, (nuint)count, timeoutNs == WaitSet.Forever ? null : &time, null));
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int ppoll(PollFd* descriptors, nuint count, Timespec* timeout, void* signals);
}
