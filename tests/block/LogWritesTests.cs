using System.Runtime.CompilerServices;
using System.Text;
using Comanche.Testing;

namespace Comanche.Block.Tests;

public sealed unsafe class LogWritesTests : IDisposable
{
    private readonly TestStack _stack = new();

    public void Dispose() => _stack.Dispose();

    [Fact]
    public void The_structures_are_as_long_as_the_format_says()
    {
        Assert.Equal(128, Unsafe.SizeOf<LogSuperBlock>());
        Assert.Equal(128, Unsafe.SizeOf<LogEntryHeader>());
        Assert.Equal(24, Unsafe.SizeOf<LogCompletion>());
        Assert.Equal("CMNCHLGW", Encoding.ASCII.GetString(BitConverter.GetBytes(LogSuperBlock.MagicValue)));
        Assert.Equal("LWE1", Encoding.ASCII.GetString(BitConverter.GetBytes(LogEntryHeader.MagicValue)));
    }

    [Theory]
    [InlineData(512, 512)]
    [InlineData(512, 4096)]
    [InlineData(4096, 512)]
    public void A_log_replayed_is_the_device_at_its_end_and_at_every_mark(int dataBlock, int logBlock)
    {
        var data = _stack.AddMemory(1, (uint)dataBlock);
        var log = _stack.AddMemory(16, (uint)logBlock);
        var device = AddLog(data, log, create: true);
        var random = new Random(5);
        var images = new Dictionary<string, byte[]>();
        using (var queue = new TestQueue(device))
        {
            for (var i = 0; i < 300; i++)
            {
                RandomOperation(queue, random, blocks: (ulong)((1 << 20) / dataBlock));
                if (i % 60 != 0) continue;
                ((IBase)device).Query<IWriteLog>()!.Mark($"step {i}");
                images.Add($"step {i}", ReadAll(data));
            }
        }

        device.Stop();
        images.Add("", ReadAll(data));
        using var reader = new LogReader(log, _stack.Host, "log");
        Assert.Equal(LogState.Closed, reader.State);
        Assert.Equal(0UL, reader.MissingEvents);
        Assert.All(reader.Entries, e => Assert.True(e.Kind == LogEntryKind.Mark || e.CompletedSequence > e.Sequence));
        foreach (var (mark, image) in images)
        {
            var target = _stack.AddMemory(1, (uint)dataBlock);
            LogReplay.Apply(reader, mark.Length == 0 ? ulong.MaxValue : reader.FindMark(mark)!.Sequence, target, _stack.Host, "target");
            Assert.True(image.AsSpan().SequenceEqual(ReadAll(target)), $"differs at mark '{mark}'");
        }

    }

    [Fact]
    public void Submissions_and_completions_are_numbered_in_the_order_in_which_they_happened()
    {
        var scripted = _stack.Add(new ScriptedDevice(_stack.Host));
        var log = _stack.AddMemory(4);
        var device = AddLog(scripted, log, create: true);
        using (var queue = new TestQueue(device))
        {
            var below = scripted.Queues[0];
            queue.Submit(queue.Make(IoOperation.Write, 10, 1));
            queue.Submit(queue.Make(IoOperation.Write, 20, 1));
            below.LetGoAt(1);
            Assert.Equal([1UL], Drain(queue));
            queue.Submit(queue.Make(IoOperation.Flush)); // Covers 20 and not 10.
            below.LetGo();
            Assert.Equal([0UL, 2UL], Drain(queue).Order().ToArray());
        }

        device.Stop();
        using var reader = new LogReader(log, _stack.Host, "log");
        var (ten, twenty, flush) = (reader.Entries[0], reader.Entries[1], reader.Entries[2]);
        Assert.Equal((10UL, 20UL, IoOperation.Flush), (ten.Lba, twenty.Lba, flush.Operation));
        Assert.True(twenty.CompletedSequence < flush.Sequence);
        Assert.True(ten.CompletedSequence > flush.Sequence);
    }

    [Fact]
    public void Reads_are_not_logged_and_copied_bytes_are_counted_once()
    {
        var log = _stack.AddMemory(4);
        var device = AddLog(_stack.AddMemory(), log, create: true);
        using (var queue = new TestQueue(device))
        {
            queue.Write(1, 3, 9);
            Assert.Equal(9, queue.ReadByte(3));
            queue.Flush();
        }

        Assert.Equal(3 * 512UL, _stack.Host.Counter("io.copied"));
        device.Stop();
        using (var reader = new LogReader(log, _stack.Host, "log"))
            Assert.Equal([IoOperation.Write, IoOperation.Flush], reader.Entries.Select(e => e.Operation).ToArray());
    }

    [Fact]
    public void Segments_are_gathered_into_one_payload()
    {
        var log = _stack.AddMemory(4);
        var device = AddLog(_stack.AddMemory(), log, create: true);
        using (var queue = new TestQueue(device))
        {
            var segments = stackalloc IoSegment[2];
            for (var i = 0; i < 2; i++) segments[i] = new IoSegment { Address = queue.Make(IoOperation.Write, 0, 2, (byte)(i + 1))->Buffer, Length = 1024 };
            var write = queue.Make(IoOperation.Write, 8, 4, 0, IoFlags.Segments);
            var own = write->Buffer;
            write->Segments = segments;
            write->SegmentCount = 2;
            Assert.Equal(IoStatus.Success, queue.Do(write));
            write->Buffer = own;
        }

        device.Stop();
        using (var reader = new LogReader(log, _stack.Host, "log"))
        {
            var payload = new byte[2048];
            reader.ReadPayload(reader.Entries[0], payload);
            Assert.Equal(IoFlags.None, reader.Entries[0].Flags);
            Assert.Equal(-1, payload.AsSpan(0, 1024).IndexOfAnyExcept((byte)1));
            Assert.Equal(-1, payload.AsSpan(1024).IndexOfAnyExcept((byte)2));
        }
    }

    [Fact]
    public void A_full_log_refuses_changes_before_they_are_done_and_keeps_what_it_has()
    {
        var data = _stack.AddMemory();
        var log = _stack.Add(new MemoryDevice(_stack.Host, new MemoryOptions { Size = ByteSize.KiB(40) }));
        var device = AddLog(data, log, create: true);
        var before = device.GetEventNumber();
        var done = 0;
        using (var queue = new TestQueue(device))
        {
            while (queue.Write((ulong)done, 1, 0x33) == IoStatus.Success) done++;
            Assert.InRange(done, 10, 25);
            Assert.Equal(IoStatus.NoSpace, queue.Write(100, 1, 1));
            Assert.Equal(IoStatus.NoSpace, queue.Flush());
            Assert.Equal(IoStatus.NoSpace, queue.Do(queue.Make(IoOperation.Discard, 0, 8)));
            Assert.Equal(0x33, queue.ReadByte((ulong)done - 1));
            Assert.Equal(0, queue.ReadByte((ulong)done));
            Assert.Equal(0, queue.ReadByte(100));
        }

        DeviceHealth health;
        device.GetHealth(&health);
        Assert.Equal(DeviceState.Failed, health.State);
        Assert.True(device.GetEventNumber() > before);
        Assert.Contains(_stack.Host.Lines, l => l.Level == LogLevel.Error && l.Message.Contains("full", StringComparison.Ordinal));
        Assert.Throws<ComancheException>(() => device.Mark("too late"));
        device.Stop();
        using (var reader = new LogReader(log, _stack.Host, "log"))
        {
            Assert.Equal(LogState.Full, reader.State);
            Assert.Equal(done, reader.Entries.Count);
            Assert.All(reader.Entries, e => Assert.True(e.CompletedSequence != 0 && e.Status == IoStatus.Success));
        }
    }

    [Fact]
    public void A_failed_write_to_the_log_fails_the_operation_and_ends_logging()
    {
        var memory = _stack.AddMemory(4);
        var faulty = _stack.Add(new ErrorDevice(_stack.Host, new ErrorOptions
        {
            Rules = [new ErrorRule { Operations = [IoOperation.Write], Enabled = false, Status = IoStatus.MediaError }],
        }), ("", memory));
        var device = AddLog(_stack.AddMemory(), faulty, create: true);
        using (var queue = new TestQueue(device))
        {
            queue.Write(1, 1, 1);
            faulty.SetEnabled(0, 1);
            Assert.Equal(IoStatus.MediaError, queue.Write(2, 1, 2));
            faulty.SetEnabled(0, 0);
            Assert.Equal(IoStatus.MediaError, queue.Write(3, 1, 3));
            Assert.Equal(0, queue.ReadByte(3));
        }

        WriteLogInfo info;
        device.GetLogInfo(&info);
        Assert.Equal(LogState.Incomplete, info.State);
        device.Stop();
        using (var reader = new LogReader(memory, _stack.Host, "log"))
        {
            Assert.Equal(LogState.Incomplete, reader.State);
            Assert.True(reader.MissingEvents > 0);
        }

        var again = Assert.Throws<ComancheException>(device.Start);
        Assert.Contains("events are missing", again.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_log_is_continued_after_a_stop_and_after_a_kill_it_is_only_read()
    {
        var data = _stack.AddMemory();
        var log = _stack.AddMemory(4);
        for (var run = 0; run < 3; run++)
        {
            var device = new LogWritesDevice(_stack.Host, new LogWritesOptions { Create = run == 0 });
            device.Bind(data, "");
            device.Bind(log, "log");
            device.Start();
            using (var queue = new TestQueue(device)) queue.Write((ulong)run, 1, (byte)(run + 1));
            if (run != 2) device.Stop(); // The last run is killed: its super block still says open, and what it did last may be missing.
        }

        var next = new LogWritesDevice(_stack.Host, new LogWritesOptions());
        next.Bind(data, "");
        next.Bind(log, "log");
        Assert.Contains("was not closed", Assert.Throws<ComancheException>(next.Start).Message);
        next.Release();
        using (var reader = new LogReader(log, _stack.Host, "log"))
        {
            Assert.Equal([0UL, 1UL, 2UL], reader.Entries.Select(e => e.Lba).ToArray());
            var target = _stack.AddMemory();
            Assert.Equal(3, LogReplay.Apply(reader, ulong.MaxValue, target, _stack.Host, "target"));
            Assert.True(ReadAll(data).AsSpan().SequenceEqual(ReadAll(target)));
        }
    }

    [Fact]
    public void What_a_killed_writer_left_is_found_without_the_entries_that_are_torn()
    {
        var log = _stack.AddMemory(4);
        var device = AddLog(_stack.AddMemory(), log, create: true);
        using (var queue = new TestQueue(device))
            for (var i = 0; i < 5; i++) queue.Write((ulong)i, 2, 7);
        using (var io = new SyncIo(log, _stack.Host, "log"))
        {
            // Entries of 3 blocks, each with a completion of 1 behind it: the last completion is lost, and half of its entry.
            var first = LogFormat.FirstEntry(512);
            io.Write(first + 4 * 4 + 3, new byte[512]);
            io.Write(first + 4 * 4 + 2, new byte[512]);
            io.Write(first + 4, new byte[512]); // A hole: the header of the second entry.
        }

        using (var reader = new LogReader(log, _stack.Host, "log"))
        {
            Assert.Equal(LogState.Open, reader.State);
            Assert.Equal([0UL, 2UL, 3UL], reader.Entries.Select(e => e.Lba).ToArray());
            Assert.Equal(2UL, reader.MissingEvents); // The hole and the torn one; that it had completed is not known.
        }

        device.Stop();
    }

    [Theory]
    [InlineData(8192, "offset 8192: an entry was expected")]
    [InlineData(8192 + 5, "offset 8192: an entry was expected")]
    [InlineData(8192 + 512 + 100, "offset 8704: the payload is damaged")]
    [InlineData(8192 + 1024 + 130, "offset 9344: the payload is damaged")]
    [InlineData(-1, "offset 0: no super block")]
    public void Damage_names_the_device_the_offset_and_what_was_expected(int offset, string says)
    {
        var log = _stack.AddMemory(4);
        var device = AddLog(_stack.AddMemory(), log, create: true);
        using (var queue = new TestQueue(device)) queue.Write(0, 1, 7);
        device.Stop();
        using (var io = new SyncIo(log, _stack.Host, "log"))
        {
            if (offset < 0)
            {
                var junk = new byte[8192];
                junk.AsSpan().Fill(0x5A);
                io.Write(0, junk);
            }
            else
            {
                var block = new byte[512];
                io.Read((ulong)offset / 512, block);
                block[offset % 512] ^= 0x10;
                io.Write((ulong)offset / 512, block);
            }
        }

        var damage = Assert.Throws<ComancheException>(() =>
        {
            using var reader = new LogReader(log, _stack.Host, "journal");
            reader.ReadPayload(reader.Entries[0], new byte[512]);
        });
        Assert.StartsWith("journal: " + says, damage.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_super_block_that_is_torn_leaves_the_other_copy()
    {
        var log = _stack.AddMemory(4);
        var device = AddLog(_stack.AddMemory(), log, create: true); // Generation 1, copy 1.
        using (var queue = new TestQueue(device)) queue.Write(0, 1, 7);
        device.Stop(); // Generation 2, copy 0.
        using (var io = new SyncIo(log, _stack.Host, "log")) io.Write(0, new byte[512]);
        using (var reader = new LogReader(log, _stack.Host, "log"))
        {
            Assert.Equal(LogState.Open, reader.State);
            Assert.Equal(0UL, reader.MissingEvents);
            Assert.Single(reader.Entries);
        }
    }

    [Fact]
    public void Foreign_blank_and_mismatched_log_devices_are_refused()
    {
        var data = _stack.AddMemory();
        var blank = _stack.AddMemory(4);
        Assert.Contains("create: true", Assert.Throws<ComancheException>(() => AddLog(data, blank, create: false)).Message, StringComparison.Ordinal);
        var foreign = _stack.AddMemory(4);
        using (var io = new SyncIo(foreign, _stack.Host, "foreign")) io.Write(3, Enumerable.Repeat((byte)1, 512).ToArray());
        var before = ReadAll(foreign);
        Assert.Contains("not blank", Assert.Throws<ComancheException>(() => AddLog(data, foreign, create: true)).Message, StringComparison.Ordinal);
        Assert.True(before.AsSpan().SequenceEqual(ReadAll(foreign)));
        AddLog(data, blank, create: true).Stop();
        var other = _stack.AddMemory(2);
        Assert.Contains("belongs to a device of 2048 blocks", Assert.Throws<ComancheException>(() => AddLog(other, blank, create: true)).Message, StringComparison.Ordinal);
        var tiny = _stack.Add(new MemoryDevice(_stack.Host, new MemoryOptions { Size = ByteSize.KiB(8) }));
        Assert.Contains("too few", Assert.Throws<ComancheException>(() => AddLog(data, tiny, create: true)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Random_traffic_in_small_buffers_on_two_queues_loses_no_event()
    {
        var data = _stack.AddMemory();
        var log = _stack.AddMemory(32);
        var options = new LogWritesOptions { Create = true, MaxTransfer = ByteSize.KiB(16), Buffer = ByteSize.KiB(64) };
        var device = _stack.Add(new LogWritesDevice(_stack.Host, options), ("", data), ("log", log));
        var random = new Random(77);
        var queues = new[] { new TestQueue(device, 16), new TestQueue(device, 3) };
        Assert.Equal(32u, queues[0].Volume.MaxTransferBlocks);
        var submitted = 0;
        var inFlight = 0;
        for (var i = 0; i < 900; i++)
        {
            var queue = queues[random.Next(2)];
            var flush = random.Next(5) == 0;
            var io = queue.Make(flush ? IoOperation.Flush : IoOperation.Write, (ulong)random.Next(2000), flush ? 0 : (uint)random.Next(1, 33), (byte)i);
            if (queue.Submit(io)) (submitted, inFlight) = (submitted + 1, inFlight + 1);
            if (random.Next(3) == 0) inFlight -= queues[random.Next(2)].Poll(random.Next(8)).Count;
        }

        for (var i = 0; i < 1000 && inFlight != 0; i++) inFlight -= queues.Sum(q => q.Poll().Count);
        Assert.Equal(0, inFlight);
        foreach (var queue in queues) queue.Dispose();
        device.Stop();
        Assert.True(submitted > 200);
        using (var reader = new LogReader(log, _stack.Host, "log"))
        {
            Assert.Equal(submitted, reader.Entries.Count);
            Assert.Equal((ulong)submitted * 2, reader.LastSequence);
            Assert.All(reader.Entries, e => Assert.True(e.CompletedSequence > e.Sequence));
        }
    }

    [Fact]
    public void An_abandoned_queue_leaves_no_hole_in_the_log()
    {
        var data = _stack.Add(new ScriptedDevice(_stack.Host));
        var log = _stack.AddMemory(4);
        var device = AddLog(data, log, create: true);
        using (var queue = new TestQueue(device))
        {
            queue.Submit(queue.Make(IoOperation.Write, 1, 1));
            queue.Submit(queue.Make(IoOperation.Flush));
            queue.Queue.Abandon();
            Assert.Equal([0UL, 1UL], Drain(queue).Order().ToArray());
            Assert.False(queue.Submit(queue.Make(IoOperation.Flush)));
        }

        WriteLogInfo info;
        device.GetLogInfo(&info);
        Assert.NotEqual(LogState.Incomplete, info.State);
        device.Stop();
        using var reader = new LogReader(log, _stack.Host, "log");
        Assert.Equal(LogState.Closed, reader.State);
    }

    [Fact]
    public void Nothing_is_allocated_per_io()
    {
        var device = AddLog(_stack.AddMemory(), _stack.AddMemory(64), create: true);
        using (var queue = new TestQueue(device))
        {
            var write = (nint)queue.Make(IoOperation.Write, 0, 8);
            var flush = (nint)queue.Make(IoOperation.Flush);
            Assert.Equal(0, Allocation.Measure(2000, () =>
            {
                var batch = stackalloc IoDescriptor*[2];
                batch[0] = (IoDescriptor*)write;
                batch[1] = (IoDescriptor*)flush;
                var done = queue.Queue.Submit(batch, 2);
                while (done != 0) done -= queue.Queue.Poll(batch, 2);
            }));
        }
    }

    [Fact]
    public void The_plan_limits_the_transfer_to_what_the_log_takes_at_once()
    {
        var data = TestPlan.Of<MemoryDevice>(new MemoryOptions { Size = ByteSize.MiB(1) }).Volume!.Value;
        var log = data with { MaxTransferBlocks = 10 };
        var plan = TestPlan.OfBound<LogWritesDevice>(new LogWritesOptions(), new PlannedBinding("data", "", data), new PlannedBinding("log", "log", log));
        Assert.Equal(8u, plan.Volume!.Value.MaxTransferBlocks);
        var small = TestPlan.OfBound<LogWritesDevice>(
            new LogWritesOptions(), new PlannedBinding("data", "", data), new PlannedBinding("log", "log", log with { MaxTransferBlocks = 1 }));
        Assert.Equal("max-transfer", Assert.Single(small.Errors).Option);
        var forgetful = TestPlan.OfBound<LogWritesDevice>(new LogWritesOptions(), new PlannedBinding("data", "", data),
            new PlannedBinding("log", "log", TestPlan.Of<NullDevice>(new NullOptions()).Volume));
        Assert.Contains("keep", Assert.Single(forgetful.Errors).Message, StringComparison.Ordinal);
    }

    private LogWritesDevice AddLog(IBase data, IBase log, bool create) =>
        _stack.Add(new LogWritesDevice(_stack.Host, new LogWritesOptions { Create = create }), ("", data), ("log", log));

    private static List<ulong> Drain(TestQueue queue)
    {
        var back = new List<ulong>();
        for (var i = 0; i < 20; i++) back.AddRange(queue.Poll().Select(b => b.Tag));
        return back;
    }

    private static void RandomOperation(TestQueue queue, Random random, ulong blocks)
    {
        var lba = (ulong)random.Next((int)blocks - 16);
        var count = (uint)random.Next(1, 16);
        var flags = random.Next(4) == 0 ? IoFlags.ForceUnitAccess : IoFlags.None;
        IoDescriptor* io;
        switch (random.Next(8))
        {
            case 0:
                io = queue.Make(IoOperation.WriteZeroes, lba, count, 0, flags);
                break;
            case 1:
                io = queue.Make(IoOperation.Fill, lba, count, 0, flags);
                io->Auxiliary = (ulong)random.NextInt64();
                break;
            case 2:
                io = queue.Make(IoOperation.Discard, lba, count);
                break;
            case 3:
                io = queue.Make(IoOperation.Flush);
                break;
            case 4 when lba >= 16:
                io = queue.Make(IoOperation.Copy, lba, count);
                io->Auxiliary = lba - 16;
                break;
            case 5:
                io = queue.Make(IoOperation.CompareAndWrite, lba, 1, 0xCC);
                io->Auxiliary = (ulong)queue.Make(IoOperation.Read, 0, 1, (byte)(random.Next(2) * 0x77))->Buffer;
                break;
            default:
                io = queue.Make(IoOperation.Write, lba, count, (byte)random.Next(256), flags);
                break;
        }

        var status = queue.Do(io);
        Assert.True(status is IoStatus.Success or IoStatus.Miscompare, $"{io->Operation}: {status}");
    }

    private byte[] ReadAll(MemoryDevice device)
    {
        using var io = new SyncIo(device, _stack.Host, "memory");
        var image = new byte[io.Volume.ByteLength];
        io.Read(0, image);
        return image;
    }
}
