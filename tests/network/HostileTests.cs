using System.Net.Sockets;

namespace Comanche.Network.Tests;

[Collection("alone")]
public sealed class HostileTests
{
    [Fact]
    public void Requests_that_are_malformed_end_only_their_own_connection()
    {
        using var served = new Served();
        using var good = served.Connect().Enter();
        var header = NbdClient.Header(NbdClient.Write, 0, 512, 0, 1);
        byte[] wrong = [.. header];
        wrong[0] ^= 1;
        byte[][] bad = [wrong, NbdClient.Header(NbdClient.Write, 0, 33 << 20, 0, 1), NbdClient.Header(NbdClient.Write, 0, uint.MaxValue, 0, 1)];
        foreach (var bytes in bad)
        {
            using var client = served.Connect().Enter();
            client.Send(bytes);
            Assert.True(client.IsClosed());
            Assert.Equal(0u, good.Do(NbdClient.Read, 0, 512).Error);
        }
    }

    [Fact]
    public void Something_in_the_clear_behind_the_wish_to_encrypt_ends_the_connection()
    {
        using var certificates = new Certificates();
        using var served = new Served(new NbdOptions { Tls = certificates.Options });
        using var client = served.Connect();
        client.Greet();
        client.Send([.. "IHAVEOPT"u8, .. NbdClient.Big(NbdClient.OptStartTls), .. NbdClient.Big(0u), .. "IHAVEOPT"u8, .. NbdClient.Big(NbdClient.OptList), .. NbdClient.Big(0u)]);
        Assert.True(client.IsClosed());
    }

    [Fact]
    public void Thousands_of_mutated_sessions_neither_crash_nor_leak()
    {
        var seed = int.TryParse(Environment.GetEnvironmentVariable("COMANCHE_SEED"), out var given) ? given : Environment.TickCount;
        TestContext.Current.SendDiagnosticMessage($"seed {seed}");
        var random = new Random(seed);
        using var served = new Served(new NbdOptions { Buffer = ByteSize.KiB(512), QueueDepth = 16 }, bytes: 8 << 20, seed: seed, limits: info => info with { MaxTransferBlocks = 64, MaxRangeBlocks = 1000 });
        for (var session = 0; session < 3000; session++)
        {
            var bytes = Mutate(MakeSession(random), random);
            try
            {
                using var client = served.Connect();
                client.Stream.ReadTimeout = 20_000;
                var reading = random.Next(10) != 0;
                Play(client, bytes, random, reading);
                if (reading) Assert.True(client.IsClosed(), $"seed {seed}, session {session}");
            }
            catch (IOException e) when (e.InnerException is SocketException { SocketErrorCode: SocketError.ConnectionReset or SocketError.Shutdown or SocketError.TimedOut })
            {
                // The server had enough of it. (A send that the end cut short is reported as timed out; no time-out is set.)
            }
            catch (SocketException)
            {
                // Likewise, at the end of sending.
            }
            catch (IOException e)
            {
                Assert.Fail($"seed {seed}, session {session}: {e}");
            }

            if (session % 500 == 0) CheckAlive(served);
        }

        CheckAlive(served);
        Served.Eventually(() => served.Memory.Live == 1, "all buffers of clients are back");
    }

    private static void CheckAlive(Served served)
    {
        using var client = served.Connect().Enter(structured: true);
        Assert.Equal(0u, client.Do(NbdClient.Read, 0, 8 << 20).Error);
    }

    // Sends in pieces, while another thread takes what comes back, so that a full socket stops nobody.
    private static void Play(NbdClient client, byte[] bytes, Random random, bool reading)
    {
        client.Socket.Blocking = reading;
        var stuck = false;
        using var watch = new Timer(_ =>
        {
            stuck = true;
            client.Socket.Dispose();
        }, null, 30_000, Timeout.Infinite);
        var drained = new Thread(() =>
        {
            var buffer = new byte[65536];
            try
            {
                while (client.Stream.Read(buffer) != 0) { }
            }
            catch (Exception e) when (e is IOException or ObjectDisposedException)
            {
                // It ended.
            }
        });
        if (reading) drained.Start();
        try
        {
            for (var at = 0; at < bytes.Length;)
            {
                var piece = Math.Min(bytes.Length - at, random.Next(4) == 0 ? random.Next(1, 40) : 100_000);
                client.Send(bytes.AsSpan(at, piece));
                at += piece;
            }

            client.Socket.Shutdown(SocketShutdown.Send);
        }
        catch (IOException) when (!reading)
        {
            // Nobody reads, so the socket may be full.
        }
        finally
        {
            if (reading) drained.Join();
            Assert.False(stuck, "the server neither closes nor goes on");
        }
    }

    // A session as an honest client might play it.
    private static List<byte[]> MakeSession(Random random)
    {
        var parts = new List<byte[]> { NbdClient.Big(random.Next(20) == 0 ? (uint)random.Next() : 3u) };
        void Option(uint option, byte[] data) => parts.Add([.. "IHAVEOPT"u8, .. NbdClient.Big(option), .. NbdClient.Big((uint)data.Length), .. data]);
        for (var i = random.Next(4); i > 0; i--)
        {
            switch (random.Next(6))
            {
                case 0:
                    Option(NbdClient.OptList, []);
                    break;
                case 1:
                    Option(NbdClient.OptStructured, []);
                    break;
                case 2:
                    Option(NbdClient.OptInfo, NbdClient.InfoQuery("", 1, 2, 3));
                    break;
                case 3:
                    Option(NbdClient.OptSetMeta, NbdClient.MetaQuery("", "base:allocation", "x:y"));
                    break;
                case 4:
                    Option(NbdClient.OptStartTls, []);
                    break;
                default:
                    Option((uint)random.Next(20), new byte[random.Next(300)]);
                    break;
            }
        }

        if (random.Next(4) != 0) Option(NbdClient.OptGo, NbdClient.InfoQuery("", 3));
        else Option(NbdClient.OptExportName, []);
        for (var i = random.Next(40); i > 0; i--)
        {
            var command = (uint)random.Next(9);
            var offset = (ulong)random.Next(16_384) * 512;
            var length = (uint)random.Next(random.Next(8) == 0 ? 5000 : 40) * 512;
            if (command == NbdClient.Flush && random.Next(8) != 0) (offset, length) = (0, 0);
            if (command == NbdClient.Disconnect && random.Next(8) != 0) continue;
            var flags = (ushort)(random.Next(3) == 0 ? 1 << random.Next(6) : 0);
            parts.Add(NbdClient.Header(command, offset, length, flags, (ulong)i));
            if (command == NbdClient.Write) parts.Add(new byte[length]);
        }

        return parts;
    }

    private static byte[] Mutate(List<byte[]> parts, Random random)
    {
        for (var i = random.Next(3); i > 0; i--)
        {
            var from = random.Next(parts.Count);
            switch (random.Next(3))
            {
                case 0:
                    parts.RemoveAt(from);
                    if (parts.Count == 0) return [];
                    break;
                case 1:
                    parts.Insert(random.Next(parts.Count), parts[from]);
                    break;
                default:
                    (parts[0], parts[from]) = (parts[from], parts[0]);
                    break;
            }
        }

        using var whole = new MemoryStream();
        foreach (var part in parts) whole.Write(part);
        var bytes = whole.ToArray();
        for (var i = random.Next(6); i > 0 && bytes.Length != 0; i--)
        {
            // Most of a session is payload; what is worth hitting lies at the front.
            var at = random.Next(random.Next(3) == 0 ? bytes.Length : Math.Min(bytes.Length, 400));
            bytes[at] = random.Next(4) switch
            {
                0 => 0xFF,
                1 => 0,
                2 => (byte)(bytes[at] ^ 1 << random.Next(8)),
                _ => (byte)random.Next(256),
            };
        }

        return random.Next(4) == 0 ? bytes[..random.Next(bytes.Length + 1)] : bytes;
    }
}
