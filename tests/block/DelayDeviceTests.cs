using Comanche.Testing;

namespace Comanche.Block.Tests;

public sealed unsafe class DelayDeviceTests
{
    private static DelayDevice Add(TestStack stack, IBase below, DelayOptions options) => stack.Add(new DelayDevice(stack.Host, options), ("", below));

    private static TestStack StackAtTime(ulong now) => new() { Host = new TestHost("slow") { ManualTime = now } };

    private static TimeSpan Microseconds(int count) => TimeSpan.FromMicroseconds(count);

    [Fact]
    public void Each_kind_of_operation_is_held_for_its_own_time()
    {
        using var stack = StackAtTime(1_000_000);
        var options = new DelayOptions { Read = Microseconds(10), Write = Microseconds(30), Flush = Microseconds(20) };
        using var queue = new TestQueue(Add(stack, stack.AddMemory(), options));
        var write = queue.Make(IoOperation.Write, 1, 1, 0x11);
        var flush = queue.Make(IoOperation.Flush);
        var read = queue.Make(IoOperation.Read, 1, 1);
        queue.Submit(write);
        queue.Submit(flush);
        queue.Submit(read);
        Assert.Empty(queue.Poll());
        Assert.Equal(10_000, queue.Arm());

        stack.Host.ManualTime = 1_009_999;
        Assert.Empty(queue.Poll());
        stack.Host.ManualTime = 1_010_000;
        Assert.Equal([(read->Tag, IoStatus.Success)], queue.Poll());
        Assert.Equal(0, TestQueue.DataOf(read)[0]); // The write has not happened yet.
        Assert.Equal(10_000, queue.Arm());
        stack.Host.ManualTime = 1_020_000;
        Assert.Equal([(flush->Tag, IoStatus.Success)], queue.Poll());
        stack.Host.ManualTime = 2_000_000;
        Assert.Equal(0, queue.Arm());
        Assert.Equal([(write->Tag, IoStatus.Success)], queue.Poll());
        Assert.Equal(WaitSet.Forever, queue.Arm());
    }

    [Fact]
    public void Those_of_one_deadline_come_in_the_order_of_their_submission()
    {
        using var stack = StackAtTime(5);
        using var queue = new TestQueue(Add(stack, stack.AddMemory(), new DelayOptions { Read = Microseconds(1) }));
        for (var i = 0; i < 20; i++) queue.Submit(queue.Make(IoOperation.Read, (ulong)i, 1));
        stack.Host.ManualTime = 1005;
        Assert.Equal(Enumerable.Range(0, 20).Select(i => (ulong)i).ToArray(), queue.Poll().Select(b => b.Tag).ToArray());
    }

    [Fact]
    public void An_operation_without_delay_passes_those_that_are_held()
    {
        using var stack = StackAtTime(0);
        using var queue = new TestQueue(Add(stack, stack.AddMemory(), new DelayOptions { Write = Microseconds(9) }));
        var write = queue.Make(IoOperation.Write, 0, 1, 7);
        var read = queue.Make(IoOperation.Read, 0, 1);
        queue.Submit(write);
        queue.Submit(read);
        Assert.Equal([(read->Tag, IoStatus.Success)], queue.Poll());
        stack.Host.ManualTime = 9_000;
        Assert.Equal([(write->Tag, IoStatus.Success)], queue.Poll());
    }

    [Fact]
    public void A_busy_delay_keeps_its_thread_awake_only_while_something_is_held()
    {
        using var stack = StackAtTime(0);
        using var queue = new TestQueue(Add(stack, stack.AddMemory(), new DelayOptions { Read = Microseconds(10), Busy = true }));
        Assert.Equal(WaitSet.Forever, queue.Arm());
        queue.Submit(queue.Make(IoOperation.Read, 0, 1));
        Assert.Equal(0, queue.Arm());
        stack.Host.ManualTime = 10_000;
        Assert.Single(queue.Poll());
        Assert.Equal(WaitSet.Forever, queue.Arm());
    }

    [Fact]
    public void A_delay_of_10_microseconds_of_real_time_is_never_shorter()
    {
        using var stack = new TestStack();
        using var queue = new TestQueue(Add(stack, stack.AddMemory(), new DelayOptions { Read = Microseconds(10), Busy = true }));
        var took = new List<ulong>();
        var read = queue.Make(IoOperation.Read, 0, 1);
        for (var i = 0; i < 300; i++)
        {
            var start = stack.Host.GetTime();
            queue.Submit(read);
            var one = read;
            while (queue.Queue.Poll(&one, 1) == 0) { }
            took.Add(stack.Host.GetTime() - start);
        }

        took.Sort();
        Assert.True(took[0] >= 10_000, $"{took[0]} ns");
        Assert.True(took[took.Count / 2] < 50_000, $"a median of {took[took.Count / 2]} ns");
    }

    [Fact]
    public void Jitter_spreads_evenly_around_the_delay_and_follows_its_seed()
    {
        static List<long> Deadlines(long seed)
        {
            using var stack = StackAtTime(0);
            var options = new DelayOptions { Read = Microseconds(100), Jitter = Microseconds(40), Seed = seed };
            using var queue = new TestQueue(Add(stack, stack.AddMemory(), options), depth: 1);
            var deadlines = new List<long>();
            var read = queue.Make(IoOperation.Read, 0, 1);
            for (var i = 0; i < 500; i++)
            {
                queue.Submit(read);
                deadlines.Add(queue.Arm());
                stack.Host.ManualTime += 1_000_000;
                Assert.Single(queue.Poll());
            }

            return deadlines;
        }

        var first = Deadlines(1);
        Assert.All(first, d => Assert.InRange(d, 60_000, 140_000));
        Assert.InRange(first.Average(), 97_000, 103_000);
        Assert.True(first.Min() < 65_000 && first.Max() > 135_000);
        Assert.Equal(first, Deadlines(1));
        Assert.NotEqual(first, Deadlines(2));
    }

    [Fact]
    public void What_is_held_can_be_cancelled_and_has_then_not_happened()
    {
        using var stack = StackAtTime(0);
        using var queue = new TestQueue(Add(stack, stack.AddMemory(), new DelayOptions { Write = Microseconds(10) }));
        var first = queue.Make(IoOperation.Write, 0, 1, 1);
        var second = queue.Make(IoOperation.Write, 1, 1, 2);
        queue.Submit(first);
        queue.Submit(second);
        Assert.Equal(1, queue.Queue.Cancel(first));
        Assert.Equal(0, queue.Queue.Cancel(first));
        Assert.Equal(0, queue.Arm());
        Assert.Equal([(first->Tag, IoStatus.Cancelled)], queue.Poll());
        stack.Host.ManualTime = 10_000;
        Assert.Equal([(second->Tag, IoStatus.Success)], queue.Poll());
        Assert.Equal(0, queue.ReadByte(0));
        Assert.Equal(2, queue.ReadByte(1));
    }

    [Fact]
    public void Abandon_brings_back_what_is_held_what_waits_and_what_is_below()
    {
        using var stack = StackAtTime(0);
        var scripted = stack.Add(new ScriptedDevice(stack.Host));
        using var queue = new TestQueue(Add(stack, scripted, new DelayOptions { Write = Microseconds(10) }));
        scripted.Queues[0].Room = 1;
        queue.Submit(queue.Make(IoOperation.Read, 0, 1));
        queue.Submit(queue.Make(IoOperation.Read, 1, 1));
        queue.Submit(queue.Make(IoOperation.Write, 2, 1));
        Assert.Equal(1, scripted.Queues[0].Held);
        queue.Queue.Abandon();
        var back = queue.Poll();
        Assert.Equal([0UL, 1UL, 2UL], back.Select(b => b.Tag).Order().ToArray());
        Assert.All(back, b => Assert.Equal(IoStatus.Aborted, b.Status));
    }

    [Fact]
    public void The_heap_gives_random_deadlines_in_order_and_survives_removals()
    {
        const int Seed = 99;
        var random = new Random(Seed);
        using var heap = new DeadlineHeap(500);
        using var slab = new DescriptorSlab(500);
        for (var round = 0; round < 50; round++)
        {
            var deadlines = new Dictionary<nint, ulong>();
            for (var i = 0; i < 500; i++)
            {
                slab[i]->Tag = (ulong)random.Next(100);
                deadlines.Add((nint)slab[i], slab[i]->Tag);
                heap.Push(slab[i]->Tag, slab[i]);
            }

            for (var i = 0; i < 100; i++)
            {
                var one = slab[random.Next(500)];
                Assert.Equal(deadlines.Remove((nint)one), heap.Remove(one));
            }

            var last = (Deadline: 0UL, Index: -1);
            while (heap.Count != 0)
            {
                var one = heap.Pop();
                var now = (one->Tag, slab.IndexOf(one));
                Assert.True(deadlines.Remove((nint)one));
                Assert.True(now.CompareTo(last) > 0, $"out of order; seed {Seed}");
                last = now;
            }

            Assert.Empty(deadlines);
        }
    }

    [Fact]
    public void Nothing_is_allocated_per_io()
    {
        using var stack = new TestStack();
        var options = new DelayOptions { Read = TimeSpan.FromTicks(1), Jitter = TimeSpan.FromTicks(1) };
        using var queue = new TestQueue(Add(stack, stack.AddMemory(), options));
        var read = (nint)queue.Make(IoOperation.Read, 0, 1);
        Assert.Equal(0, Allocation.Measure(1000, () =>
        {
            var one = (IoDescriptor*)read;
            queue.Queue.Submit(&one, 1);
            while (queue.Queue.Poll(&one, 1) == 0) { }
        }));
    }

    [Fact]
    public void Delays_out_of_range_are_errors_of_their_option()
    {
        var below = new PlannedBinding("memory", "", TestPlan.Of<NullDevice>(new NullOptions()).Volume);
        Assert.Equal("flush", TestPlan.OfBound<DelayDevice>(new DelayOptions { Flush = TimeSpan.FromHours(2) }, below).Errors.Single().Option);
        Assert.Equal("read", TestPlan.OfBound<DelayDevice>(new DelayOptions { Read = -Microseconds(1) }, below).Errors.Single().Option);
        Assert.Single(TestPlan.OfBound<DelayDevice>(new DelayOptions(), below).Warnings);
        Assert.Equal(below.Volume, TestPlan.OfBound<DelayDevice>(new DelayOptions { Read = Microseconds(1) }, below).Volume);
    }
}
