using Comanche.Linux;

namespace Comanche.Block.Tests;

/// <summary>What a queue of <c>block/file</c> does, in every way in which it can speak to the kernel.</summary>
public sealed unsafe class FileQueueTests
{
    public static TheoryData<Way> Ways => [.. Enum.GetValues<Way>()];

    public static TheoryData<Way> Rings => [Way.Uring, Way.Cooperative, Way.Plain, Way.Movable, Way.Polled, Way.Buffered];

    [Theory]
    [MemberData(nameof(Ways))]
    public void What_was_written_is_read_after_a_restart(Way way)
    {
        using var file = new FileFixture(way);
        var data = file.Buffer(64 << 10);
        new Random(3).NextBytes(FileFixture.Bytes(data));
        Assert.Equal(IoStatus.Success, file.Do(file.Request(IoOperation.Write, 100, data)));
        Assert.Equal(IoStatus.Success, file.Do(new IoDescriptor { Operation = IoOperation.Flush }));
        file.Restart();
        var back = file.Buffer(64 << 10);
        Assert.Equal(IoStatus.Success, file.Do(file.Request(IoOperation.Read, 100, back)));
        Assert.True(FileFixture.Bytes(back).SequenceEqual(FileFixture.Bytes(data)));
    }

    [Theory]
    [MemberData(nameof(Ways))]
    public void Random_operations_give_what_an_array_of_bytes_gives(Way way)
    {
        const int Seed = 11;
        using var file = new FileFixture(way, with: o => o with { Size = ByteSize.MiB(1) });
        var model = new byte[1 << 20];
        var random = new Random(Seed);
        var buffer = file.Buffer(64 << 10);
        for (var i = 0; i < 300; i++)
        {
            var blocks = (uint)random.Next(1, 129);
            var lba = (ulong)random.Next(0, 2048 - (int)blocks + 1);
            var length = (int)blocks * 512;
            var area = model.AsSpan((int)lba * 512, length);
            var bytes = FileFixture.Bytes(buffer)[..length];
            var operation = random.Next(5) switch { 0 => IoOperation.Write, 1 => IoOperation.WriteZeroes, 2 => IoOperation.Discard, _ => IoOperation.Read };
            if (operation == IoOperation.Write) random.NextBytes(bytes);
            var flags = operation.IsChange() && random.Next(8) == 0 ? IoFlags.ForceUnitAccess : IoFlags.None;
            if (operation == IoOperation.WriteZeroes && random.Next(2) == 0) flags |= IoFlags.NoUnmap;
            var request = file.Request(operation, lba, buffer, flags) with { BlockCount = blocks };
            Assert.Equal(IoStatus.Success, file.Do(request));
            if (operation == IoOperation.Write) bytes.CopyTo(area);
            else if (operation == IoOperation.Read) Assert.True(bytes.SequenceEqual(area), $"seed {Seed}, step {i}");
            else area.Clear();
        }

        var whole = RawFile.Read(file.Options.Path);
        Assert.True(whole.AsSpan().SequenceEqual(model));
    }

    [Theory]
    [MemberData(nameof(Ways))]
    public void Segments_are_written_and_read_in_their_order(Way way)
    {
        using var file = new FileFixture(way);
        var pieces = new[] { file.Buffer(4096), file.Buffer(512), file.Buffer(8192) };
        var random = new Random(5);
        foreach (var piece in pieces) random.NextBytes(FileFixture.Bytes(piece));
        var segments = stackalloc IoSegment[3];
        for (var i = 0; i < 3; i++) segments[i] = new IoSegment { Address = (byte*)pieces[i].Address, Length = (uint)pieces[i].Length, Region = pieces[i].Region };
        var request = new IoDescriptor { Operation = IoOperation.Write, Flags = IoFlags.Segments, SegmentCount = 3, Segments = segments, Lba = 8, BlockCount = 12800 / 512 };
        Assert.Equal(IoStatus.Success, file.Do(request));
        var whole = RawFile.Read(file.Options.Path).AsSpan(8 * 512, 12800);
        Assert.True(whole[..4096].SequenceEqual(FileFixture.Bytes(pieces[0])));
        Assert.True(whole[4096..4608].SequenceEqual(FileFixture.Bytes(pieces[1])));
        Assert.True(whole[4608..].SequenceEqual(FileFixture.Bytes(pieces[2])));

        var expected = whole.ToArray();
        foreach (var piece in pieces) FileFixture.Bytes(piece).Clear();
        Assert.Equal(IoStatus.Success, file.Do(request with { Operation = IoOperation.Read }));
        Assert.True(FileFixture.Bytes(pieces[2]).SequenceEqual(expected.AsSpan(4608)));
        Assert.True(FileFixture.Bytes(pieces[1]).SequenceEqual(expected.AsSpan(4096, 512)));

        var one = request with { Operation = IoOperation.Read, SegmentCount = 1, BlockCount = 8 };
        FileFixture.Bytes(pieces[0]).Clear();
        Assert.Equal(IoStatus.Success, file.Do(one));
        Assert.True(FileFixture.Bytes(pieces[0]).SequenceEqual(expected.AsSpan(0, 4096)));
    }

    [Theory]
    [MemberData(nameof(Ways))]
    public void A_full_batch_of_the_largest_scattered_reads_comes_back_whole(Way way)
    {
        const int Depth = 32;
        using var file = new FileFixture(way, Depth, with: o => o with { Size = ByteSize.MiB(4) });
        var content = new byte[4 << 20];
        new Random(8).NextBytes(content);
        RawFile.Write(file.Options.Path, content);
        var memory = file.Buffer(Depth * 256 * 512);
        var segments = (IoSegment*)file.Buffer(Depth * 256 * sizeof(IoSegment)).Address;
        var batch = stackalloc IoDescriptor*[Depth];
        for (var i = 0; i < Depth; i++)
        {
            // Each goes backwards through its piece of memory.
            for (var s = 0; s < 256; s++)
                segments[i * 256 + s] = new IoSegment { Address = (byte*)memory.Address + (i * 256 + 255 - s) * 512, Length = 512, Region = memory.Region };
            batch[i] = file.Slab.Take();
            *batch[i] = new IoDescriptor { Operation = IoOperation.Read, Flags = IoFlags.Segments, SegmentCount = 256, Segments = segments + i * 256, BlockCount = 256, Lba = (ulong)i * 256 };
        }

        Assert.Equal(Depth, file.Queue.Submit(batch, Depth));
        Assert.All(file.Await(Depth), s => Assert.Equal(IoStatus.Success, s));
        for (var block = 0; block < Depth * 256; block++)
        {
            var at = block / 256 * 256 + 255 - block % 256;
            Assert.True(FileFixture.Bytes(memory).Slice(at * 512, 512).SequenceEqual(content.AsSpan(block * 512, 512)), $"block {block}");
        }
    }

    [Theory]
    [MemberData(nameof(Ways))]
    public void A_queue_takes_as_many_as_it_is_deep_and_gives_each_back_once(Way way)
    {
        using var file = new FileFixture(way, depth: 4);
        var buffer = file.Buffer(512);
        using var slab = new DescriptorSlab(7);
        var batch = stackalloc IoDescriptor*[7];
        for (var i = 0; i < 7; i++)
        {
            batch[i] = slab[i];
            *batch[i] = file.Request(i == 1 ? IoOperation.Copy : IoOperation.Read, (ulong)i, buffer) with { Tag = (ulong)i };
        }

        Assert.Equal(4, file.Queue.Submit(batch, 7));
        Assert.Equal(0, file.Queue.Submit(batch + 4, 3));
        var seen = new HashSet<ulong>();
        var completed = stackalloc IoDescriptor*[1];
        while (seen.Count < 4)
        {
            if (file.Queue.Poll(completed, 1) == 0)
            {
                Sleeper.Sleep(file.Queue, 100);
                continue;
            }

            Assert.True(seen.Add(completed[0]->Tag));
            Assert.Equal(completed[0]->Tag == 1 ? IoStatus.Unsupported : IoStatus.Success, completed[0]->Status);
        }

        Assert.Equal(0, file.Queue.Poll(completed, 1));
        Assert.Equal(WaitSet.Forever, Arm(file.Queue));
        Assert.Equal(3, file.Queue.Submit(batch + 4, 3));
        file.Await(3);
    }

    [Theory]
    [MemberData(nameof(Ways))]
    public void What_breaks_the_contract_comes_back_with_a_status_and_leaves_the_file_alone(Way way)
    {
        using var file = new FileFixture(way);
        var buffer = file.Buffer(1024);
        var blocks = file.Volume.BlockCount;
        Assert.Equal(IoStatus.OutOfRange, file.Do(file.Request(IoOperation.Write, blocks - 1, buffer)));
        Assert.Equal(IoStatus.OutOfRange, file.Do(file.Request(IoOperation.Write, blocks, buffer)));
        Assert.Equal(IoStatus.OutOfRange, file.Do(file.Request(IoOperation.Read, ulong.MaxValue, buffer)));
        Assert.Equal(IoStatus.InvalidArgument, file.Do(file.Request(IoOperation.Read, 0, buffer) with { BlockCount = 0 }));
        Assert.Equal(IoStatus.Unsupported, file.Do(file.Request(IoOperation.Compare, 0, buffer)));
        Assert.Equal(IoStatus.Success, file.Do(new IoDescriptor { Operation = IoOperation.None }));
        Assert.Equal((long)file.Volume.ByteLength, new FileInfo(file.Options.Path).Length);
    }

    [Fact]
    public void A_misaligned_buffer_is_called_so_or_read_all_the_same()
    {
        // The entry queue refuses it before it gets here; below it the kernel decides, and kernels differ.
        using var file = new FileFixture();
        var buffer = file.Buffer(8192);
        FileFixture.Bytes(buffer).Fill(9);
        var request = file.Request(IoOperation.Read, 0, buffer);
        request.Buffer += 1;
        request.BlockCount = 1;
        request.Region = 0;
        var status = file.Do(request);
        DeviceHealth health;
        file.Device.GetHealth(&health);
        Assert.Equal(status == IoStatus.Success ? (IoStatus.Success, 0ul) : (IoStatus.Misaligned, 1ul), (status, health.ReadErrors));
        if (status == IoStatus.Success) Assert.False(FileFixture.Bytes(buffer).Slice(1, 512).ContainsAnyExcept((byte)0));
        Assert.Equal(9, FileFixture.Bytes(buffer)[0]);
        Assert.Equal(9, FileFixture.Bytes(buffer)[513]);
    }

    [Fact]
    public void A_refused_buffer_is_called_misaligned_where_it_is()
    {
        using var file = new FileFixture();
        var volume = file.Volume with { BufferAlignment = 512 };
        var rules = new FileQueueRules(file.Device.Medium, volume);
        var request = file.Request(IoOperation.Read, 0, file.Buffer(4096));
        Assert.Equal(IoStatus.InvalidArgument, rules.Status(&request, Errno.EINVAL));
        request.Buffer++;
        Assert.Equal(IoStatus.Misaligned, rules.Status(&request, Errno.EINVAL));
        Assert.Equal(IoStatus.MediaError, rules.Status(&request, Errno.EIO));
        var segment = new IoSegment { Address = request.Buffer - 1, Length = 511 };
        request.Segments = &segment;
        request.SegmentCount = 1;
        request.Flags = IoFlags.Segments;
        Assert.Equal(IoStatus.Misaligned, rules.Status(&request, Errno.EINVAL));
    }

    [Theory]
    [MemberData(nameof(Ways))]
    public void A_discard_gives_the_space_back(Way way)
    {
        using var file = new FileFixture(way);
        Assert.True(file.Volume.Has(VolumeCapabilities.Discard | VolumeCapabilities.DiscardReadsZero));
        var data = file.Buffer(1 << 20);
        FileFixture.Bytes(data).Fill(7);
        Assert.Equal(IoStatus.Success, file.Do(file.Request(IoOperation.Write, 0, data)));
        Assert.Equal(IoStatus.Success, file.Do(new IoDescriptor { Operation = IoOperation.Flush }));
        Assert.True(FileFixture.Allocated(file.Options.Path) >= 2048);
        Assert.Equal(IoStatus.Success, file.Do(file.Request(IoOperation.Discard, 0, data)));
        Assert.True(FileFixture.Allocated(file.Options.Path) < 64);
        Assert.Equal(IoStatus.Success, file.Do(file.Request(IoOperation.Read, 0, data)));
        Assert.True(FileFixture.Bytes(data).IndexOfAnyExcept((byte)0) < 0);
    }

    [Theory]
    [MemberData(nameof(Ways))]
    public void Zeroes_keep_their_space_where_that_is_asked(Way way)
    {
        using var file = new FileFixture(way);
        var data = file.Buffer(1 << 20);
        FileFixture.Bytes(data).Fill(7);
        Assert.Equal(IoStatus.Success, file.Do(file.Request(IoOperation.Write, 0, data)));
        Assert.Equal(IoStatus.Success, file.Do(file.Request(IoOperation.WriteZeroes, 0, data, IoFlags.NoUnmap | IoFlags.ForceUnitAccess)));
        Assert.True(FileFixture.Allocated(file.Options.Path) >= 2048);
        Assert.Equal(IoStatus.Success, file.Do(file.Request(IoOperation.Read, 0, data)));
        Assert.True(FileFixture.Bytes(data).IndexOfAnyExcept((byte)0) < 0);
        Assert.Equal(IoStatus.Success, file.Do(file.Request(IoOperation.WriteZeroes, 0, data)));
        Assert.True(FileFixture.Allocated(file.Options.Path) < 64);
    }

    [Theory]
    [MemberData(nameof(Rings))]
    public void A_sleep_ends_when_an_operation_does(Way way)
    {
        using var file = new FileFixture(way, depth: 2);
        var buffer = file.Buffer(4096);
        var completed = stackalloc IoDescriptor*[2];
        var descriptor = file.Slab.Take();
        var descriptors = stackalloc int[4];
        var sleeps = 0;
        for (var i = 0; i < 300; i++)
        {
            // A flush ends on another thread of the kernel, a read in an interrupt.
            *descriptor = i % 3 == 0 ? new IoDescriptor { Operation = IoOperation.Flush } : file.Request(i % 3 == 1 ? IoOperation.Read : IoOperation.Write, (ulong)i, buffer);
            Assert.Equal(1, file.Queue.Submit(&descriptor, 1));
            while (file.Queue.Poll(completed, 2) == 0)
            {
                var waitSet = new WaitSet { Descriptors = descriptors, Capacity = 4 };
                var deadline = file.Queue.Arm(&waitSet);
                if (deadline == 0) continue;
                Assert.Equal(1, waitSet.Count);
                sleeps++;
                Assert.True(Poll.Wait(&waitSet, 5_000_000_000) > 0, $"the sleep for operation {i} did not end");
            }
        }

        Assert.True(sleeps > 0);
        Assert.Equal(WaitSet.Forever, Arm(file.Queue));
    }

    [Theory]
    [MemberData(nameof(Rings))]
    public void A_queue_waits_by_itself(Way way)
    {
        using var file = new FileFixture(way, depth: 4);
        var waiting = Assert.IsType<IWaitingQueue>(file.Queue, exactMatch: false);
        Assert.False(waiting.Wait(1, 1_000_000));
        var buffer = file.Buffer(16384);
        var batch = stackalloc IoDescriptor*[4];
        for (var i = 0; i < 4; i++)
        {
            batch[i] = file.Slab.Take();
            *batch[i] = file.Request(IoOperation.Read, (ulong)i * 8, buffer) with { BlockCount = 8, Buffer = (byte*)buffer.Address + i * 4096 };
        }

        Assert.Equal(4, file.Queue.Submit(batch, 4));
        for (var done = 0; done < 4;)
        {
            done += file.Queue.Poll(batch, 4);
            if (done < 4) Assert.True(waiting.Wait(4 - done, 5_000_000_000));
        }
    }

    [Fact]
    public void An_idle_poll_makes_no_system_call()
    {
        using var file = new FileFixture();
        var completed = stackalloc IoDescriptor*[8];
        Assert.Equal(IoStatus.Success, file.Do(file.Request(IoOperation.Read, 0, file.Buffer(4096))));
        var before = file.Host.Counter("io.syscalls");
        for (var i = 0; i < 1000; i++) Assert.Equal(0, file.Queue.Poll(completed, 8));
        Assert.Equal(before, file.Host.Counter("io.syscalls"));
    }

    [Fact]
    public void A_batch_is_submitted_by_one_system_call_for_every_portion()
    {
        using var file = new FileFixture(depth: 32);
        var buffer = file.Buffer(32 * 4096);
        var batch = stackalloc IoDescriptor*[32];
        for (var i = 0; i < 32; i++)
        {
            batch[i] = file.Slab.Take();
            *batch[i] = file.Request(IoOperation.Read, (ulong)i * 8, buffer) with { BlockCount = 8, Buffer = (byte*)buffer.Address + i * 4096 };
        }

        var before = file.Host.Counter("io.syscalls");
        var portion = UringFileQueue.PortionOf(32);
        Assert.Equal(portion, file.Queue.Submit(batch, portion));
        Assert.Equal(before + 1, file.Host.Counter("io.syscalls"));
        Assert.Equal(32 - portion, file.Queue.Submit(batch + portion, 32 - portion));
        Assert.Equal(before + (ulong)(32 / portion), file.Host.Counter("io.syscalls"));
        file.Await(32);
    }

    [Theory]
    [MemberData(nameof(Ways))]
    public void An_operation_allocates_nothing(Way way)
    {
        using var file = new FileFixture(way, depth: 8);
        var buffer = file.Buffer(8 * 4096);
        var batch = stackalloc IoDescriptor*[8];
        var completed = stackalloc IoDescriptor*[8];
        for (var i = 0; i < 8; i++)
        {
            batch[i] = file.Slab.Take();
            *batch[i] = file.Request(i % 2 == 0 ? IoOperation.Read : IoOperation.Write, (ulong)i * 8, buffer) with { BlockCount = 8, Buffer = (byte*)buffer.Address + i * 4096 };
        }

        var queue = file.Queue;
        long allocated = 0;
        for (var round = 0; round < 40; round++)
        {
            if (round == 20) allocated = GC.GetAllocatedBytesForCurrentThread(); // Everything has run once by then.
            queue.Submit(batch, 8);
            for (var done = 0; done < 8;) done += queue.Poll(completed, 8);
        }

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - allocated);
    }

    [Fact]
    public void Registered_memory_is_used_while_its_region_lives_and_never_after()
    {
        using var file = new FileFixture();
        var content = new byte[4096];
        new Random(1).NextBytes(content);
        RawFile.Write(file.Options.Path, content);

        for (var i = 0; i < 20; i++)
        {
            // Each buffer comes while the queue is open, and goes again.
            var buffer = file.Device.AllocateIoBuffer(8192, 4096, -1);
            IoBufferInfo info;
            file.Device.GetBufferInfo(buffer, &info);
            Assert.NotEqual(0u, info.Region);
            var request = file.Request(IoOperation.Read, 0, info) with { BlockCount = 8 };
            Assert.Equal(IoStatus.Success, file.Do(request));
            Assert.True(FileFixture.Bytes(info)[..4096].SequenceEqual(content));

            // A number of another use of the slot, and memory outside the region, go the ordinary way.
            var other = file.Buffer(4096);
            Assert.Equal(IoStatus.Success, file.Do(request with { Region = info.Region + MemoryRegion.MaxSlots }));
            Assert.Equal(IoStatus.Success, file.Do(request with { Buffer = (byte*)other.Address }));
            Assert.True(FileFixture.Bytes(other).SequenceEqual(content));
            file.Device.FreeIoBuffer(buffer);
            Assert.Equal(IoStatus.Success, file.Do(request with { Buffer = (byte*)other.Address, Region = info.Region }));
        }
    }

    [Fact]
    public void A_file_that_was_cut_short_gives_an_error_and_no_short_read()
    {
        using var file = new FileFixture();
        var buffer = file.Buffer(8192);
        Assert.Equal(IoStatus.Success, file.Do(file.Request(IoOperation.Read, 0, buffer)));
        RawFile.Cut(file.Options.Path, 4096);
        Assert.Equal(IoStatus.MediaError, file.Do(file.Request(IoOperation.Read, 0, buffer)));
        DeviceHealth health;
        file.Device.GetHealth(&health);
        Assert.Equal((1ul, 0ul), (health.ReadErrors, health.WriteErrors));
    }

    private static long Arm(IIoQueue queue)
    {
        var descriptors = stackalloc int[4];
        var waitSet = new WaitSet { Descriptors = descriptors, Capacity = 4 };
        return queue.Arm(&waitSet);
    }
}
