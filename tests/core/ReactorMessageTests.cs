using System.Diagnostics;
using Comanche.Runtime;

namespace Comanche.Core.Tests;

/// <summary>What reactors tell each other, and what they do later.</summary>
public sealed class ReactorMessageTests
{
    private sealed class Receiver(Action<ulong> receive) : IReceiver
    {
        public void Receive(ulong message) => receive(message);
    }

    private static Reactor Start(ILogSink? log = null) => new(new ReactorOptions { Name = "test", Spin = TimeSpan.Zero }, log);

    [Fact]
    public void Messages_of_several_threads_arrive_once_each_in_order_of_their_sender()
    {
        const int Senders = 4, Each = 50_000;
        using var reactor = Start();
        var next = new ulong[Senders];
        var wrong = 0;
        var received = 0;
        var receiver = new Receiver(message =>
        {
            if (next[message >> 32]++ != (uint)message) wrong++;
            Volatile.Write(ref received, received + 1);
        });
        var threads = Enumerable.Range(0, Senders).Select(sender => new Thread(() =>
        {
            for (uint i = 0; i < Each; i++)
                while (!reactor.TrySend(receiver, (ulong)sender << 32 | i))
                    Thread.Yield();
        })).ToList();
        threads.ForEach(t => t.Start());
        threads.ForEach(t => t.Join());
        Until(() => Volatile.Read(ref received) == Senders * Each);
        Assert.Equal(0, wrong);
    }

    [Fact]
    public void A_ring_that_is_full_says_so_and_takes_more_later()
    {
        using var reactor = Start();
        using var held = new ManualResetEventSlim();
        var sum = 0UL;
        var receiver = new Receiver(message => sum += message);
        reactor.Post(held.Wait);
        var sent = 0UL;
        while (reactor.TrySend(receiver, 1)) sent++;
        Assert.Equal(1024ul, sent);
        held.Set();
        Until(() => reactor.TrySend(receiver, 1));
        Until(() => Volatile.Read(ref sum) == sent + 1);
    }

    [Fact]
    public void A_message_allocates_nothing()
    {
        using var reactor = Start();
        var receiver = new Receiver(_ => { });
        for (var i = 0; i < 1000; i++) reactor.TrySend(receiver, 1);
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 1000; i++) reactor.TrySend(receiver, 1);
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    [Fact]
    public void A_receiver_that_throws_is_logged_and_the_others_go_on()
    {
        var log = new ListSink();
        using var reactor = Start(log);
        var came = false;
        reactor.TrySend(new Receiver(_ => throw new InvalidOperationException("no")), 0);
        reactor.TrySend(new Receiver(_ => Volatile.Write(ref came, true)), 0);
        Until(() => Volatile.Read(ref came));
        Assert.Contains(log.Lines, line => line.Message.Contains("failed on a message", StringComparison.Ordinal));
    }

    [Fact]
    public void Timers_run_in_order_wake_a_sleeping_reactor_and_can_be_taken_back()
    {
        using var reactor = Start();
        var seen = new List<int>();
        var clock = Stopwatch.StartNew();
        var at = TimeSpan.Zero;
        reactor.Invoke(() =>
        {
            reactor.Schedule(TimeSpan.FromMilliseconds(30), () => seen.Add(3));
            reactor.Schedule(TimeSpan.FromMilliseconds(10), () => seen.Add(1));
            reactor.Schedule(TimeSpan.FromMilliseconds(20), () => seen.Add(2)).Dispose();
            reactor.Schedule(TimeSpan.FromMilliseconds(10), () => throw new InvalidOperationException("no"));
            reactor.Schedule(TimeSpan.FromMilliseconds(30), () =>
            {
                at = clock.Elapsed;
                Volatile.Write(ref seen, [.. seen, 4]);
            });
        });
        Until(() => Volatile.Read(ref seen).Count == 3);
        Assert.Equal([1, 3, 4], seen);
        Assert.True(at >= TimeSpan.FromMilliseconds(29), $"it ran after {at.TotalMilliseconds} ms");
    }

    private static void Until(Func<bool> condition)
    {
        var clock = Stopwatch.StartNew();
        while (!condition())
        {
            Assert.True(clock.Elapsed < TimeSpan.FromSeconds(20), "it does not come true");
            Thread.Sleep(1);
        }
    }
}
