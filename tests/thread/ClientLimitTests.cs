using System.Diagnostics;
using Comanche.Testing;

namespace Comanche.Threading.Tests;

/// <summary>
/// Clients that may use only so much. The server's clock stands still unless a test moves it on, so that counts are exact however busy the machine is; no wait for tokens is longer than a few
/// milliseconds, which the server's thread may sleep through in real time.
/// </summary>
public sealed unsafe class ClientLimitTests : IDisposable
{
    private const ulong Start = 1_000_000_000, Millisecond = 1_000_000;

    private SharedStack _stack = null!;

    public void Dispose() => _stack.Dispose();

    [Fact]
    public void A_client_gets_its_rate_over_all_its_queues_and_another_goes_on()
    {
        Share(new ShareOptions { ClientIops = 1000, ClientBurst = TimeSpan.FromMilliseconds(4) });
        using var limited = new Client(_stack);
        using var free = new Client(_stack);
        _stack.Export.SetLimit(_stack.Export.GetClients()[^1].Id, old => old with { Iops = 0 });
        using var first = limited.Open(16);
        using var second = limited.Open(16);
        using var other = free.Open(16);
        first.Submit(IoOperation.Read, 16);
        second.Submit(IoOperation.Read, 16);
        Until(() => first.Poll() + second.Poll() == 5); // What was saved up, and the one that is due.
        for (var i = 1; i <= 20; i++)
        {
            other.Submit(IoOperation.Read, 16);
            Until(() => other.Poll() == i * 16);
            Assert.Equal(4 + i, first.Poll() + second.Poll());
            _stack.Host.ManualTime += Millisecond;
            Until(() => first.Poll() + second.Poll() == 5 + i);
        }

        Assert.InRange(first.Back, 5, 16);
        Assert.InRange(second.Back, 5, 16); // Each in its turn.
        first.End();
        second.End();
    }

    [Fact]
    public void A_large_io_passes_and_its_debt_is_waited_for()
    {
        Share(new ShareOptions { ClientBandwidth = new(512_000), ClientBurst = TimeSpan.Zero });
        using var client = new Client(_stack);
        using var queue = client.Open(8);
        queue.Submit(IoOperation.Write, 1, blocks: 8);
        queue.Submit(IoOperation.Write, 2);
        Until(() => queue.Poll() == 1);
        _stack.Host.ManualTime += 8 * Millisecond - 1;
        Pass(client);
        Assert.Equal(1, queue.Poll());
        _stack.Host.ManualTime += 1;
        Until(() => queue.Poll() == 2);
        Pass(client);
        Assert.Equal(2, queue.Poll());
        _stack.Host.ManualTime += Millisecond;
        Until(() => queue.Poll() == 3);
    }

    [Fact]
    public void The_server_sleeps_while_a_client_has_no_tokens()
    {
        Share(new ShareOptions { ClientIops = 100, ClientBurst = TimeSpan.Zero });
        using var client = new Client(_stack);
        using var queue = client.Open(8);
        queue.Submit(IoOperation.Read, 3);
        Until(() => queue.Poll() == 1);
        Pass(client); // The others were looked at.
        var sleeps = _stack.Reactor.Load.Sleeps;
        Until(() => _stack.Reactor.Load.Sleeps > sleeps + 3);
        Assert.Equal(1, queue.Poll());
        for (var i = 2; i <= 3; i++)
        {
            _stack.Host.ManualTime += 10 * Millisecond;
            Until(() => queue.Poll() == i);
        }
    }

    [Fact]
    public void A_client_that_gives_up_does_not_wait_for_tokens()
    {
        Share(new ShareOptions { ClientIops = 100, ClientBurst = TimeSpan.Zero });
        using var client = new Client(_stack);
        using var queue = client.Open(8);
        queue.Submit(IoOperation.Write, 8);
        Until(() => queue.Poll() == 1);
        queue.End();
        Assert.Equal(8, queue.Back);
        Assert.Equal(7, queue.Aborted);
    }

    [Fact]
    public void A_limit_can_be_set_and_taken_back_under_what_waits()
    {
        Share(new ShareOptions());
        using var client = new Client(_stack);
        using var queue = client.Open(16);
        var id = Assert.Single(_stack.Export.GetClients()).Id;
        queue.Submit(IoOperation.Read, 16);
        Until(() => queue.Poll() == 16);
        _stack.Export.SetLimit(id, old => old with { Iops = 1000, Burst = TimeSpan.Zero });
        Assert.Equal(new ClientLimit(1000, default, TimeSpan.Zero), _stack.Export.GetClients()[0].Limit);
        queue.Submit(IoOperation.Read, 16);
        Until(() => queue.Poll() == 17);
        _stack.Host.ManualTime += 2 * Millisecond;
        Until(() => queue.Poll() == 18);
        _stack.Export.SetLimit(null, old => old with { Iops = 0 });
        Until(() => queue.Poll() == 32);
    }

    [Fact]
    public void A_limit_for_all_is_for_those_to_come_as_well()
    {
        Share(new ShareOptions());
        _stack.Export.SetLimit(null, old => old with { Bandwidth = ByteSize.MiB(1) });
        using var client = new Client(_stack);
        Assert.Equal(ByteSize.MiB(1), Assert.Single(_stack.Export.GetClients()).Limit!.Bandwidth);
    }

    [Fact]
    public void A_limit_that_makes_no_sense_is_refused()
    {
        Share(new ShareOptions { ClientIops = 7 });
        using var client = new Client(_stack);
        Assert.Contains("there is no client 99", Assert.Throws<ComancheException>(() => _stack.Export.SetLimit(99, old => old)).Message, StringComparison.Ordinal);
        Assert.Contains("iops: -1 is not from 0", Assert.Throws<ComancheException>(() => _stack.Export.SetLimit(null, old => old with { Iops = -1 })).Message, StringComparison.Ordinal);
        Assert.Equal(7, Assert.Single(_stack.Export.GetClients()).Limit!.Iops);
        Assert.Equal("client-burst", TestPlan.Of<ShareExport>(new ShareOptions { Socket = "s", ClientBurst = TimeSpan.FromHours(2) }, [null]).Errors.Single().Option);
    }

    private void Share(ShareOptions options)
    {
        _stack = new SharedStack(options);
        _stack.Host.ManualTime = Start;
    }

    // Waits until the server has looked at every ring again: a flush is not limited.
    private static void Pass(Client client)
    {
        using var queue = client.Open(1);
        queue.Submit(IoOperation.Flush, 1);
        Until(() => queue.Poll() == 1);
        queue.Submit(IoOperation.Flush, 1);
        Until(() => queue.Poll() == 2);
    }

    private static void Until(Func<bool> condition)
    {
        var clock = Stopwatch.StartNew();
        while (!condition())
        {
            Assert.True(clock.Elapsed < TimeSpan.FromSeconds(20), "it does not come true");
            Thread.Yield();
        }
    }

    private sealed class Client : IDisposable
    {
        private readonly IBlockDevice _device;
        private readonly IoBuffer _buffer;

        public Client(SharedStack stack)
        {
            _device = stack.Attach();
            _buffer = _device.AllocateIoBuffer(4096, 4096, -1);
            IoBufferInfo info;
            _device.GetBufferInfo(_buffer, &info);
            (Address, Region) = ((nint)info.Address, info.Region);
        }

        public nint Address { get; }

        public uint Region { get; }

        public Load Open(uint depth)
        {
            var options = new QueueOptions { Depth = depth };
            return new Load(this, _device.OpenQueue(&options));
        }

        public void Dispose()
        {
            _device.FreeIoBuffer(_buffer);
            _device.Release();
        }
    }

    private sealed class Load(Client client, IIoQueue queue) : IDisposable
    {
        private readonly DescriptorSlab _slab = new(64);
        private int _submitted;

        public int Back { get; private set; }

        public int Aborted { get; private set; }

        public void Submit(IoOperation operation, int count, uint blocks = 1)
        {
            for (var i = 0; i < count; i++)
            {
                var one = _slab.Take();
                *one = operation == IoOperation.Flush ? new IoDescriptor { Operation = operation }
                    : new IoDescriptor { Operation = operation, Lba = (ulong)i * 8, BlockCount = blocks, Buffer = (byte*)client.Address, Region = client.Region };
                Assert.Equal(1, queue.Submit(&one, 1));
                _submitted++;
            }
        }

        /// <summary>Polls, and says how many are back in all.</summary>
        public int Poll()
        {
            IoDescriptor* done;
            while (queue.Poll(&done, 1) == 1)
            {
                Back++;
                if (done->Status == IoStatus.Aborted) Aborted++;
                else Assert.Equal(IoStatus.Success, done->Status);
                _slab.Return(done);
            }

            return Back;
        }

        public void End()
        {
            queue.Abandon();
            Until(() => Poll() == _submitted);
        }

        public void Dispose()
        {
            queue.Close();
            _slab.Dispose();
        }
    }
}
