using Comanche.Testing;

namespace Comanche.Block.Tests;

public sealed unsafe class PassDeviceTests
{
    private static PassDevice AddPass(TestStack stack, IBase below, bool child) =>
        stack.Add(new PassDevice(stack.Host, new PassOptions { Child = child }), ("", below));

    [Fact]
    public void Without_a_child_the_queue_is_the_one_below()
    {
        using var stack = new TestStack();
        var scripted = stack.Add(new ScriptedDevice(stack.Host));
        using var queue = new TestQueue(AddPass(stack, scripted, child: false));
        Assert.Same(scripted.Queues[0], queue.Queue);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(8)]
    public void What_is_written_through_layers_is_read_through_them(int layers)
    {
        using var stack = new TestStack();
        BlockDevice top = stack.AddMemory();
        for (var i = 0; i < layers; i++) top = AddPass(stack, top, child: true);
        using var queue = new TestQueue(top);
        Assert.Equal(IoStatus.Success, queue.Write(5, 3, 0x5A, IoFlags.ForceUnitAccess));
        Assert.Equal(IoStatus.Success, queue.Flush());
        Assert.Equal(0x5A, queue.ReadByte(7));
        Assert.Equal(0, queue.ReadByte(8));
    }

    [Fact]
    public void The_parent_gets_its_childs_status_and_keeps_its_tag()
    {
        using var stack = new TestStack();
        var scripted = stack.Add(new ScriptedDevice(stack.Host));
        using var queue = new TestQueue(AddPass(stack, scripted, child: true));
        var below = scripted.Queues[0];
        below.Statuses[9] = IoStatus.MediaError;
        var read = queue.Make(IoOperation.Read, 9, 1);
        read->Tag = 0xDEAD;
        Assert.True(queue.Submit(read));
        below.LetGo();
        Assert.Equal([(0xDEADUL, IoStatus.MediaError)], queue.Poll());
        read->Tag = 0; // Its buffer is found by it.
    }

    [Fact]
    public void A_batch_that_is_half_refused_below_is_half_refused()
    {
        using var stack = new TestStack();
        var scripted = stack.Add(new ScriptedDevice(stack.Host));
        using var queue = new TestQueue(AddPass(stack, scripted, child: true), depth: 8);
        var below = scripted.Queues[0];
        below.Room = 3;
        var batch = stackalloc IoDescriptor*[10];
        for (var i = 0; i < 10; i++) batch[i] = queue.Make(IoOperation.Read, (ulong)i, 1);
        Assert.Equal(3, queue.Queue.Submit(batch, 10));
        below.Room = 100;
        Assert.Equal(5, queue.Queue.Submit(batch + 3, 7)); // Its own depth is the limit now.
        Assert.Equal([0, 1, 2, 3, 4, 5, 6, 7], below.Submitted);
        below.LetGo();
        Assert.Equal(8, queue.Poll().Count);
        Assert.Equal(2, queue.Queue.Submit(batch + 8, 2));
        below.LetGo();
        Assert.Equal([8UL, 9UL], queue.Poll().Select(b => b.Tag).ToArray());
    }

    [Fact]
    public void Cancel_and_abandon_reach_the_queue_below()
    {
        using var stack = new TestStack();
        var scripted = stack.Add(new ScriptedDevice(stack.Host));
        using var queue = new TestQueue(AddPass(stack, scripted, child: true));
        var first = queue.Make(IoOperation.Read, 1, 1);
        var second = queue.Make(IoOperation.Read, 2, 1);
        Assert.Equal(0, queue.Queue.Cancel(first));
        queue.Submit(first);
        queue.Submit(second);
        Assert.Equal(1, queue.Queue.Cancel(second));
        Assert.Equal([2], scripted.Queues[0].CancelledLbas);
        Assert.Equal([(second->Tag, IoStatus.Cancelled)], queue.Poll());
        queue.Queue.Abandon();
        Assert.False(queue.Submit(second));
        Assert.Equal([(first->Tag, IoStatus.Aborted)], queue.Poll());
    }

    [Fact]
    public void Close_in_flight_throws()
    {
        using var stack = new TestStack();
        var scripted = stack.Add(new ScriptedDevice(stack.Host));
        using var queue = new TestQueue(AddPass(stack, scripted, child: true));
        queue.Submit(queue.Make(IoOperation.Flush));
        Assert.Throws<ComancheException>(queue.Queue.Close);
        scripted.Queues[0].LetGo();
        queue.Poll();
    }

    [Fact]
    public void Eight_layers_allocate_nothing_per_io()
    {
        using var stack = new TestStack();
        BlockDevice top = stack.Add(new NullDevice(stack.Host, new NullOptions()));
        for (var i = 0; i < 8; i++) top = AddPass(stack, top, child: true);
        using var queue = new TestQueue(top);
        var batch = stackalloc IoDescriptor*[32];
        for (var i = 0; i < 32; i++) batch[i] = queue.Make(IoOperation.Read, (ulong)i, 8);
        var pointers = (nint)batch;
        Assert.Equal(0, Allocation.Measure(1000, () =>
        {
            queue.Queue.Submit((IoDescriptor**)pointers, 32);
            queue.Queue.Poll((IoDescriptor**)pointers, 32);
        }));
    }

    [Fact]
    public void The_plan_is_what_is_planned_below()
    {
        var below = TestPlan.Of<NullDevice>(new NullOptions()).Volume;
        Assert.Equal(below, TestPlan.OfBound<PassDevice>(new PassOptions(), new PlannedBinding("null", "", below)).Volume);
        Assert.Null(TestPlan.OfBound<PassDevice>(new PassOptions(), new PlannedBinding("file", "", null)).Volume);
    }
}
