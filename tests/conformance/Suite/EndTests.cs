namespace Comanche.Conformance.Tests;

/// <summary>How I/O and queues end before their time.</summary>
public sealed unsafe class EndTests
{
    public static TheoryData<string> Devices => DeviceCatalogue.Names;

    [Theory, MemberData(nameof(Devices))]
    public void What_is_not_in_flight_cannot_be_cancelled(string device)
    {
        using var rig = new Rig(device);
        using var io = new TestIo(rig.Device);
        var descriptor = io.Make(IoOperation.Write, 1, 1, io.Buffer(1));
        Assert.Equal(0, io.Queue.Cancel(descriptor));
        io.Must(descriptor);
        Assert.Equal(0, io.Queue.Cancel(descriptor));
        Assert.Equal(0, io.Poll());
    }

    [Theory, MemberData(nameof(Devices))]
    public void What_is_cancelled_comes_back_once(string device)
    {
        using var rig = new Rig(device);
        using var io = new TestIo(rig.Device, depth: 16);
        var buffer = io.Buffer(12 * 4);
        for (uint i = 0; i < 12; i++) io.Batch[i] = io.Make(i % 2 == 0 ? IoOperation.Write : IoOperation.Read, i * 4, 4, buffer, i * 4);
        io.SubmitAll(12);
        for (var i = 0; i < 12; i++)
            if (i % 3 != 0)
                Assert.InRange(io.Queue.Cancel(io.Batch[i]), 0, 1);
        io.Drain();
        for (var i = 0; i < 12; i++)
        {
            Assert.True(io.Batch[i]->Status is IoStatus.Success or IoStatus.Cancelled, $"{io.Batch[i]->Status}");
            if (i % 3 == 0) Assert.Equal(IoStatus.Success, io.Batch[i]->Status);
        }

        // The queue is as good as before.
        io.WritePattern(3, 2, 30, buffer);
        io.ExpectPattern(3, 2, 30, buffer);
    }

    [Theory, MemberData(nameof(Devices))]
    public void What_is_abandoned_comes_back_and_nothing_is_taken_any_more(string device)
    {
        using var rig = new Rig(device);
        using (var io = new TestIo(rig.Device, depth: 16))
        {
            var buffer = io.Buffer(16 * 4);
            for (uint i = 0; i < 16; i++) io.Batch[i] = io.Make(i % 2 == 0 ? IoOperation.Write : IoOperation.Read, i * 4, 4, buffer, i * 4);
            var taken = io.Submit(0, 16);
            io.Queue.Abandon();
            var further = io.Make(IoOperation.Read, 0, 1, buffer);
            Assert.False(io.Submit(further), "an abandoned queue took a descriptor");
            io.Drain();
            for (var i = 0; i < taken; i++) Assert.True(io.Batch[i]->Status is IoStatus.Success or IoStatus.Aborted or IoStatus.Cancelled, $"{io.Batch[i]->Status}");
            io.Queue.Abandon();
            Assert.False(io.Submit(further), "an abandoned queue took a descriptor");
            Assert.Equal(0, io.Poll());
        }

        // Other queues are not touched by it; a device that can't live without what was abandoned (a recording that lost an entry) says that it failed.
        using var next = new TestIo(rig.Device);
        DeviceHealth health;
        rig.Device.GetHealth(&health);
        next.Must(next.Make(IoOperation.Read, 3, 2, next.Buffer(2)));
        if (health.State == DeviceState.Failed) return;
        next.WritePattern(3, 2, 31, next.Buffer(2));
        next.ExpectPattern(3, 2, 31, next.Buffer(2));
    }

    [Theory, MemberData(nameof(Devices))]
    public void A_queue_is_not_closed_with_descriptors_in_flight(string device)
    {
        using var rig = new Rig(device);
        using var io = new TestIo(rig.Device);
        Assert.True(io.Submit(io.Make(IoOperation.Write, 0, 1, io.Buffer(1))), "refused by an empty queue");
        Assert.Throws<ComancheException>(io.Queue.Close);
        io.Drain();
        io.WritePattern(3, 1, 32, io.Buffer(1));
        io.ExpectPattern(3, 1, 32, io.Buffer(1));
    }

    [Theory, MemberData(nameof(Devices))]
    public void A_queue_may_be_closed_twice(string device)
    {
        using var rig = new Rig(device);
        var options = new QueueOptions { Depth = 8 };
        var queue = rig.Device.OpenQueue(&options);
        queue.Close();
        queue.Close();
        using var io = new TestIo(rig.Device);
        io.WritePattern(3, 1, 33, io.Buffer(1));
    }

    [Theory, MemberData(nameof(Devices))]
    public void A_device_is_not_stopped_under_an_open_queue(string device)
    {
        using var rig = new Rig(device);
        var options = new QueueOptions { Depth = 8 };
        var queue = rig.Device.OpenQueue(&options);
        if (!Refuses(rig.Device))
        {
            // A filter that is not there at all: its queues are those of the device below, which counts them.
            Assert.Contains(rig.Below, Refuses);
            rig.Device.Start();
        }

        queue.Close();
        NativeObject.FinalRelease(queue);
        rig.Device.Stop();
        rig.Device.Stop();
        rig.Device.Start();
    }

    [Theory, MemberData(nameof(Devices))]
    public void A_device_is_not_closed_under_an_open_queue(string device)
    {
        using var rig = new Rig(device);
        using (var io = new TestIo(rig.Device))
        {
            // A filter whose queues are those of the device below knows of none.
            if (!Refuses(rig.Device)) rig.Device.Start();
            else Assert.Contains("it is not closed", Assert.Throws<ComancheException>(() => rig.Device.Release()).Message, StringComparison.Ordinal);
            io.WritePattern(3, 1, 34, io.Buffer(1));
            io.ExpectPattern(3, 1, 34, io.Buffer(1));
        }

        rig.Close(); // With the count that the last release was to take.
    }

    private static bool Refuses(IBase component)
    {
        try
        {
            component.Stop();
            return false;
        }
        catch (ComancheException)
        {
            return true;
        }
    }
}
