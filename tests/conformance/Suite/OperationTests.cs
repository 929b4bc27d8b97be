namespace Comanche.Conformance.Tests;

/// <summary>Every operation that a device claims, at its limits.</summary>
public sealed unsafe class OperationTests
{
    // The largest transfer that a test makes, in bytes: enough for every chunk and cluster, little enough for memory.
    private const uint MaxBytes = 16 << 20;

    public static TheoryData<string> Devices => DeviceCatalogue.Names;

    [Theory, MemberData(nameof(Devices))]
    public void First_and_last_block_can_be_written_and_read(string device)
    {
        using var rig = new Rig(device);
        using var io = new TestIo(rig.Device);
        var buffer = io.Buffer(1);
        var last = io.Volume.BlockCount - 1;
        io.WritePattern(0, 1, 1, buffer);
        io.WritePattern(last, 1, 2, buffer);
        io.ExpectPattern(0, 1, 1, buffer);
        io.ExpectPattern(last, 1, 2, buffer);
    }

    [Theory, MemberData(nameof(Devices))]
    public void The_largest_transfer_can_be_written_and_read(string device)
    {
        using var rig = new Rig(device);
        using var io = new TestIo(rig.Device);
        var blocks = Largest(io.Volume);
        var buffer = io.Buffer(blocks);
        var lba = io.Volume.BlockCount - blocks;
        io.WritePattern(lba, blocks, 3, buffer);
        io.ExpectPattern(lba, blocks, 3, buffer);
    }

    [Theory, MemberData(nameof(Devices))]
    public void Transfers_at_odd_places_neither_miss_nor_touch_their_neighbours(string device)
    {
        using var rig = new Rig(device);
        using var io = new TestIo(rig.Device);
        var span = (uint)Math.Min(1024, io.Volume.BlockCount);
        var buffer = io.Buffer(span);
        io.WritePattern(0, Math.Min(span, io.Volume.MaxTransferBlocks), 1, buffer);
        foreach (var (lba, blocks) in new (uint, uint)[] { (1, 3), (127, 2), (126, 5), (255, 129), (513, 7) })
        {
            if (lba + blocks > span || blocks > io.Volume.MaxTransferBlocks || span > io.Volume.MaxTransferBlocks) continue;
            io.WritePattern(lba, blocks, 2, buffer);
            io.ExpectPattern(lba, blocks, 2, buffer);
            io.ExpectPattern(lba - 1, 1, 1, buffer);
            io.ExpectPattern(lba + blocks, 1, 1, buffer);
            io.WritePattern(lba, blocks, 1, buffer);
        }
    }

    [Theory, MemberData(nameof(Devices))]
    public void A_write_leaves_its_buffer_as_it_was(string device)
    {
        using var rig = new Rig(device);
        using var io = new TestIo(rig.Device);
        var buffer = io.Buffer(4);
        Pattern.Fill(buffer.Span(), 8, io.Volume.BlockSize, 5);
        io.Must(io.Make(IoOperation.Write, 8, 4, buffer));
        Pattern.Check(buffer.Span(), 8, io.Volume.BlockSize, 5);
        io.Must(io.Make(IoOperation.Write, 8, 4, buffer, flags: IoFlags.ForceUnitAccess));
        Pattern.Check(buffer.Span(), 8, io.Volume.BlockSize, 5);
    }

    [Theory, MemberData(nameof(Devices))]
    public void One_buffer_can_be_written_to_several_places_at_a_time(string device)
    {
        using var rig = new Rig(device);
        using var io = new TestIo(rig.Device);
        var shared = io.Buffer(2);
        var back = io.Buffer(2);
        Pattern.Fill(shared.Span(), 0, io.Volume.BlockSize, 7);
        for (var i = 0; i < 8; i++) io.Batch[i] = io.Make(IoOperation.Write, (ulong)i * 2, 2, shared);
        io.SubmitAll(8);
        Pattern.Check(shared.Span(), 0, io.Volume.BlockSize, 7); // Also while they are in flight.
        io.Drain();
        for (var i = 0; i < 8; i++) Assert.Equal(IoStatus.Success, io.Batch[i]->Status);
        if (!io.Volume.Has(VolumeCapabilities.RetainsData)) return;
        for (var i = 0; i < 8; i++)
        {
            io.Must(io.Make(IoOperation.Read, (ulong)i * 2, 2, back));
            Pattern.Check(back.Span(), 0, io.Volume.BlockSize, 7);
        }
    }

    [Theory, MemberData(nameof(Devices))]
    public void Scattered_transfers_work_for_any_number_of_segments(string device)
    {
        using var rig = new Rig(device);
        using var io = new TestIo(rig.Device);
        var list = io.Buffer(1);
        var most = (int)Math.Min(io.Volume.MaxSegments, io.Volume.BlockSize / (uint)sizeof(IoSegment));
        foreach (var segments in new[] { 1, 2, 3, 7, 31, most }.Where(s => s <= most).Distinct())
        {
            // Of one to three blocks each, with a hole between one and the next.
            var sizes = Enumerable.Range(0, segments).Select(i => (uint)(1 + i % 3)).ToArray();
            var blocks = (uint)sizes.Sum(s => s);
            if (blocks > io.Volume.MaxTransferBlocks || blocks + 5 > io.Volume.BlockCount) continue;
            var scattered = io.Buffer(blocks * 2);
            var plain = io.Buffer(blocks);
            var at = (IoSegment*)list.Address;
            uint place = 0, done = 0;
            for (var i = 0; i < segments; i++)
            {
                at[i] = new IoSegment { Address = scattered.Address + place * io.Volume.BlockSize, Length = sizes[i] * io.Volume.BlockSize, Region = scattered.Region };
                Pattern.Fill(new Span<byte>(at[i].Address, (int)at[i].Length), 5 + done, io.Volume.BlockSize, segments);
                done += sizes[i];
                place += sizes[i] + 1;
            }

            io.Must(Scattered(io, IoOperation.Write, 5, blocks, at, segments));
            io.ExpectPattern(5, blocks, segments, plain);
            io.WritePattern(5, blocks, segments + 100, plain);
            io.Must(Scattered(io, IoOperation.Read, 5, blocks, at, segments));
            if (!io.Volume.Has(VolumeCapabilities.RetainsData)) continue;
            for (uint i = 0, block = 0; i < segments; block += sizes[i++])
                Pattern.Check(new Span<byte>(at[i].Address, (int)at[i].Length), 5 + block, io.Volume.BlockSize, segments + 100);
        }
    }

    [Theory, MemberData(nameof(Devices))]
    public void Flush_and_FUA_succeed(string device)
    {
        using var rig = new Rig(device);
        using var io = new TestIo(rig.Device);
        var buffer = io.Buffer(2);
        io.Must(io.Make(IoOperation.Flush));
        Pattern.Fill(buffer.Span(), 3, io.Volume.BlockSize, 6);
        io.Must(io.Make(IoOperation.Write, 3, 2, buffer, flags: IoFlags.ForceUnitAccess));
        io.ExpectPattern(3, 2, 6, buffer);
        io.Must(io.Make(IoOperation.Flush));
        io.Must(io.Make(IoOperation.None));
    }

    [Theory, MemberData(nameof(Devices))]
    public void Write_zeroes_and_fill_do_what_they_say(string device)
    {
        using var rig = new Rig(device);
        using var io = new TestIo(rig.Device);
        var data = Data(io);
        foreach (var (operation, flags, pattern) in new[]
        {
            (IoOperation.WriteZeroes, IoFlags.None, 0ul), (IoOperation.WriteZeroes, IoFlags.NoUnmap, 0ul), (IoOperation.WriteZeroes, IoFlags.ForceUnitAccess, 0ul),
            (IoOperation.Fill, IoFlags.None, 0x1122334455667788ul), (IoOperation.Fill, IoFlags.ForceUnitAccess, 0xA5A5A5A5A5A5A5A5ul),
        })
        {
            if (!Claims(io, operation) || io.Volume.MaxRangeBlocks < 9) continue;
            io.WritePattern(10, 11, 7, data);
            io.Must(io.Make(operation, 11, 9, flags, pattern));
            io.ExpectPattern(10, 1, 7, data);
            io.ExpectPattern(20, 1, 7, data);
            io.Must(io.Make(IoOperation.Read, 11, 9, data));
            if (io.Volume.Has(VolumeCapabilities.RetainsData)) ExpectWords(data.Span(9 * io.Volume.BlockSize), pattern);
        }
    }

    [Theory, MemberData(nameof(Devices))]
    public void Ranges_reach_to_the_end_of_the_volume(string device)
    {
        using var rig = new Rig(device);
        using var io = new TestIo(rig.Device);
        var data = Data(io);
        var last = io.Volume.BlockCount - 1;
        var blocks = (uint)Math.Min(Math.Min(io.Volume.MaxRangeBlocks, io.Volume.BlockCount), (64u << 20) / io.Volume.BlockSize);
        foreach (var operation in new[] { IoOperation.Discard, IoOperation.WriteZeroes, IoOperation.Fill })
        {
            if (!Claims(io, operation)) continue;
            io.WritePattern(last, 1, 8, data);
            io.Must(io.Make(operation, io.Volume.BlockCount - blocks, blocks, IoFlags.None, 0x0101010101010101));
            io.Must(io.Make(IoOperation.Read, last, 1, data));
            var reads = operation == IoOperation.Discard ? io.Volume.Has(VolumeCapabilities.DiscardReadsZero) && blocks % io.Volume.DiscardGranularityBlocks == 0 : true;
            if (reads && io.Volume.Has(VolumeCapabilities.RetainsData))
                ExpectWords(data.Span(io.Volume.BlockSize), operation == IoOperation.Fill ? 0x0101010101010101ul : 0ul);
        }
    }

    [Theory, MemberData(nameof(Devices))]
    public void Discard_touches_nothing_else(string device)
    {
        using var rig = new Rig(device);
        using var io = new TestIo(rig.Device);
        if (!Claims(io, IoOperation.Discard)) return;
        var data = Data(io);
        var grain = io.Volume.DiscardGranularityBlocks;
        var blocks = Math.Max(grain, 4);
        if (blocks + 2 * grain + 1 > io.Volume.BlockCount || blocks > io.Volume.MaxRangeBlocks) return;
        io.WritePattern(grain - 1, 1, 9, data);
        io.WritePattern(grain, 1, 9, data);
        io.WritePattern(grain + blocks, 1, 9, data);
        io.Must(io.Make(IoOperation.Discard, grain, blocks));
        io.ExpectPattern(grain - 1, 1, 9, data);
        io.ExpectPattern(grain + blocks, 1, 9, data);
        io.Must(io.Make(IoOperation.Read, grain, 1, data));
        if (io.Volume.Has(VolumeCapabilities.RetainsData | VolumeCapabilities.DiscardReadsZero)) ExpectWords(data.Span(io.Volume.BlockSize), 0);
    }

    [Theory, MemberData(nameof(Devices))]
    public void Compare_tells_equal_from_different(string device)
    {
        using var rig = new Rig(device);
        using var io = new TestIo(rig.Device);
        if (!Claims(io, IoOperation.Compare)) return;
        var data = Data(io);
        io.WritePattern(30, 6, 10, data);
        Pattern.Fill(data.Span(6 * io.Volume.BlockSize), 30, io.Volume.BlockSize, 10);
        io.Must(io.Make(IoOperation.Compare, 30, 6, data));
        Pattern.Check(data.Span(6 * io.Volume.BlockSize), 30, io.Volume.BlockSize, 10);
        data.Span()[(int)(6 * io.Volume.BlockSize) - 1] ^= 1;
        var status = io.Do(io.Make(IoOperation.Compare, 30, 6, data));
        if (io.Volume.Has(VolumeCapabilities.RetainsData)) Assert.Equal(IoStatus.Miscompare, status);
        io.ExpectPattern(30, 6, 10, data);
    }

    [Theory, MemberData(nameof(Devices))]
    public void Compare_and_write_writes_only_what_compares(string device)
    {
        using var rig = new Rig(device);
        using var io = new TestIo(rig.Device);
        if (!Claims(io, IoOperation.CompareAndWrite)) return;
        var blocks = Math.Min(io.Volume.CompareAndWriteBlocks, 4);
        var (expected, next) = (io.Buffer(blocks), io.Buffer(blocks));
        io.WritePattern(0, blocks, 11, expected);
        Pattern.Fill(expected.Span(), 0, io.Volume.BlockSize, 11);
        Pattern.Fill(next.Span(), 0, io.Volume.BlockSize, 12);
        io.Must(CompareAndWrite(io, blocks, next, expected));
        io.ExpectPattern(0, blocks, 12, io.Buffer(blocks));
        if (!io.Volume.Has(VolumeCapabilities.RetainsData)) return;
        Assert.Equal(IoStatus.Miscompare, io.Do(CompareAndWrite(io, blocks, next, expected)));
        io.ExpectPattern(0, blocks, 12, io.Buffer(blocks));
    }

    [Theory, MemberData(nameof(Devices))]
    public void Copy_copies(string device)
    {
        using var rig = new Rig(device);
        using var io = new TestIo(rig.Device);
        if (!Claims(io, IoOperation.Copy)) return;
        var data = Data(io);
        io.WritePattern(2, 5, 13, data);
        var to = io.Volume.BlockCount - 5;
        io.Must(io.Make(IoOperation.Copy, to, 5, IoFlags.None, auxiliary: 2));
        io.Must(io.Make(IoOperation.Read, to, 5, data));
        if (io.Volume.Has(VolumeCapabilities.RetainsData)) Pattern.Check(data.Span(5 * io.Volume.BlockSize), 2, io.Volume.BlockSize, 13);
        io.ExpectPattern(2, 5, 13, data);
    }

    private static uint Largest(in VolumeInfo volume) =>
        (uint)Math.Min(Math.Min(volume.MaxTransferBlocks, volume.BlockCount), MaxBytes / volume.BlockSize);

    private static TestBuffer Data(TestIo io) => io.Buffer(Math.Min(32, io.Volume.MaxTransferBlocks));

    private static bool Claims(TestIo io, IoOperation operation) => io.Volume.Has(operation.Needs());

    private static IoDescriptor* Scattered(TestIo io, IoOperation operation, ulong lba, uint blocks, IoSegment* segments, int count)
    {
        var descriptor = io.Make(operation, lba, blocks, IoFlags.Segments);
        descriptor->Segments = segments;
        descriptor->SegmentCount = (ushort)count;
        return descriptor;
    }

    private static IoDescriptor* CompareAndWrite(TestIo io, uint blocks, TestBuffer next, TestBuffer expected)
    {
        var descriptor = io.Make(IoOperation.CompareAndWrite, 0, blocks, next);
        descriptor->Auxiliary = (ulong)expected.Address;
        return descriptor;
    }

    private static void ExpectWords(Span<byte> data, ulong word) =>
        Assert.Equal(-1, System.Runtime.InteropServices.MemoryMarshal.Cast<byte, ulong>(data).IndexOfAnyExcept(word));
}
