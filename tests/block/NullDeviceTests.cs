using Comanche.Testing;

namespace Comanche.Block.Tests;

public sealed unsafe class NullDeviceTests
{
    [Fact]
    public void Everything_succeeds_at_the_next_poll_and_no_buffer_is_touched()
    {
        using var stack = new TestStack();
        var device = stack.Add(new NullDevice(stack.Host, new NullOptions()));
        using var queue = new TestQueue(device);
        Assert.Equal(1UL << 40, queue.Volume.ByteLength);
        for (var operation = IoOperation.None; (int)operation < IoOperations.Count; operation++)
        {
            var descriptor = queue.Make(operation, 7, operation.HasRange() ? 2u : 0, fill: 0xAB);
            Assert.True(queue.Submit(descriptor));
            Assert.Equal(0, queue.Arm());
            Assert.Equal([(descriptor->Tag, IoStatus.Success)], queue.Poll());
            if (operation.HasBuffer()) Assert.Equal(-1, TestQueue.DataOf(descriptor).IndexOfAnyExcept((byte)0xAB));
        }

        Assert.Equal(WaitSet.Forever, queue.Arm());
    }

    [Fact]
    public void A_full_queue_takes_a_prefix_and_polls_in_order_around_its_ring()
    {
        using var stack = new TestStack();
        using var queue = new TestQueue(stack.Add(new NullDevice(stack.Host, new NullOptions())), depth: 3);
        for (ulong i = 0; i < 30; i += 3)
        {
            for (var j = 0; j < 3; j++) Assert.True(queue.Submit(queue.Make(IoOperation.Flush)));
            Assert.False(queue.Submit(queue.Make(IoOperation.Flush)));
            var back = queue.Poll(1).Concat(queue.Poll()).Select(b => b.Tag).ToArray();
            var first = i / 3 * 4;
            Assert.Equal([first, first + 1, first + 2], back);
        }
    }

    [Theory]
    [InlineData(511, 1 << 20, "block-size")]
    [InlineData(1536, 1 << 20, "block-size")]
    [InlineData(131072, 1 << 20, "block-size")]
    [InlineData(4096, 4095, "size")]
    [InlineData(4096, 0, "size")]
    public void Bad_geometry_is_an_error_of_its_option(ulong blockSize, ulong size, string option)
    {
        var options = new NullOptions { BlockSize = new(blockSize), Size = new(size) };
        var plan = TestPlan.Of<NullDevice>(options);
        Assert.Equal([option], plan.Errors.Select(e => e.Option));
        Assert.Null(plan.Volume);
        using var stack = new TestStack();
        Assert.Throws<ComancheException>(() => stack.Add(new NullDevice(stack.Host, options)));
    }

    [Fact]
    public void The_plan_is_the_volume_and_claims_neither_data_nor_durability()
    {
        var plan = TestPlan.Of<NullDevice>(new NullOptions { BlockSize = new(4096) });
        using var stack = new TestStack();
        var device = stack.Add(new NullDevice(stack.Host, new NullOptions { BlockSize = new(4096) }));
        VolumeInfo info;
        device.GetVolumeInfo(&info);
        Assert.Equal(info, plan.Volume);
        Assert.False(info.Has(VolumeCapabilities.RetainsData));
        Assert.False(info.Has(VolumeCapabilities.DurableFlush));
    }
}
