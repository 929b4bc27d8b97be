using Comanche.Testing;

namespace Comanche.Block.Tests;

public sealed unsafe class ChildQueueTests : IDisposable
{
    private readonly TestHost _host = new("fan-out");
    private readonly List<ScriptedDevice> _below = [];
    private readonly DescriptorSlab _slab = new(64);
    private readonly DescriptorSlab _pointers = new(64);
    private FanOutDevice? _device;
    private IIoQueue? _queue;
    private int _made;

    public void Dispose()
    {
        _slab.Dispose();
        _pointers.Dispose();
    }

    [Fact]
    public void A_parent_is_back_when_its_last_child_is_back_and_not_before()
    {
        var queue = Open(depth: 4, children: 16, devices: 2);
        Assert.Equal(1, Submit(Parent(lba: 100, blocks: 3)));
        Assert.Equal([100, 102], _below[0].Queues[0].Submitted);
        Assert.Equal([101], _below[1].Queues[0].Submitted);

        _below[0].Queues[0].LetGo();
        Assert.Empty(Poll());
        Assert.Empty(queue.Finished);
        _below[1].Queues[0].LetGo();
        Assert.Equal([(0UL, IoStatus.Success)], Poll());
        Assert.Equal(3, queue.ChildrenDone);
        Assert.Equal(16, queue.FreeChildren);
        Close();
    }

    [Fact]
    public void A_poll_that_took_a_child_and_gave_nothing_leaves_a_sleep_that_ends()
    {
        var queue = Open(depth: 4, children: 16, devices: 2);
        Submit(Parent(lba: 100, blocks: 2));
        Assert.Empty(Poll());
        Assert.Equal(WaitSet.Forever, Arm());
        _below[0].Queues[0].LetGo(); // Just before the sleep: the device below has given notice of it, and Arm finds it.
        Assert.Equal(0, Arm());
        Assert.Empty(Poll()); // The parent has another child.
        Assert.Equal(WaitSet.Forever, Arm());
        _below[1].Queues[0].LetGo();
        Assert.Equal(0, Arm());
        Assert.Single(Poll());
        Close();
    }

    [Theory]
    [InlineData(500, 0)] // Many children over a queue of depth 1.
    [InlineData(1, 500)] // Many steps, one after the other.
    public void A_parent_that_takes_more_than_a_poll_is_never_slept_on(int blocks, int steps)
    {
        var memory = new MemoryDevice(new TestHost("disk"), new MemoryOptions { Size = ByteSize.MiB(1), BlockSize = new(512) });
        memory.Start();
        var device = new FanOutDevice(_host, children: 512) { DepthBelow = 1 };
        device.Bind(memory, "");
        device.Start();
        var options = new QueueOptions { Depth = 1 };
        var queue = device.OpenQueue(&options);
        device.Queue!.Steps = steps;
        var buffer = new byte[blocks * 512];
        fixed (byte* bytes = buffer)
        {
            var parent = Parent(lba: 0, (uint)blocks);
            parent->Operation = IoOperation.Read;
            parent->Buffer = bytes;
            Assert.Equal(1, queue.Submit(&parent, 1));
            IoDescriptor* done;
            while (queue.Poll(&done, 1) == 0)
            {
                var set = default(WaitSet);
                Assert.Equal(0, queue.Arm(&set));
            }
        }

        queue.Close();
        device.Release();
        memory.Release();
    }

    [Fact]
    public void The_first_failure_is_the_parents_status()
    {
        Open(depth: 4, children: 16);
        var below = _below[0].Queues[0];
        below.Statuses[11] = IoStatus.MediaError;
        below.Statuses[12] = IoStatus.NoSpace;
        Submit(Parent(lba: 10, blocks: 4));
        below.LetGoAt(2); // NoSpace comes first.
        below.LetGo();
        Assert.Equal([(0UL, IoStatus.NoSpace)], Poll());
        Close();
    }

    [Fact]
    public void A_parent_is_accepted_only_when_all_its_children_are_free()
    {
        var queue = Open(depth: 8, children: 5);
        var first = Parent(0, 3);
        var second = Parent(100, 3);
        var third = Parent(200, 1);
        Assert.Equal(1, Submit(first, second, third));
        Assert.Equal([0, 1, 2], _below[0].Queues[0].Submitted);
        Assert.Equal(2, queue.FreeChildren);

        // Refused in the middle of the batch: not a word of it was touched, and the third, for which there is room, does not overtake it.
        Assert.Equal(0, Submit(second, third));
        _below[0].Queues[0].LetGo();
        Assert.Single(Poll());
        Assert.Equal(2, Submit(second, third));
        _below[0].Queues[0].LetGo();
        Assert.Equal(2, Poll().Count);
        Assert.Equal(5, queue.FreeChildren);
        Close();
    }

    [Fact]
    public void A_refused_parent_is_as_it_was()
    {
        Open(depth: 1, children: 4);
        var first = Parent(0, 1);
        var second = Parent(7, 2);
        second->Status = IoStatus.Busy;
        second->Pending = 77;
        var before = *second;
        Assert.Equal(1, Submit(first, second));
        Assert.True(new ReadOnlySpan<byte>(&before, 56).SequenceEqual(new ReadOnlySpan<byte>(second, 56)));
        _below[0].Queues[0].LetGo();
        Poll();
        Close();
    }

    [Fact]
    public void A_parent_that_needs_more_children_than_there_are_fails_instead_of_waiting_for_ever()
    {
        Open(depth: 4, children: 3);
        Assert.Equal(2, Submit(Parent(0, 4), Parent(50, 1)));
        _below[0].Queues[0].LetGo();
        Assert.Equal([(0UL, IoStatus.InvalidArgument), (1UL, IoStatus.Success)], Poll());
        Close();
    }

    [Fact]
    public void A_parent_without_children_comes_from_poll_and_is_finished_once()
    {
        var queue = Open(depth: 4, children: 4);
        Assert.Equal(1, Submit(Parent(0, 0)));
        Assert.Equal(0, Arm());
        Assert.Equal([(0UL, IoStatus.Success)], Poll());
        Assert.Single(queue.Finished);
        Assert.Empty(Poll());
        Assert.Equal(WaitSet.Forever, Arm());
        Close();
    }

    [Fact]
    public void Children_that_are_refused_below_go_down_in_order_as_room_is_made()
    {
        Open(depth: 4, children: 16, room: 2);
        var below = _below[0].Queues[0];
        Assert.Equal(2, Submit(Parent(0, 3), Parent(100, 2)));
        Assert.Equal([0, 1], below.Submitted);
        below.LetGo();

        // The same poll that makes room uses it: nobody has to come again for that.
        Assert.Empty(Poll());
        Assert.Equal([0, 1, 2, 100], below.Submitted);
        below.LetGo();
        Assert.Equal([(0UL, IoStatus.Success)], Poll());
        Assert.Equal([0, 1, 2, 100, 101], below.Submitted);
        below.LetGo();
        Assert.Equal([(1UL, IoStatus.Success)], Poll());
        Close();
    }

    [Fact]
    public void A_poll_that_finds_nothing_has_left_nothing_undone_below()
    {
        // A queue below that finishes at once: what is armed before an empty poll must still hold after it.
        Open(depth: 4, children: 16, room: 1);
        _below[0].Queues[0].Instant = true;
        Submit(Parent(0, 5));
        Assert.Equal([(0UL, IoStatus.Success)], Poll());
        Close();
    }

    [Fact]
    public void Polling_with_little_room_starves_no_queue_below()
    {
        Open(depth: 64, children: 128, devices: 3);
        foreach (var device in _below) device.Queues[0].Instant = true;
        for (var i = 0; i < 30; i++) Submit(Parent((ulong)i * 10, 3));
        var back = new List<(ulong, IoStatus)>();
        for (var polls = 0; back.Count < 21; polls++)
        {
            Assert.True(polls < 200, "a queue below is starved");
            back.AddRange(Poll(capacity: 1));
        }

        for (var i = 0; i < 100 && back.Count < _made; i++) back.AddRange(Poll());
        Assert.Equal(_made, back.Count);
        Close();
    }

    [Fact]
    public void Cancel_reaches_the_children_below_and_ends_those_that_wait()
    {
        Open(depth: 4, children: 16, room: 2);
        var below = _below[0].Queues[0];
        var parent = Parent(20, 4);
        Submit(parent);
        Assert.Equal(1, _queue!.Cancel(parent));
        Assert.Equal([20, 21], below.CancelledLbas);
        Assert.Equal([(0UL, IoStatus.Cancelled)], Poll());
        Assert.Equal([20, 21], below.Submitted);
        Assert.Equal(0, _queue.Cancel(parent));
        Close();
    }

    [Fact]
    public void Cancel_of_one_parent_leaves_the_others_alone()
    {
        Open(depth: 4, children: 16, room: 1);
        var below = _below[0].Queues[0];
        var first = Parent(0, 2);
        var second = Parent(10, 2);
        Submit(first, second);
        Assert.Equal(1, _queue!.Cancel(second)); // Only waiting children.
        Assert.Equal([(1UL, IoStatus.Cancelled)], Poll());
        below.LetGo();
        Assert.Empty(Poll());
        below.LetGo();
        Assert.Equal([(0UL, IoStatus.Success)], Poll());
        Assert.Equal([0, 1], below.Submitted);
        Close();
    }

    [Fact]
    public void A_descriptor_that_is_not_in_flight_is_not_cancelled()
    {
        Open(depth: 4, children: 4);
        var parent = Parent(0, 2);
        Assert.Equal(0, _queue!.Cancel(parent));
        Submit(parent);
        _below[0].Queues[0].LetGo();
        Poll();
        parent->Pending = 1; // Its next holder's; a free child must not remember its last parent.
        Assert.Equal(0, _queue.Cancel(parent));
        Close();
    }

    [Fact]
    public void Abandon_brings_everything_back_once_and_then_nothing_is_taken()
    {
        var queue = Open(depth: 8, children: 32, devices: 2, room: 2);
        Assert.Equal(3, Submit(Parent(0, 6), Parent(10, 1), Parent(20, 0)));
        _queue!.Abandon();
        Assert.Equal(0, Submit(Parent(30, 1)));
        var back = Poll();
        Assert.Equal([0UL, 1UL, 2UL], back.Select(b => b.Tag).Order().ToArray());
        Assert.Equal(IoStatus.Aborted, back.Single(b => b.Tag == 0).Status);
        Assert.Equal(3, queue.Finished.Count);
        Assert.Equal(32, queue.FreeChildren);
        Assert.Empty(Poll());
        Close();
    }

    [Fact]
    public void An_earlier_failure_outlives_the_abandon()
    {
        Open(depth: 4, children: 8, room: 1);
        _below[0].Queues[0].Statuses[0] = IoStatus.MediaError;
        Submit(Parent(0, 3));
        _below[0].Queues[0].LetGo();
        Assert.Empty(Poll());
        _queue!.Abandon();
        Assert.Equal([(0UL, IoStatus.MediaError)], Poll());
        Close();
    }

    [Fact]
    public void Close_with_a_parent_in_flight_throws_and_may_be_tried_again()
    {
        Open(depth: 4, children: 8);
        Submit(Parent(0, 2));
        var refused = Assert.Throws<ComancheException>(() => _queue!.Close());
        Assert.Contains("1 descriptors in flight", refused.Message, StringComparison.Ordinal);
        Assert.Equal(0, _below[0].Queues[0].Closed);
        _below[0].Queues[0].LetGo();
        Assert.Single(Poll());
        Close();
        Assert.Equal(1, _below[0].Queues[0].Closed);
        _queue!.Close();
        Assert.Equal(1, _below[0].Queues[0].Closed);
    }

    [Fact]
    public void A_parent_may_be_given_a_second_and_a_third_step()
    {
        var queue = Open(depth: 2, children: 2);
        var below = _below[0].Queues[0];
        queue.Steps = 2;
        Submit(Parent(5, 2));
        for (var i = 0; i < 3; i++)
        {
            Assert.Empty(queue.Finished);
            below.LetGo();
            if (i < 2) Assert.Empty(Poll());
        }

        Assert.Equal([(0UL, IoStatus.Success)], Poll());
        Assert.Equal([5, 6, 1002, 1001], below.Submitted);
        Assert.Equal(2, queue.FreeChildren);
        Close();
    }

    [Fact]
    public void An_abandoned_parent_gets_no_further_step()
    {
        var queue = Open(depth: 2, children: 2);
        queue.Steps = 3;
        Submit(Parent(5, 1));
        _below[0].Queues[0].LetGo(); // Done below, not yet polled, when the queue is abandoned.
        _queue!.Abandon();
        Assert.Equal([(0UL, IoStatus.Success)], Poll());
        Close();
    }

    [Fact]
    public void The_layers_own_io_serves_no_parent_and_close_waits_for_it()
    {
        var queue = Open(depth: 2, children: 4);
        var below = _below[0].Queues[0];
        queue.SendOwnWrite(9);
        Assert.Equal(1, queue.OwnInFlight);
        Submit(Parent(5, 1));
        below.LetGo();
        Assert.Equal([(0UL, IoStatus.Success)], Poll());
        Assert.Equal([9], queue.OwnFinished);
        queue.SendOwnWrite(10);
        below.LetGo();
        Close();
        Assert.Equal([9, 10], queue.OwnFinished);
    }

    [Fact]
    public void The_nearest_deadline_below_is_the_queues_own()
    {
        Open(depth: 2, children: 4, devices: 3);
        _below[0].Queues[0].Deadline = 500;
        _below[2].Queues[0].Deadline = 70;
        Assert.Equal(70, Arm());
        Close();
    }

    [Fact]
    public void A_child_is_its_parents_copy()
    {
        Open(depth: 2, children: 4);
        IoDescriptor seen = default;
        _below[0].Queues[0].Sees = d => seen = d;
        var parent = Parent(5, 1);
        parent->Operation = IoOperation.Copy;
        parent->Flags = IoFlags.ForceUnitAccess;
        parent->SegmentCount = 3;
        parent->Region = 17;
        parent->Buffer = (byte*)0x1234000;
        parent->Auxiliary = 99;
        Submit(parent);
        Assert.Equal(parent->Operation, seen.Operation);
        Assert.Equal(parent->Flags, seen.Flags);
        Assert.Equal(parent->SegmentCount, seen.SegmentCount);
        Assert.Equal(parent->Region, seen.Region);
        Assert.Equal((nint)parent->Buffer, (nint)seen.Buffer);
        Assert.Equal(parent->Auxiliary, seen.Auxiliary);
        Assert.Equal((nint)parent, (nint)seen.Parent);
        _below[0].Queues[0].LetGo();
        Poll();
        Close();
    }

    [Fact]
    public void Random_traffic_with_refusals_failures_and_cancels_brings_each_back_once()
    {
        const int Seed = 4711;
        var random = new Random(Seed);
        var queue = Open(depth: 16, children: 20, devices: 3, room: 3);
        var expected = new Dictionary<ulong, bool>();
        for (var i = 0; i < 20_000; i++)
        {
            switch (random.Next(4))
            {
                case 0 when _slab.Available != 0:
                    var parent = Parent((ulong)random.Next(500), (uint)random.Next(8));
                    if (Submit(parent) == 1) Assert.True(expected.TryAdd(parent->Tag, true));
                    else _slab.Return(parent);
                    break;
                case 1:
                    var below = _below[random.Next(3)].Queues[0];
                    below.Statuses[(ulong)random.Next(500)] = random.Next(2) == 0 ? IoStatus.MediaError : IoStatus.Success;
                    if (below.Held != 0) below.LetGoAt(random.Next(below.Held));
                    break;
                case 2:
                    foreach (var (tag, _) in Poll(random.Next(4))) Assert.True(expected.Remove(tag), $"{tag} came twice; seed {Seed}");
                    break;
                case 3 when random.Next(10) == 0:
                    _queue!.Cancel(_slab[random.Next(64)]);
                    break;
            }
        }

        for (var i = 0; i < 1000 && expected.Count != 0; i++)
        {
            foreach (var device in _below) device.Queues[0].LetGo();
            foreach (var (tag, _) in Poll()) Assert.True(expected.Remove(tag), $"{tag} came twice; seed {Seed}");
        }

        Assert.Empty(expected);
        Assert.Equal(20, queue.FreeChildren);
        Close();
    }

    [Fact]
    public void Nothing_is_allocated_per_io()
    {
        var memory = new MemoryDevice(_host, new MemoryOptions { Size = ByteSize.MiB(1) });
        memory.Start();
        _device = new FanOutDevice(_host, 64);
        _device.Bind(memory, "");
        _device.Start();
        var options = new QueueOptions { Depth = 8 };
        _queue = _device.OpenQueue(&options);
        _device.Queue!.Finished.EnsureCapacity(10_000);
        var parent = Parent(0, 6);
        parent->Operation = IoOperation.WriteZeroes;
        var allocated = Allocation.Measure(1000, () =>
        {
            var one = parent;
            _queue.Submit(&one, 1);
            while (_queue.Poll(&one, 1) == 0) { }
        });
        Assert.Equal(0, allocated);
        Close();
        memory.Stop();
    }

    private FanOutQueue Open(int depth, int children, int devices = 1, int room = int.MaxValue)
    {
        _device = new FanOutDevice(_host, children);
        for (var i = 0; i < devices; i++)
        {
            var below = new ScriptedDevice(_host);
            below.Start();
            _below.Add(below);
            _device.Bind(below, "");
        }

        _device.Start();
        var options = new QueueOptions { Depth = (uint)depth };
        _queue = _device.OpenQueue(&options);
        foreach (var below in _below) below.Queues[0].Room = room;
        return _device.Queue!;
    }

    private IoDescriptor* Parent(ulong lba, uint blocks)
    {
        var parent = _slab.Take();
        *parent = new IoDescriptor { Operation = IoOperation.Read, Lba = lba, BlockCount = blocks, Tag = (ulong)_made++ };
        return parent;
    }

    private int Submit(IoDescriptor* one)
    {
        var batch = _pointers.Peek(1);
        batch[0] = one;
        return _queue!.Submit(batch, 1);
    }

    private int Submit(IoDescriptor* one, IoDescriptor* two)
    {
        var batch = _pointers.Peek(2);
        batch[0] = one;
        batch[1] = two;
        return _queue!.Submit(batch, 2);
    }

    private int Submit(IoDescriptor* one, IoDescriptor* two, IoDescriptor* three)
    {
        var batch = _pointers.Peek(3);
        batch[0] = one;
        batch[1] = two;
        batch[2] = three;
        return _queue!.Submit(batch, 3);
    }

    private List<(ulong Tag, IoStatus Status)> Poll(int capacity = 16)
    {
        var completed = stackalloc IoDescriptor*[16];
        var count = _queue!.Poll(completed, capacity);
        var back = new List<(ulong, IoStatus)>();
        for (var i = 0; i < count; i++)
        {
            back.Add((completed[i]->Tag, completed[i]->Status));
            _slab.Return(completed[i]);
        }

        return back;
    }

    private long Arm()
    {
        var waitSet = default(WaitSet);
        return _queue!.Arm(&waitSet);
    }

    private void Close()
    {
        _queue!.Close();
        _device!.Stop();
        foreach (var below in _below) below.Stop();
    }
}
