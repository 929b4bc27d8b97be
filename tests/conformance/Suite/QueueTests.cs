namespace Comanche.Conformance.Tests;

/// <summary>Submit and poll: prefixes, limits, refusals, and every descriptor back exactly once (<see cref="TestIo"/> watches that).</summary>
public sealed unsafe class QueueTests
{
    public static TheoryData<string> Devices => DeviceCatalogue.Names;

    [Theory, MemberData(nameof(Devices))]
    public void Submitting_and_polling_nothing_gives_nothing(string device)
    {
        using var rig = new Rig(device);
        using var io = new TestIo(rig.Device);
        Assert.Equal(0, io.Queue.Submit(null, 0));
        Assert.Equal(0, io.Queue.Poll(null, 0));
        Assert.Equal(0, io.Poll());
        Assert.True(io.Submit(io.Make(IoOperation.Write, 0, 1, io.Buffer(1))), "refused by an empty queue");
        Assert.Equal(0, io.Queue.Poll(null, 0));
        Assert.Equal(0, io.Queue.Submit(null, 0));
        io.Drain();
        Assert.Equal(0, io.Poll());
    }

    [Theory, MemberData(nameof(Devices))]
    public void No_more_than_the_depth_is_in_flight(string device)
    {
        using var rig = new Rig(device);
        foreach (var depth in new[] { 1u, 3u })
        {
            using var io = new TestIo(rig.Device, depth);
            var buffer = io.Buffer(20);
            for (uint i = 0; i < 20; i++) io.Batch[i] = io.Make(IoOperation.Write, i, 1, buffer, i);
            var taken = io.Submit(0, 20);
            Assert.InRange(taken, 1, (int)depth);
            if (taken == depth) Assert.Equal(0, io.Submit(taken, 1));
            io.Drain();
            Assert.InRange(io.Submit(taken, 1), 1, 1);
            io.Drain();
        }
    }

    [Theory, MemberData(nameof(Devices))]
    public void A_large_batch_on_a_shallow_queue_is_taken_by_and_by(string device)
    {
        using var rig = new Rig(device);
        using var io = new TestIo(rig.Device, depth: 4);
        const uint Count = 48, Blocks = 3;
        var buffer = io.Buffer(Count * Blocks);
        Pattern.Fill(buffer.Span(), 0, io.Volume.BlockSize, 20);
        for (uint i = 0; i < Count; i++) io.Batch[i] = io.Make(IoOperation.Write, i * Blocks, Blocks, buffer, i * Blocks);
        io.SubmitAll((int)Count);
        io.Drain();
        for (uint i = 0; i < Count; i++) Assert.Equal(IoStatus.Success, io.Batch[i]->Status);

        // Refused or not, what lay in the buffers is what was given.
        Pattern.Check(buffer.Span(), 0, io.Volume.BlockSize, 20);
        io.Reset();
        buffer.Span().Clear();
        for (uint i = 0; i < Count; i++) io.Batch[i] = io.Make(IoOperation.Read, i * Blocks, Blocks, buffer, i * Blocks);
        io.SubmitAll((int)Count);
        io.Drain();
        if (io.Volume.Has(VolumeCapabilities.RetainsData)) Pattern.Check(buffer.Span(), 0, io.Volume.BlockSize, 20);
    }

    [Theory, MemberData(nameof(Devices))]
    public void A_batch_of_mixed_operations_comes_back_whole(string device)
    {
        using var rig = new Rig(device);
        using var io = new TestIo(rig.Device, depth: 8);
        var buffer = io.Buffer(64);
        var count = 0;
        for (uint i = 0; i < 16; i++)
        {
            io.Batch[count++] = io.Make(IoOperation.Write, i * 4, 2, buffer, i * 4);
            io.Batch[count++] = i % 3 == 0 ? io.Make(IoOperation.Flush) : io.Make(IoOperation.Read, i * 4 + 2, 2, buffer, i * 4 + 2);
            io.Batch[count++] = io.Volume.Has(VolumeCapabilities.WriteZeroes) ? io.Make(IoOperation.WriteZeroes, 100 + i, 1) : io.Make(IoOperation.None);
        }

        io.SubmitAll(count);
        io.Drain();
        for (var i = 0; i < count; i++) Assert.Equal((i, IoStatus.Success), (i, io.Batch[i]->Status));
    }

    [Theory, MemberData(nameof(Devices))]
    public void Poll_gives_no_more_than_it_is_asked_for(string device)
    {
        using var rig = new Rig(device);
        using var io = new TestIo(rig.Device, depth: 16);
        var buffer = io.Buffer(24);
        for (uint i = 0; i < 12; i++) io.Batch[i] = io.Make(IoOperation.Write, i * 2, 2, buffer, i * 2);
        io.SubmitAll(12);
        var deadline = Environment.TickCount64 + 30_000;
        while (io.InFlight != 0)
        {
            io.Poll(capacity: 1);
            Assert.True(Environment.TickCount64 < deadline, $"{io.InFlight} descriptors do not come back one at a time");
        }
    }

    [Theory, MemberData(nameof(Devices))]
    public void A_descriptor_can_be_used_again_at_once(string device)
    {
        using var rig = new Rig(device);
        using var io = new TestIo(rig.Device, depth: 2);
        var buffer = io.Buffer(1);
        var descriptor = io.Make(IoOperation.Write, 7, 1, buffer);
        for (var i = 0; i < 200; i++)
        {
            descriptor->Lba = (ulong)i;
            io.Must(descriptor);
        }
    }

    [Theory, MemberData(nameof(Devices))]
    public void Depths_that_cannot_be_are_refused(string device)
    {
        using var rig = new Rig(device);
        foreach (var depth in new[] { 0u, QueueOptions.MaxDepth + 1 })
        {
            var options = new QueueOptions { Depth = depth };
            Assert.Throws<ComancheException>(() => Open(rig.Device, options));
        }
    }

    [Theory, MemberData(nameof(Devices))]
    public void Several_queues_can_be_open(string device)
    {
        using var rig = new Rig(device);
        using var first = new TestIo(rig.Device, depth: 4);
        using var second = new TestIo(rig.Device, depth: 64);
        using var third = new TestIo(rig.Device, depth: 1);
        first.WritePattern(40, 2, 21, first.Buffer(2));
        second.ExpectPattern(40, 2, 21, second.Buffer(2));
        third.ExpectPattern(40, 2, 21, third.Buffer(2));
    }

    private static void Open(IBlockDevice device, QueueOptions options) => device.OpenQueue(&options).Close();
}
