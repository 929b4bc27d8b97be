using Comanche.Block;

namespace Comanche.Network.Tests;

public sealed class TransmissionTests
{
    private const uint Eperm = 1, Eio = 5, Einval = 22, Enospc = 28, Eoverflow = 75, Enotsup = 95;
    private const ushort Fua = 1, NoHole = 2, DontFragment = 4, FastZero = 16;

    private static byte[] Pattern(int length, int seed)
    {
        var data = new byte[length];
        new Random(seed).NextBytes(data);
        return data;
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void What_is_written_is_read_in_any_length(bool structured)
    {
        // A device that takes 64 KiB at a time, in blocks of 4 KiB, reorders and refuses at random; 10 MiB are several rounds of the 4 MiB of buffer.
        using var served = new Served(blockSize: 4096, seed: 5, limits: info => info with { MaxTransferBlocks = 16, MaxRangeBlocks = 32 });
        using var client = served.Connect().Enter(structured: structured);
        foreach (var length in new[] { 4096, 8192, 65536, 65536 + 4096, 1 << 20, (5 << 19) + 4096, 10 << 20, 32 << 20 })
        {
            var offset = (ulong)(length % 7) * 4096;
            var data = Pattern(length, length);
            Assert.Equal(0u, client.Do(NbdClient.Write, offset, (uint)length, payload: data).Error);
            var (error, back) = client.Do(NbdClient.Read, offset, (uint)length);
            Assert.Equal(0u, error);
            Assert.True(data.AsSpan().SequenceEqual(back), $"{length} bytes differ");
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Many_requests_of_all_kinds_in_flight_at_once_give_what_a_model_gives(bool structured)
    {
        var seed = Environment.TickCount;
        TestContext.Current.SendDiagnosticMessage($"seed {seed}");
        using var served = new Served(new NbdOptions { QueueDepth = 8, Buffer = ByteSize.KiB(512) }, bytes: 4 << 20, seed: seed, limits: info => info with { MaxTransferBlocks = 50, MaxRangeBlocks = 300 });
        using var client = served.Connect().Enter(structured: structured);
        var random = new Random(seed);
        var model = new byte[4 << 20];
        var regions = model.Length / 32;
        for (var round = 0; round < 30; round++)
        {
            // Sixteen requests on parts that do not overlap, half of them reads; more than there are slots and memory.
            var sent = new Dictionary<ulong, (uint Offset, uint Length, bool Read)>();
            var order = Enumerable.Range(0, 32).OrderBy(_ => random.Next()).Take(16).ToArray();
            var sender = Task.Run(() =>
            {
                foreach (var part in order)
                {
                    var offset = (uint)(part * regions + random.Next(8) * 512);
                    var length = (uint)(random.Next(1, (regions - 4096) / 512) * 512);
                    var kind = random.Next(6);
                    lock (sent)
                    {
                        switch (kind)
                        {
                            case 0:
                                sent.Add(client.Request(NbdClient.WriteZeroes, offset, length, NoHole), (offset, length, false));
                                model.AsSpan((int)offset, (int)length).Clear();
                                break;
                            case 1:
                                sent.Add(client.Request(NbdClient.Trim, offset, length, Fua), (offset, length, false));
                                model.AsSpan((int)offset, (int)length).Clear();
                                break;
                            case 2 or 3:
                                random.NextBytes(model.AsSpan((int)offset, (int)length));
                                sent.Add(client.Request(NbdClient.Write, offset, length, 0, model.AsSpan((int)offset, (int)length)), (offset, length, false));
                                break;
                            default:
                                sent.Add(client.Request(NbdClient.Read, offset, length), (offset, length, true));
                                break;
                        }
                    }
                }
            });
            Take(client, structured, sent, sender, model, seed);
        }

        Assert.Equal(model, client.Do(NbdClient.Read, 0, 4 << 20).Data);
    }

    // Takes sixteen replies in whatever order they come. A simple reply to a read says nowhere how long it is, so the cookie is looked up before its data is taken.
    private static void Take(NbdClient client, bool structured, Dictionary<ulong, (uint Offset, uint Length, bool Read)> sent, Task sender, byte[] model, int seed)
    {
        var parts = new Dictionary<ulong, byte[]>();
        for (var done = 0; done < 16;)
        {
            var magic = System.Buffers.Binary.BinaryPrimitives.ReadUInt32BigEndian(client.Take(4));
            if (magic == 0x67446698)
            {
                var header = client.Take(12);
                Assert.Equal([0, 0, 0, 0], header[..4]);
                var cookie = System.Buffers.Binary.BinaryPrimitives.ReadUInt64BigEndian(header.AsSpan(4));
                var (offset, length, read) = Find(sent, cookie);
                if (read)
                {
                    Assert.False(structured);
                    Assert.True(client.Take((int)length).AsSpan().SequenceEqual(model.AsSpan((int)offset, (int)length)), $"seed {seed}: a read at {offset} of {length} differs");
                }

                done++;
            }
            else
            {
                var header = client.Take(16);
                var payload = client.Take(System.Buffers.Binary.BinaryPrimitives.ReadInt32BigEndian(header.AsSpan(12)));
                Assert.Equal([0, 1], header[2..4]);
                var at = (int)System.Buffers.Binary.BinaryPrimitives.ReadUInt64BigEndian(payload);
                Assert.True(payload.AsSpan(8).SequenceEqual(model.AsSpan(at, payload.Length - 8)), $"seed {seed}: a read at {at} of {payload.Length - 8} differs");
                if ((header[1] & 1) != 0) done++;
            }
        }

        sender.Wait();
    }

    private static (uint Offset, uint Length, bool Read) Find(Dictionary<ulong, (uint Offset, uint Length, bool Read)> sent, ulong cookie)
    {
        lock (sent) return sent[cookie];
    }

    [Fact]
    public void Requests_that_break_the_rules_get_the_error_that_the_protocol_names()
    {
        using var served = new Served(new NbdOptions { MaxRequest = ByteSize.MiB(8) }, bytes: 16 << 20, blockSize: 4096);
        using var client = served.Connect().Enter(structured: true);
        Assert.Equal(Einval, client.Do(NbdClient.Read, 512, 4096).Error);
        Assert.Equal(Einval, client.Do(NbdClient.Read, 0, 512).Error);
        Assert.Equal(Einval, client.Do(NbdClient.Read, 0, 0).Error);
        Assert.Equal(Einval, client.Do(NbdClient.Read, 16 << 20, 4096).Error);
        Assert.Equal(Einval, client.Do(NbdClient.Read, ulong.MaxValue - 4095, 4096).Error);
        Assert.Equal(Einval, client.Do(NbdClient.Read, ulong.MaxValue - 4095, 8192).Error);
        Assert.Equal(Einval, client.Do(NbdClient.Read, 0, 9 << 20).Error);
        Assert.Equal(Eoverflow, client.Do(NbdClient.Read, 0, 8 << 20, DontFragment).Error);
        Assert.Equal(0u, client.Do(NbdClient.Read, 0, 1 << 20, DontFragment).Error);
        Assert.Equal(Einval, client.Do(NbdClient.Read, 0, 4096, NoHole).Error);
        Assert.Equal(Einval, client.Do(NbdClient.Write, 512, 512, payload: new byte[512]).Error);
        Assert.Equal(Einval, client.Do(NbdClient.Write, 0, 9 << 20, payload: new byte[9 << 20]).Error);
        Assert.Equal(Enospc, client.Do(NbdClient.Write, 16 << 20, 4096, payload: new byte[4096]).Error);
        Assert.Equal(Einval, client.Do(NbdClient.Write, 0, 0).Error);
        Assert.Equal(Enospc, client.Do(NbdClient.WriteZeroes, (16 << 20) - 4096, 8192).Error);
        Assert.Equal(Einval, client.Do(NbdClient.Trim, 16 << 20, 4096).Error);
        Assert.Equal(Einval, client.Do(NbdClient.Flush, 4096, 0).Error);
        Assert.Equal(Einval, client.Do(NbdClient.Cache, 0, 4096).Error);
        Assert.Equal(Einval, client.Do(4711, 0, 4096).Error);
        Assert.Equal(Einval, client.Do(NbdClient.BlockStatus, 0, 4096).Error);
        Assert.Equal(0u, client.Do(NbdClient.Flush, 0, 0, Fua).Error);
        Assert.Equal(0u, client.Do(NbdClient.Read, 0, 4096, Fua).Error);
    }

    [Fact]
    public void A_volume_that_may_not_be_changed_refuses_changes_and_stays_in_step()
    {
        using var served = new Served(flags: HostFlags.ReadOnly);
        using var client = served.Connect().Enter();
        Assert.Equal(Eperm, client.Do(NbdClient.Write, 0, 70_144, payload: Pattern(70_144, 1)).Error);
        Assert.Equal(Eperm, client.Do(NbdClient.Trim, 0, 512).Error);
        Assert.Equal(Eperm, client.Do(NbdClient.WriteZeroes, 0, 512).Error);
        Assert.Equal(new byte[512], client.Do(NbdClient.Read, 0, 512).Data);
        Assert.Equal(0, served.Device.Counts[(int)IoOperation.Write]);
    }

    [Fact]
    public void A_failing_device_is_an_error_of_that_request_alone()
    {
        using var served = new Served(limits: info => info with { MaxTransferBlocks = 256 });
        served.Device.Fault = (operation, lba, _) => operation == IoOperation.Flush ? IoStatus.DeviceFailed : lba switch
        {
            >= 3000 and < 4000 => IoStatus.MediaError,
            >= 4000 and < 5000 => IoStatus.NoSpace,
            _ => IoStatus.Success,
        };
        foreach (var structured in new[] { false, true })
        {
            using var client = served.Connect().Enter(structured: structured);
            Assert.Equal(Eio, client.Do(NbdClient.Read, 3000 * 512, 512).Error);
            Assert.Equal(Eio, client.Do(NbdClient.Read, 0, 2 << 20).Error); // One piece of several fails.
            Assert.Equal(Enospc, client.Do(NbdClient.Write, 4096 * 512, 1 << 20, payload: new byte[1 << 20]).Error);
            Assert.Equal(Eio, client.Do(NbdClient.Flush, 0, 0).Error);
            Assert.Equal(0u, client.Do(NbdClient.Read, 0, 512).Error);
        }

        Assert.Throws<ComancheException>(served.Stop); // The flush of the end.
        served.Device.Fault = null;
    }

    [Fact]
    public void A_simple_reply_that_fails_half_way_ends_the_connection()
    {
        using var served = new Served(new NbdOptions { Buffer = ByteSize.KiB(512) });
        served.Device.Fault = (_, lba, _) => lba >= 2048 ? IoStatus.MediaError : IoStatus.Success;
        using var client = served.Connect().Enter();
        client.Request(NbdClient.Read, 0, 2 << 20);
        Assert.Equal([0x67, 0x44, 0x66, 0x98, 0, 0, 0, 0], client.Take(8));
        Assert.True(client.IsClosed());
    }

    [Fact]
    public void Force_unit_access_reaches_the_device_and_follows_a_trim_as_a_flush()
    {
        using var served = new Served();
        using var client = served.Connect().Enter();
        client.Do(NbdClient.Write, 0, 512, Fua, new byte[512]);
        client.Do(NbdClient.WriteZeroes, 0, 512, Fua);
        Assert.Equal(2, served.Device.ForcedUnitAccesses);
        Assert.Equal(0, served.Device.Counts[(int)IoOperation.Flush]);
        client.Do(NbdClient.Trim, 0, 4096, Fua);
        Assert.Equal(1, served.Device.Counts[(int)IoOperation.Discard]);
        Assert.Equal(1, served.Device.Counts[(int)IoOperation.Flush]);
        client.Do(NbdClient.Trim, 0, 4096);
        Assert.Equal(1, served.Device.Counts[(int)IoOperation.Flush]);
    }

    [Fact]
    public void Zeroes_are_written_for_a_device_that_makes_none()
    {
        using var served = new Served(limits: info => info with { Capabilities = info.Capabilities & ~(VolumeCapabilities.WriteZeroes | VolumeCapabilities.Discard) });
        using var client = served.Connect().Enter();
        Assert.Equal(0, client.Flags & 1 << 5); // No trim.
        client.Do(NbdClient.Write, 0, 3 << 20, payload: Pattern(3 << 20, 3));
        Assert.Equal(Enotsup, client.Do(NbdClient.WriteZeroes, 0, 512, FastZero).Error);
        Assert.Equal(Einval, client.Do(NbdClient.Trim, 0, 512).Error);
        Assert.Equal(0u, client.Do(NbdClient.WriteZeroes, 512, (3 << 20) - 1024).Error);
        var back = client.Do(NbdClient.Read, 0, 3 << 20).Data;
        Assert.Equal(Pattern(3 << 20, 3)[..512], back[..512]);
        Assert.True(back.AsSpan(512, (3 << 20) - 1024).IndexOfAnyExcept((byte)0) < 0);
        Assert.Equal(0, served.Device.Counts[(int)IoOperation.WriteZeroes]);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Zeroes_that_must_be_fast_are_made_only_where_they_are_cheaper_than_written_ones(bool cheaper)
    {
        using var served = new Served(limits: info => cheaper ? info : info with { Capabilities = info.Capabilities & ~VolumeCapabilities.FastZeroes });
        using var client = served.Connect().Enter();
        client.Do(NbdClient.Write, 0, 4096, payload: Pattern(4096, 3));
        foreach (var flags in new ushort[] { FastZero, FastZero | NoHole })
        {
            Assert.Equal(cheaper ? 0u : Enotsup, client.Do(NbdClient.WriteZeroes, 0, 4096, flags).Error);
            Assert.Equal(cheaper ? new byte[4096] : Pattern(4096, 3), client.Do(NbdClient.Read, 0, 4096).Data);
        }

        Assert.Equal(0u, client.Do(NbdClient.WriteZeroes, 0, 4096).Error); // In its own time any device does.
    }

    [Fact]
    public void A_flush_on_one_connection_waits_for_no_other_and_reaches_the_device()
    {
        using var served = new Served();
        using var first = served.Connect().Enter();
        using var second = served.Connect().Enter();
        Assert.NotEqual(0, first.Flags & 1 << 8); // Several connections may be used together.
        Assert.Equal(0u, first.Do(NbdClient.Write, 0, 4096, payload: Pattern(4096, 9)).Error);
        Assert.Equal(0u, second.Do(NbdClient.Flush, 0, 0).Error);
        Assert.Equal(Pattern(4096, 9), second.Do(NbdClient.Read, 0, 4096).Data);
        Assert.Equal(1, served.Device.Counts[(int)IoOperation.Flush]);
    }

    [Fact]
    public void Requests_in_flight_are_answered_after_a_disconnect_request()
    {
        using var served = new Served(delay: new DelayOptions { Read = TimeSpan.FromMilliseconds(50) });
        using var client = served.Connect().Enter();
        for (var i = 0; i < 10; i++) client.Request(NbdClient.Read, 0, 512);
        client.Request(NbdClient.Disconnect, 0, 0);
        for (var i = 0; i < 10; i++) Assert.Equal(0u, client.Reply(512).Error);
        Assert.True(client.IsClosed());
    }

    [Fact]
    public void Requests_in_flight_are_answered_after_the_client_ends_its_side()
    {
        using var served = new Served(delay: new DelayOptions { Read = TimeSpan.FromMilliseconds(50) });
        using var client = served.Connect().Enter();
        for (var i = 0; i < 10; i++) client.Request(NbdClient.Read, 0, 512);
        client.Socket.Shutdown(System.Net.Sockets.SocketShutdown.Send);
        for (var i = 0; i < 10; i++) Assert.Equal(0u, client.Reply(512).Error);
        Assert.True(client.IsClosed());
    }
}
