using Comanche.Testing;

namespace Comanche.Raid.Tests;

public sealed unsafe class StripeTests
{
    private const int Reserved = 2048; // Blocks of 512 bytes in 1 MiB.

    private static StripeOptions Chunk(ulong bytes) => new() { Chunk = new(bytes) };

    [Fact]
    public void Chunks_go_to_the_members_in_turn()
    {
        using var fixture = new StripeFixture(ByteSize.MiB(4), ByteSize.MiB(4), ByteSize.MiB(4));
        var stripe = fixture.Open(Chunk(4096));
        var data = StripeFixture.Noise(1, 7 * 4096);
        fixture.Write(stripe, 0, data);
        for (var chunk = 0; chunk < 7; chunk++)
        {
            var back = fixture.Read(fixture.Members[chunk % 3], (ulong)(Reserved + chunk / 3 * 8), 4096);
            Assert.Equal(data[(chunk * 4096)..((chunk + 1) * 4096)], back);
        }

        stripe.Release();
    }

    [Fact]
    public void Data_is_there_after_a_restart_and_the_set_is_the_same()
    {
        using var fixture = new StripeFixture(ByteSize.MiB(4), ByteSize.MiB(4));
        var first = fixture.Open();
        RaidInfo before, after;
        first.GetRaidInfo(&before);
        fixture.Write(first, 77, StripeFixture.Noise(2, 1 << 20));
        first.Release();
        var second = fixture.Open(new() { Create = false });
        second.GetRaidInfo(&after);
        Assert.Equal(before.Set, after.Set);
        Assert.Equal(StripeFixture.Noise(2, 1 << 20), fixture.Read(second, 77, 1 << 20));
        second.Release();
    }

    [Fact]
    public void Of_members_of_different_sizes_each_gives_as_much_as_the_smallest()
    {
        using var fixture = new StripeFixture(ByteSize.MiB(7), ByteSize.MiB(4), ByteSize.MiB(5));
        var stripe = fixture.Open();
        Assert.Equal(3 * ByteSize.MiB(2).Bytes, fixture.Volume(stripe).ByteLength);
        stripe.Release();
    }

    [Fact]
    public void The_volume_is_made_of_its_members()
    {
        using var fixture = new StripeFixture(ByteSize.MiB(4), ByteSize.MiB(4), ByteSize.MiB(4));
        fixture.Members[0].Limits = info => info with { AtomicWriteBlocks = 16, CompareAndWriteBlocks = 8, MaxRangeBlocks = 1000 };
        fixture.Members[1].Limits = info => info with { Capabilities = (info.Capabilities | VolumeCapabilities.VolatileCache) & ~VolumeCapabilities.Fill, AtomicWriteBlocks = 256 };
        fixture.Members[2].Limits = info => info with { Capabilities = info.Capabilities | VolumeCapabilities.ReadOnly, AtomicWriteBlocks = 64, BufferAlignment = 64 };
        fixture.Members[2].Limits = null;
        fixture.Create(Chunk(16384));
        fixture.Members[2].Limits = info => info with { Capabilities = info.Capabilities | VolumeCapabilities.ReadOnly, AtomicWriteBlocks = 64, BufferAlignment = 64 };
        var stripe = fixture.Open(Chunk(16384));
        var volume = fixture.Volume(stripe);
        Assert.Equal(16u, volume.AtomicWriteBlocks);
        Assert.Equal(8u, volume.CompareAndWriteBlocks);
        Assert.Equal(96u, volume.OptimalIoBlocks);
        Assert.Equal(64u, volume.BufferAlignment);
        Assert.Equal(1000u / 32 * 32 * 3, volume.MaxRangeBlocks);
        Assert.True(volume.Has(VolumeCapabilities.ReadOnly | VolumeCapabilities.VolatileCache | VolumeCapabilities.Discard));
        Assert.False(volume.Has(VolumeCapabilities.Fill));
        Assert.False(volume.Has(VolumeCapabilities.Copy));
        stripe.Release();
    }

    [Fact]
    public void A_large_transfer_is_one_child_for_each_member()
    {
        using var fixture = new StripeFixture(ByteSize.MiB(4), ByteSize.MiB(4), ByteSize.MiB(4));
        var stripe = fixture.Open(Chunk(4096));
        using var run = new Run(stripe, depth: 1, bytes: 1 << 20);
        var before = fixture.Members.Select(m => m.Counts[(int)IoOperation.Read]).ToArray();
        Assert.Equal(IoStatus.Success, run.Do(new IoDescriptor { Operation = IoOperation.Read, Lba = 3, BlockCount = 1000 }));
        Assert.Equal([1, 1, 1], fixture.Members.Select((m, i) => m.Counts[(int)IoOperation.Read] - before[i]));
        run.Dispose();
        stripe.Release();
    }

    [Fact]
    public void A_transfer_within_two_chunks_leaves_the_other_members_alone()
    {
        using var fixture = new StripeFixture(ByteSize.MiB(4), ByteSize.MiB(4), ByteSize.MiB(4));
        var stripe = fixture.Open(Chunk(4096));
        using var run = new Run(stripe, depth: 1, bytes: 1 << 20);
        foreach (var member in fixture.Members) Array.Clear(member.Counts);
        var forced = fixture.Members.Select(m => m.ForcedUnitAccesses).ToArray();
        run.Do(new IoDescriptor { Operation = IoOperation.Write, Flags = IoFlags.ForceUnitAccess, Lba = 12, BlockCount = 8 });
        Assert.Equal([0, 1, 1], fixture.Members.Select(m => m.Counts[(int)IoOperation.Write]));
        Assert.Equal([0, 1, 1], fixture.Members.Select((m, i) => m.ForcedUnitAccesses - forced[i]));
        run.Dispose();
        stripe.Release();
    }

    [Fact]
    public void A_flush_goes_to_every_member()
    {
        using var fixture = new StripeFixture(ByteSize.MiB(4), ByteSize.MiB(4), ByteSize.MiB(4));
        var stripe = fixture.Open();
        using var run = new Run(stripe, depth: 1, bytes: 512);
        foreach (var member in fixture.Members) Array.Clear(member.Counts);
        Assert.Equal(IoStatus.Success, run.Do(new IoDescriptor { Operation = IoOperation.Flush }));
        Assert.All(fixture.Members, member => Assert.Equal(1, member.Counts[(int)IoOperation.Flush]));
        run.Dispose();
        stripe.Release();
    }

    [Theory]
    [InlineData(IoOperation.Discard)]
    [InlineData(IoOperation.WriteZeroes)]
    [InlineData(IoOperation.Fill)]
    public void A_range_is_one_range_on_each_member_however_long(IoOperation operation)
    {
        using var fixture = new StripeFixture(ByteSize.MiB(8), ByteSize.MiB(8), ByteSize.MiB(8));
        var stripe = fixture.Open(Chunk(512));
        var volume = fixture.Volume(stripe);
        using var run = new Run(stripe, depth: 1, bytes: 512);
        foreach (var member in fixture.Members) Array.Clear(member.Counts);
        Assert.Equal(IoStatus.Success, run.Do(new IoDescriptor { Operation = operation, Lba = 1, BlockCount = (uint)volume.BlockCount - 2 }));
        Assert.All(fixture.Members, member => Assert.Equal(1, member.Counts[(int)operation]));
        run.Dispose();
        stripe.Release();
    }

    [Fact]
    public void What_the_entry_queue_should_have_refused_reaches_no_member()
    {
        using var fixture = new StripeFixture(ByteSize.MiB(4), ByteSize.MiB(4));
        var stripe = fixture.Open(Chunk(4096));
        var volume = fixture.Volume(stripe);
        using var run = new Run(stripe, depth: 1, bytes: 1 << 20);
        foreach (var member in fixture.Members) Array.Clear(member.Counts);
        Assert.Equal(IoStatus.OutOfRange, run.Do(new IoDescriptor { Operation = IoOperation.Write, Lba = volume.BlockCount - 1, BlockCount = 2 }));
        Assert.Equal(IoStatus.OutOfRange, run.Do(new IoDescriptor { Operation = IoOperation.Discard, Lba = ulong.MaxValue, BlockCount = 2 }));
        Assert.Equal(IoStatus.InvalidArgument, run.Do(new IoDescriptor { Operation = IoOperation.CompareAndWrite, Lba = 7, BlockCount = 2 }));
        Assert.Equal(IoStatus.InvalidArgument, run.Do(new IoDescriptor { Operation = IoOperation.Read, Lba = 7 }));
        Assert.Equal(IoStatus.InvalidArgument, run.Do(new IoDescriptor { Operation = IoOperation.Read, BlockCount = volume.MaxTransferBlocks + 1 }));
        Assert.Equal(IoStatus.Unsupported, run.Do(new IoDescriptor { Operation = IoOperation.Copy, Lba = 7, BlockCount = 1, Auxiliary = 100 }));
        Assert.Equal(IoStatus.Success, run.Do(new IoDescriptor { Operation = IoOperation.None }));
        Assert.All(fixture.Members, member => Assert.Equal(0, member.Counts.Sum()));
        run.Dispose();
        stripe.Release();
    }

    [Fact]
    public void A_member_that_fails_fails_the_request_and_shows_in_the_health()
    {
        using var fixture = new StripeFixture(ByteSize.MiB(4), ByteSize.MiB(4), ByteSize.MiB(4));
        var stripe = fixture.Open(Chunk(4096));
        var events = stripe.GetEventNumber();
        fixture.Members[1].Fault = (operation, _, _) => operation == IoOperation.Read ? IoStatus.MediaError : IoStatus.Success;
        using var run = new Run(stripe, depth: 1, bytes: 1 << 20);
        Assert.Equal(IoStatus.Success, run.Do(new IoDescriptor { Operation = IoOperation.Read, Lba = 0, BlockCount = 8 }));
        Assert.Equal(IoStatus.MediaError, run.Do(new IoDescriptor { Operation = IoOperation.Read, Lba = 0, BlockCount = 100 })); // Over all members: one is to blame.
        Assert.Equal(IoStatus.MediaError, run.Do(new IoDescriptor { Operation = IoOperation.Read, Lba = 4, BlockCount = 8 }));
        DeviceHealth health;
        stripe.GetHealth(&health);
        Assert.Equal((DeviceState.Degraded, 2ul, 0ul), (health.State, health.ReadErrors, health.WriteErrors));
        RaidMember member;
        stripe.GetMember(1, &member);
        Assert.Equal(DeviceState.Degraded, member.State);
        stripe.GetMember(0, &member);
        Assert.Equal(DeviceState.Healthy, member.State);
        Assert.True(stripe.GetEventNumber() > events);
        fixture.Members[2].Health = DeviceState.Failed;
        RaidInfo info;
        stripe.GetRaidInfo(&info);
        Assert.Equal(DeviceState.Failed, info.State);
        run.Dispose();
        stripe.Release();
    }

    [Fact]
    public void A_difference_is_not_a_failure()
    {
        using var fixture = new StripeFixture(ByteSize.MiB(4), ByteSize.MiB(4));
        var stripe = fixture.Open(Chunk(4096));
        using var run = new Run(stripe, depth: 1, bytes: 1 << 20);
        run.Bytes[5000] = 1;
        Assert.Equal(IoStatus.Miscompare, run.Do(new IoDescriptor { Operation = IoOperation.Compare, Lba = 0, BlockCount = 100 }));
        DeviceHealth health;
        stripe.GetHealth(&health);
        Assert.Equal(DeviceState.Healthy, health.State);
        run.Dispose();
        stripe.Release();
    }

    [Fact]
    public void Events_of_the_members_are_seen_above()
    {
        using var fixture = new StripeFixture(ByteSize.MiB(4), ByteSize.MiB(4));
        var stripe = fixture.Open();
        var before = stripe.GetEventNumber();
        fixture.Members[1].Notify();
        Assert.Equal(before + 1, stripe.GetEventNumber());
        stripe.Release();
    }

    [Fact]
    public void Sixty_four_members_are_a_set_and_sixty_five_are_not()
    {
        using var fixture = new StripeFixture([.. Enumerable.Repeat(ByteSize.KiB(2304), 65)]);
        Assert.Contains("1 to 64", fixture.Refusal());
        var stripe = fixture.Open(null, [.. Enumerable.Range(0, 64)]);
        VolumeModel.Run(stripe, new ModelOptions { Seed = 64, Operations = 50 });
        stripe.Release();
    }

    [Fact]
    public void Nothing_is_allocated_for_an_io()
    {
        var memory = new TestMemory();
        var members = Enumerable.Range(0, 3).Select(i => new Block.MemoryDevice(new TestHost { Memory = memory }, new() { Size = ByteSize.MiB(4) })).ToArray();
        var stripe = new StripeDevice(new TestHost { Memory = memory }, Chunk(4096));
        foreach (var member in members)
        {
            member.Start();
            stripe.Bind(member, "");
        }

        stripe.Start();
        using (var run = new Run(stripe, depth: 8, bytes: 1 << 20))
        {
            run.Repeat(2000);
            var before = GC.GetAllocatedBytesForCurrentThread();
            run.Repeat(2000);
            Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        }

        stripe.Release();
        foreach (var member in members) member.Release();
        Assert.Equal(0, memory.Live);
    }

    [Fact]
    public void An_abandoned_queue_gives_everything_back()
    {
        using var fixture = new StripeFixture(512, new Random(5), ByteSize.MiB(4), ByteSize.MiB(4));
        var stripe = fixture.Open(Chunk(4096));
        using (var run = new Run(stripe, depth: 16, bytes: 1 << 18))
        {
            run.SubmitAll(new IoDescriptor { Operation = IoOperation.Read, Lba = 5, BlockCount = 200 });
            run.Queue.Abandon();
            run.Drain();
        }

        stripe.Release();
    }

    [Fact]
    public void Many_scattered_requests_share_the_segment_memory_without_a_deadlock()
    {
        using var fixture = new StripeFixture(ByteSize.MiB(6), ByteSize.MiB(6), ByteSize.MiB(6));
        var stripe = fixture.Open(Chunk(512));
        using (var run = new Run(stripe, depth: 4096, bytes: 1 << 20))
        {
            // 1536 chunks a request: its part of the segment memory is so large that only a few fit.
            for (var round = 0; round < 3; round++)
            {
                run.SubmitAll(new IoDescriptor { Operation = IoOperation.Read, Lba = 5, BlockCount = 300 });
                Assert.Equal(4096, run.Drain());
            }
        }

        stripe.Release();
    }

    [Fact]
    public void Division_by_multiplication_is_exact()
    {
        var random = new Random(11);
        for (var members = 1u; members <= 64; members++)
        {
            var reciprocal = StripeQueue.Reciprocal(members);
            for (var i = 0; i < 2000; i++)
            {
                var multiple = (ulong)random.NextInt64(1L << 55) >> random.Next(56) ;
                multiple -= multiple % members;
                foreach (var chunk in (ulong[])[multiple, multiple + members - 1, multiple == 0 ? 0 : multiple - 1])
                {
                    var row = StripeQueue.Divide(chunk, members, reciprocal, out var member);
                    Assert.Equal((chunk / members, (uint)(chunk % members)), (row, member));
                }
            }
        }
    }
}
