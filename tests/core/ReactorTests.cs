using System.Diagnostics;
using Comanche.Runtime;

namespace Comanche.Core.Tests;

public sealed unsafe class ReactorTests
{
    private sealed class Poller(Func<int> poll, Func<long>? arm = null) : IPoller
    {
        public int Poll() => poll();

        public long Arm(WaitSet* waitSet) => arm?.Invoke() ?? WaitSet.Forever;
    }

    private static Reactor Start(IdlePolicy idle = IdlePolicy.Adaptive, ILogSink? log = null) => new(new ReactorOptions { Name = "test", Idle = idle }, log);

    [Fact]
    public void Work_runs_on_its_thread_in_order_of_posting()
    {
        using var reactor = Start();
        var seen = new List<int>();
        for (var i = 0; i < 100; i++)
        {
            var number = i;
            reactor.Post(() => seen.Add(reactor.IsCurrent ? number : -1));
        }

        reactor.Invoke(() => { });
        Assert.Equal(Enumerable.Range(0, 100), seen);
        Assert.False(reactor.IsCurrent);
    }

    [Fact]
    public void An_idle_reactor_sleeps()
    {
        using var reactor = Start();
        reactor.Invoke(() => reactor.Add(new Poller(() => 0)));
        Thread.Sleep(50);
        var before = ThreadTime(reactor);
        var watch = Stopwatch.StartNew();
        Thread.Sleep(1000);
        var used = ThreadTime(reactor) - before;
        Assert.True(used < watch.Elapsed / 100, $"{used.TotalMilliseconds} ms of {watch.Elapsed.TotalMilliseconds} ms");
        Assert.True(reactor.Load.Sleeps > 0);
    }

    [Fact]
    public void A_wake_up_from_another_thread_is_never_lost()
    {
        using var reactor = Start();
        var given = 0;
        var taken = 0; // Reactor thread only, but for the final read.
        reactor.Invoke(() => reactor.Add(new Poller(() =>
        {
            var count = Volatile.Read(ref given) - taken;
            Volatile.Write(ref taken, taken + count);
            return count;
        }, () => Volatile.Read(ref given) == taken ? WaitSet.Forever : 0)));
        var random = new Random(5);
        for (var i = 1; i <= 3000; i++)
        {
            Volatile.Write(ref given, i);
            reactor.Wake();
            var watch = Stopwatch.StartNew();
            while (Volatile.Read(ref taken) != i)
            {
                Assert.True(watch.ElapsedMilliseconds < 5000, $"wake-up {i} was lost");
                Thread.Yield();
            }

            if (random.Next(20) == 0) Thread.SpinWait(random.Next(20_000)); // Around the moment at which it falls asleep.
        }
    }

    [Fact]
    public void A_deadline_ends_the_sleep()
    {
        using var reactor = Start();
        using var done = new ManualResetEventSlim();
        var due = long.MaxValue;
        reactor.Invoke(() =>
        {
            due = Stopwatch.GetTimestamp() + 50_000_000;
            reactor.Add(new Poller(
                () =>
                {
                    if (Stopwatch.GetTimestamp() < due || done.IsSet) return 0;
                    done.Set();
                    return 1;
                },
                () => done.IsSet ? WaitSet.Forever : Math.Max(0, due - Stopwatch.GetTimestamp())));
        });
        Assert.True(done.Wait(5000));
        var late = Stopwatch.GetTimestamp() - due;
        Assert.True(late < 2_000_000_000, $"{late} ns late");
        Assert.True(reactor.Load.Sleeps is > 0 and < 100, $"{reactor.Load.Sleeps} sleeps");
    }

    [Fact]
    public void Descriptors_beyond_the_first_room_wake_it_too()
    {
        const int Count = 100;
        using var reactor = Start();
        var events = Enumerable.Range(0, Count).Select(_ =>
        {
            Assert.Equal(0, Linux.Threads.CreateEvent(out var descriptor));
            return descriptor;
        }).ToArray();
        var signalled = -1;
        var poller = new EventPoller(events, i => Volatile.Write(ref signalled, i));
        reactor.Invoke(() => reactor.Add(poller));
        Thread.Sleep(20);
        foreach (var index in new[] { 0, 50, Count - 1 })
        {
            Linux.Threads.SignalEvent(events[index]);
            Assert.True(SpinWait.SpinUntil(() => Volatile.Read(ref signalled) == index, 5000), $"event {index}");
        }

        reactor.Invoke(() => reactor.Remove(poller));
        foreach (var descriptor in events) Linux.Memory.Close(descriptor);
    }

    private sealed class EventPoller(int[] events, Action<int> signalled) : IPoller
    {
        public int Poll()
        {
            for (var i = 0; i < events.Length; i++)
            {
                if (!Linux.Threads.DrainEvent(events[i])) continue;
                signalled(i);
                return 1;
            }

            return 0;
        }

        public long Arm(WaitSet* waitSet)
        {
            foreach (var descriptor in events) waitSet->Add(descriptor);
            return WaitSet.Forever;
        }
    }

    [Fact]
    public void Pollers_may_come_and_go_while_they_are_called()
    {
        using var reactor = Start();
        var calls = new int[4];
        reactor.Invoke(() =>
        {
            Poller? first = null;
            var late = new Poller(() => calls[3]++ == 0 ? 1 : 0);
            first = new Poller(() =>
            {
                calls[0]++;
                reactor.Remove(first!);
                reactor.Add(late);
                return 1;
            });
            reactor.Add(first);
            reactor.Add(new Poller(() =>
            {
                calls[1]++;
                return 0;
            }));
        });
        Assert.True(SpinWait.SpinUntil(() => Volatile.Read(ref calls[3]) > 1, 5000));
        Assert.Equal(1, calls[0]);
        Assert.True(calls[1] > 0);
    }

    [Fact]
    public void A_poller_that_throws_is_taken_away_and_the_others_go_on()
    {
        var log = new ListSink();
        using var reactor = Start(log: log);
        int bad = 0, good = 0;
        reactor.Invoke(() =>
        {
            reactor.Add(new Poller(() =>
            {
                bad++;
                throw new InvalidOperationException("broken");
            }));
            reactor.Add(new Poller(() => good++ < 10 ? 1 : 0));
            reactor.Add(new Poller(() => 0, () => throw new InvalidOperationException("unarmed")));
        });
        reactor.Post(() => throw new InvalidOperationException("posted"));
        Assert.True(SpinWait.SpinUntil(() => log.Lines.Count == 3 && Volatile.Read(ref good) > 10, 5000));
        reactor.Invoke(() => { });
        Assert.Equal(1, bad);
        foreach (var text in new[] { "broken", "unarmed", "posted" })
            Assert.Contains(log.Lines, l => l.Level == LogLevel.Error && l.Message.Contains(text, StringComparison.Ordinal));
    }

    private sealed class Failing(Reactor reactor, bool inArm) : IPoller
    {
        public int Polls { get; private set; }

        public List<string> Told { get; } = [];

        public int Poll()
        {
            Polls++;
            return !inArm && Told.Count == 0 ? throw new InvalidOperationException("broken") : 0;
        }

        public long Arm(WaitSet* waitSet) => inArm && Told.Count == 0 ? throw new InvalidOperationException("broken") : WaitSet.Forever;

        public void Failed(Exception exception)
        {
            Told.Add(exception.Message);
            reactor.Add(this);
            throw new InvalidOperationException("told in vain");
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_poller_that_is_taken_away_is_told_why_and_may_come_back(bool inArm)
    {
        var log = new ListSink();
        using var reactor = Start(log: log);
        var poller = new Failing(reactor, inArm);
        reactor.Invoke(() => reactor.Add(poller));
        Assert.True(SpinWait.SpinUntil(() => log.Lines.Count == 2, 5000));
        var polls = 0;
        reactor.Invoke(() => polls = poller.Polls);
        Assert.True(SpinWait.SpinUntil(() => Read(reactor, () => poller.Polls) > polls, 5000), "it is not polled any more");
        Assert.Equal(["broken"], poller.Told);
        Assert.Contains("told in vain", log.Lines[1].Message, StringComparison.Ordinal);
    }

    private static int Read(Reactor reactor, Func<int> what)
    {
        var value = 0;
        reactor.Invoke(() => value = what());
        return value;
    }

    [Fact]
    public void Busy_and_idle_time_are_told_apart()
    {
        using var reactor = Start();
        var work = true;
        reactor.Invoke(() => reactor.Add(new Poller(() => Volatile.Read(ref work) ? 1 : 0)));
        Thread.Sleep(100);
        Volatile.Write(ref work, false);
        Thread.Sleep(200);
        reactor.Invoke(() => { });
        var load = reactor.Load;
        Assert.True(load.BusyNs > 50_000_000, load.ToString());
        Assert.True(load.IdleNs > 100_000_000, load.ToString());
    }

    [Fact]
    public void Dispose_runs_what_was_posted_and_then_refuses()
    {
        var reactor = Start(IdlePolicy.Spin);
        var ran = 0;
        for (var i = 0; i < 10; i++) reactor.Post(() => ran++);
        reactor.Dispose();
        reactor.Dispose();
        Assert.Equal(10, ran);
        Assert.Throws<ComancheException>(() => reactor.Post(() => { }));
    }

    [Fact]
    public void What_invoked_work_throws_is_thrown_to_the_caller()
    {
        using var reactor = Start();
        Assert.Equal("no", Assert.Throws<ComancheException>(() => reactor.Invoke(() => throw new ComancheException("no"))).Message);
        Assert.Throws<ComancheException>(() => reactor.Add(new Poller(() => 0)));
    }

    [Fact]
    public void A_pinned_reactor_stays_on_its_core_and_an_impossible_core_is_only_a_warning()
    {
        var log = new ListSink();
        var core = Enumerable.Range(0, 64).First(Linux.Threads.MayRunOn);
        using (var reactor = new Reactor(new ReactorOptions { Core = core }, log))
        {
            reactor.Invoke(() =>
            {
                for (var i = 0; i < 1024; i++) Assert.Equal(i == core, Linux.Threads.MayRunOn(i));
            });
        }

        Assert.Empty(log.Lines);
        using (new Reactor(new ReactorOptions { Core = 1000 }, log)) Assert.Equal(LogLevel.Warning, Assert.Single(log.Lines).Level);
    }

    // The processor time of a reactor's thread, from the kernel.
    private static TimeSpan ThreadTime(Reactor reactor)
    {
        var id = 0;
        reactor.Invoke(() => id = Linux.Threads.CurrentId);
        var text = File.ReadAllText($"/proc/self/task/{id}/schedstat");
        return TimeSpan.FromMicroseconds(long.Parse(text.Split(' ')[0], System.Globalization.CultureInfo.InvariantCulture) / 1000.0);
    }
}
