using System.Runtime.InteropServices;
using Comanche.Linux;
using Comanche.Runtime;

namespace Comanche.Core.Tests;

public sealed unsafe class MemoryRegistryTests
{
    private static readonly MemoryLimits Plain = new(ulong.MaxValue, HugePages: false, PhysicalAddresses: true);
    private static readonly MemoryLimits Ordinary = new(8 << 20, HugePages: false, PhysicalAddresses: false);

    private static MemoryRegistry Make(MemoryLimits? limits = null, ILogSink? log = null, ulong poolSize = 4 << 20) =>
        new(new MemoryRegistryOptions { PoolSize = poolSize, Limits = limits ?? Plain, Log = log });

    private static IoBufferInfo Info(MemoryRegistry memory, IoBuffer buffer)
    {
        IoBufferInfo info;
        memory.GetBufferInfo(buffer, &info);
        return info;
    }

    [Theory]
    [InlineData(1, 0u, 4096)]
    [InlineData(100, 64u, 64)]
    [InlineData(4096, 512u, 512)]
    [InlineData(5000, 2u << 20, 2 << 20)]
    public void A_buffer_is_aligned_zero_and_as_long_as_asked(int size, uint alignment, int expected)
    {
        using var memory = Make();
        var info = Info(memory, memory.AllocateIoBuffer((nuint)size, alignment, -1));
        Assert.Equal(0ul, (ulong)info.Address % (ulong)expected);
        Assert.Equal((ulong)size, info.Length);
        Assert.True(new ReadOnlySpan<byte>(info.Address, size).IndexOfAnyExcept((byte)0) < 0);
        Assert.True(info.SharedDescriptor >= 0);
    }

    [Fact]
    public void Memory_that_was_used_before_is_zero_again()
    {
        using var memory = Make();
        var first = memory.AllocateIoBuffer(10_000, 0, -1);
        var info = Info(memory, first);
        new Span<byte>(info.Address, 10_000).Fill(0xAA);
        memory.FreeIoBuffer(first);
        var again = Info(memory, memory.AllocateIoBuffer(9_000, 0, -1));
        Assert.Equal((nint)info.Address, (nint)again.Address);
        Assert.True(new ReadOnlySpan<byte>(again.Address, 9_000).IndexOfAnyExcept((byte)0) < 0);
    }

    [Fact]
    public void Free_neighbours_become_one_piece_again()
    {
        using var memory = Make();
        var buffers = Enumerable.Range(0, 1024).Select(_ => memory.AllocateIoBuffer(2048, 64, -1)).ToArray();
        foreach (var buffer in buffers.Where((_, i) => i % 2 == 0)) memory.FreeIoBuffer(buffer);
        foreach (var buffer in buffers.Where((_, i) => i % 2 != 0)) memory.FreeIoBuffer(buffer);
        memory.AllocateIoBuffer(2 << 20, 64, -1);
        memory.AllocateIoBuffer(2 << 20, 64, -1);
        Assert.Equal(1, memory.Statistics.Pools);
        Assert.Equal(4ul << 20, memory.Statistics.UsedBytes);
    }

    [Fact]
    public void A_full_registry_grows_by_another_pool_and_a_large_buffer_gets_its_own()
    {
        using var memory = Make();
        for (var i = 0; i < 5; i++) memory.AllocateIoBuffer(1 << 20, 0, -1);
        Assert.Equal(2, memory.Statistics.Pools);
        var generation = *memory.GetGeneration();
        var large = memory.AllocateIoBuffer(9 << 20, 0, -1);
        Assert.Equal(3, memory.Statistics.Pools);
        Assert.Equal(18ul << 20, memory.Statistics.ReservedBytes);
        Assert.NotEqual(generation, *memory.GetGeneration());
        memory.FreeIoBuffer(large);
        Assert.Equal(2, memory.Statistics.Pools);
    }

    [Fact]
    public void Freeing_twice_and_foreign_handles_are_refused()
    {
        using var memory = Make();
        var buffer = memory.AllocateIoBuffer(4096, 0, -1);
        memory.FreeIoBuffer(buffer);
        Assert.Contains("freed before", Assert.Throws<ComancheException>(() => memory.FreeIoBuffer(buffer)).Message, StringComparison.Ordinal);
        var next = memory.AllocateIoBuffer(4096, 0, -1);
        Assert.NotEqual(buffer, next);
        Assert.Contains("freed before", Assert.Throws<ComancheException>(() => Info(memory, buffer)).Message, StringComparison.Ordinal);
        foreach (var foreign in new ulong[] { 0, 1, 77, next.Value + (1UL << 40), ulong.MaxValue })
        {
            Assert.Contains(
                "not a buffer of this process", Assert.Throws<ComancheException>(() => memory.FreeIoBuffer(new IoBuffer(foreign))).Message, StringComparison.Ordinal);
        }

        Assert.Throws<ComancheException>(() => memory.UnregisterMemory(next));
        memory.FreeIoBuffer(next);
    }

    [Theory]
    [InlineData(0, 64u)]
    [InlineData(64, 3u)]
    [InlineData(64, 4u << 20)]
    public void Impossible_sizes_and_alignments_are_refused(int size, uint alignment)
    {
        using var memory = Make();
        Assert.Throws<ComancheException>(() => memory.AllocateIoBuffer((nuint)size, alignment, -1));
        Assert.Equal(0, memory.Statistics.Buffers);
    }

    [Theory]
    [InlineData(10_000, 100)]
    [InlineData(10_000, 10_050)]
    [InlineData(10_000, 3_000_000)]
    public void Reallocation_keeps_what_fits_and_clears_the_rest(int before, int after)
    {
        using var memory = Make();
        var buffer = memory.AllocateIoBuffer((nuint)before, 0, -1);
        var wall = memory.AllocateIoBuffer(4096, 64, -1);
        new Span<byte>(Info(memory, buffer).Address, before).Fill(0x5A);
        memory.ReallocateIoBuffer(buffer, (nuint)after, 0);
        memory.ReallocateIoBuffer(buffer, (nuint)after + 5000, 0);
        var info = Info(memory, buffer);
        var kept = Math.Min(before, after);
        Assert.Equal((ulong)after + 5000, info.Length);
        Assert.True(new ReadOnlySpan<byte>(info.Address, kept).IndexOfAnyExcept((byte)0x5A) < 0);
        Assert.True(new ReadOnlySpan<byte>((byte*)info.Address + kept, after + 5000 - kept).IndexOfAnyExcept((byte)0) < 0);
        Assert.True(new ReadOnlySpan<byte>(Info(memory, wall).Address, 4096).IndexOfAnyExcept((byte)0) < 0);
    }

    [Fact]
    public void Random_allocations_never_overlap_and_leave_nothing_behind()
    {
        const int Seed = 20260;
        var random = new Random(Seed);
        using var memory = Make();
        var live = new List<(IoBuffer Buffer, byte Mark)>();
        for (var step = 0; step < 4000; step++)
        {
            if (live.Count > 0 && random.Next(5) < 2)
            {
                var at = random.Next(live.Count);
                var (buffer, mark) = live[at];
                var info = Info(memory, buffer);
                Assert.True(new ReadOnlySpan<byte>(info.Address, (int)info.Length).IndexOfAnyExcept(mark) < 0, $"seed {Seed}, step {step}");
                memory.FreeIoBuffer(buffer);
                live.RemoveAt(at);
            }
            else
            {
                var size = random.Next(1, random.Next(1, 30_000));
                var buffer = memory.AllocateIoBuffer((nuint)size, 1u << random.Next(0, 13), -1);
                var mark = (byte)random.Next(1, 256);
                var info = Info(memory, buffer);
                Assert.True(new ReadOnlySpan<byte>(info.Address, size).IndexOfAnyExcept((byte)0) < 0, $"seed {Seed}, step {step}");
                new Span<byte>(info.Address, size).Fill(mark);
                live.Add((buffer, mark));
            }
        }

        foreach (var (buffer, _) in live) memory.FreeIoBuffer(buffer);
        Assert.Equal(0ul, memory.Statistics.UsedBytes);
        Assert.Equal(0, memory.Statistics.Buffers);
    }

    [Fact]
    public void An_ordinary_user_gets_unlocked_unregistered_memory_and_one_line_that_says_so()
    {
        var log = new ListSink();
        using var memory = Make(Ordinary, log, poolSize: 64 << 20);
        var info = Info(memory, memory.AllocateIoBuffer(1 << 20, 0, -1));
        Info(memory, memory.AllocateIoBuffer(100 << 20, 0, -1));
        *(byte*)info.Address = 1;
        Assert.Equal(0u, info.Region);
        Assert.Equal(0, info.Locked);
        Assert.Equal(IoBufferInfo.NoIova, info.Iova);
        Assert.Equal(0, memory.GetRegions(null, 0));
        Assert.Equal(0ul, memory.Statistics.LockedBytes);
        var line = Assert.Single(log.Lines);
        Assert.Contains("unlocked and unregistered", line.Message, StringComparison.Ordinal);
        Assert.Contains("RLIMIT_MEMLOCK is 8192 KiB", line.Message, StringComparison.Ordinal);
        Assert.Contains("vm.nr_hugepages", line.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Huge_pages_that_are_not_there_fall_back_to_ordinary_ones()
    {
        var log = new ListSink();
        using var memory = Make(Plain with { HugePages = true }, log, poolSize: 16UL << 30); // More than any test machine has reserved.
        Assert.SkipWhen(Limits.HugePages.Free > 8000, "this machine has 16 GiB of huge pages");
        using var small = Make(Plain with { HugePages = true, LockableBytes = 0 }, log, poolSize: 16UL << 30);
        var info = Info(small, small.AllocateIoBuffer(4096, 0, -1));
        Assert.Equal((ulong)Environment.SystemPageSize, info.PageSize);
        Assert.Contains("huge pages could not be had", Assert.Single(log.Lines).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Locked_memory_has_a_region_whose_number_is_never_given_twice()
    {
        Assert.SkipUnless(Limits.LockableBytes >= 64 << 20, "needs 64 MiB of lockable memory");
        using var memory = Make();
        var seen = new HashSet<uint>();
        for (var i = 0; i < 20; i++)
        {
            var buffer = memory.AllocateIoBuffer(3 << 20, 0, -1);
            var info = Info(memory, buffer);
            Assert.Equal(1, info.Locked);
            Assert.Equal(1, MemoryRegion.SlotOf(info.Region));
            Assert.True(seen.Add(info.Region));
            MemoryRegion region;
            Assert.Equal(1, memory.GetRegions(&region, 1));
            Assert.Equal(info.Region, region.Region);
            Assert.True(info.Address >= region.Address && (byte*)info.Address + info.Length <= (byte*)region.Address + region.Length);
            memory.FreeIoBuffer(buffer);
        }

        Assert.Equal(0ul, memory.Statistics.LockedBytes);
    }

    [Fact]
    public void A_region_has_one_device_address_that_no_other_has()
    {
        Assert.SkipUnless(Limits.LockableBytes >= 64 << 20, "needs 64 MiB of lockable memory");
        using var memory = Make();
        var early = memory.AllocateIoBuffer(4096, 0, -1);
        Assert.Equal(IoBufferInfo.NoIova, Info(memory, early).Iova);
        memory.EnableIova();
        var late = memory.AllocateIoBuffer(3 << 20, 0, -1);
        IoBufferInfo one = Info(memory, early), two = Info(memory, late);
        Assert.True(one.Iova >= 1UL << 32 && two.Iova + two.Length <= 1UL << 39);
        Assert.True(one.Iova + one.Length <= two.Iova || two.Iova + two.Length <= one.Iova);
        MemoryRun run;
        Assert.Equal(1, memory.Translate((byte*)two.Address + 4096, 8192, &run, 1));
        Assert.Equal(two.Iova + 4096, run.DeviceAddress);
        Assert.Equal(8192ul, run.Length);
    }

    [Fact]
    public void Memory_for_which_no_device_addresses_are_left_is_refused_and_leaves_nothing_behind()
    {
        Assert.SkipUnless(Limits.LockableBytes >= 64 << 20, "needs 64 MiB of lockable memory");
        using var memory = Make(Plain with { DeviceAddressBytes = 6 << 20 });
        var first = memory.AllocateIoBuffer(4096, 0, -1); // In a pool of 4 MiB.
        memory.EnableIova();
        var before = (memory.Statistics, *memory.GetGeneration());
        var own = (byte*)NativeMemory.AlignedAlloc(4 << 20, 2 << 20);
        Action[] asks = [() => memory.AllocateIoBuffer(3 << 20, 0, -1), () => memory.ReallocateIoBuffer(first, 6 << 20, 0), () => memory.RegisterMemory(own, 4 << 20)];
        for (var i = 0; i < 3; i++)
        {
            foreach (var ask in asks)
                Assert.Contains("device addresses", Assert.Throws<ComancheException>(ask).Message, StringComparison.Ordinal);
            Assert.Equal(before, (memory.Statistics, *memory.GetGeneration()));
        }

        var small = memory.RegisterMemory(own, 2 << 20); // What is left is enough for this.
        Assert.NotEqual(IoBufferInfo.NoIova, Info(memory, small).Iova);
        memory.UnregisterMemory(small);
        NativeMemory.AlignedFree(own);
    }

    [Fact]
    public void Device_addresses_that_do_not_suffice_for_what_lives_are_refused_as_a_whole()
    {
        Assert.SkipUnless(Limits.LockableBytes >= 64 << 20, "needs 64 MiB of lockable memory");
        using var memory = Make(Plain with { DeviceAddressBytes = 6 << 20 });
        var first = memory.AllocateIoBuffer(4096, 0, -1);
        var second = memory.AllocateIoBuffer(3 << 20, 0, -1);
        var generation = *memory.GetGeneration();
        Assert.Throws<ComancheException>(memory.EnableIova);
        Assert.Equal((IoBufferInfo.NoIova, IoBufferInfo.NoIova, generation), (Info(memory, first).Iova, Info(memory, second).Iova, *memory.GetGeneration()));
        memory.FreeIoBuffer(second);
        memory.EnableIova();
        Assert.NotEqual(IoBufferInfo.NoIova, Info(memory, first).Iova);
    }

    [Fact]
    public void Without_IOMMU_and_huge_pages_there_is_no_address_for_devices()
    {
        using var memory = Make();
        var info = Info(memory, memory.AllocateIoBuffer(4096, 0, -1));
        var error = Assert.Throws<ComancheException>(() => memory.Translate(info.Address, 4096, null, 0));
        Assert.Contains("vm.nr_hugepages", error.Message, StringComparison.Ordinal);
        Assert.Throws<ComancheException>(() => memory.Translate((void*)4096, 4096, null, 0));
    }

    [Fact]
    public void Huge_pages_are_translated_into_few_physical_runs()
    {
        Assert.SkipUnless(Limits.HugePages.Free >= 2 && Limits.MaySeePhysicalAddresses, "needs 2 free huge pages and root");
        using var memory = Make(MemoryLimits.Detect());
        var info = Info(memory, memory.AllocateIoBuffer(3 << 20, 0, -1));
        Assert.Equal(2ul << 20, info.PageSize);
        var runs = stackalloc MemoryRun[4];
        var count = memory.Translate((byte*)info.Address + 100, 3_000_000, runs, 4);
        Assert.InRange(count, 1, 2);
        ulong sum = 0;
        for (var i = 0; i < count; i++) sum += runs[i].Length;
        Assert.Equal(3_000_000ul, sum);
        Assert.Equal(100ul, runs[0].DeviceAddress % 4096);
    }

    [Fact]
    public void Registered_memory_is_known_until_it_is_taken_back()
    {
        Assert.SkipUnless(Limits.LockableBytes >= 1 << 20, "needs lockable memory");
        using var memory = Make();
        var own = NativeMemory.AlignedAlloc(1 << 16, 4096);
        var generation = *memory.GetGeneration();
        var buffer = memory.RegisterMemory(own, 1 << 16);
        var info = Info(memory, buffer);
        Assert.Equal((nint)own, (nint)info.Address);
        Assert.NotEqual(0u, info.Region);
        Assert.Equal(-1, info.SharedDescriptor);
        Assert.Equal(1ul << 16, memory.Statistics.RegisteredBytes);
        Assert.NotEqual(generation, *memory.GetGeneration());
        Assert.Throws<ComancheException>(() => memory.RegisterMemory((byte*)own + 4096, 4096));
        Assert.Throws<ComancheException>(() => memory.FreeIoBuffer(buffer));
        memory.UnregisterMemory(buffer);
        Assert.Equal(0, memory.GetRegions(null, 0));
        Assert.Equal(0ul, memory.Statistics.LockedBytes);
        Assert.Throws<ComancheException>(() => memory.UnregisterMemory(buffer));
        NativeMemory.AlignedFree(own);
    }

    [Fact]
    public void Memory_that_is_not_mapped_or_not_on_pages_cannot_be_registered()
    {
        using var memory = Make();
        var own = NativeMemory.AlignedAlloc(8192, 4096);
        Assert.Throws<ComancheException>(() => memory.RegisterMemory((byte*)own + 8, 4096));
        Assert.Throws<ComancheException>(() => memory.RegisterMemory(own, 100));
        Assert.Throws<ComancheException>(() => memory.RegisterMemory(null, 4096));
        Assert.Throws<ComancheException>(() => memory.RegisterMemory((void*)0x10000, 4096));
        Assert.Equal(0, memory.Statistics.Buffers);
        NativeMemory.AlignedFree(own);
    }

    [Fact]
    public void The_memory_can_be_shared_and_its_size_is_sealed()
    {
        using var memory = Make();
        var info = Info(memory, memory.AllocateIoBuffer(4096, 0, -1));
        using var shared = new FileStream($"/proc/self/fd/{info.SharedDescriptor}", FileMode.Open, FileAccess.ReadWrite);
        Assert.ThrowsAny<Exception>(() => shared.SetLength(4096));
        Assert.Equal(4L << 20, shared.Length);
    }

    [Fact]
    public void A_large_buffer_that_is_freed_after_the_registry_takes_nothing_from_others()
    {
        const int Length = 64 << 20; // A pool of its own, whose addresses and descriptor are given to whoever comes next.
        var memory = Make();
        var late = memory.AllocateIoBuffer(Length, 0, -1);
        memory.Dispose();
        Assert.Throws<ObjectDisposedException>(() => Info(memory, late));
        Assert.Throws<ObjectDisposedException>(() => memory.ReallocateIoBuffer(late, 4096, 0));
        using var other = Make();
        var mine = Info(other, other.AllocateIoBuffer(Length, 0, -1));
        memory.FreeIoBuffer(late);
        Assert.Throws<ComancheException>(() => memory.FreeIoBuffer(late));
        Assert.StartsWith("/memfd:comanche", File.ResolveLinkTarget($"/proc/self/fd/{mine.SharedDescriptor}", false)?.FullName, StringComparison.Ordinal);
        Assert.Contains(File.ReadLines("/proc/self/maps"), l => l.StartsWith($"{(nint)mine.Address:x}-", StringComparison.Ordinal));
    }

    [Fact]
    public void A_preferred_node_is_taken_where_it_exists()
    {
        using var memory = Make();
        Assert.InRange(Info(memory, memory.AllocateIoBuffer(4096, 0, 0)).NumaNode, -1, 0);
        memory.AllocateIoBuffer(4096, 0, 63); // There is none: any node will do.
    }
}
