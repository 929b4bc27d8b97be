namespace Comanche.Core.Tests;

/// <summary>Random operations of several tasks, each in stretches of its own that share blocks with the others', against bytes in an array.</summary>
public sealed class VolumeModelTests
{
    private const int Length = 2048 * 512;
    private const int Tasks = 6;

    [Theory]
    [InlineData(512, 8, 2, 1024, 11)]
    [InlineData(512, 128, 32, 131072, 12)]
    [InlineData(4096, 4, 1, 4096, 13)]
    [InlineData(4096, 64, 4, 16384, 14)]
    public async Task Random_operations_from_several_tasks_are_as_on_bytes(int blockSize, int depth, int bounces, int bounceBytes, int seed)
    {
        var options = new VolumeOptions { Depth = depth, BounceBuffers = bounces, BounceBytes = bounceBytes, MaxRequests = 16 };
        await using var fixture = await VolumeFixture.OpenAsync(
            options, host => new VolumeTestDevice(host, Length / blockSize, (uint)blockSize) { MaxTransferBlocks = 8 });
        var model = new byte[Length];
        await Task.WhenAll(Enumerable.Range(0, Tasks).Select(index => Task.Run(() => Work(fixture.Volume, model, index, seed))));
        Assert.True(fixture.Device.Data.SequenceEqual(model), $"seed {seed}");
    }

    // A task owns stretches of odd lengths: number index of each row of stretches. Blocks belong to several tasks.
    private static async Task Work(Volume volume, byte[] model, int index, int seed)
    {
        const int Stretch = 5003;
        const int Rows = 2; // Few, so that tasks meet in the blocks that they share.
        var random = new Random(seed * 100 + index);
        using var dma = volume.AllocateBuffer(8192);
        for (var round = 0; round < 300; round++)
        {
            var row = random.Next(Rows);
            var first = (row * Tasks + index) * Stretch;
            var offset = first + random.Next(Stretch);
            if (random.Next(3) == 0) offset = Math.Clamp(offset / 512 * 512, first, first + Stretch - 1);
            var length = random.Next(1, first + Stretch - offset + 1);
            if (random.Next(3) == 0 && length > 512) length -= (offset + length) % 512;
            var memory = random.Next(2) == 0 ? dma.Memory.Slice(random.Next(3) * 512 + random.Next(2) * 3, length) : new byte[length];
            using var source = random.Next(8) == 0 ? new CancellationTokenSource() : null;
            switch (random.Next(6))
            {
                case 0 or 1:
                    random.NextBytes(memory.Span);
                    memory.Span.CopyTo(model.AsSpan(offset));
                    await volume.WriteAsync(offset, memory, random.Next(4) == 0);
                    break;
                case 2:
                    model.AsSpan(offset, length).Clear();
                    await volume.WriteZeroesAsync(offset, length);
                    break;
                case 3:
                    random.NextBytes(memory.Span);
                    memory.Span.CopyTo(model.AsSpan(offset));
                    volume.Write(offset, memory.Span);
                    break;
                case 4 when source is not null:
                    var reading = volume.ReadAsync(offset, memory, source.Token);
                    source.Cancel();
                    try
                    {
                        await reading;
                    }
                    catch (OperationCanceledException)
                    {
                        break;
                    }

                    Check(memory, model, offset, seed);
                    break;
                default:
                    await volume.ReadAsync(offset, memory);
                    Check(memory, model, offset, seed);
                    break;
            }
        }
    }

    private static void Check(Memory<byte> read, byte[] model, int offset, int seed) =>
        Assert.True(read.Span.SequenceEqual(model.AsSpan(offset, read.Length)), $"{read.Length} bytes at {offset}, seed {seed}");
}

/// <summary>Alone, since it reads the allocation counter of the process.</summary>
[CollectionDefinition(nameof(VolumeAllocationTests), DisableParallelization = true)]
[Collection(nameof(VolumeAllocationTests))]
public sealed class VolumeAllocationTests
{
    [Fact]
    public async Task Calls_allocate_nothing_in_steady_state()
    {
        await using var fixture = await VolumeFixture.OpenAsync();
        using var source = new CancellationTokenSource();
        using var dma = fixture.Volume.AllocateBuffer(4096);
        var bytes = new byte[700];
        await Round(2_000);
        const int Rounds = 1_000;
        var least = double.MaxValue;
        for (var window = 0; window < 5; window++)
        {
            var before = GC.GetTotalAllocatedBytes(precise: true);
            await Round(Rounds);
            least = Math.Min(least, (GC.GetTotalAllocatedBytes(precise: true) - before) / (Rounds * 4.0));
        }

        // The counter is the process's, whose other threads allocate now and then: the best window counts. An object per call would be 24 bytes or more.
        Assert.InRange(least, 0, 2);

        async Task Round(int rounds)
        {
            for (var i = 0; i < rounds; i++)
            {
                await fixture.Volume.ReadAsync(4096, dma, source.Token).ConfigureAwait(false);
                await fixture.Volume.WriteAsync(4096, dma).ConfigureAwait(false);
                await fixture.Volume.ReadAsync(300, bytes).ConfigureAwait(false);
                await fixture.Volume.WriteAsync(300, bytes).ConfigureAwait(false);
            }
        }
    }
}
