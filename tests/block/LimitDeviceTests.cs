using Comanche.Testing;

namespace Comanche.Block.Tests;

public sealed unsafe class LimitDeviceTests
{
    private const ulong Start = 1_000_000_000, Millisecond = 1_000_000;

    private static LimitDevice Add(TestStack stack, IBase below, LimitOptions options) => stack.Add(new LimitDevice(stack.Host, options), ("", below));

    private static TestStack StackAt(ulong now) => new() { Host = new TestHost("limited") { ManualTime = now } };

    private static TimeSpan Milliseconds(int count) => TimeSpan.FromMilliseconds(count);

    // Lets time pass in steps and keeps the queue full of an operation; how many came back.
    private static int Run(TestStack stack, ulong milliseconds, params (TestQueue Queue, nint[] Descriptors)[] loads) => Runs(stack, milliseconds, loads).Sum();

    private static int[] Runs(TestStack stack, ulong milliseconds, params (TestQueue Queue, nint[] Descriptors)[] loads)
    {
        var counts = new int[loads.Length];
        var back = stackalloc IoDescriptor*[64];
        foreach (var (queue, descriptors) in loads)
            foreach (var one in descriptors) Assert.True(queue.Submit((IoDescriptor*)one));
        for (ulong i = 0; i < milliseconds * 4; i++)
        {
            stack.Host.ManualTime += Millisecond / 4;
            for (var l = 0; l < loads.Length; l++)
            {
                var done = loads[l].Queue.Queue.Poll(back, 64);
                counts[l] += done;
                for (var d = 0; d < done; d++)
                {
                    Assert.Equal(IoStatus.Success, back[d]->Status);
                    Assert.True(loads[l].Queue.Submit(back[d]));
                }
            }
        }

        foreach (var (queue, _) in loads)
        {
            queue.Queue.Abandon();
            queue.Poll();
        }

        return counts;
    }

    private static nint[] Make(TestQueue queue, IoOperation operation, int count, uint blocks = 1) =>
        [.. Enumerable.Range(0, count).Select(i => (nint)queue.Make(operation, (ulong)i, blocks))];

    [Theory]
    [InlineData(1000, 0, 1, 0, 1000)]
    [InlineData(1000, 100, 1, 0, 1100)]
    [InlineData(500, 0, 1, 0, 500)]
    [InlineData(0, 0, 8, 512_000, 125)]
    [InlineData(0, 200, 8, 512_000, 150)]
    [InlineData(100, 0, 8, 512_000, 100)]
    [InlineData(1000, 0, 8, 512_000, 125)]
    public void The_rate_is_exact_and_the_burst_is_added_once(long iops, int burstMs, uint blocks, ulong bandwidth, int expected)
    {
        using var stack = StackAt(Start);
        var options = new LimitOptions { Iops = iops, Bandwidth = new(bandwidth), Burst = Milliseconds(burstMs) };
        using var queue = new TestQueue(Add(stack, stack.AddMemory(), options));
        Assert.InRange(Run(stack, 1000, (queue, Make(queue, IoOperation.Read, 16, blocks))), expected, expected + 1); // The first is not waited for.
    }

    [Fact]
    public void An_idle_device_saves_up_its_burst_and_not_more()
    {
        using var stack = StackAt(Start);
        using var queue = new TestQueue(Add(stack, stack.AddMemory(), new LimitOptions { Iops = 1000, Burst = Milliseconds(10) }), depth: 64);
        for (var round = 0; round < 3; round++)
        {
            foreach (var one in Make(queue, IoOperation.Read, 20)) queue.Submit((IoDescriptor*)one);
            Assert.Equal(11, queue.Poll().Count);
            stack.Host.ManualTime += 9 * Millisecond;
            Assert.Equal(9, queue.Poll().Count);
            stack.Host.ManualTime += 3600 * 1000 * Millisecond;
        }
    }

    [Fact]
    public void They_go_down_in_order_and_the_sleep_ends_when_the_first_may()
    {
        using var stack = StackAt(Start);
        using var queue = new TestQueue(Add(stack, stack.AddMemory(), new LimitOptions { Iops = 1000, Burst = TimeSpan.Zero }));
        Assert.Equal(WaitSet.Forever, queue.Arm());
        var order = Make(queue, IoOperation.Write, 5);
        foreach (var one in order) queue.Submit((IoDescriptor*)one);
        for (var i = 0; i < 5; i++)
        {
            Assert.Equal(((IoDescriptor*)order[i])->Tag, Assert.Single(queue.Poll()).Tag);
            if (i == 4) break;
            Assert.Equal((long)Millisecond, queue.Arm());
            stack.Host.ManualTime += Millisecond - 1;
            Assert.Empty(queue.Poll());
            Assert.Equal(1, queue.Arm());
            stack.Host.ManualTime += 1;
            Assert.Equal(0, queue.Arm());
        }

        Assert.Equal(WaitSet.Forever, queue.Arm());
    }

    [Fact]
    public void Two_queues_share_the_tokens_evenly_whatever_their_depths()
    {
        using var stack = StackAt(Start);
        var device = Add(stack, stack.AddMemory(), new LimitOptions { Iops = 1000, Burst = TimeSpan.Zero });
        using var deep = new TestQueue(device, depth: 32);
        using var flat = new TestQueue(device, depth: 1);
        var counts = Runs(stack, 1000, (deep, Make(deep, IoOperation.Read, 32)), (flat, Make(flat, IoOperation.Read, 1)));
        Assert.InRange(counts.Sum(), 998, 1001);
        Assert.InRange(counts[1], 490, 510);
    }

    [Fact]
    public void Reads_do_not_wait_behind_writes_that_have_a_limit_of_their_own()
    {
        using var stack = StackAt(Start);
        using var queue = new TestQueue(Add(stack, stack.AddMemory(), new LimitOptions { WriteIops = 10, Burst = TimeSpan.Zero }));
        var writes = Make(queue, IoOperation.Write, 3);
        foreach (var one in writes) queue.Submit((IoDescriptor*)one);
        Assert.Single(queue.Poll());
        foreach (var one in Make(queue, IoOperation.Read, 20)) queue.Submit((IoDescriptor*)one);
        Assert.Equal(20, queue.Poll().Count);
        Assert.Equal(100 * (long)Millisecond, queue.Arm());
        stack.Host.ManualTime += 200 * Millisecond;
        Assert.Equal(2, queue.Poll().Count);
    }

    [Fact]
    public void Reads_and_writes_with_limits_of_their_own_share_the_common_one()
    {
        using var stack = StackAt(Start);
        using var queue = new TestQueue(Add(stack, stack.AddMemory(), new LimitOptions { Iops = 1000, ReadIops = 900, WriteIops = 200, Burst = TimeSpan.Zero }));
        var (reads, writes) = (0, 0);
        var back = stackalloc IoDescriptor*[64];
        foreach (var one in Make(queue, IoOperation.Read, 12).Concat(Make(queue, IoOperation.Write, 12))) queue.Submit((IoDescriptor*)one);
        for (var i = 0; i < 10_000; i++)
        {
            stack.Host.ManualTime += Millisecond / 10;
            for (var left = queue.Queue.Poll(back, 64); left > 0; left--)
            {
                if (back[left - 1]->Operation == IoOperation.Read) reads++;
                else writes++;
                queue.Submit(back[left - 1]);
            }
        }

        queue.Queue.Abandon();
        queue.Poll();
        Assert.InRange(writes, 195, 201);
        Assert.InRange(reads + writes, 995, 1002);
    }

    [Fact]
    public void A_flush_passes_what_waits()
    {
        using var stack = StackAt(Start);
        using var queue = new TestQueue(Add(stack, stack.AddMemory(), new LimitOptions { Iops = 1, Burst = TimeSpan.Zero }));
        queue.Submit(queue.Make(IoOperation.Write, 0, 1));
        queue.Submit(queue.Make(IoOperation.Write, 1, 1));
        Assert.Single(queue.Poll());
        Assert.Equal(IoStatus.Success, queue.Flush());
        stack.Host.ManualTime += 1000 * Millisecond;
        Assert.Single(queue.Poll());
    }

    [Fact]
    public void An_io_larger_than_the_burst_passes_and_the_next_waits_for_its_debt()
    {
        using var stack = StackAt(Start);
        var options = new LimitOptions { Bandwidth = new(512_000), Burst = Milliseconds(10) };
        using var queue = new TestQueue(Add(stack, stack.AddMemory(), options));
        queue.Submit(queue.Make(IoOperation.Read, 0, 500)); // Half a second's bytes.
        queue.Submit(queue.Make(IoOperation.Discard, 0, 1000));
        Assert.Single(queue.Poll());
        Assert.Equal(490 * (long)Millisecond, queue.Arm());
        stack.Host.ManualTime += 490 * Millisecond;
        Assert.Single(queue.Poll());
        queue.Submit(queue.Make(IoOperation.Read, 0, 1)); // The discard moved nothing.
        Assert.Single(queue.Poll());
    }

    [Fact]
    public void What_is_cancelled_has_not_happened_and_gives_its_tokens_back()
    {
        using var stack = StackAt(Start);
        using var queue = new TestQueue(Add(stack, stack.AddMemory(), new LimitOptions { Iops = 1000, Burst = TimeSpan.Zero }));
        Assert.Equal(IoStatus.Success, queue.Write(5, 1, 5));
        var first = queue.Make(IoOperation.Write, 0, 1, 1);
        var second = queue.Make(IoOperation.Write, 1, 1, 2);
        var third = queue.Make(IoOperation.Write, 2, 1, 3);
        queue.Submit(first);
        queue.Submit(second);
        queue.Submit(third);
        Assert.Equal(1, queue.Queue.Cancel(second));
        Assert.Equal(1, queue.Queue.Cancel(first));
        Assert.Equal(0, queue.Queue.Cancel(first));
        Assert.Equal(0, queue.Arm());
        Assert.Equal([(second->Tag, IoStatus.Cancelled), (first->Tag, IoStatus.Cancelled)], queue.Poll());
        Assert.Equal((long)Millisecond, queue.Arm());
        stack.Host.ManualTime += Millisecond;
        Assert.Equal([(third->Tag, IoStatus.Success)], queue.Poll());
        stack.Host.ManualTime += 10 * Millisecond;
        Assert.Equal(0, queue.ReadByte(0));
    }

    [Fact]
    public void Abandon_brings_back_what_waits_and_what_is_below_and_leaves_the_tokens_to_others()
    {
        using var stack = StackAt(Start);
        var scripted = stack.Add(new ScriptedDevice(stack.Host));
        var device = Add(stack, scripted, new LimitOptions { Iops = 1000, Burst = Milliseconds(1) });
        using var queue = new TestQueue(device);
        scripted.Queues[0].Room = 1;
        foreach (var one in Make(queue, IoOperation.Read, 5)) queue.Submit((IoDescriptor*)one);
        Assert.Equal(1, scripted.Queues[0].Held);
        queue.Queue.Abandon();
        Assert.False(queue.Submit(queue.Make(IoOperation.Read, 0, 1)));
        var back = queue.Poll();
        Assert.Equal([0UL, 1UL, 2UL, 3UL, 4UL], back.Select(b => b.Tag).Order().ToArray());
        Assert.All(back, b => Assert.Equal(IoStatus.Aborted, b.Status));
        using var other = new TestQueue(device);
        other.Submit(other.Make(IoOperation.Read, 0, 1));
        Assert.Equal((long)Millisecond, other.Arm()); // After the two that passed, not after five.
        other.Queue.Abandon();
        other.Poll();
    }

    [Fact]
    public void Threads_that_draw_at_once_get_no_more_than_there_is()
    {
        const int Threads = 4, Draws = 20_000;
        var limit = new RateLimit(1_000_000, 0, TimeSpan.Zero, 512, Start);
        var last = new ulong[Threads];
        var threads = Enumerable.Range(0, Threads).Select(t => new Thread(() =>
        {
            var read = new IoDescriptor { Operation = IoOperation.Read, BlockCount = 1 };
            for (var i = 0; i < Draws; i++) last[t] = limit.Draw(&read, Start);
        })).ToList();
        threads.ForEach(t => t.Start());
        threads.ForEach(t => t.Join());
        Assert.Equal(Start + (Threads * Draws - 1) * 1000UL, last.Max());
        Assert.Equal(Start + Threads * Draws * 1000UL, limit.ReadyAt(Start));
    }

    [Fact]
    public void Time_that_wraps_in_the_buckets_changes_nothing()
    {
        var now = (1UL << 56) - 500; // The word is about to wrap.
        var limit = new RateLimit(1_000_000, 0, TimeSpan.FromMicroseconds(2), 512, now);
        var read = new IoDescriptor { Operation = IoOperation.Read, BlockCount = 1 };
        for (var i = 0; i < 3; i++) Assert.Equal(now, limit.Draw(&read, now));
        Assert.Equal(now + 1000, limit.Draw(&read, now));
        Assert.Equal(now + 2000, limit.Draw(&read, now + 500));
        now += 365UL * 24 * 3600 * 1_000_000_000;
        Assert.Equal(now, limit.ReadyAt(now));
    }

    [Fact]
    public void Nothing_is_allocated_per_io()
    {
        using var stack = StackAt(Start);
        using var queue = new TestQueue(Add(stack, stack.AddMemory(), new LimitOptions { Iops = 1000, ReadBandwidth = ByteSize.MiB(1), Burst = TimeSpan.Zero }));
        var read = (nint)queue.Make(IoOperation.Read, 0, 1);
        var host = stack.Host;
        Assert.Equal(0, Allocation.Measure(1000, () =>
        {
            var one = (IoDescriptor*)read;
            queue.Queue.Submit(&one, 1);
            while (queue.Queue.Poll(&one, 1) == 0) host.ManualTime += Millisecond;
        }));
    }

    [Fact]
    public void Without_limits_there_is_no_queue_in_between()
    {
        using var stack = StackAt(Start);
        var scripted = stack.Add(new ScriptedDevice(stack.Host));
        using var queue = new TestQueue(Add(stack, scripted, new LimitOptions()));
        Assert.Same(scripted.Queues[0], queue.Queue);
    }

    [Fact]
    public void What_makes_no_sense_is_said()
    {
        var below = new PlannedBinding("memory", "", TestPlan.Of<NullDevice>(new NullOptions()).Volume);
        Assert.Equal("read-iops", TestPlan.OfBound<LimitDevice>(new LimitOptions { ReadIops = -1 }, below).Errors.Single().Option);
        Assert.Equal("burst", TestPlan.OfBound<LimitDevice>(new LimitOptions { Burst = TimeSpan.FromHours(2) }, below).Errors.Single().Option);
        Assert.Equal("bandwidth", TestPlan.OfBound<LimitDevice>(new LimitOptions { Bandwidth = new(2UL << 40) }, below).Errors.Single().Option);
        Assert.Contains("no limit is given", TestPlan.OfBound<LimitDevice>(new LimitOptions(), below).Warnings.Single().Message, StringComparison.Ordinal);
        Assert.Equal("write-iops", TestPlan.OfBound<LimitDevice>(new LimitOptions { Iops = 10, WriteIops = 10 }, below).Warnings.Single().Option);
        var good = TestPlan.OfBound<LimitDevice>(new LimitOptions { Iops = 10 }, below);
        Assert.Equal(below.Volume, good.Volume);
        Assert.Empty(good.Warnings);
    }
}
