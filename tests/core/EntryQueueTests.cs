using Comanche.Block;
using Comanche.Runtime;

namespace Comanche.Core.Tests;

public sealed unsafe class EntryQueueTests
{
    private static readonly EdgeOptions Entry = new() { Entry = true };

    public static TheoryData<string, IoStatus> Rules => new()
    {
        { "good read", IoStatus.Success },
        { "whole of the largest transfer", IoStatus.Success },
        { "last blocks", IoStatus.Success },
        { "none", IoStatus.Success },
        { "flush", IoStatus.Success },
        { "known flags", IoStatus.Success },
        { "unknown operation", IoStatus.InvalidArgument },
        { "unknown operation 255", IoStatus.InvalidArgument },
        { "unknown flag", IoStatus.InvalidArgument },
        { "count 0", IoStatus.InvalidArgument },
        { "count too large", IoStatus.InvalidArgument },
        { "count of all ones", IoStatus.InvalidArgument },
        { "one beyond the end", IoStatus.OutOfRange },
        { "LBA beyond the end", IoStatus.OutOfRange },
        { "LBA that overflows", IoStatus.OutOfRange },
        { "buffer null", IoStatus.InvalidArgument },
        { "buffer misaligned", IoStatus.Misaligned },
        { "flush with range", IoStatus.InvalidArgument },
        { "flush with segments", IoStatus.InvalidArgument },
        { "discard", IoStatus.Success },
        { "discard too large", IoStatus.InvalidArgument },
        { "discard with segments", IoStatus.InvalidArgument },
        { "discard beyond the end", IoStatus.OutOfRange },
        { "copy", IoStatus.Success },
        { "copy side by side", IoStatus.Success },
        { "copy overlapping above", IoStatus.InvalidArgument },
        { "copy overlapping below", IoStatus.InvalidArgument },
        { "copy onto itself", IoStatus.InvalidArgument },
        { "copy source beyond the end", IoStatus.OutOfRange },
        { "copy source that overflows", IoStatus.OutOfRange },
        { "compare-and-write", IoStatus.Success },
        { "compare-and-write without compare buffer", IoStatus.InvalidArgument },
        { "compare-and-write too large", IoStatus.InvalidArgument },
        { "compare-and-write across the boundary", IoStatus.InvalidArgument },
        { "compare", IoStatus.Success },
        { "compare without buffer", IoStatus.InvalidArgument },
    };

    private static void Apply(string rule, IoDescriptor* d)
    {
        switch (rule)
        {
            case "good read": break;
            case "whole of the largest transfer": d->BlockCount = 64; break;
            case "last blocks": d->Lba = 992; break;
            case "none": *d = new IoDescriptor { Operation = IoOperation.None, Tag = d->Tag }; break;
            case "flush": *d = new IoDescriptor { Operation = IoOperation.Flush, Tag = d->Tag }; break;
            case "known flags": d->Flags = IoFlags.NoCache | IoFlags.ForceUnitAccess | IoFlags.NoUnmap; d->Operation = IoOperation.Write; break;
            case "unknown operation": d->Operation = (IoOperation)10; break;
            case "unknown operation 255": d->Operation = (IoOperation)255; break;
            case "unknown flag": d->Flags = (IoFlags)16; break;
            case "count 0": d->BlockCount = 0; break;
            case "count too large": d->BlockCount = 65; break;
            case "count of all ones": d->BlockCount = uint.MaxValue; break;
            case "one beyond the end": d->Lba = 993; break;
            case "LBA beyond the end": d->Lba = 1001; break;
            case "LBA that overflows": d->Lba = ulong.MaxValue - 3; break;
            case "buffer null": d->Buffer = null; break;
            case "buffer misaligned": d->Buffer += 8; break;
            case "flush with range": d->Operation = IoOperation.Flush; break;
            case "flush with segments": *d = new IoDescriptor { Operation = IoOperation.Flush, Flags = IoFlags.Segments, Tag = d->Tag }; break;
            case "discard": d->Operation = IoOperation.Discard; d->BlockCount = 100; d->Buffer = null; break;
            case "discard too large": d->Operation = IoOperation.Discard; d->BlockCount = 101; break;
            case "discard with segments": d->Operation = IoOperation.Discard; d->Flags = IoFlags.Segments; break;
            case "discard beyond the end": d->Operation = IoOperation.Discard; d->Lba = 999; break;
            case "copy": d->Operation = IoOperation.Copy; d->Auxiliary = 500; break;
            case "copy side by side": d->Operation = IoOperation.Copy; d->Auxiliary = 16; break;
            case "copy overlapping above": d->Operation = IoOperation.Copy; d->Auxiliary = 15; break;
            case "copy overlapping below": d->Operation = IoOperation.Copy; d->Auxiliary = 1; break;
            case "copy onto itself": d->Operation = IoOperation.Copy; d->Auxiliary = 8; break;
            case "copy source beyond the end": d->Operation = IoOperation.Copy; d->Auxiliary = 993; break;
            case "copy source that overflows": d->Operation = IoOperation.Copy; d->Auxiliary = ulong.MaxValue - 3; break;
            case "compare-and-write": d->Operation = IoOperation.CompareAndWrite; d->Auxiliary = (ulong)d->Buffer; break;
            case "compare-and-write without compare buffer": d->Operation = IoOperation.CompareAndWrite; break;
            case "compare-and-write too large": d->Operation = IoOperation.CompareAndWrite; d->Auxiliary = (ulong)d->Buffer; d->BlockCount = 9; break;
            case "compare-and-write across the boundary": d->Operation = IoOperation.CompareAndWrite; d->Auxiliary = (ulong)d->Buffer; d->Lba = 9; break;
            case "compare": d->Operation = IoOperation.Compare; break;
            case "compare without buffer": d->Operation = IoOperation.Compare; d->Buffer = null; break;
            default: throw new ArgumentException(rule);
        }
    }

    [Theory]
    [MemberData(nameof(Rules))]
    public void Every_rule_of_a_descriptor_is_kept(string rule, IoStatus expected)
    {
        foreach (var latency in new[] { true, false })
        {
            var reached = 0;
            using var bench = new EdgeBench(Entry with { Latency = latency }, d => d.Accepting = _ => reached++);
            var descriptor = bench.Read(0);
            Apply(rule, descriptor);
            Assert.Equal(expected, bench.Do(descriptor));
            Assert.Equal(expected == IoStatus.Success ? 1 : 0, reached);
            Assert.Equal(1000ul, descriptor->Tag);
        }
    }

    [Theory]
    [InlineData(4096, 0, 2048, IoStatus.InvalidArgument)]  // Too long together.
    [InlineData(2048, 0, 1024, IoStatus.InvalidArgument)]  // Too short together.
    [InlineData(2048, 0, 2048, IoStatus.Success)]
    [InlineData(2000, 0, 2096, IoStatus.InvalidArgument)]  // No whole blocks.
    [InlineData(0, 0, 4096, IoStatus.InvalidArgument)]     // Empty.
    [InlineData(2048, 8, 2048, IoStatus.Misaligned)]
    public void Segments_are_whole_aligned_blocks_that_make_up_the_transfer(uint first, int shift, uint second, IoStatus expected)
    {
        using var bench = new EdgeBench(Entry);
        var descriptor = bench.Read(0);
        var segments = stackalloc IoSegment[2];
        segments[0] = new IoSegment { Address = descriptor->Buffer, Length = first };
        segments[1] = new IoSegment { Address = descriptor->Buffer + 8192 + shift, Length = second };
        descriptor->Segments = segments;
        descriptor->SegmentCount = 2;
        descriptor->Flags = IoFlags.Segments;
        Assert.Equal(expected, bench.Do(descriptor));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(5)]
    public void The_number_of_segments_is_limited(int count)
    {
        using var bench = new EdgeBench(Entry);
        var descriptor = bench.Read(0);
        var segments = stackalloc IoSegment[5];
        for (var i = 0; i < 5; i++) segments[i] = new IoSegment { Address = descriptor->Buffer + i * 512, Length = 512 };
        descriptor->BlockCount = (uint)count;
        descriptor->Segments = segments;
        descriptor->SegmentCount = (ushort)count;
        descriptor->Flags = IoFlags.Segments;
        Assert.Equal(IoStatus.InvalidArgument, bench.Do(descriptor));
        descriptor->Segments = null;
        descriptor->SegmentCount = 1;
        descriptor->BlockCount = 1;
        Assert.Equal(IoStatus.InvalidArgument, bench.Do(descriptor));
    }

    [Theory]
    [InlineData(IoOperation.Discard)]
    [InlineData(IoOperation.WriteZeroes)]
    [InlineData(IoOperation.Fill)]
    [InlineData(IoOperation.Compare)]
    [InlineData(IoOperation.CompareAndWrite)]
    [InlineData(IoOperation.Copy)]
    public void What_the_volume_does_not_claim_is_unsupported(IoOperation operation)
    {
        using var bench = new EdgeBench(Entry, d => d.Volume.Capabilities = VolumeCapabilities.None);
        var descriptor = bench.Read(0);
        descriptor->Operation = operation;
        Assert.Equal(IoStatus.Unsupported, bench.Do(descriptor));
    }

    [Theory]
    [InlineData(IoOperation.Write, IoStatus.ReadOnly)]
    [InlineData(IoOperation.Discard, IoStatus.ReadOnly)]
    [InlineData(IoOperation.Copy, IoStatus.ReadOnly)]
    [InlineData(IoOperation.CompareAndWrite, IoStatus.ReadOnly)]
    [InlineData(IoOperation.Read, IoStatus.Success)]
    [InlineData(IoOperation.Compare, IoStatus.Success)]
    public void A_read_only_edge_refuses_every_change(IoOperation operation, IoStatus expected)
    {
        foreach (var entry in new[] { true, false })
        {
            using var bench = new EdgeBench(new EdgeOptions { Entry = entry, ReadOnly = true, Check = false });
            VolumeInfo volume;
            bench.Edge.GetVolumeInfo(&volume);
            Assert.True(volume.Has(VolumeCapabilities.ReadOnly));
            var descriptor = bench.Read(0);
            descriptor->Operation = operation;
            descriptor->Auxiliary = operation == IoOperation.Copy ? 500 : (ulong)descriptor->Buffer;
            Assert.Equal(expected, bench.Do(descriptor));
            Assert.Equal(IoStatus.Success, bench.Do(Flush(bench)));
        }
    }

    [Fact]
    public void A_device_that_can_not_say_how_large_it_is_makes_no_Submit_throw()
    {
        using var bench = new EdgeBench(Entry);
        bench.Device.Describing = () => throw new ComancheException("lost");
        var descriptor = bench.Read(0);
        descriptor->Lba = 5000;
        Assert.Equal(IoStatus.OutOfRange, bench.Do(descriptor));
        bench.Device.Describing = null;
    }

    private static IoDescriptor* Flush(EdgeBench bench)
    {
        var descriptor = bench.Read(1);
        *descriptor = new IoDescriptor { Operation = IoOperation.Flush };
        return descriptor;
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Bad_ones_amid_good_ones_come_back_too_each_once(bool latency)
    {
        using var bench = new EdgeBench(Entry with { Latency = latency });
        for (var i = 0; i < 12; i++)
            if (bench.Read(i) is var descriptor && i is 0 or 3 or 4 or 11)
                descriptor->BlockCount = 0;
        Assert.Equal(12, bench.Submit(12));
        WaitSet none = default;
        Assert.Equal(0, bench.Queue.Arm(&none));
        var back = bench.Drain();
        Assert.Equal(12, back.Distinct().Count());
        Assert.Equal(12, back.Count);
        for (var i = 0; i < 12; i++)
        {
            Assert.Equal(i is 0 or 3 or 4 or 11 ? IoStatus.InvalidArgument : IoStatus.Success, bench.Slab[i]->Status);
            Assert.Equal(1000ul + (ulong)i, bench.Slab[i]->Tag);
        }

        Assert.Equal(WaitSet.Forever, bench.Queue.Arm(&none));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void What_is_refused_below_is_as_it_was(bool latency)
    {
        using var bench = new EdgeBench(Entry with { Latency = latency }, d => d.MostTaken = 3);
        for (var i = 0; i < 8; i++) bench.Read(i);
        Assert.Equal(3, bench.Submit(8));
        for (var i = 3; i < 8; i++)
        {
            Assert.Equal(1000ul + (ulong)i, bench.Slab[i]->Tag);
            Assert.Equal(IoStatus.DeviceFailed, bench.Slab[i]->Status);
        }

        Assert.Equal(3, bench.Queue.Submit(bench.Batch + 3, 5));
        Assert.Equal(2, bench.Queue.Submit(bench.Batch + 6, 2));
        Assert.Equal(8, bench.Drain().Count);
        for (var i = 0; i < 8; i++) Assert.Equal(1000ul + (ulong)i, bench.Slab[i]->Tag);
    }

    [Fact]
    public void The_depth_holds_for_bad_ones_too()
    {
        using var bench = new EdgeBench(Entry, depth: 4);
        for (var i = 0; i < 8; i++) bench.Read(i)->BlockCount = i % 2 == 0 ? 0u : 8;
        Assert.Equal(4, bench.Submit(8));
        Assert.Equal(0, bench.Queue.Submit(bench.Batch + 4, 4));
        Assert.Throws<ComancheException>(bench.Queue.Close);
        Assert.Equal(4, bench.Drain().Count);
        Assert.Equal(4, bench.Queue.Submit(bench.Batch + 4, 4));
        Assert.Equal(4, bench.Drain().Count);
    }

    [Fact]
    public void A_volume_that_grew_is_used_at_once()
    {
        using var bench = new EdgeBench(Entry);
        var descriptor = bench.Read(0);
        descriptor->Lba = 1500;
        Assert.Equal(IoStatus.OutOfRange, bench.Do(descriptor));
        bench.Device.Volume.BlockCount = 2000;
        Assert.Equal(IoStatus.Success, bench.Do(descriptor));
        descriptor->Lba = 1993;
        Assert.Equal(IoStatus.OutOfRange, bench.Do(descriptor));
    }

    [Fact]
    public void Nothing_is_accepted_after_an_abandon()
    {
        using var bench = new EdgeBench(Entry);
        for (var i = 0; i < 3; i++) bench.Read(i);
        Assert.Equal(2, bench.Submit(2));
        Assert.Equal(1, bench.Queue.Cancel(bench.Slab[1]));
        Assert.Equal(0, bench.Queue.Cancel(bench.Slab[2]));
        bench.Queue.Abandon();
        Assert.Equal(0, bench.Queue.Submit(bench.Batch + 2, 1));
        Assert.Equal(2, bench.Drain().Count);
    }

    [Fact]
    public void What_is_done_is_counted_and_stays_counted_after_the_close()
    {
        DeviceStatistics statistics;
        using (var bench = new EdgeBench(Entry, d => d.Finishing = p => FailThoseAt100((IoDescriptor*)p)))
        {
            statistics = bench.Edge.Statistics;
            for (var i = 0; i < 10; i++) bench.Read(i)->Operation = i < 6 ? IoOperation.Read : IoOperation.Write;
            bench.Slab[8]->Lba = 100;
            bench.Slab[9]->BlockCount = 0;
            Assert.Equal(10, bench.Submit(10));
            bench.Drain();
            Assert.Equal(1, statistics.OpenQueues);
            Verify();
        }

        Assert.Equal(0, statistics.OpenQueues);
        Verify();

        static void FailThoseAt100(IoDescriptor* descriptor)
        {
            if (descriptor->Lba == 100) descriptor->Status = IoStatus.MediaError;
        }

        void Verify()
        {
            Assert.Equal(new OperationStatistics(6, 6 * 4096, 0), statistics[IoOperation.Read]);
            Assert.Equal(new OperationStatistics(4, 3 * 4096, 2), statistics[IoOperation.Write]);
            Assert.Equal(new OperationStatistics(10, 9 * 4096, 2), statistics.Total);
        }
    }

    [Fact]
    public void Latency_is_the_time_from_submission_to_the_return()
    {
        ulong now = 1_000_000;
        using var bench = new EdgeBench(Entry, clock: () => now);
        bench.Read(0);
        bench.Read(1)->Operation = IoOperation.Write;
        bench.Submit(1);
        now += 300;
        bench.Queue.Submit(bench.Batch + 1, 1);
        now += 500;
        bench.Drain();
        using var reads = bench.Edge.Statistics.GetLatency(LatencyKind.Read);
        using var writes = bench.Edge.Statistics.GetLatency(LatencyKind.Write);
        using var others = bench.Edge.Statistics.GetLatency(LatencyKind.Other);
        Assert.Equal((1ul, 1ul, 0ul), (reads.Count, writes.Count, others.Count));
        Assert.InRange(reads.Percentile(50), 792ul, 808ul);
        Assert.InRange(writes.Percentile(50), 495ul, 505ul);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void An_IO_allocates_nothing(bool latency)
    {
        using var process = new ComancheProcess();
        var device = new NullDevice(process.CreateHost("null"), new NullOptions());
        device.Start();
        var edge = process.CreateEdge("null", device, new EdgeOptions { Entry = true, Latency = latency, Layers = true });
        device.Release();
        var options = new QueueOptions { Depth = 32 };
        var queue = edge.OpenQueue(&options);
        using var slab = new DescriptorSlab(32);
        var batch = stackalloc IoDescriptor*[32];
        for (var i = 0; i < 32; i++)
        {
            batch[i] = slab[i];
            *batch[i] = new IoDescriptor { Operation = IoOperation.Read, BlockCount = 8, Buffer = (byte*)4096 }; // Never touched.
        }

        batch[7]->BlockCount = 0; // One that comes back bad costs no garbage either.
        Run(1000);
        var before = GC.GetAllocatedBytesForCurrentThread();
        Run(20_000);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        Assert.Equal(0ul, process.Statistics.BytesCopied);
        queue.Close();
        edge.Stop();
        Assert.Equal(0u, edge.Release());

        void Run(int rounds)
        {
            for (var round = 0; round < rounds; round++)
            {
                var taken = queue.Submit(batch, 32);
                for (var back = 0; back < taken;) back += queue.Poll(batch + back, 32 - back);
            }
        }
    }
}
