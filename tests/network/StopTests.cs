using System.Diagnostics;
using Comanche.Block;

namespace Comanche.Network.Tests;

/// <summary>A stop finishes what has begun, as long as its time lasts.</summary>
[Collection("alone")]
public sealed class StopTests
{
    private const int Long = 16 << 20;

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_long_read_that_has_begun_is_answered_whole(bool structured)
    {
        // Eight rounds of 2 MiB: far longer than the grace in which clients may go on asking.
        using var served = new Served(delay: new DelayOptions { Read = TimeSpan.FromMilliseconds(120) });
        using var client = served.Connect().Enter(structured: structured);
        var cookie = client.Request(NbdClient.Read, 0, Long);
        Served.Eventually(() => served.Device.Counts[(int)IoOperation.Read] != 0, "the read has begun");
        var stop = new Thread(served.Stop);
        var clock = Stopwatch.StartNew();
        stop.Start();
        var reply = client.Reply(Long);
        Assert.Equal((cookie, 0u, Long), (reply.Cookie, reply.Error, reply.Data.Length));
        Assert.True(clock.Elapsed > TimeSpan.FromSeconds(0.6), "the read was over before the grace was");
        Assert.True(client.IsClosed());
        Assert.True(stop.Join(5000));
    }

    [Fact]
    public void A_long_zeroing_that_has_begun_is_done_to_its_end()
    {
        using var served = new Served(
            new NbdOptions { QueueDepth = 16 }, limits: info => info with { MaxRangeBlocks = 256 }, delay: new DelayOptions { Write = TimeSpan.FromMilliseconds(100) });
        using var client = served.Connect().Enter();
        var cookie = client.Request(NbdClient.WriteZeroes, 0, Long);
        Served.Eventually(() => served.Device.Counts[(int)IoOperation.WriteZeroes] != 0, "the zeroing has begun");
        var stop = new Thread(served.Stop);
        stop.Start();
        var reply = client.Reply();
        Assert.Equal((cookie, 0u), (reply.Cookie, reply.Error));
        Assert.True(stop.Join(5000));
        Assert.Equal(Long / (256 * 512), served.Device.Counts[(int)IoOperation.WriteZeroes]);
    }

    [Fact]
    public void A_long_write_whose_payload_does_not_come_delays_no_stop()
    {
        using var served = new Served();
        using var client = served.Connect().Enter();
        client.Request(NbdClient.Write, 0, 8 << 20, payload: new byte[3 << 20]);
        Served.Eventually(() => served.Device.Counts[(int)IoOperation.Write] != 0, "the write has begun");
        var clock = Stopwatch.StartNew();
        served.Stop();
        Assert.InRange(clock.Elapsed.TotalSeconds, 0, 3);
        Assert.True(client.IsClosed());
    }

    [Fact]
    public void A_client_that_ends_behind_a_long_read_gets_it_whole()
    {
        using var served = new Served();
        using var client = served.Connect().Enter(structured: true);
        client.Request(NbdClient.Read, 0, Long);
        client.Request(NbdClient.Disconnect, 0, 0);
        client.Socket.Shutdown(System.Net.Sockets.SocketShutdown.Send);
        Assert.Equal(Long, client.Reply(Long).Data.Length);
        Assert.True(client.IsClosed());
    }
}
