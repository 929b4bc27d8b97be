using System.Runtime.InteropServices;
using Comanche.Testing;

namespace Comanche.Partition.Tests;

public sealed unsafe class RegionTests
{
    private const ulong Data = 2048; // The directory's 1 MiB in blocks of 512.

    [Fact]
    public void A_region_is_made_on_a_blank_device_and_found_again()
    {
        using var fixture = new RegionFixture(ByteSize.MiB(8));
        var first = fixture.Open("journal", 1000);
        Assert.Equal(2000ul, RegionFixture.Volume(first).BlockCount);
        fixture.Write(first, 3, RegionFixture.Noise(1, 4096));
        first.Release();
        var second = fixture.Open("journal", 1000, create: false);
        Assert.Equal(RegionFixture.Noise(1, 4096), fixture.Read(second, 3, 4096));
        Assert.Equal([("journal", Data, 2000ul)], RegionFixture.List(second));
        Assert.Equal(RegionFixture.Noise(1, 4096), fixture.Read(fixture.Disk, Data + 3, 4096));
        Assert.Empty(fixture.Host.Lines);
        second.Release();
    }

    [Fact]
    public void Without_a_size_a_new_region_takes_the_largest_free_range()
    {
        using var fixture = new RegionFixture(ByteSize.MiB(8));
        var small = fixture.Open("small", 512);
        var rest = fixture.Open("rest");
        Assert.Equal([("small", Data, 1024ul), ("rest", 4096ul, 12288ul)], RegionFixture.List(small));
        Assert.Equal(1024ul, small.GetFreeBlocks());
        rest.Release();
        small.Release();
    }

    [Fact]
    public void Two_regions_on_one_device_do_not_touch_each_other()
    {
        using var fixture = new RegionFixture(ByteSize.MiB(8));
        var a = fixture.Open("a", 1024);
        var b = fixture.Open("b", 1024);
        fixture.Write(a, 0, RegionFixture.Noise(1, 1 << 20));
        fixture.Write(b, 0, RegionFixture.Noise(2, 1 << 20));
        Assert.Equal(RegionFixture.Noise(1, 1 << 20), fixture.Read(a, 0, 1 << 20));
        Assert.Equal(RegionFixture.Noise(2, 1 << 20), fixture.Read(b, 0, 1 << 20));
        a.Release();
        b.Release();
    }

    [Fact]
    public void Components_on_one_device_see_each_others_changes()
    {
        using var fixture = new RegionFixture(ByteSize.MiB(16));
        var a = fixture.Open("a", 1024);
        var b = fixture.Open("b", 1024);
        var c = a.ReuseOrAllocate("c", 2048, 0);
        Assert.Equal(["a", "b", "c"], RegionFixture.List(b).Select(r => r.Name));
        Assert.Contains("it is open once", Assert.Throws<ComancheException>(() => b.DeleteRegion("c")).Message);
        Assert.Contains("it is open once", Assert.Throws<ComancheException>(() => a.DeleteRegion("b")).Message);
        Assert.Equal(0u, c.Release());
        b.DeleteRegion("c");
        Assert.Equal(["a", "b"], RegionFixture.List(a).Select(r => r.Name));
        b.Release();
        a.DeleteRegion("b");
        a.Release();
    }

    [Fact]
    public void A_region_is_reused_if_it_is_long_enough_and_refused_if_not()
    {
        using var fixture = new RegionFixture(ByteSize.MiB(8));
        fixture.Open("a", 1024).Release();
        var longer = fixture.Open("a", 512);
        Assert.Equal(2048ul, RegionFixture.Volume(longer).BlockCount);
        Assert.Contains("region 'a' has 2048 blocks, at least 2049 were expected", Assert.Throws<ComancheException>(() => longer.ReuseOrAllocate("a", 2049, 0)).Message);
        longer.Release();
        Assert.Contains("at least 2050 were expected", fixture.Refusal("a", 1025));
    }

    [Fact]
    public void A_component_does_not_stop_under_an_open_region()
    {
        using var fixture = new RegionFixture(ByteSize.MiB(8));
        var manager = fixture.Open("a", 1024);
        var opened = manager.OpenRegion("a");
        Assert.Contains("1 open regions", Assert.Throws<ComancheException>(manager.Stop).Message);
        fixture.Write(opened, 5, RegionFixture.Noise(5, 512));
        Assert.Equal(0u, opened.Release());
        Assert.Equal(RegionFixture.Noise(5, 512), fixture.Read(manager, 5, 512));
        manager.Stop();
        Assert.Equal(0u, manager.Release());
    }

    [Fact]
    public void The_best_fit_is_taken()
    {
        using var fixture = new RegionFixture(ByteSize.MiB(32));
        var manager = fixture.Open("own", 1024);
        foreach (var (name, mib) in ((string, ulong)[])[("a", 4), ("b", 1), ("c", 2), ("d", 1), ("e", 3), ("f", 1)])
            manager.ReuseOrAllocate(name, mib * 2048, 0).Release();
        foreach (var name in (string[])["a", "c", "e"]) manager.DeleteRegion(name);

        // Holes of 4, 2 and 3 MiB, and the end.
        manager.ReuseOrAllocate("two", 2 * 2048 - 10, 0).Release();
        manager.ReuseOrAllocate("three", 2 * 2048 + 10, 0).Release();
        var list = RegionFixture.List(manager);
        Assert.Equal(2048ul * 7, list.Single(r => r.Name == "two").First);
        Assert.Equal(2048ul * 10, list.Single(r => r.Name == "three").First);
        Assert.Equal(list.OrderBy(r => r.First), list);
        manager.Release();
    }

    [Fact]
    public void Alignment_is_kept_and_what_does_not_fit_is_refused_with_what_there_is()
    {
        using var fixture = new RegionFixture(ByteSize.MiB(8));
        var manager = fixture.Open("own", 1);
        manager.ReuseOrAllocate("odd", 10, 7).Release();
        Assert.Equal(2051ul, RegionFixture.List(manager).Single(r => r.Name == "odd").First);
        var message = Assert.Throws<ComancheException>(() => manager.ReuseOrAllocate("big", 20000, 0)).Message;
        Assert.Contains("no free range has 20000 blocks aligned to 2048", message);
        Assert.Contains(manager.GetLargestFreeRange().ToString(), message);
        manager.Release();
    }

    [Fact]
    public void More_than_a_thousand_regions_fit_and_the_number_is_bounded()
    {
        using var fixture = new RegionFixture(ByteSize.MiB(8));
        var manager = fixture.Open("r0", 1);
        for (var i = 1; i < 2048; i++) manager.ReuseOrAllocate($"r{i}", 1, 1).Release();
        Assert.Contains("full with 2048 regions", Assert.Throws<ComancheException>(() => manager.ReuseOrAllocate("more", 1, 1)).Message);
        manager.Release();
        manager = fixture.Open("r2047", create: false);
        Assert.Equal(2048, manager.GetRegionCount());
        manager.DeleteRegion("r1000");
        manager.ReuseOrAllocate("more", 1, 1).Release();
        manager.Release();
    }

    [Theory]
    [InlineData(111, true)]
    [InlineData(112, false)]
    [InlineData(0, false)]
    public void A_name_has_1_to_111_bytes(int length, bool good)
    {
        using var fixture = new RegionFixture(ByteSize.MiB(8));
        var name = length == 111 ? "ä" + new string('x', 109) : new string('x', length);
        var manager = fixture.Open("own", 1);
        if (good)
        {
            manager.ReuseOrAllocate(name, 1, 0).Release();
            Assert.Contains(RegionFixture.List(manager), region => region.Name == name);
        }
        else
        {
            Assert.Throws<ComancheException>(() => manager.ReuseOrAllocate(name, 1, 0));
        }

        manager.Release();
    }

    [Fact]
    public void Read_only_nothing_is_made_or_deleted_and_the_volume_says_so()
    {
        using var fixture = new RegionFixture(ByteSize.MiB(8));
        Assert.Contains("read-only", fixture.Refusal(flags: HostFlags.ReadOnly));
        fixture.Open("a", 1024).Release();
        var before = fixture.Disk.Counts[(int)IoOperation.Write];
        Assert.Contains("region 'b' is not made, since this is read-only", fixture.Refusal("b", flags: HostFlags.ReadOnly));
        var region = fixture.Open("a", flags: HostFlags.ReadOnly);
        Assert.True(RegionFixture.Volume(region).Has(VolumeCapabilities.ReadOnly));
        Assert.Throws<ComancheException>(() => region.DeleteRegion("b"));
        region.Release();
        Assert.Equal(before, fixture.Disk.Counts[(int)IoOperation.Write]);
    }

    [Fact]
    public void Without_create_nothing_is_made()
    {
        using var fixture = new RegionFixture(ByteSize.MiB(8));
        Assert.Contains("is blank, and create is false", fixture.Refusal(create: false));
        fixture.Open("a", 1).Release();
        Assert.Contains("there is no region 'b', and create is false", fixture.Refusal("b", create: false));
    }

    [Fact]
    public void A_region_of_a_device_that_shrank_is_refused_and_the_others_work()
    {
        using var fixture = new RegionFixture(ByteSize.MiB(8));
        fixture.Open("a", 1024).Release();
        fixture.Open("b", 1024).Release();
        fixture.Disk.Limits = info => info with { BlockCount = 3 * 2048 - 1 };
        Assert.Contains("region 'b' ends at LBA 6144, but the device below has only 6143 blocks now", fixture.Refusal("b"));
        var a = fixture.Open("a");
        Assert.Equal(0ul, a.GetFreeBlocks());
        a.ReuseOrAllocate("a", 1, 1).Release();
        fixture.Disk.Limits = info => info with { BlockCount = 2 * 2048 + 10 };
        a.DeleteRegion("b");
        a.ReuseOrAllocate("c", 10, 1).Release();
        a.Release();
    }

    [Fact]
    public void A_device_that_grew_has_more_room()
    {
        using var fixture = new RegionFixture(ByteSize.MiB(8));
        fixture.Disk.Limits = info => info with { BlockCount = 8192 };
        fixture.Open("a", 1024).Release();
        fixture.Disk.Limits = null;
        var b = fixture.Open("b", 5 * 1024);
        Assert.Equal(10240ul, RegionFixture.Volume(b).BlockCount);
        b.Release();
    }

    [Fact]
    public void What_the_device_promises_for_aligned_ranges_holds_only_as_far_as_the_region_is_aligned()
    {
        using var fixture = new RegionFixture(ByteSize.MiB(8));
        fixture.Disk.Limits = info => info with { AtomicWriteBlocks = 8, CompareAndWriteBlocks = 64, OptimalIoBlocks = 128 };
        var manager = fixture.Open("a", 1);
        var odd = manager.ReuseOrAllocate("odd", 100, 12);
        var first = RegionFixture.List(manager).Single(r => r.Name == "odd").First;
        Assert.Equal(4ul, first & (~first + 1));
        Assert.Equal((4u, 4u, 0u), (RegionFixture.Volume(odd).AtomicWriteBlocks, RegionFixture.Volume(odd).CompareAndWriteBlocks, RegionFixture.Volume(odd).OptimalIoBlocks));
        Assert.Equal((8u, 64u, 128u), (RegionFixture.Volume(manager).AtomicWriteBlocks, RegionFixture.Volume(manager).CompareAndWriteBlocks, RegionFixture.Volume(manager).OptimalIoBlocks));
        odd.Release();
        manager.Release();
    }

    [Fact]
    public void A_descriptor_beyond_the_region_reaches_nobody_even_without_an_entry_queue()
    {
        using var fixture = new RegionFixture(ByteSize.MiB(8));
        var region = fixture.Open("a", 1024);
        Array.Clear(fixture.Disk.Counts);
        foreach (var (operation, lba, blocks, source) in ((IoOperation, ulong, uint, ulong)[])
            [(IoOperation.Write, 2048, 1, 0), (IoOperation.Read, 2047, 2, 0), (IoOperation.WriteZeroes, ulong.MaxValue, 2, 0), (IoOperation.Copy, 0, 2, 2047), (IoOperation.Discard, ulong.MaxValue - 2047, 1, 0)])
        {
            var back = One(region, new IoDescriptor { Operation = operation, Lba = lba, BlockCount = blocks, Auxiliary = source, Tag = 99, Flags = IoFlags.NoCache });
            Assert.Equal((IoStatus.OutOfRange, operation, lba, source, 99ul, IoFlags.NoCache), (back.Status, back.Operation, back.Lba, back.Auxiliary, back.Tag, back.Flags));
        }

        Assert.Equal(5, fixture.Disk.Counts[(int)IoOperation.None]);
        Assert.Equal(5, fixture.Disk.Counts.Sum());
        region.Release();
    }

    [Fact]
    public void A_copy_within_the_region_moves_both_ends()
    {
        using var fixture = new RegionFixture(ByteSize.MiB(8));
        var region = fixture.Open("a", 1024);
        fixture.Write(region, 0, RegionFixture.Noise(1, 1024));
        Assert.Equal(IoStatus.Success, One(region, new IoDescriptor { Operation = IoOperation.Copy, Lba = 2046, BlockCount = 2 }).Status);
        Assert.Equal(RegionFixture.Noise(1, 1024), fixture.Read(region, 2046, 1024));
        region.Release();
    }

    [Fact]
    public void Nothing_is_allocated_for_an_io()
    {
        var memory = new TestMemory();
        var disk = new Block.MemoryDevice(new TestHost { Memory = memory }, new() { Size = ByteSize.MiB(4) });
        disk.Start();
        var region = new RegionDevice(new TestHost { Memory = memory }, new() { Region = "a" });
        region.Bind(disk, "");
        region.Start();
        var options = new QueueOptions { Depth = 1 };
        var queue = region.OpenQueue(&options);
        Cycle(queue, 1000);
        var before = GC.GetAllocatedBytesForCurrentThread();
        Cycle(queue, 10_000);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        queue.Close();
        region.Release();
        disk.Release();
    }

    [Fact]
    public void The_plan_shares_the_device_and_claims_the_name()
    {
        var disk = new VolumeInfo { BlockSize = 512, BlockCount = 16384, MaxTransferBlocks = 8, BufferAlignment = 1, MaxSegments = 1, AtomicWriteBlocks = 1, DiscardGranularityBlocks = 1 };
        var plan = TestPlan.Of<RegionDevice>(new RegionOptions { Region = "a", Size = ByteSize.MiB(2) }, disk);
        Assert.Empty(plan.Errors);
        Assert.Equal(["disk0:region"], plan.Shares);
        Assert.Equal(["region 'a' of disk0"], plan.Claims);
        Assert.Equal(4096ul, plan.Volume!.Value.BlockCount);
        Assert.Null(TestPlan.Of<RegionDevice>(new RegionOptions { Region = "a" }, disk).Volume);
        Assert.Equal("size", Assert.Single(TestPlan.Of<RegionDevice>(new RegionOptions { Region = "a", Size = new(700) }, disk).Errors).Option);
        Assert.Equal("size", Assert.Single(TestPlan.Of<RegionDevice>(new RegionOptions { Region = "a", Size = ByteSize.MiB(8) }, disk).Errors).Option);
        Assert.Equal("alignment", Assert.Single(TestPlan.Of<RegionDevice>(new RegionOptions { Region = "a", Alignment = new(700) }, disk).Errors).Option);
        Assert.Equal("region", Assert.Single(TestPlan.Of<RegionDevice>(new RegionOptions(), disk).Errors).Option);
    }

    private static void Cycle(IIoQueue queue, int times)
    {
        var descriptor = (IoDescriptor*)NativeMemory.AlignedAlloc(IoDescriptor.Size, IoDescriptor.Size);
        *descriptor = new IoDescriptor { Operation = IoOperation.WriteZeroes, Lba = 3, BlockCount = 1 };
        for (var i = 0; i < times; i++)
        {
            queue.Submit(&descriptor, 1);
            var done = descriptor;
            while (queue.Poll(&done, 1) == 0) { }
        }

        NativeMemory.AlignedFree(descriptor);
    }

    private static IoDescriptor One(IBlockDevice device, in IoDescriptor request)
    {
        var descriptor = (IoDescriptor*)NativeMemory.AlignedAlloc(IoDescriptor.Size, IoDescriptor.Size);
        *descriptor = request;
        var options = new QueueOptions { Depth = 1 };
        var queue = device.OpenQueue(&options);
        var done = descriptor;
        Assert.Equal(1, queue.Submit(&done, 1));
        while (queue.Poll(&done, 1) == 0) { }
        queue.Close();
        var back = *descriptor;
        NativeMemory.AlignedFree(descriptor);
        return back;
    }
}
