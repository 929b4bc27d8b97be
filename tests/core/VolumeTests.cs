using Comanche.Runtime;

namespace Comanche.Core.Tests;

public sealed class VolumeTests
{
    [Theory]
    [InlineData(0, 512)]
    [InlineData(1, 1)]
    [InlineData(511, 2)]
    [InlineData(100, 412)]
    [InlineData(512, 700)]
    [InlineData(5, 300_000)]
    [InlineData(2048 * 512 - 3, 3)]
    public async Task What_is_written_at_any_offset_is_read_and_its_neighbours_stay(int offset, int length)
    {
        await using var fixture = await VolumeFixture.OpenAsync();
        new Random(1).NextBytes(fixture.Device.Data);
        var expected = fixture.Device.Data.ToArray();
        var data = new byte[length];
        new Random(2).NextBytes(data);
        data.CopyTo(expected, offset);
        await fixture.Volume.WriteAsync(offset, data);
        Assert.True(fixture.Device.Data.SequenceEqual(expected));
        var back = new byte[length];
        await fixture.Volume.ReadAsync(offset, back);
        Assert.Equal(data, back);
    }

    [Fact]
    public async Task Aligned_IO_of_a_DMA_buffer_copies_nothing_and_is_cut_to_what_the_device_takes()
    {
        await using var fixture = await VolumeFixture.OpenAsync();
        using var buffer = fixture.Volume.AllocateBuffer(200 * 512);
        new Random(1).NextBytes(buffer.GetSpan());
        await fixture.Volume.WriteAsync(1024, buffer);
        Assert.Equal(4, fixture.Device.Done[(int)IoOperation.Write]);
        Assert.Equal(0, fixture.Device.Done[(int)IoOperation.Read]);
        Assert.True(fixture.Device.Data.Slice(1024, buffer.Length).SequenceEqual(buffer.GetSpan()));
        await fixture.Volume.ReadAsync(0, buffer.Memory[512..2048]);
        Assert.True(fixture.Device.Data[..1536].SequenceEqual(buffer.GetSpan().Slice(512, 1536)));
        Assert.Equal(0, fixture.Volume.CopiedBytes);
    }

    [Fact]
    public async Task What_is_copied_is_counted_and_a_DMA_buffer_is_copied_at_its_edges_only()
    {
        await using var fixture = await VolumeFixture.OpenAsync();
        await fixture.Volume.ReadAsync(0, new byte[4096]);
        Assert.Equal(4096, fixture.Volume.CopiedBytes);
        using var buffer = fixture.Volume.AllocateBuffer(4096);
        await fixture.Volume.ReadAsync(512, buffer.Memory[..1100]);
        Assert.Equal(4096 + 76, fixture.Volume.CopiedBytes);
    }

    [Fact]
    public async Task An_edge_is_read_and_written_and_a_whole_block_only_written()
    {
        await using var fixture = await VolumeFixture.OpenAsync();
        await fixture.Volume.WriteAsync(512, new byte[1024]);
        Assert.Equal((0, 1), (fixture.Device.Done[(int)IoOperation.Read], fixture.Device.Done[(int)IoOperation.Write]));
        await fixture.Volume.WriteAsync(500, new byte[1024], forceUnitAccess: true);
        Assert.Equal((2, 4), (fixture.Device.Done[(int)IoOperation.Read], fixture.Device.Done[(int)IoOperation.Write]));
        Assert.Equal(3, fixture.Device.ForcedWrites);
    }

    [Theory]
    [InlineData(VolumeTestDevice.All)]
    [InlineData(VolumeCapabilities.None)]
    public async Task Zeroes_are_written_to_the_byte_whether_or_not_the_device_can(VolumeCapabilities capabilities)
    {
        await using var fixture = await VolumeFixture.OpenAsync(make: host => new VolumeTestDevice(host, 2048, 512, capabilities));
        fixture.Device.Data.Fill(7);
        await fixture.Volume.WriteZeroesAsync(100, 700_000);
        Assert.False(fixture.Device.Data.Slice(100, 700_000).ContainsAnyExcept((byte)0));
        Assert.False(fixture.Device.Data[..100].ContainsAnyExcept((byte)7));
        Assert.False(fixture.Device.Data[700_100..].ContainsAnyExcept((byte)7));
    }

    [Fact]
    public async Task A_discard_takes_whole_blocks_only_and_is_advice()
    {
        await using var fixture = await VolumeFixture.OpenAsync();
        fixture.Device.Data.Fill(7);
        await fixture.Volume.DiscardAsync(100, 2000);
        Assert.False(fixture.Device.Data[512..2048].ContainsAnyExcept((byte)0));
        Assert.False(fixture.Device.Data[..512].ContainsAnyExcept((byte)7));
        Assert.Equal(7, fixture.Device.Data[2048]);
        await fixture.Volume.DiscardAsync(10, 20);
        Assert.Equal(1, fixture.Device.Done[(int)IoOperation.Discard]);
        await using var other = await VolumeFixture.OpenAsync(make: host => new VolumeTestDevice(host, 64, 512, VolumeCapabilities.None));
        await other.Volume.DiscardAsync(0, 4096);
    }

    [Fact]
    public async Task A_flush_reaches_the_device()
    {
        await using var fixture = await VolumeFixture.OpenAsync();
        await fixture.Volume.FlushAsync();
        fixture.Volume.Flush();
        Assert.Equal(2, fixture.Device.Done[(int)IoOperation.Flush]);
    }

    [Fact]
    public async Task A_range_beyond_the_end_is_refused_and_a_device_that_grows_is_noticed()
    {
        await using var fixture = await VolumeFixture.OpenAsync();
        fixture.Device.SetLength(1024);
        var error = await Assert.ThrowsAsync<ComancheIoException>(async () => await fixture.Volume.ReadAsync(1024 * 512 - 1, new byte[2]));
        Assert.Equal(IoStatus.OutOfRange, error.Status);
        Assert.Contains("524288 bytes", error.Message);
        Assert.Equal(IoStatus.OutOfRange, Assert.Throws<ComancheIoException>(() => fixture.Volume.Write(long.MaxValue, new byte[2])).Status);
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(async () => await fixture.Volume.ReadAsync(-1, new byte[2]));
        fixture.Device.SetLength(2048);
        await fixture.Volume.ReadAsync(1024 * 512 - 1, new byte[2]);
        await fixture.Volume.ReadAsync(2048 * 512, Memory<byte>.Empty);
    }

    [Fact]
    public async Task The_status_of_the_piece_that_failed_is_the_error_and_the_volume_goes_on()
    {
        await using var fixture = await VolumeFixture.OpenAsync();
        fixture.Device.Fail = (operation, lba) => operation == IoOperation.Read && lba == 128 ? IoStatus.MediaError : IoStatus.Success;
        using var buffer = fixture.Volume.AllocateBuffer(256 * 512);
        var error = await Assert.ThrowsAsync<ComancheIoException>(async () => await fixture.Volume.ReadAsync(0, buffer));
        Assert.Equal(IoStatus.MediaError, error.Status);
        Assert.Contains("read of 131072 bytes at offset 0", error.Message);

        // The edge of a write that can't be read: nothing of it is written.
        error = Assert.Throws<ComancheIoException>(() => fixture.Volume.Write(128 * 512 + 1, [1]));
        Assert.Equal(IoStatus.MediaError, error.Status);
        Assert.Equal(0, fixture.Device.Done[(int)IoOperation.Write]);
        await fixture.Volume.ReadAsync(0, buffer.Memory[..512]);
    }

    [Fact]
    public async Task A_read_only_volume_refuses_changes()
    {
        await using var fixture = await VolumeFixture.OpenAsync(make: host => new VolumeTestDevice(host, 64, 512, VolumeCapabilities.ReadOnly));
        var error = await Assert.ThrowsAsync<ComancheIoException>(async () => await fixture.Volume.WriteAsync(0, new byte[1]));
        Assert.Equal(IoStatus.ReadOnly, error.Status);
        Assert.Throws<NotSupportedException>(() => new VolumeStream(fixture.Volume).WriteByte(1));
    }

    [Fact]
    public async Task A_cancelled_task_ends_only_when_its_descriptor_is_back()
    {
        await using var fixture = await VolumeFixture.OpenAsync();
        fixture.Device.IsOpen = false;
        using var source = new CancellationTokenSource();
        using var buffer = fixture.Volume.AllocateBuffer(4096);
        var task = fixture.Volume.ReadAsync(0, buffer, source.Token).AsTask();
        await VolumeFixture.Until(() => fixture.Device.Held == 1);
        Assert.Throws<InvalidOperationException>(((IDisposable)buffer).Dispose);
        Assert.False(task.IsCompleted);
        source.Cancel();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => task);
        Assert.Equal(0, fixture.Device.Held);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await fixture.Volume.FlushAsync(source.Token));
    }

    [Fact]
    public async Task A_call_that_waits_for_its_turn_or_for_a_block_can_be_cancelled()
    {
        await using var fixture = await VolumeFixture.OpenAsync(new VolumeOptions { MaxRequests = 2 });
        fixture.Device.IsOpen = false;
        using var source = new CancellationTokenSource();
        var first = fixture.Volume.WriteAsync(1, new byte[1]).AsTask();
        var second = fixture.Volume.WriteAsync(2, new byte[1], source.Token).AsTask(); // Shares the block.
        var third = fixture.Volume.ReadAsync(0, new byte[1], source.Token).AsTask(); // Waits for a slot.
        await VolumeFixture.Until(() => fixture.Device.Held == 1);
        source.Cancel();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => second);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => third);
        Assert.False(first.IsCompleted);
        fixture.Device.IsOpen = true;
        await first;
        await fixture.Volume.WriteAsync(3, new byte[1]);
    }

    [Theory]
    [InlineData(1, 32)] // Waits for a descriptor.
    [InlineData(8, 1)]  // Waits for a bounce buffer.
    public async Task A_call_that_waits_for_a_descriptor_or_a_buffer_can_be_cancelled(int depth, int buffers)
    {
        await using var fixture = await VolumeFixture.OpenAsync(new VolumeOptions { Depth = depth, BounceBuffers = buffers });
        fixture.Device.IsOpen = false;
        using var source = new CancellationTokenSource();
        var first = fixture.Volume.ReadAsync(0, new byte[512]).AsTask();
        await VolumeFixture.Until(() => fixture.Device.Held == 1);
        var second = fixture.Volume.ReadAsync(512, new byte[512]).AsTask();
        var third = fixture.Volume.ReadAsync(1024, new byte[512], source.Token).AsTask(); // Stands behind it in the line.
        fixture.Reactor.Invoke(() => { });
        source.Cancel();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => third.WaitAsync(TimeSpan.FromSeconds(5)));
        Assert.False(first.IsCompleted || second.IsCompleted);
        fixture.Device.IsOpen = true;
        await Task.WhenAll(first, second);
    }

    [Fact]
    public async Task More_calls_than_are_allowed_wait_their_turn_and_all_are_done()
    {
        await using var fixture = await VolumeFixture.OpenAsync(new VolumeOptions { MaxRequests = 4, Depth = 2, BounceBuffers = 1, BounceBytes = 512 });
        fixture.Device.IsOpen = false;
        var tasks = Enumerable.Range(0, 100).Select(i => fixture.Volume.WriteAsync(i * 1000, Enumerable.Repeat((byte)(i + 1), 1000).ToArray()).AsTask()).ToArray();
        await VolumeFixture.Until(() => fixture.Device.Held == 1);
        fixture.Device.IsOpen = true;
        await Task.WhenAll(tasks);
        for (var i = 0; i < 100; i++) Assert.False(fixture.Device.Data.Slice(i * 1000, 1000).ContainsAnyExcept((byte)(i + 1)));
    }

    [Fact]
    public async Task Disposing_waits_for_what_is_in_flight_and_refuses_what_comes_later()
    {
        await using var fixture = await VolumeFixture.OpenAsync(new VolumeOptions { MaxRequests = 1 });
        fixture.Device.IsOpen = false;
        var running = fixture.Volume.WriteAsync(0, new byte[512]).AsTask();
        var waiting = fixture.Volume.WriteAsync(0, new byte[512]).AsTask();
        await VolumeFixture.Until(() => fixture.Device.Held == 1);
        var closing = fixture.Volume.DisposeAsync().AsTask();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => waiting);
        Assert.Throws<ObjectDisposedException>(() => fixture.Volume.Write(0, new byte[512]));
        Assert.False(closing.IsCompleted);
        fixture.Device.IsOpen = true;
        await running;
        await closing;
    }

    [Fact]
    public async Task Memory_that_is_gone_fails_the_call_and_nothing_else()
    {
        await using var fixture = await VolumeFixture.OpenAsync(new VolumeOptions { MaxRequests = 1 });
        var buffer = fixture.Volume.AllocateBuffer(512);
        ((IDisposable)buffer).Dispose();
        for (var i = 0; i < 3; i++)
            await Assert.ThrowsAsync<ObjectDisposedException>(async () => await fixture.Volume.ReadAsync(0, buffer));
        await fixture.Volume.ReadAsync(0, new byte[512]);
    }

    [Fact]
    public async Task A_synchronous_call_on_the_reactor_is_refused_rather_than_waited_for_in_vain()
    {
        await using var fixture = await VolumeFixture.OpenAsync();
        Assert.Throws<InvalidOperationException>(() => fixture.Reactor.Invoke(() => fixture.Volume.Flush()));
    }

    [Fact]
    public async Task A_result_that_is_asked_for_before_the_end_leaves_the_call_in_flight()
    {
        await using var fixture = await VolumeFixture.OpenAsync();
        fixture.Device.Data[..512].Fill(1);
        fixture.Device.Data.Slice(4096, 512).Fill(2);
        using var gate = new Gate(fixture.Device);
        fixture.Device.IsOpen = false;
        byte[] first = new byte[512], second = new byte[512];
        var early = fixture.Volume.ReadAsync(0, first);
        Assert.Throws<InvalidOperationException>(() => early.GetAwaiter().GetResult()); // As one does who would wait for it.
        await VolumeFixture.Until(() => fixture.Device.Held == 1);
        var other = fixture.Volume.ReadAsync(4096, second).AsTask();
        await VolumeFixture.Until(() => fixture.Device.Held == 2);
        fixture.Device.IsOpen = true;
        await Task.WhenAll(early.AsTask(), other).WaitAsync(TimeSpan.FromSeconds(10));
        Assert.Equal((1, 2), (first[0], second[0]));
    }

    [Fact]
    public async Task A_result_that_is_asked_for_twice_leaves_the_calls_of_others_alone()
    {
        await using var fixture = await VolumeFixture.OpenAsync();
        fixture.Device.Data.Slice(4096, 512).Fill(2);
        fixture.Device.Data.Slice(8192, 512).Fill(3);
        var twice = fixture.Volume.ReadAsync(0, new byte[512]);
        await twice;
        using var gate = new Gate(fixture.Device);
        fixture.Device.IsOpen = false;
        byte[] second = new byte[512], third = new byte[512];
        var other = fixture.Volume.ReadAsync(4096, second).AsTask(); // By the same object, out of the pool.
        await VolumeFixture.Until(() => fixture.Device.Held == 1);
        Assert.Throws<InvalidOperationException>(() => twice.GetAwaiter().GetResult());
        var another = fixture.Volume.ReadAsync(8192, third).AsTask();
        await VolumeFixture.Until(() => fixture.Device.Held == 2);
        fixture.Device.IsOpen = true;
        await Task.WhenAll(other, another).WaitAsync(TimeSpan.FromSeconds(10));
        Assert.Equal((2, 3), (second[0], third[0]));
    }

    [Theory]
    [InlineData(1u, 128 * 1024)] // A device that moves one block of 512 bytes at a time and wants buffers on 4096.
    [InlineData(64u, 512)]       // Small bounce buffers.
    public async Task Bounce_buffers_are_aligned_whatever_their_length(uint maxTransfer, int bounceBytes)
    {
        await using var fixture = await VolumeFixture.OpenAsync(
            new VolumeOptions { BounceBytes = bounceBytes }, host => new VolumeTestDevice(host, 2048) { Alignment = 4096, MaxTransferBlocks = maxTransfer });
        await fixture.Volume.WriteAsync(0, Enumerable.Repeat((byte)5, 4096).ToArray());
        Assert.False(fixture.Device.Data[..4096].ContainsAnyExcept((byte)5));
    }

    [Fact]
    public async Task Opening_on_a_reactor_that_ended_leaves_no_count_of_the_device_behind()
    {
        var device = new VolumeTestDevice(new Comanche.Testing.TestHost("disk"), 64);
        device.Start();
        var reactor = new Reactor(new ReactorOptions());
        reactor.Dispose();
        await Assert.ThrowsAsync<ComancheException>(() => Volume.OpenAsync(device, reactor));
        device.Stop();
        Assert.Equal(0u, device.Release());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Continuations_run_on_the_reactor_only_when_asked(bool inline)
    {
        await using var fixture = await VolumeFixture.OpenAsync(new VolumeOptions { InlineContinuations = inline });
        var onReactor = false;
        fixture.Device.IsOpen = false;
        var task = Await();
        fixture.Device.IsOpen = true;
        await task;
        Assert.Equal(inline, onReactor);

        async Task Await()
        {
            await fixture.Volume.FlushAsync().ConfigureAwait(false);
            onReactor = fixture.Reactor.IsCurrent;
        }
    }

    /// <summary>The first change is held in the device; the second, of another volume, is held back or not.</summary>
    [Theory]
    [InlineData(500, 1, 501, 1, true)]      // Two edges in one block.
    [InlineData(500, 1, 0, 512, true)]      // An edge, and a block that is written whole.
    [InlineData(0, 1024, 600, 1, true)]     // The other way round.
    [InlineData(100, 1024, 1023, 600, true)] // The tail of one and the head of the other.
    [InlineData(100, 5000, 2048, 512, false)] // An unaligned change overlaps the whole blocks of another in its middle.
    [InlineData(500, 1, 512, 1, false)]     // Neighbours.
    [InlineData(0, 1024, 512, 1024, false)] // Whole blocks overlap: as on a disk, they have no order.
    public async Task Changes_of_two_volumes_that_share_a_block_in_part_are_done_one_after_the_other(
        int offset, int length, int otherOffset, int otherLength, bool waits)
    {
        await using var fixture = await VolumeFixture.OpenAsync();
        await ShareBlocks(fixture, fixture.Device, offset, length, otherOffset, otherLength, waits);
    }

    [Fact]
    public async Task Two_volumes_that_reach_one_device_by_different_edges_are_kept_apart_too()
    {
        await using var fixture = await VolumeFixture.OpenAsync();
        using var process = new ComancheProcess();
        var inner = process.CreateEdge("inner", fixture.Device, new EdgeOptions());
        var outer = process.CreateEdge("outer", inner, new EdgeOptions { Entry = true });
        try
        {
            await ShareBlocks(fixture, outer, 10, 20, 40, 20, waits: true);
        }
        finally
        {
            outer.Release();
            inner.Release();
        }
    }

    // The fixture's volume writes first and is held at the device; another volume writes, and waits or does not.
    private static async Task ShareBlocks(
        VolumeFixture fixture, IBlockDevice device, int offset, int length, int otherOffset, int otherLength, bool waits)
    {
        using var reactor = new Comanche.Testing.TestReactor("other");
        await using var other = await Volume.OpenAsync(device, reactor);
        using var gate = new Gate(fixture.Device); // Open again before the volumes are disposed of, also where the test fails.
        fixture.Device.Data.Fill(9);
        fixture.Device.IsOpen = false;
        var first = fixture.Volume.WriteAsync(offset, Enumerable.Repeat((byte)1, length).ToArray()).AsTask();
        await VolumeFixture.Until(() => fixture.Device.Held > 0);
        reactor.Invoke(() => { });
        var held = fixture.Device.Held;
        var second = other.WriteAsync(otherOffset, Enumerable.Repeat((byte)2, otherLength).ToArray()).AsTask();
        if (waits)
        {
            // The reactor goes round twice, in which it would have submitted what may go ahead.
            for (var i = 0; i < 2; i++) reactor.Invoke(() => { });
            Assert.Equal(held, fixture.Device.Held);
        }
        else
        {
            await VolumeFixture.Until(() => fixture.Device.Held > held);
        }

        fixture.Device.IsOpen = true;
        await first;
        await second;
        if (!waits) return;
        var expected = new byte[8192];
        expected.AsSpan().Fill(9);
        expected.AsSpan(offset, length).Fill(1);
        expected.AsSpan(otherOffset, otherLength).Fill(2);
        Assert.True(fixture.Device.Data[..8192].SequenceEqual(expected));
    }

    [Fact]
    public async Task Two_volumes_on_one_device_do_not_undo_each_other_in_a_shared_block()
    {
        await using var fixture = await VolumeFixture.OpenAsync();
        using var reactor = new Comanche.Testing.TestReactor("other");
        await using var other = await Volume.OpenAsync(fixture.Device, reactor);

        // Every byte of a few blocks is written by one of two volumes, over and over; each must find its own last value.
        async Task Write(Volume volume, int parity)
        {
            var one = new byte[1];
            for (var round = 0; round < 20; round++)
            {
                for (var at = parity; at < 64; at += 2)
                {
                    one[0] = (byte)(round + parity * 100);
                    await volume.WriteAsync(500 + at, one);
                }
            }
        }

        await Task.WhenAll(Task.Run(() => Write(fixture.Volume, 0)), Task.Run(() => Write(other, 1)));
        for (var at = 0; at < 64; at++) Assert.Equal(at % 2 == 0 ? 19 : 119, fixture.Device.Data[500 + at]);
    }

    private sealed class Gate(VolumeTestDevice device) : IDisposable
    {
        public void Dispose() => device.IsOpen = true;
    }
}
