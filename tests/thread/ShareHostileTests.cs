using Comanche.Linux;
using Comanche.Testing;

namespace Comanche.Threading.Tests;

/// <summary>What a client writes into the rings and sends over the socket is not believed.</summary>
public sealed unsafe class ShareHostileTests
{
    private const uint RegionNumber = 7;
    private const ulong RegionBytes = 2 << 20;
    private const int Seed = 20_261_124;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    [Fact]
    public void A_hundred_thousand_hostile_descriptors_harm_nobody()
    {
        const int Count = 100_000, Depth = 32;
        var random = new Random(Seed);
        using var stack = new SharedStack(devices: 2, watch: "test");
        using var bystander = new Bystander(stack, "device1");
        var answered = 0;
        using (var link = AttachLink.Connect(stack.SocketPath))
        using (var client = new RawClient(link, "device0"))
        {
            client.OpenQueue(Depth);
            client.AddRegion(RegionNumber, RegionBytes);
            var free = new Stack<uint>(Enumerable.Range(0, Depth).Select(i => (uint)i));
            for (var i = 0; i < Count; i++)
            {
                while (free.Count == 0) answered += Drain(client, free);
                var entry = Invent(client, random, free.Peek());
                if (entry.Operation != Channel.Cancel) free.Pop();
                client.Submit(entry);
                if (random.Next(8) == 0) answered += Drain(client, free);
            }

            var clock = System.Diagnostics.Stopwatch.StartNew();
            while (free.Count != Depth && clock.Elapsed < Patience) answered += Drain(client, free);
            Assert.Equal(Depth, free.Count);

            // The client itself is served as before.
            Assert.Equal(IoStatus.Success, client.Do(new IoDescriptor { Operation = IoOperation.Read, BlockCount = 1, Region = RegionNumber }, Patience));
        }

        Assert.InRange(answered, Count * 3 / 4, Count);
        Assert.InRange(stack.Host.Counter("share.rejected"), 1000ul, (ulong)Count);
        Assert.Equal([], stack.Watch[0].Strays);
        Assert.True(stack.Watch[0].Seen > 1000, $"only {stack.Watch[0].Seen} were good");
        bystander.Check();
    }

    [Theory]
    [InlineData("index out of range")]
    [InlineData("index in use")]
    public void A_client_that_breaks_the_rules_of_the_rings_is_cut_off(string how)
    {
        using var stack = new SharedStack(devices: 2, delay: new Block.DelayOptions { Read = TimeSpan.FromMilliseconds(100) });
        using var bystander = new Bystander(stack, "device1");
        using var link = AttachLink.Connect(stack.SocketPath);
        using var client = new RawClient(link, "device0");
        client.OpenQueue(8);
        client.AddRegion(RegionNumber, RegionBytes);
        if (how == "index in use")
        {
            for (var i = 0; i < 2; i++) client.Submit(new IoDescriptor { Operation = IoOperation.Read, BlockCount = 1, Region = RegionNumber, Tag = 3 });
        }
        else
        {
            client.Submit(new IoDescriptor { Operation = IoOperation.Read, BlockCount = 1, Region = RegionNumber, Tag = 8 });
        }

        var clock = System.Diagnostics.Stopwatch.StartNew();
        while (link.Look() && clock.Elapsed < Patience) Thread.Sleep(1);
        Assert.True(link.IsLost, "it is still attached");
        Assert.Equal(1ul, stack.Host.Counter("share.condemned"));
        bystander.Check();
    }

    [Fact]
    public void Ten_thousand_hostile_messages_are_refused_or_cut_off()
    {
        var random = new Random(Seed);
        using var stack = new SharedStack(devices: 2);
        using var bystander = new Bystander(stack, "device1");
        Assert.Equal(0, Memory.CreateShared("sealed", 2 << 20, huge: false, out var sealedFile));
        using var plain = File.Open(Path.Combine(stack.Folder, "plain"), FileMode.Create);
        plain.SetLength(2 << 20);
        var bytes = stackalloc byte[512];
        for (var i = 0; i < 10_000;)
        {
            var socket = Sockets.ConnectUnix(stack.SocketPath, messages: true, TimeSpan.FromSeconds(5));
            Assert.True(socket >= 0, Memory.Describe(-socket));
            if (random.Next(4) != 0) Send(socket, Good(ShareRequest.Attach, "device0"), []);
            for (var left = random.Next(1, 40); left > 0; left--, i++)
            {
                var length = Mutate(random, bytes);
                int[] files = random.Next(3) switch { 0 => [], 1 => [sealedFile], _ => [(int)plain.SafeFileHandle.DangerousGetHandle(), sealedFile] };
                if (Sockets.SendMessage(socket, bytes, (nuint)length, files.AsSpan(0, random.Next(files.Length + 1))) < 0) break;
                if (random.Next(2) == 0) Receive(socket);
            }

            Sockets.Close(socket);
        }

        Sockets.Close(sealedFile);
        bystander.Check();
    }

    [Fact]
    public void Huge_pages_of_another_user_are_not_taken()
    {
        Assert.Equal(0, Memory.CreateShared("test", (nuint)RegionBytes, huge: true, out var file));
        try
        {
            var e = Assert.Throws<ComancheException>(() => ClientMemory.Map(new TestMemory(), file, RegionBytes, isTrusted: false));
            Assert.Contains("huge pages of another user", e.Message, StringComparison.Ordinal);
        }
        finally
        {
            Sockets.Close(file);
        }
    }

    // A good request, with some of it spoilt; or nonsense.
    private static int Mutate(Random random, byte* bytes)
    {
        if (random.Next(10) == 0)
        {
            random.NextBytes(new Span<byte>(bytes, 512));
            return random.Next(1, 512);
        }

        var message = Good((ShareRequest)random.Next(0, 10), random.Next(2) == 0 ? "device0" : "");
        message.Number = (uint)random.Next(0, 5);
        message.Length = random.Next(4) switch { 0 => 2 << 20, 1 => (ulong)random.Next(0, 5000), 2 => ulong.MaxValue - (ulong)random.Next(0, 5), _ => (ulong)random.NextInt64() };
        *(ShareMessage*)bytes = message;
        if (random.Next(5) == 0) bytes[random.Next(ShareMessage.Size)] ^= (byte)(1 << random.Next(8));
        return random.Next(10) == 0 ? random.Next(1, ShareMessage.Size) : ShareMessage.Size;
    }

    private static ShareMessage Good(ShareRequest request, string text)
    {
        var message = ShareMessage.Of(request);
        message.Text = text;
        return message;
    }

    private static void Send(int socket, ShareMessage message, ReadOnlySpan<int> files) => Sockets.SendMessage(socket, &message, ShareMessage.Size, files);

    private static void Receive(int socket)
    {
        ShareMessage answer;
        var files = stackalloc int[4];
        if (Sockets.ReceiveMessage(socket, &answer, ShareMessage.Size, new Span<int>(files, 4), out var count) < 0) return;
        for (var i = 0; i < count; i++) Sockets.Close(files[i]);
    }

    private static int Drain(RawClient client, Stack<uint> free)
    {
        var count = 0;
        for (; client.TryComplete(out var index, out _); count++) free.Push(index);
        if (count == 0) Thread.Yield();
        return count;
    }

    // A descriptor that is good but for some fields, or nothing but noise; its index is good, since anything else ends the connection.
    private static IoDescriptor Invent(RawClient client, Random random, uint index)
    {
        IoDescriptor entry;
        if (random.Next(3) == 0)
        {
            random.NextBytes(new Span<byte>(&entry, IoDescriptor.Size));
            if (entry.Operation == Channel.Cancel) entry.Operation = IoOperation.Read;
            entry.Tag = index;
            return entry;
        }

        entry = new IoDescriptor
        {
            Operation = (IoOperation)random.Next(0, 11), Lba = (ulong)random.Next(0, 16384), BlockCount = (uint)random.Next(1, 64), Region = RegionNumber,
            Buffer = (byte*)((ulong)random.Next(0, (int)RegionBytes / 512) * 512), Auxiliary = (ulong)random.Next(0, (int)RegionBytes / 512) * 512, Tag = index,
        };
        switch (random.Next(12))
        {
            case 0: entry.Region = (uint)random.Next(); break;
            case 1: entry.Buffer = (byte*)random.NextInt64(); break;
            case 2: entry.Buffer = (byte*)(RegionBytes - (ulong)random.Next(0, 2048)); break;
            case 3: entry.BlockCount = (uint)random.Next(int.MinValue, int.MaxValue); break;
            case 4: entry.Lba = (ulong)random.NextInt64(long.MinValue, long.MaxValue); break;
            case 5: entry.Flags = (IoFlags)random.Next(0, 256); break;
            case 6: entry.Auxiliary = (ulong)random.NextInt64(long.MinValue, long.MaxValue); break;
            case 7: entry.Parent = (IoDescriptor*)random.NextInt64(); break;
            case 8:
                entry.Flags |= IoFlags.Segments;
                entry.SegmentCount = (ushort)random.Next(0, client.Segments + 3);
                Segments(client, random, index, entry.BlockCount);
                break;
            case 9:
                return new IoDescriptor { Operation = Channel.Cancel, Tag = (ulong)random.Next(0, 64) * (ulong)random.Next(1, 1000) };
        }

        return entry;
    }

    private static void Segments(RawClient client, Random random, uint index, uint blocks)
    {
        var segments = client.Channel.Segments(index);
        for (var i = 0; i < client.Segments; i++)
        {
            segments[i] = new IoSegment
            {
                Address = (byte*)(random.Next(6) == 0 ? (ulong)random.NextInt64() : (ulong)random.Next(0, (int)RegionBytes / 512) * 512),
                Length = random.Next(6) == 0 ? (uint)random.Next() : Math.Max(1, blocks / 4) * 512, Region = random.Next(10) == 0 ? (uint)random.Next() : RegionNumber,
            };
        }
    }

    // Another client of the same server, who writes and reads all the while and looks whether everything is right.
    private sealed class Bystander : IDisposable
    {
        private readonly Thread _thread;
        private readonly IBlockDevice _device;
        private volatile bool _stop;
        private Exception? _failure;
        private int _rounds;

        public Bystander(SharedStack stack, string device)
        {
            var host = stack.ClientHost();
            _device = stack.Attach(device, host);
            _thread = new Thread(() =>
            {
                try
                {
                    using var io = new SyncIo(_device, host, "bystander");
                    var (data, back) = (new byte[8192], new byte[8192]);
                    for (; !_stop; Volatile.Write(ref _rounds, _rounds + 1))
                    {
                        new Random(_rounds).NextBytes(data);
                        io.Write((ulong)(_rounds % 64) * 16, data);
                        io.Read((ulong)(_rounds % 64) * 16, back);
                        if (!data.AsSpan().SequenceEqual(back)) throw new InvalidOperationException($"round {_rounds} read something else");
                    }
                }
                catch (Exception e)
                {
                    _failure = e;
                }
            });
            _thread.Start();
        }

        public void Check()
        {
            var before = Volatile.Read(ref _rounds);
            var clock = System.Diagnostics.Stopwatch.StartNew();
            while (Volatile.Read(ref _rounds) < before + 10 && _failure is null && clock.Elapsed < Patience) Thread.Sleep(1);
            Dispose();
            Assert.Null(_failure);
            Assert.True(_rounds >= before + 10, "the other client is not served any more");
        }

        public void Dispose()
        {
            if (_stop) return;
            _stop = true;
            _thread.Join();
            _device.Release();
        }
    }
}
