using Comanche.Testing;

namespace Comanche.Block.Tests;

public sealed unsafe class ErrorDeviceTests
{
    private static ErrorDevice Add(TestStack stack, IBase below, params ErrorRule[] rules) =>
        stack.Add(new ErrorDevice(stack.Host, new ErrorOptions { Rules = rules }), ("", below));

    [Fact]
    public void Without_a_hit_everything_passes()
    {
        using var stack = new TestStack();
        using var queue = new TestQueue(Add(stack, stack.AddMemory(), new ErrorRule { Operations = [IoOperation.Flush] }));
        Assert.Equal(IoStatus.Success, queue.Write(3, 4, 0x77));
        Assert.Equal(0x77, queue.ReadByte(6));
        Assert.Equal(IoStatus.MediaError, queue.Flush());
    }

    [Fact]
    public void A_failed_operation_does_not_reach_the_device_and_is_counted_in_its_health()
    {
        using var stack = new TestStack();
        var device = Add(stack, stack.AddMemory(), new ErrorRule { Operations = [IoOperation.Write], Status = IoStatus.NoSpace });
        using var queue = new TestQueue(device);
        Assert.Equal(IoStatus.NoSpace, queue.Write(3, 1, 0x77));
        Assert.Equal(0, queue.ReadByte(3));
        DeviceHealth health;
        device.GetHealth(&health);
        Assert.Equal((0UL, 1UL, 0UL), (health.ReadErrors, health.WriteErrors, health.FlushErrors));
        Assert.Equal(1UL, stack.Host.Counter("faults.injected"));
    }

    [Fact]
    public void A_range_is_hit_by_what_touches_it_and_by_no_flush()
    {
        using var stack = new TestStack();
        using var queue = new TestQueue(Add(stack, stack.AddMemory(), new ErrorRule { Lba = 100, Blocks = 10 }));
        Assert.Equal(IoStatus.Success, queue.Write(98, 2, 1));
        Assert.Equal(IoStatus.MediaError, queue.Write(98, 3, 1));
        Assert.Equal(IoStatus.MediaError, queue.Do(queue.Make(IoOperation.Read, 109, 1)));
        Assert.Equal(IoStatus.MediaError, queue.Do(queue.Make(IoOperation.Discard, 0, 1000)));
        Assert.Equal(IoStatus.Success, queue.Do(queue.Make(IoOperation.Read, 110, 1)));
        Assert.Equal(IoStatus.Success, queue.Flush());
    }

    [Fact]
    public void After_and_count_bound_the_hits()
    {
        using var stack = new TestStack();
        using var queue = new TestQueue(Add(stack, stack.AddMemory(), new ErrorRule { Operations = [IoOperation.Write], After = 2, Count = 3 }));
        var statuses = Enumerable.Range(0, 8).Select(i => queue.Write((ulong)i, 1, 1) == IoStatus.Success).ToArray();
        Assert.Equal([true, true, false, false, false, true, true, true], statuses);
    }

    [Fact]
    public void A_rate_hits_its_share_and_follows_its_seed()
    {
        static string Hits(long seed)
        {
            using var stack = new TestStack();
            var options = new ErrorOptions { Rules = [new ErrorRule { Rate = 0.2 }], Seed = seed };
            using var queue = new TestQueue(stack.Add(new ErrorDevice(stack.Host, options), ("", stack.AddMemory())));
            var flush = queue.Make(IoOperation.Flush);
            return string.Concat(Enumerable.Range(0, 2000).Select(_ => queue.Do(flush) == IoStatus.Success ? '.' : 'x'));
        }

        var first = Hits(1);
        Assert.InRange(first.Count(c => c == 'x'), 320, 480);
        Assert.Equal(first, Hits(1));
        Assert.NotEqual(first, Hits(2));
    }

    [Fact]
    public void The_first_rule_that_hits_decides()
    {
        using var stack = new TestStack();
        using var queue = new TestQueue(Add(stack, stack.AddMemory(),
            new ErrorRule { Count = 1, Status = IoStatus.Busy }, new ErrorRule { Count = 1, Status = IoStatus.TimedOut }));
        Assert.Equal([IoStatus.Busy, IoStatus.TimedOut, IoStatus.Success], [queue.Flush(), queue.Flush(), queue.Flush()]);
    }

    [Theory]
    [InlineData(IoStatus.MediaError)]
    [InlineData(IoStatus.Success)]
    public void A_torn_write_leaves_its_first_blocks_and_reports_what_it_is_told(IoStatus status)
    {
        using var stack = new TestStack();
        using var queue = new TestQueue(Add(stack, stack.AddMemory(), new ErrorRule { Action = FaultAction.Torn, Keep = 3, Status = status }));
        Assert.Equal(status, queue.Write(10, 8, 0x42));
        Assert.Equal([0x42, 0x42, 0x42, 0, 0], Enumerable.Range(10, 5).Select(i => queue.ReadByte((ulong)i)).ToArray());
    }

    [Theory]
    [InlineData(0, "")]
    [InlineData(1, "0:1")]
    [InlineData(3, "0:3")]
    [InlineData(4, "0:3 3:1")]
    [InlineData(5, "0:5")]
    [InlineData(8, "0:5 5:3")]
    public void A_torn_scattered_write_keeps_whole_segments_and_a_piece(long keep, string expected)
    {
        using var stack = new TestStack();
        var scripted = stack.Add(new ScriptedDevice(stack.Host));
        using var queue = new TestQueue(Add(stack, scripted, new ErrorRule { Action = FaultAction.Torn, Keep = keep }));
        var seen = new List<(ulong Lba, uint Blocks, byte First, uint Bytes)>();
        scripted.Queues[0].Instant = true;
        scripted.Queues[0].Sees = d =>
        {
            var scattered = (d.Flags & IoFlags.Segments) != 0;
            var bytes = 0u;
            for (var i = 0; scattered && i < d.SegmentCount; i++) bytes += d.Segments[i].Length;
            seen.Add((d.Lba, d.BlockCount, scattered ? d.Segments[0].Address[0] : d.Buffer[0], scattered ? bytes : d.BlockCount * 512));
        };
        uint[] lengths = [3, 2, 4];
        var segments = stackalloc IoSegment[3];
        for (var i = 0; i < 3; i++)
            segments[i] = new IoSegment { Address = queue.Make(IoOperation.Write, 0, lengths[i], (byte)(i + 1))->Buffer, Length = lengths[i] * 512 };
        var write = queue.Make(IoOperation.Write, 20, 9, 0, IoFlags.Segments);
        var own = write->Buffer;
        write->Segments = segments;
        write->SegmentCount = 3;
        Assert.Equal(IoStatus.MediaError, queue.Do(write));
        write->Buffer = own;
        Assert.All(seen, s => Assert.Equal(s.Blocks * 512, s.Bytes));
        var got = string.Join(' ', seen.OrderBy(s => s.Lba).Select(s => $"{s.Lba - 20}:{s.Blocks}"));
        if (keep == 1) Assert.Equal(1, seen[0].First);
        Assert.Equal(expected, got);
    }

    [Fact]
    public void A_write_tears_only_where_the_device_may_tear()
    {
        using var stack = new TestStack();
        var scripted = stack.Add(new ScriptedDevice(stack.Host));
        scripted.Volume = scripted.Volume with { AtomicWriteBlocks = 8 };
        using var queue = new TestQueue(Add(stack, scripted, new ErrorRule { Action = FaultAction.Torn }));
        var ends = new HashSet<ulong>();
        scripted.Queues[0].Instant = true;
        scripted.Queues[0].Sees = d => ends.Add(d.Lba + d.BlockCount);
        for (var i = 0; i < 200; i++) queue.Write(4, 30, 1);
        Assert.Equal([8UL, 16UL, 24UL, 32UL], ends.Order().ToArray());
    }

    [Fact]
    public void Dropped_writes_and_flushes_report_success_and_do_nothing()
    {
        using var stack = new TestStack();
        var scripted = stack.Add(new ScriptedDevice(stack.Host));
        var device = Add(stack, scripted, new ErrorRule { Action = FaultAction.DropWrite }, new ErrorRule { Action = FaultAction.DropFlush });
        using var queue = new TestQueue(device);
        Assert.Equal(IoStatus.Success, queue.Write(1, 1, 1));
        Assert.Equal(IoStatus.Success, queue.Flush());
        Assert.Equal(IoStatus.Success, queue.Do(queue.Make(IoOperation.WriteZeroes, 1, 1)));
        Assert.Empty(scripted.Queues[0].Submitted);
    }

    [Fact]
    public void A_device_that_may_drop_flushes_does_not_claim_durable_ones()
    {
        var below = TestPlan.Of<MemoryDevice>(new MemoryOptions { Size = ByteSize.MiB(1) }).Volume!.Value;
        Assert.True(below.Has(VolumeCapabilities.DurableFlush));
        var binding = new PlannedBinding("memory", "", below);
        var lying = TestPlan.OfBound<ErrorDevice>(new ErrorOptions { Rules = [new ErrorRule { Action = FaultAction.DropFlush, Enabled = false }] }, binding);
        Assert.False(lying.Volume!.Value.Has(VolumeCapabilities.DurableFlush));
        var honest = TestPlan.OfBound<ErrorDevice>(new ErrorOptions { Rules = [new ErrorRule { Action = FaultAction.Fail }] }, binding);
        Assert.Equal(below, honest.Volume);
    }

    [Fact]
    public void Corruption_of_a_read_is_in_the_buffer_and_not_on_the_device()
    {
        using var stack = new TestStack();
        var rule = new ErrorRule { Action = FaultAction.Corrupt, Operations = [IoOperation.Read], Count = 1, Bits = 3, Lba = 5, Blocks = 1 };
        using var queue = new TestQueue(Add(stack, stack.AddMemory(), rule));
        queue.Write(4, 3, 0);
        var read = queue.Make(IoOperation.Read, 4, 3);
        Assert.Equal(IoStatus.Success, queue.Do(read));
        Assert.Equal(3, CountBits(TestQueue.DataOf(read)));
        Assert.Equal(3, CountBits(TestQueue.DataOf(read).Slice(512, 512)));
        Assert.Equal(IoStatus.Success, queue.Do(read));
        Assert.Equal(0, CountBits(TestQueue.DataOf(read)));
    }

    [Fact]
    public void Corruption_of_a_write_is_on_the_device_and_not_in_the_buffer()
    {
        using var stack = new TestStack();
        var rule = new ErrorRule { Action = FaultAction.Corrupt, Operations = [IoOperation.Write], Bits = 8 };
        using var queue = new TestQueue(Add(stack, stack.AddMemory(), rule), depth: 2);
        for (var i = 0; i < 20; i++)
        {
            var write = queue.Make(IoOperation.Write, 64, 4, 0, IoFlags.ForceUnitAccess);
            Assert.Equal(IoStatus.Success, queue.Do(write));
            Assert.Equal(0, CountBits(TestQueue.DataOf(write)));
            var read = queue.Make(IoOperation.Read, 64, 4);
            queue.Do(read);
            Assert.Equal(8, CountBits(TestQueue.DataOf(read)));
        }
    }

    [Theory]
    [InlineData(0, 1, 3, 3)]
    [InlineData(2046, 2, 1, 0)]
    [InlineData(0, 2, -1, 2046)]
    [InlineData(5, 1, -5, 0)]
    [InlineData(0, 1, long.MinValue, 0)]
    public void A_misdirected_write_lands_elsewhere_around_the_ends(ulong lba, uint blocks, long shift, ulong expected)
    {
        using var stack = new TestStack();
        var scripted = stack.Add(new ScriptedDevice(stack.Host));
        scripted.Volume = scripted.Volume with { BlockCount = 2048 };
        using var queue = new TestQueue(Add(stack, scripted, new ErrorRule { Action = FaultAction.Misdirect, Shift = shift }));
        scripted.Queues[0].Instant = true;
        Assert.Equal(IoStatus.Success, queue.Write(lba, blocks, 1));
        Assert.Equal([expected], scripted.Queues[0].Submitted);
    }

    [Fact]
    public void Rules_are_switched_and_watched_at_run_time_by_query()
    {
        using var stack = new TestStack();
        var device = Add(stack, stack.AddMemory(), new ErrorRule { Name = "bad-flush", Operations = [IoOperation.Flush], Enabled = false, Count = 2 }, new ErrorRule { Rate = 0 });
        var faults = ((IBase)device).Query<IFaultInjection>()!;
        Assert.Equal((2, 0, 1, -1), (faults.GetRuleCount(), faults.FindRule("bad-flush"), faults.FindRule("1"), faults.FindRule("none")));
        using var queue = new TestQueue(device);
        Assert.Equal(IoStatus.Success, queue.Flush());
        for (var round = 0; round < 2; round++)
        {
            faults.SetEnabled(0, 1);
            Assert.Equal([IoStatus.MediaError, IoStatus.MediaError, IoStatus.Success], [queue.Flush(), queue.Flush(), queue.Flush()]);
            FaultRuleInfo info;
            faults.GetRule(0, &info);
            Assert.Equal((1, 3UL, 2UL), (info.Enabled, info.Matches, info.Hits));
        }

        faults.SetEnabled(0, 0);
        Assert.Equal(IoStatus.Success, queue.Flush());
        Assert.Throws<ComancheException>(() => faults.SetEnabled(2, 1));
    }

    [Fact]
    public void Rules_that_make_no_sense_are_errors_that_name_the_rule()
    {
        var below = new PlannedBinding("memory", "", TestPlan.Of<NullDevice>(new NullOptions { Size = ByteSize.MiB(1) }).Volume);
        (ErrorRule Rule, string Says)[] cases =
        [
            (new() { Action = FaultAction.DropFlush, Operations = [IoOperation.Write] }, "DropFlush can't be done to Write"),
            (new() { Rate = 1.5 }, "rate"),
            (new() { Rate = double.NaN }, "rate"),
            (new() { Status = IoStatus.Success }, "success"),
            (new() { Lba = 2048 }, "beyond the 2048 blocks"),
            (new() { Action = FaultAction.Misdirect, Shift = 0 }, "shift"),
            (new() { Bits = 9 }, "bits"),
            (new() { Name = "0" }, ""),
        ];
        foreach (var (rule, says) in cases)
        {
            var errors = TestPlan.OfBound<ErrorDevice>(new ErrorOptions { Rules = [rule] }, below).Errors;
            if (says.Length == 0) Assert.Empty(errors);
            else Assert.Contains(says, Assert.Single(errors).Message, StringComparison.Ordinal);
        }

        var twice = TestPlan.OfBound<ErrorDevice>(new ErrorOptions { Rules = [new() { Name = "1" }, new()] }, below).Errors;
        Assert.Contains("two rules are called 1", Assert.Single(twice).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Nothing_is_allocated_per_io()
    {
        using var stack = new TestStack();
        using var queue = new TestQueue(Add(stack, stack.AddMemory(),
            new ErrorRule { Action = FaultAction.Corrupt, Rate = 0.3 }, new ErrorRule { Action = FaultAction.Torn, Rate = 0.3 }, new ErrorRule { Rate = 0.3 }));
        var write = (nint)queue.Make(IoOperation.Write, 0, 4);
        Assert.Equal(0, Allocation.Measure(2000, () =>
        {
            var one = (IoDescriptor*)write;
            queue.Queue.Submit(&one, 1);
            while (queue.Queue.Poll(&one, 1) == 0) { }
        }));
    }

    private static int CountBits(ReadOnlySpan<byte> data)
    {
        var bits = 0;
        foreach (var one in data) bits += byte.PopCount(one);
        return bits;
    }
}
