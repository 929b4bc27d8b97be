using System.Runtime.InteropServices;
using Comanche.Linux;

namespace Comanche.Core.Tests;

public sealed unsafe class LinuxStructTests
{
    [Fact]
    public void Structs_have_the_kernels_size_and_layout()
    {
        Assert.Equal((16, 8), (sizeof(Timespec), (int)Marshal.OffsetOf<Timespec>(nameof(Timespec.Nanoseconds))));
        Assert.Equal((8, 4, 6), (sizeof(PollFd), (int)Marshal.OffsetOf<PollFd>(nameof(PollFd.Events)), (int)Marshal.OffsetOf<PollFd>(nameof(PollFd.Revents))));
    }

    [Fact]
    public void A_futex_wait_ends_by_value_by_time_and_by_wake()
    {
        uint word = 1;
        Assert.Equal(0, Threads.Wait(&word, 2, WaitSet.Forever)); // Another value: at once.
        Assert.Equal(110, Threads.Wait(&word, 1, 5_000_000)); // ETIMEDOUT.
        var shared = (nint)(&word);
        var sleeper = new Thread(() =>
        {
            var cell = (uint*)shared;
            while (Volatile.Read(ref *cell) == 1) Threads.Wait(cell, 1, WaitSet.Forever);
        });
        sleeper.Start();
        Volatile.Write(ref word, 2);
        while (!sleeper.Join(1)) Threads.Wake(&word, 1);
    }

    [Fact]
    public void A_wait_set_with_too_little_room_sleeps_only_briefly()
    {
        var waitSet = new WaitSet();
        waitSet.Add(0);
        Assert.Equal(0, Poll.Wait(&waitSet, WaitSet.Forever));
    }

    [Fact]
    public void Limits_are_read()
    {
        Assert.True(Limits.OpenFiles > 0);
        Assert.True(Limits.HasNode(0) || !Directory.Exists("/sys/devices/system/node"));
        Assert.False(Limits.HasNode(-1));
        Assert.True(Limits.HugePages.Total >= Limits.HugePages.Free);
    }
}
