using Comanche.Runtime;
using Comanche.Testing;

namespace Comanche.Core.Tests;

/// <summary>A volume on the runtime's reactor when something throws that should not: no call waits for ever, and no memory is given back that the device may still use.</summary>
public sealed class VolumeFailureTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    [Fact]
    public async Task A_continuation_that_throws_on_the_reactor_is_reported_and_the_volume_goes_on()
    {
        using var bench = await Bench.OpenAsync(new VolumeOptions { InlineContinuations = true });
        bench.Device.IsOpen = false;
        var awaiter = bench.Volume.ReadAsync(0, new byte[512]).GetAwaiter();
        awaiter.UnsafeOnCompleted(() => throw new InvalidOperationException("a mistake of the caller"));
        bench.Device.IsOpen = true;
        await VolumeFixture.Until(() => bench.Reported("a mistake of the caller"));
        await bench.Volume.ReadAsync(0, new byte[512]).AsTask().WaitAsync(Patience);
        await bench.Volume.DisposeAsync();
        bench.Close();
    }

    [Fact]
    public async Task A_queue_that_throws_fails_every_call_and_what_it_gives_back_can_be_closed()
    {
        using var bench = await Bench.OpenAsync(new VolumeOptions { Depth = 2, MaxRequests = 5, BounceBuffers = 8 });
        bench.Device.IsOpen = false;
        using var buffer = bench.Volume.AllocateBuffer(512);
        Task[] calls =
        [
            bench.Volume.WriteAsync(1, new byte[1]).AsTask(),                 // At the device,
            bench.Volume.ReadAsync(4096, buffer).AsTask(),                    // also,
            bench.Volume.WriteAsync(2, new byte[1]).AsTask(),                 // waits for the first one's block,
            bench.Volume.ReadAsync(8192, new byte[512]).AsTask(),             // for a descriptor,
            Task.Run(() => bench.Volume.Write(8192, new byte[512])),          // also, with a thread,
        ];
        await VolumeFixture.Until(() => bench.Device.Held == 2);
        var last = bench.Volume.FlushAsync().AsTask();                        // for its turn.
        var polls = 0;
        bench.Device.Polling = () => Throw(polls++ == 0);
        bench.Reactor.Wake();
        foreach (var call in calls.Append(last)) await Fails(call);
        await Fails(bench.Volume.ReadAsync(0, new byte[1]).AsTask());
        Assert.Throws<ComancheIoException>(() => bench.Volume.Write(0, [1]));
        await bench.Volume.DisposeAsync().AsTask().WaitAsync(Patience);
        bench.Close();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Memory_that_a_broken_queue_keeps_is_never_given_back(bool submitting)
    {
        using var bench = await Bench.OpenAsync(new VolumeOptions());
        bench.Device.IsOpen = false;
        var buffer = bench.Volume.AllocateBuffer(512);
        if (submitting) bench.Device.Submitting = () => Throw(true); // It may have the descriptor or not: nobody can tell.
        var call = bench.Volume.ReadAsync(0, buffer).AsTask();
        if (!submitting)
        {
            await VolumeFixture.Until(() => bench.Device.Held == 1);
            bench.Device.Polling = () => Throw(true);
            bench.Reactor.Wake();
        }

        await Fails(call);
        Assert.Throws<InvalidOperationException>(((IDisposable)buffer).Dispose);
        var refusal = await Assert.ThrowsAsync<ComancheException>(() => bench.Volume.DisposeAsync().AsTask().WaitAsync(Patience));
        Assert.Contains("did not come back", refusal.Message, StringComparison.Ordinal);
        Assert.Throws<ComancheException>(bench.Device.Stop);
    }

    [Fact]
    public async Task A_block_that_a_lost_write_may_still_change_stays_locked()
    {
        using var bench = await Bench.OpenAsync(new VolumeOptions { MaxRequests = 1 });
        bench.Device.IsOpen = false;
        var lost = bench.Volume.WriteAsync(1, new byte[1]).AsTask();
        await VolumeFixture.Until(() => bench.Device.Held == 1);
        bench.Device.Polling = () => Throw(true);
        bench.Reactor.Wake();
        await Fails(lost);
        await Fails(bench.Volume.WriteAsync(4096, new byte[512]).AsTask());
        bench.Device.Polling = null;
        bench.Device.IsOpen = true;
        using var reactor = new TestReactor("other");
        await using var other = await Volume.OpenAsync(bench.Device, reactor);
        using var source = new CancellationTokenSource();
        var same = other.WriteAsync(2, new byte[1], source.Token).AsTask();
        await other.WriteAsync(600, new byte[1]).AsTask().WaitAsync(Patience); // Another block.
        Assert.False(same.IsCompleted);
        source.Cancel();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => same.WaitAsync(Patience));
    }

    private static void Throw(bool now)
    {
        if (now) throw new InvalidOperationException("the queue is broken");
    }

    private static async Task Fails(Task call)
    {
        var error = await Assert.ThrowsAsync<ComancheIoException>(() => call.WaitAsync(Patience));
        Assert.Equal(IoStatus.DeviceFailed, error.Status);
        Assert.Equal("the queue is broken", error.InnerException?.Message);
    }

    private sealed class Bench(VolumeTestDevice device, Reactor reactor, ListSink log) : IDisposable
    {
        public VolumeTestDevice Device => device;

        public Reactor Reactor => reactor;

        public Volume Volume { get; private set; } = null!;

        public static async Task<Bench> OpenAsync(VolumeOptions options)
        {
            var device = new VolumeTestDevice(new TestHost("disk"), 2048);
            device.Start();
            var log = new ListSink();
            var bench = new Bench(device, new Reactor(new ReactorOptions(), log), log);
            bench.Volume = await Volume.OpenAsync(device, bench.Reactor, options);
            return bench;
        }

        public bool Reported(string text) => log.Lines.Any(l => l.Message.Contains(text, StringComparison.Ordinal));

        /// <summary>Shows that nothing holds the device any more.</summary>
        public void Close()
        {
            device.Stop();
            Assert.Equal(0u, device.Release());
        }

        public void Dispose() => reactor.Dispose();
    }
}
