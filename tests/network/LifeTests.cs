using System.Diagnostics;
using System.Net.Sockets;
using Comanche.Block;

namespace Comanche.Network.Tests;

/// <summary>Runs alone, since it counts what the whole process has open.</summary>
[CollectionDefinition("alone", DisableParallelization = true)]
public sealed class Alone;

[Collection("alone")]
public sealed class LifeTests
{
    private const uint Eshutdown = 108;

    private static int OpenDescriptors() => Directory.GetFileSystemEntries("/proc/self/fd").Length;

    [Fact]
    public void Descriptors_and_buffers_come_back_however_a_client_ends()
    {
        using var served = new Served(delay: new DelayOptions { Write = TimeSpan.FromMilliseconds(20) });
        using (var client = served.Connect().Enter()) client.Do(NbdClient.Flush, 0, 0);
        Served.Eventually(() => served.Memory.Live == 1, "only the volume has a buffer");
        var descriptors = OpenDescriptors();
        for (var i = 0; i < 40; i++)
        {
            var client = served.Connect();
            if (i % 4 == 0) client.Greet();
            else client.Enter(structured: i % 2 == 0);
            switch (i % 4)
            {
                case 1: // In the middle of a payload.
                    client.Request(NbdClient.Write, 0, 1 << 20, payload: new byte[300_000]);
                    break;
                case 2: // With writes at the device, and replies that nobody takes.
                    for (var n = 0; n < 20; n++) client.Request(NbdClient.Write, 0, 4096, payload: new byte[4096]);
                    break;
                case 3:
                    for (var n = 0; n < 4; n++) client.Request(NbdClient.Read, 0, 4 << 20);
                    break;
            }

            // Like a process that is killed: what was received and not read is a reset.
            client.Dispose();
        }

        Served.Eventually(() => served.Memory.Live == 1, "all buffers of clients are back");
        Served.Eventually(() => OpenDescriptors() == descriptors, "all descriptors are closed");
        using var last = served.Connect().Enter();
        Assert.Equal(0u, last.Do(NbdClient.Write, 0, 512, payload: new byte[512]).Error);
    }

    [Fact]
    public void A_write_whose_payload_never_came_whole_changes_nothing()
    {
        using var served = new Served();
        using (var client = served.Connect().Enter())
        {
            client.Request(NbdClient.Write, 0, 8192, payload: [.. Enumerable.Repeat((byte)1, 8000)]);
            client.Socket.Shutdown(SocketShutdown.Send);
            Assert.True(client.IsClosed());
        }

        using var other = served.Connect().Enter();
        Assert.Equal(new byte[8192], other.Do(NbdClient.Read, 0, 8192).Data);
    }

    [Fact]
    public void A_client_that_does_not_read_holds_up_nobody_else()
    {
        using var served = new Served();
        using var slow = served.Connect().Enter();
        slow.Socket.Blocking = false;
        try
        {
            for (var i = 0; i < 1_000_000; i++) slow.Request(NbdClient.Read, 0, 1 << 20);
            Assert.Fail("the server took a million requests of a client that reads nothing");
        }
        catch (IOException)
        {
            // The socket is full: the server has stopped to receive.
        }

        using var quick = served.Connect().Enter();
        var clock = Stopwatch.StartNew();
        for (var i = 0; i < 1000; i++) Assert.Equal(0u, quick.Do(NbdClient.Read, 0, 4096).Error);
        Assert.True(clock.Elapsed < TimeSpan.FromSeconds(10), $"1000 reads took {clock.Elapsed}");
        Assert.Equal(3, served.Memory.Live); // The volume and two connections: nothing grew.
    }

    [Fact]
    public void A_request_allocates_nothing()
    {
        using var served = new Served();
        using var client = served.Connect().Enter(structured: true);
        long Allocated()
        {
            var bytes = 0L;
            served.Reactor.Invoke(() => bytes = GC.GetAllocatedBytesForCurrentThread());
            return bytes;
        }

        void Work()
        {
            for (var i = 0; i < 1000; i++)
            {
                client.Do(NbdClient.Write, 0, 4096, payload: new byte[4096]);
                client.Do(NbdClient.Read, 0, 4096);
            }

            client.Do(NbdClient.Write, 0, 3 << 20, payload: new byte[3 << 20]);
            client.Do(NbdClient.Read, 0, 3 << 20);
            client.Do(NbdClient.Trim, 0, 4096, 1);
        }

        Work();
        var before = Allocated();
        Work();
        var after = Allocated();
        Assert.InRange(after - before, 0, 500); // The question itself takes some; a byte a request would be 2000.
    }

    [Fact]
    public void An_idle_server_with_clients_sleeps()
    {
        using var served = new Served();
        using var idle = served.Connect().Enter();
        using var greeted = served.Connect();
        greeted.Greet();
        using var halfway = served.Connect().Enter();
        halfway.Request(NbdClient.Write, 0, 4096, payload: new byte[100]);
        Thread.Sleep(200);
        var before = served.Reactor.Load;
        Thread.Sleep(1000);
        var after = served.Reactor.Load;
        Assert.True(after.Sleeps - before.Sleeps < 20, $"it woke {after.Sleeps - before.Sleeps} times in a second");
        Assert.True(after.BusyNs - before.BusyNs < 20_000_000, $"it was busy for {after.BusyNs - before.BusyNs} ns of a second");
    }

    [Fact]
    public void A_stop_answers_what_is_in_flight_and_refuses_what_comes_then()
    {
        using var served = new Served(delay: new DelayOptions { Write = TimeSpan.FromMilliseconds(300) });
        using var client = served.Connect().Enter();
        for (var i = 0; i < 20; i++) client.Request(NbdClient.Write, (ulong)i * 4096, 4096, payload: [.. Enumerable.Repeat((byte)7, 4096)]);
        Served.Eventually(() => served.Memory.Live == 2, "the client is served");
        Thread.Sleep(50);
        var stop = new Thread(served.Stop);
        stop.Start();
        Thread.Sleep(50);
        client.Request(NbdClient.Read, 0, 512);
        var errors = new List<uint>();
        for (var i = 0; i < 21; i++) errors.Add(client.Reply().Error);
        Assert.Equal([Eshutdown], errors.Where(e => e != 0));
        Assert.True(client.IsClosed());
        Assert.True(stop.Join(5000));
        Assert.False(File.Exists(served.SocketPath));
        Assert.Equal(1, served.Device.Counts[(int)IoOperation.Flush]);
    }

    [Fact]
    public void A_stop_gives_up_on_a_device_that_does_not_answer()
    {
        using var served = new Served(new NbdOptions { StopTimeout = TimeSpan.FromMilliseconds(300) }, delay: new DelayOptions { Write = TimeSpan.FromMinutes(5) });
        using var client = served.Connect().Enter();
        client.Request(NbdClient.Write, 0, 512, payload: new byte[512]);
        Thread.Sleep(50);
        var clock = Stopwatch.StartNew();
        served.Stop();
        Assert.InRange(clock.Elapsed.TotalSeconds, 0.2, 5);
    }

    [Fact]
    public void A_stop_cuts_off_a_client_that_goes_on_asking()
    {
        using var served = new Served(new NbdOptions { StopTimeout = TimeSpan.FromSeconds(1) });
        using var client = served.Connect().Enter();
        var refused = false;
        var asking = new Thread(() =>
        {
            try
            {
                while (true) refused |= client.Do(NbdClient.Read, 0, 4096).Error == Eshutdown;
            }
            catch (IOException)
            {
                // Cut off.
            }
        });
        asking.Start();
        Thread.Sleep(50);
        var clock = Stopwatch.StartNew();
        served.Stop();
        Assert.InRange(clock.Elapsed.TotalSeconds, 0, 5);
        Assert.True(asking.Join(5000));
        Assert.True(refused);
    }

    [Fact]
    public void A_stop_on_the_reactor_itself_works_too()
    {
        using var served = new Served();
        using var client = served.Connect().Enter();
        served.Reactor.Invoke(served.Stop);
        Assert.True(client.IsClosed());
    }

    [Fact]
    public void More_clients_than_allowed_wait_until_one_ends()
    {
        using var served = new Served(new NbdOptions { MaxConnections = 2 });
        using var first = served.Connect().Enter();
        var second = served.Connect().Enter();
        using var third = served.Connect();
        Thread.Sleep(100);
        Assert.Equal(0, third.Socket.Available);
        second.Dispose();
        third.Enter();
    }
}
