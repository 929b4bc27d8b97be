using System.Diagnostics;

namespace Comanche.Conformance.Tests;

/// <summary>Poll gives nothing → Arm → sleep: the sleep really ends.</summary>
public sealed unsafe class SleepTests
{
    // Long enough for a machine that does much else; a sleep that ends is over in a fraction of a millisecond.
    private const long LongestNs = 20_000_000_000;

    public static TheoryData<string> Devices => DeviceCatalogue.Names;

    [Theory, MemberData(nameof(Devices))]
    public void A_sleep_ends_when_there_is_work(string device)
    {
        using var rig = new Rig(device);
        using var io = new TestIo(rig.Device, depth: 8);
        var buffer = io.Buffer(8 * 16);
        var descriptors = stackalloc int[64];
        for (var round = 0; round < 20; round++)
        {
            for (uint i = 0; i < 8; i++) io.Batch[i] = io.Make(round % 2 == 0 ? IoOperation.Write : IoOperation.Read, i * 16, 16, buffer, i * 16);
            var left = 8 - io.Submit(0, 8);
            while (io.InFlight != 0)
            {
                if (io.Poll() != 0) continue;
                var set = new WaitSet { Descriptors = descriptors, Capacity = 64 };
                var deadline = io.Queue.Arm(&set);
                Assert.True(deadline >= 0, $"a deadline of {deadline} ns");
                if (deadline == 0) continue;
                Assert.False(deadline == WaitSet.Forever && set.Count == 0, "nothing could end this sleep, with descriptors in flight");
                var clock = Stopwatch.StartNew();
                Linux.Poll.Wait(&set, Math.Min(deadline, LongestNs));
                Assert.True(clock.Elapsed.TotalNanoseconds < LongestNs, $"{io.InFlight} descriptors in flight, and the sleep does not end");
            }

            Assert.InRange(left, 0, 7);
            io.Reset();
        }
    }

    [Theory, MemberData(nameof(Devices))]
    public void A_queue_that_sleeps_by_itself_wakes_when_there_is_work(string device)
    {
        using var rig = new Rig(device);
        using var io = new TestIo(rig.Device, depth: 8);
        if (io.Queue is not IWaitingQueue waiting) return;
        var buffer = io.Buffer(8);
        for (var round = 0; round < 20; round++)
        {
            for (uint i = 0; i < 8; i++) io.Batch[i] = io.Make(round % 2 == 0 ? IoOperation.Write : IoOperation.Read, i, 1, buffer, i);
            io.Submit(0, 8);
            while (io.InFlight != 0)
            {
                if (io.Poll() != 0) continue;
                var clock = Stopwatch.StartNew();
                if (!waiting.Wait(1, LongestNs)) Thread.Yield(); // It can't now: a caller arms.
                Assert.True(clock.Elapsed.TotalNanoseconds < LongestNs, $"{io.InFlight} descriptors in flight, and the wait does not end");
            }

            io.Reset();
        }
    }

    [Theory, MemberData(nameof(Devices))]
    public void An_idle_queue_lets_its_owner_sleep(string device)
    {
        using var rig = new Rig(device);
        using var io = new TestIo(rig.Device);
        io.WritePattern(0, 1, 40, io.Buffer(1));
        io.Must(io.Make(IoOperation.Flush));
        var descriptors = stackalloc int[64];
        var awake = 0;
        for (var i = 0; i < 3; i++)
        {
            while (io.Poll() != 0) { }
            var set = new WaitSet { Descriptors = descriptors, Capacity = 64 };
            if (io.Queue.Arm(&set) == 0) awake++;
            else Assert.Equal(0, Linux.Poll.Wait(&set, 1_000_000));
        }

        Assert.True(awake < 3, "an idle queue always claims that work is pending: its owner never sleeps");
    }
}
