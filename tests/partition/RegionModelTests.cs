using Comanche.Testing;
using CsCheck;

namespace Comanche.Partition.Tests;

/// <summary>Regions beside an array of bytes, and their manager beside a list.</summary>
public sealed unsafe class RegionModelTests(ITestOutputHelper output)
{
    [Fact]
    public void A_region_is_an_array_of_bytes_and_its_neighbours_stay_as_they_are()
    {
        var cases =
            from blockShift in Gen.Int[9, 12]
            from blocks in Gen.Int[1, 300]
            from alignment in Gen.Int[1, 40]
            from depth in Gen.Int[1, 32]
            from queues in Gen.Int[1, 2]
            from seed in Gen.Int[1, int.MaxValue - 1]
            select (BlockSize: 1u << blockShift, Blocks: (ulong)blocks, Alignment: (ulong)alignment, depth, queues, seed);
        cases.Sample(
            c =>
            {
                using var fixture = new RegionFixture(ByteSize.MiB(3), c.BlockSize, new Random(c.seed));
                var manager = fixture.Make(new() { Region = "before", Size = new(c.BlockSize), Alignment = new(c.BlockSize) });
                manager.Start();
                var region = manager.ReuseOrAllocate("a", c.Blocks, c.Alignment);
                var after = manager.ReuseOrAllocate("after", 1, 1);
                fixture.Write(manager, 0, RegionFixture.Noise(1, (int)c.BlockSize));
                fixture.Write(after, 0, RegionFixture.Noise(2, (int)c.BlockSize));
                VolumeModel.Run(region, new ModelOptions { Seed = c.seed, Operations = 100, Depth = c.depth, Queues = c.queues });
                Assert.Equal(RegionFixture.Noise(1, (int)c.BlockSize), fixture.Read(manager, 0, (int)c.BlockSize));
                Assert.Equal(RegionFixture.Noise(2, (int)c.BlockSize), fixture.Read(after, 0, (int)c.BlockSize));
                after.Release();
                region.Release();
                manager.Release();
            },
            output.WriteLine, iter: 100, threads: 1);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void The_manager_is_a_list_of_ranges_also_across_restarts(int seed)
    {
        var random = new Random(seed);
        using var fixture = new RegionFixture(ByteSize.MiB(5));
        var model = new Dictionary<string, (ulong First, ulong Count)>();
        var manager = fixture.Open("own", 8);
        model.Add("own", (2048, 16));
        for (var step = 0; step < 400; step++)
        {
            var name = $"r{random.Next(30)}";
            switch (random.Next(5))
            {
                case 0 or 1 or 2:
                    Allocate(manager, model, name, (ulong)random.Next(1, 900), (ulong)random.Next(1, 200));
                    break;
                case 3:
                    if (model.Remove(name)) manager.DeleteRegion(name);
                    else Assert.Throws<ComancheException>(() => manager.DeleteRegion(name));
                    break;
                default:
                    manager.Release();
                    manager = fixture.Open("own", 8, create: false);
                    break;
            }

            var expected = model.Select(r => (r.Key, r.Value.First, r.Value.Count)).OrderBy(r => r.First);
            Assert.True(expected.SequenceEqual(RegionFixture.List(manager)), $"seed {seed}, step {step}");
            Assert.Equal(10240 - 2048 - model.Values.Aggregate(0ul, (sum, r) => sum + r.Count), manager.GetFreeBlocks());
        }

        manager.Release();
    }

    // Looks at every possible first block: slow and simple.
    private static void Allocate(RegionDevice manager, Dictionary<string, (ulong First, ulong Count)> model, string name, ulong blocks, ulong alignment)
    {
        if (model.TryGetValue(name, out var found))
        {
            if (found.Count < blocks) Assert.Throws<ComancheException>(() => manager.ReuseOrAllocate(name, blocks, alignment));
            else manager.ReuseOrAllocate(name, blocks, alignment).Release();
            return;
        }

        var used = new bool[10240];
        used.AsSpan(0, 2048).Fill(true);
        foreach (var (first, count) in model.Values) used.AsSpan((int)first, (int)count).Fill(true);
        (ulong First, int Hole)? best = null;
        for (var start = 2048; start < used.Length;)
        {
            if (used[start])
            {
                start++;
                continue;
            }

            var end = Array.IndexOf(used, true, start);
            if (end < 0) end = used.Length;
            var aligned = ((ulong)start + alignment - 1) / alignment * alignment;
            if (aligned + blocks <= (ulong)end && (best is null || end - start < best.Value.Hole)) best = (aligned, end - start);
            start = end;
        }

        if (best is null)
        {
            Assert.Throws<ComancheException>(() => manager.ReuseOrAllocate(name, blocks, alignment));
            return;
        }

        manager.ReuseOrAllocate(name, blocks, alignment).Release();
        model.Add(name, (best.Value.First, blocks));
    }
}
