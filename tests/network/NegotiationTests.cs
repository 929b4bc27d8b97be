using System.Text;

namespace Comanche.Network.Tests;

public sealed class NegotiationTests
{
    [Fact]
    public void A_client_learns_size_flags_and_block_sizes()
    {
        using var served = new Served(new NbdOptions { MaxRequest = ByteSize.MiB(2) }, bytes: 1 << 20, blockSize: 4096);
        using var client = served.Connect().Enter();
        Assert.Equal(1u << 20, client.Size);
        Assert.Equal((4096u, 4096u, 2u << 20), client.BlockSizes);

        // Has flags, flush, FUA, trim, write zeroes, several connections, fast zero; no DF without structured replies.
        Assert.Equal(0b1001_0110_1101, client.Flags);
    }

    [Fact]
    public void A_volume_that_may_not_be_changed_says_so()
    {
        using var served = new Served(flags: HostFlags.ReadOnly);
        using var client = served.Connect().Enter(structured: true);
        Assert.Equal(0b1_1000_1111, client.Flags);
    }

    [Fact]
    public void The_old_way_by_export_name_ends_with_zeroes_unless_they_are_waived()
    {
        using var served = new Served(new NbdOptions { Name = "disk" }, bytes: 1 << 20);
        foreach (var (flags, zeroes) in new[] { (1u, 124), (3u, 0) })
        {
            using var client = served.Connect();
            client.Greet(flags);
            client.SendOption(NbdClient.OptExportName, Encoding.UTF8.GetBytes("disk"));
            var answer = client.Take(10 + zeroes);
            Assert.Equal([0, 0, 0, 0, 0, 16, 0, 0], answer[..8]);
            Assert.All(answer[10..], b => Assert.Equal(0, b));
            Assert.Equal(new byte[512], client.Do(NbdClient.Read, 0, 512).Data);
        }
    }

    [Fact]
    public void Several_volumes_are_listed_and_told_apart_by_name()
    {
        using var served = new Served(new NbdOptions { Names = ["first", "zweite ü"], Description = "two disks" }, volumes: 2);
        using var client = served.Connect();
        client.Greet();
        var list = client.Option(NbdClient.OptList, []);
        Assert.Equal([NbdClient.Server, NbdClient.Server, NbdClient.Ack], list.Select(r => r.Type));
        Assert.Equal([.. NbdClient.Text("zweite ü"), .. "two disks"u8], list[1].Data);
        Assert.Equal(NbdClient.Unknown, client.Option(NbdClient.OptInfo, NbdClient.InfoQuery("third"))[^1].Type);
        var info = client.Option(NbdClient.OptInfo, NbdClient.InfoQuery("first", 1, 2, 3));
        Assert.Equal([0, 1, .. "first"u8], info.Single(r => r.Type == NbdClient.Info && r.Data[1] == 1).Data);
        Assert.Equal([0, 2, .. "two disks"u8], info.Single(r => r.Type == NbdClient.Info && r.Data[1] == 2).Data);
        client.Go("zweite ü");
        Assert.Equal(0u, client.Do(NbdClient.Write, 0, 512, payload: [.. Enumerable.Repeat((byte)7, 512)]).Error);
        using var other = served.Connect().Enter("first");
        Assert.Equal(new byte[512], other.Do(NbdClient.Read, 0, 512).Data);
        using var unnamed = served.Connect().Enter();
        Assert.Equal(new byte[512], unnamed.Do(NbdClient.Read, 0, 512).Data);
    }

    [Fact]
    public void An_unknown_option_is_answered_and_negotiation_goes_on()
    {
        using var served = new Served();
        using var client = served.Connect();
        client.Greet();
        Assert.Equal(NbdClient.Unsupported, Assert.Single(client.Option(4711, new byte[1000])).Type);
        Assert.Equal(NbdClient.Policy, Assert.Single(client.Option(NbdClient.OptStartTls, [])).Type);
        Assert.Equal(NbdClient.Invalid, Assert.Single(client.Option(NbdClient.OptList, [1])).Type);
        Assert.Equal(NbdClient.Invalid, Assert.Single(client.Option(NbdClient.OptStructured, [1])).Type);
        Assert.Equal(NbdClient.Invalid, Assert.Single(client.Option(NbdClient.OptGo, [0, 0, 0, 9, 1])).Type);
        Assert.Equal(NbdClient.Invalid, Assert.Single(client.Option(NbdClient.OptGo, [0xFF, 0xFF, 0xFF, 0xFF, 0, 0])).Type);
        Assert.Equal(NbdClient.Invalid, Assert.Single(client.Option(NbdClient.OptGo, [0, 0, 0, 0, 0, 3, 0, 1])).Type);
        client.Go("");
    }

    [Fact]
    public void An_abort_is_answered_and_ends_the_connection()
    {
        using var served = new Served();
        using var client = served.Connect();
        client.Greet();
        Assert.Equal(NbdClient.Ack, Assert.Single(client.Option(NbdClient.OptAbort, [])).Type);
        Assert.True(client.IsClosed());
    }

    [Theory]
    [InlineData(0u)] // Not fixed newstyle.
    [InlineData(7u)]
    [InlineData(0x80000001u)]
    public void Client_flags_that_were_not_offered_end_the_connection(uint flags)
    {
        using var served = new Served();
        using var client = served.Connect();
        client.Greet(flags);
        Assert.True(client.IsClosed());
    }

    [Fact]
    public void Options_that_are_malformed_end_the_connection()
    {
        using var served = new Served();
        byte[][] bad =
        [
            [.. "IHAVEOPX"u8, .. NbdClient.Big(3u), .. NbdClient.Big(0u)],
            [.. "IHAVEOPT"u8, .. NbdClient.Big(3u), .. NbdClient.Big(uint.MaxValue)],
            [.. "IHAVEOPT"u8, .. NbdClient.Big(NbdClient.OptExportName), .. NbdClient.Text("nobody")],
        ];
        foreach (var bytes in bad)
        {
            using var client = served.Connect();
            client.Greet();
            client.Send(bytes);
            Assert.True(client.IsClosed());
        }

        using var good = served.Connect().Enter();
    }

    [Fact]
    public void A_client_that_haggles_without_end_is_cut_off()
    {
        using var served = new Served();
        using var client = served.Connect();
        client.Greet();
        for (var i = 0; i < 1000; i++) client.Option(NbdClient.OptList, []);
        client.SendOption(NbdClient.OptList, []);
        Assert.True(client.IsClosed());
    }

    [Fact]
    public void A_client_that_never_chooses_is_cut_off_in_time()
    {
        using var served = new Served(new NbdOptions { HandshakeTimeout = TimeSpan.FromMilliseconds(200) });
        using var silent = served.Connect();
        Assert.True(silent.IsClosed());
    }

    [Fact]
    public void Options_that_come_in_single_bytes_and_all_at_once_are_the_same()
    {
        using var served = new Served();
        byte[] session = [.. NbdClient.Big(3u), .. "IHAVEOPT"u8, .. NbdClient.Big(8u), .. NbdClient.Big(0u), .. "IHAVEOPT"u8, .. NbdClient.Big(7u), .. NbdClient.Big(6u), .. new byte[6]];
        foreach (var step in new[] { 1, session.Length })
        {
            using var client = served.Connect();
            for (var at = 0; at < session.Length; at += step)
            {
                client.Send(session.AsSpan(at, Math.Min(step, session.Length - at)));
                if (step == 1) Thread.Sleep(1);
            }

            client.Take(18 + 20 + 20 + 12 + 20 + 14 + 20);
            client.Request(NbdClient.BlockStatus, 0, 512);
            Assert.Equal([0x66, 0x8e, 0x33, 0xef], client.Take(4));
        }
    }

    [Fact]
    public void Allocation_is_reported_to_those_that_selected_it()
    {
        using var served = new Served(new NbdOptions { Names = ["a", "b"] }, volumes: 2);
        using var client = served.Connect();
        client.Greet();
        Assert.Equal([NbdClient.Invalid], client.Option(NbdClient.OptSetMeta, NbdClient.MetaQuery("a", "base:allocation")).Select(r => r.Type));
        client.Negotiate();
        Assert.Equal([NbdClient.Meta, NbdClient.Ack], client.Option(NbdClient.OptListMeta, NbdClient.MetaQuery("a")).Select(r => r.Type));
        Assert.Equal([NbdClient.Meta, NbdClient.Ack], client.Option(NbdClient.OptListMeta, NbdClient.MetaQuery("a", "x-y:z", "base:")).Select(r => r.Type));
        Assert.Equal([NbdClient.Ack], client.Option(NbdClient.OptSetMeta, NbdClient.MetaQuery("a", "base:", "qemu:dirty")).Select(r => r.Type));
        Assert.Equal([NbdClient.Unknown], client.Option(NbdClient.OptSetMeta, NbdClient.MetaQuery("c", "base:allocation")).Select(r => r.Type));
        Assert.Equal([NbdClient.Invalid], client.Option(NbdClient.OptSetMeta, [.. NbdClient.Text("a"), 0, 0, 0, 2, .. NbdClient.Text("base:allocation")]).Select(r => r.Type));
        var set = client.Option(NbdClient.OptSetMeta, NbdClient.MetaQuery("a", "base:allocation"));
        client.Go("a");
        var (error, extents) = client.Do(NbdClient.BlockStatus, 4096, 8192);
        Assert.Equal(0u, error);
        Assert.Equal([.. set[0].Data[..4], .. NbdClient.Big(8192u), .. NbdClient.Big(0u)], extents);

        // Selected for another export: not valid for this one.
        using var other = served.Connect();
        other.Greet();
        other.Negotiate();
        other.Option(NbdClient.OptSetMeta, NbdClient.MetaQuery("a", "base:allocation"));
        other.Go("b");
        Assert.Equal(22u, other.Do(NbdClient.BlockStatus, 0, 512).Error);
    }
}
