using Comanche.Testing;
using CsCheck;

namespace Comanche.Raid.Tests;

/// <summary>Stripes beside an array of bytes.</summary>
public sealed unsafe class StripeModelTests(ITestOutputHelper output)
{
    [Fact]
    public void A_stripe_is_an_array_of_bytes()
    {
        // The geometry is drawn by CsCheck, which prints its seed with a failure and shrinks it; the operations come from the seed within.
        var cases =
            from members in Gen.Int[1, 5]
            from blockShift in OneOf(9, 9, 12)
            from chunkShift in Gen.Int[0, 5]
            from odd in Gen.Int[0, 40].Array[members]
            from segments in OneOf(1u, 2u, 3u, 7u, 64u, 256u)
            from transfer in OneOf(1u, 3u, 8u, 33u, 64u, 4096u)
            from range in OneOf(1u, 5u, 64u, uint.MaxValue)
            from compare in OneOf(1u, 2u, 8u, 128u)
            from depth in OneOf(1, 2, 7, 32)
            from queues in Gen.Int[1, 2]
            from seed in Gen.Int[1, int.MaxValue - 1]
            select new Case(members, 1u << blockShift, 1u << chunkShift, odd, segments, transfer, range, compare, depth, queues, seed);
        cases.Sample(Check, output.WriteLine, iter: 150, threads: 1);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Large_transfers_with_many_segments_at_depth_are_an_array_of_bytes(int seed)
    {
        using var fixture = new StripeFixture(512, new Random(seed), ByteSize.MiB(3), ByteSize.MiB(3), ByteSize.MiB(3));
        var stripe = fixture.Open(new() { Chunk = new(1024) });
        VolumeModel.Run(stripe, new ModelOptions { Seed = seed, Operations = 400, Depth = 64, Queues = 2, MostBlocks = 3000 });
        stripe.Release();
    }

    private static Gen<T> OneOf<T>(params T[] values) => Gen.Int[0, values.Length - 1].Select(i => values[i]);

    private static void Check(Case c)
    {
        var random = new Random(c.Seed);
        var reserved = 2u << 20;
        var sizes = c.Odd.Select(odd => new ByteSize(reserved + (ulong)(64 + odd) * c.BlockSize)).ToArray();
        using var fixture = new StripeFixture(c.BlockSize, random, sizes);
        foreach (var member in fixture.Members)
        {
            member.Limits = info => info with
            {
                MaxSegments = c.Segments, MaxTransferBlocks = c.Transfer, MaxRangeBlocks = c.Range, CompareAndWriteBlocks = Math.Min(c.Compare, info.CompareAndWriteBlocks),
            };
        }

        var stripe = fixture.Open(new() { Chunk = new(c.Chunk * c.BlockSize) });
        var volume = fixture.Volume(stripe);
        Assert.Equal((ulong)(64 + c.Odd.Min()) / c.Chunk * c.Chunk * (ulong)c.Members, volume.BlockCount);
        VolumeModel.Run(stripe, new ModelOptions { Seed = c.Seed, Operations = 120, Depth = c.Depth, Queues = c.Queues });
        stripe.Release();
    }

    private sealed record Case(
        int Members, uint BlockSize, uint Chunk, int[] Odd, uint Segments, uint Transfer, uint Range, uint Compare, int Depth, int Queues, int Seed);
}
