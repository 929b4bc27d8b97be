using System.Runtime.InteropServices;

namespace Comanche.Testing;

/// <summary>How a volume is put beside its model.</summary>
public sealed record ModelOptions
{
    /// <summary>Where the operations come from.</summary>
    public required int Seed { get; init; }

    /// <summary>How many operations.</summary>
    public int Operations { get; init; } = 300;

    /// <summary>The depth of each queue.</summary>
    public int Depth { get; init; } = 8;

    /// <summary>How many queues.</summary>
    public int Queues { get; init; } = 1;

    /// <summary>The most blocks of an operation.</summary>
    public uint MostBlocks { get; init; } = 256;
}

/// <summary>
/// Runs random operations on a volume and on an array of bytes, many in flight but never two on the same blocks, and throws at the first difference. Reads
/// are checked to the last byte, also that nothing beside the segments was touched.
/// </summary>
public sealed unsafe class VolumeModel : IDisposable
{
    private const byte Untouched = 0xA5;

    private readonly ModelOptions _options;
    private readonly Random _random;
    private readonly VolumeInfo _volume;
    private readonly IIoQueue[] _queues;
    private readonly Slot[] _slots;
    private readonly byte[] _model;
    private readonly List<IoOperation> _operations = [IoOperation.Read, IoOperation.Read, IoOperation.Write, IoOperation.Write, IoOperation.Flush];
    private int _step;

    private VolumeModel(IBlockDevice device, ModelOptions options)
    {
        _options = options;
        _random = new Random(options.Seed);
        VolumeInfo volume;
        device.GetVolumeInfo(&volume);
        _volume = volume;
        _model = new byte[volume.ByteLength];
        foreach (var operation in (ReadOnlySpan<IoOperation>)[IoOperation.WriteZeroes, IoOperation.Fill, IoOperation.Compare, IoOperation.CompareAndWrite])
            if (volume.Has(operation.Needs()))
                _operations.Add(operation);
        if (volume.Has(VolumeCapabilities.Discard | VolumeCapabilities.DiscardReadsZero)) _operations.Add(IoOperation.Discard);
        _queues = new IIoQueue[options.Queues];
        var queueOptions = new QueueOptions { Depth = (uint)options.Depth };
        for (var i = 0; i < _queues.Length; i++) _queues[i] = device.OpenQueue(&queueOptions);
        _slots = new Slot[options.Depth * options.Queues];
        for (var i = 0; i < _slots.Length; i++) _slots[i] = new Slot(Most, volume);
    }

    private uint Most => (uint)Math.Min(Math.Min(_options.MostBlocks, _volume.MaxTransferBlocks), _volume.BlockCount);

    /// <summary>Runs a volume, whose content is zero at the start, against a model of it.</summary>
    public static void Run(IBlockDevice device, ModelOptions options)
    {
        using var model = new VolumeModel(device, options);
        for (model._step = 0; model._step < options.Operations; model._step++) model.Step();
        model.Drain();
        model.ReadAll();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        for (var polls = 0; polls < 1_000_000 && _slots.Any(slot => slot.Busy); polls++) PollAll(check: false);
        foreach (var queue in _queues) queue.Close();
        foreach (var slot in _slots) slot.Dispose();
    }

    private void Step()
    {
        Slot? slot;
        while ((slot = Array.Find(_slots, s => !s.Busy)) is null) PollAll(check: true);
        var operation = _operations[_random.Next(_operations.Count)];
        var (lba, blocks) = Range(operation);
        while (Array.Exists(_slots, s => s.Busy && s.Overlaps(lba, blocks))) PollAll(check: true);
        Prepare(slot, operation, lba, blocks);
        Submit(slot);
        for (var polls = _random.Next(3); polls > 0; polls--) PollAll(check: true);
    }

    private (ulong Lba, uint Blocks) Range(IoOperation operation)
    {
        if (operation == IoOperation.Flush) return (0, 0);
        var most = operation.HasBuffer() ? Most : (uint)Math.Min(_volume.MaxRangeBlocks, _volume.BlockCount);
        if (operation == IoOperation.CompareAndWrite) most = Math.Min(most, _volume.CompareAndWriteBlocks);
        var blocks = _random.Next(3) == 0 ? (uint)_random.Next(1, (int)most + 1) : (uint)_random.Next(1, (int)Math.Min(most, 24) + 1);
        var lba = (ulong)_random.NextInt64((long)(_volume.BlockCount - blocks + 1));
        if (operation == IoOperation.CompareAndWrite)
        {
            // Not across a multiple of the unit.
            var room = _volume.CompareAndWriteBlocks - lba % _volume.CompareAndWriteBlocks;
            blocks = (uint)Math.Min(blocks, room);
        }

        return (lba, blocks);
    }

    private void Prepare(Slot slot, IoOperation operation, ulong lba, uint blocks)
    {
        var length = (int)(blocks * _volume.BlockSize);
        var old = _model.AsSpan((int)(lba * _volume.BlockSize), length);
        var data = new byte[length];
        _random.NextBytes(data);
        var descriptor = slot.Descriptor;
        *descriptor = new IoDescriptor { Operation = operation, Lba = lba, BlockCount = blocks, Tag = (ulong)_random.NextInt64() };
        slot.Expected = IoStatus.Success;
        slot.Range = (lba, blocks);
        slot.Tag = descriptor->Tag;
        if (operation.IsChange() && operation != IoOperation.Discard && _random.Next(4) == 0) descriptor->Flags |= IoFlags.ForceUnitAccess;
        if (operation.HasBuffer()) slot.Lay(_random, _volume, length);
        switch (operation)
        {
            case IoOperation.Read:
                slot.Data = old.ToArray();
                break;
            case IoOperation.Write:
                slot.Put(data);
                data.CopyTo(old);
                break;
            case IoOperation.Discard or IoOperation.WriteZeroes:
                old.Clear();
                break;
            case IoOperation.Fill:
                descriptor->Auxiliary = (ulong)_random.NextInt64();
                MemoryMarshal.Cast<byte, ulong>(old).Fill(descriptor->Auxiliary);
                break;
            case IoOperation.Compare:
                slot.Put(Altered(slot, old));
                break;
            case IoOperation.CompareAndWrite:
                Altered(slot, old).CopyTo(new Span<byte>(slot.Compare, length));
                descriptor->Auxiliary = (ulong)slot.Compare;
                slot.Put(data);
                if (slot.Expected == IoStatus.Success) data.CopyTo(old);
                break;
        }
    }

    // What to compare with: half of the time a byte is different.
    private byte[] Altered(Slot slot, ReadOnlySpan<byte> old)
    {
        var data = old.ToArray();
        if (_random.Next(2) == 0) return data;
        data[_random.Next(data.Length)] ^= 0x10;
        slot.Expected = IoStatus.Miscompare;
        return data;
    }

    private void Submit(Slot slot)
    {
        var queue = _queues[_random.Next(_queues.Length)];
        var descriptor = slot.Descriptor;
        slot.Busy = true;
        for (var tries = 0; queue.Submit(&descriptor, 1) == 0; tries++)
        {
            if (tries > 1_000_000) throw new ComancheException($"seed {_options.Seed}, step {_step}: the queue takes nothing any more");
            PollAll(check: true);
        }
    }

    private void PollAll(bool check)
    {
        const int Room = 5;
        var done = stackalloc IoDescriptor*[Room];
        foreach (var queue in _queues)
        {
            var count = queue.Poll(done, Room);
            for (var i = 0; i < count; i++)
            {
                var finished = done[i];
                var slot = Array.Find(_slots, s => s.Descriptor == finished) ?? throw new ComancheException($"seed {_options.Seed}: a descriptor came back that is not ours");
                if (check) Check(slot);
                slot.Busy = false;
            }
        }
    }

    private void Check(Slot slot)
    {
        var descriptor = slot.Descriptor;
        var what = $"seed {_options.Seed}, step {_step}: {descriptor->Operation} of {descriptor->BlockCount} at {descriptor->Lba}";
        if (!slot.Busy) throw new ComancheException($"{what}: came back twice");
        if (descriptor->Status != slot.Expected) throw new ComancheException($"{what}: {descriptor->Status}, {slot.Expected} was expected");
        if ((descriptor->Lba, descriptor->BlockCount) != slot.Range) throw new ComancheException($"{what}: its range was changed");
        if (descriptor->Tag != slot.Tag) throw new ComancheException($"{what}: its tag was changed");
        if (descriptor->Operation == IoOperation.Read && slot.FirstDifference() is var at and >= 0) throw new ComancheException($"{what}: byte {at} of the buffer is wrong");
    }

    private void Drain()
    {
        for (var polls = 0; Array.Exists(_slots, slot => slot.Busy); polls++)
        {
            if (polls > 10_000_000) throw new ComancheException($"seed {_options.Seed}: something does not come back");
            PollAll(check: true);
        }
    }

    private void ReadAll()
    {
        var slot = _slots[0];
        for (ulong lba = 0; lba < _volume.BlockCount;)
        {
            var blocks = (uint)Math.Min(Most, _volume.BlockCount - lba);
            Prepare(slot, IoOperation.Read, lba, blocks);
            Submit(slot);
            Drain();
            lba += blocks;
        }
    }

    /// <summary>A descriptor with its memory. The buffer has twice the room, so that segments can lie apart.</summary>
    private sealed class Slot : IDisposable
    {
        public readonly IoDescriptor* Descriptor = (IoDescriptor*)NativeMemory.AlignedAlloc(IoDescriptor.Size, IoDescriptor.Size);
        public readonly byte* Compare;
        private readonly byte* _buffer;
        private readonly nuint _length;
        private readonly IoSegment* _segments = (IoSegment*)NativeMemory.Alloc(65536, (nuint)sizeof(IoSegment));

        public Slot(uint most, in VolumeInfo volume)
        {
            var alignment = Math.Max(volume.BufferAlignment, volume.BlockSize);
            var length = (nuint)most * volume.BlockSize;
            _length = 2 * length + volume.BlockSize;
            _buffer = (byte*)NativeMemory.AlignedAlloc(_length, alignment);
            Compare = (byte*)NativeMemory.AlignedAlloc(length, alignment);
        }

        public bool Busy { get; set; }

        public IoStatus Expected { get; set; }

        public ulong Tag { get; set; }

        public byte[] Data { get; set; } = [];

        // Kept apart from the descriptor, which layers may change in flight.
        public (ulong Lba, uint Blocks) Range { get; set; }

        public bool Overlaps(ulong lba, uint blocks) => lba < Range.Lba + Range.Blocks && Range.Lba < lba + blocks;

        // Lays the data out: in one piece, or in segments of whole blocks in random places that rise.
        public void Lay(Random random, in VolumeInfo volume, int length)
        {
            new Span<byte>(_buffer, (int)_length).Fill(Untouched);
            var blockSize = (int)volume.BlockSize;
            var blocks = length / blockSize;
            if (random.Next(2) == 0)
            {
                Descriptor->Buffer = _buffer + blockSize * random.Next(blocks + 1);
                return;
            }

            var most = Math.Min(blocks, (int)Math.Min(volume.MaxSegments, 65535));
            var count = random.Next(3) == 0 ? most : random.Next(1, most + 1);
            var gaps = blocks;
            var at = 0;
            for (var i = 0; i < count; i++)
            {
                var left = count - i - 1;
                var take = left == 0 ? blocks : random.Next(1, Math.Max(1, Math.Min(blocks - left, 2 * blocks / (left + 1))) + 1);
                var gap = random.Next(Math.Min(gaps, 2) + 1);
                gaps -= gap;
                at += gap;
                _segments[i] = new IoSegment { Address = _buffer + at * blockSize, Length = (uint)(take * blockSize) };
                at += take;
                blocks -= take;
            }

            Descriptor->Flags |= IoFlags.Segments;
            Descriptor->Segments = _segments;
            Descriptor->SegmentCount = (ushort)count;
        }

        public void Put(ReadOnlySpan<byte> data) => Copy(data, new Span<byte>(_buffer, (int)_length));

        // The first byte of the buffer that is not as it should be after a read, or -1.
        public int FirstDifference()
        {
            var expected = new byte[_length];
            expected.AsSpan().Fill(Untouched);
            Copy(Data, expected);
            var same = new ReadOnlySpan<byte>(_buffer, (int)_length).CommonPrefixLength(expected);
            return same == expected.Length ? -1 : same;
        }

        public void Dispose()
        {
            NativeMemory.AlignedFree(Descriptor);
            NativeMemory.AlignedFree(_buffer);
            NativeMemory.AlignedFree(Compare);
            NativeMemory.Free(_segments);
        }

        private void Copy(ReadOnlySpan<byte> data, Span<byte> buffer)
        {
            if ((Descriptor->Flags & IoFlags.Segments) == 0)
            {
                data.CopyTo(buffer[(int)(Descriptor->Buffer - _buffer)..]);
                return;
            }

            for (var i = 0; i < Descriptor->SegmentCount; i++)
            {
                var segment = Descriptor->Segments[i];
                data[..(int)segment.Length].CopyTo(buffer[(int)(segment.Address - _buffer)..]);
                data = data[(int)segment.Length..];
            }
        }
    }
}
