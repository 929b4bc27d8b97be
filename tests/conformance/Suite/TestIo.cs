using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Comanche.Conformance.Tests;

/// <summary>
/// Drives one queue and holds it to the contract on the way: what is refused is unchanged to the byte (but for Scratch), what is accepted comes back exactly once, with the
/// submitter's fields as they were, and nothing else comes back. One thread.
/// </summary>
internal sealed unsafe class TestIo : IDisposable
{
    public const int Slots = 256;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);
    private static readonly IoDescriptor* Canary = (IoDescriptor*)0x7a7a7a7a7a7a7a7a;

    private readonly IBlockDevice _device;
    private readonly IoDescriptor* _descriptors;
    private readonly IoDescriptor[] _before = new IoDescriptor[Slots];
    private readonly bool[] _inFlight = new bool[Slots];
    private readonly List<TestBuffer> _buffers = [];
    private int _made;

    public TestIo(IBlockDevice device, uint depth = 32)
    {
        _device = device;
        VolumeInfo info;
        device.GetVolumeInfo(&info);
        Volume = info;
        var options = new QueueOptions { Depth = depth };
        Queue = device.OpenQueue(&options);
        _descriptors = (IoDescriptor*)NativeMemory.AlignedAlloc(Slots * IoDescriptor.Size, IoDescriptor.Size);
        NativeMemory.Clear(_descriptors, Slots * IoDescriptor.Size);
        Batch = (IoDescriptor**)NativeMemory.AllocZeroed(Slots + 1, (nuint)sizeof(IoDescriptor*));
        Completed = (IoDescriptor**)NativeMemory.AllocZeroed(Slots + 1, (nuint)sizeof(IoDescriptor*));
    }

    public IIoQueue Queue { get; }

    public VolumeInfo Volume { get; }

    /// <summary>What <see cref="Submit(int,int)"/> submits; the place beyond <see cref="Slots"/> is that of single ones.</summary>
    public IoDescriptor** Batch { get; }

    /// <summary>What the last <see cref="Poll"/> gave.</summary>
    public IoDescriptor** Completed { get; }

    public int InFlight { get; private set; }

    /// <summary>Makes a buffer of the device's memory; freed with the queue.</summary>
    public TestBuffer Buffer(uint blocks)
    {
        var buffer = new TestBuffer(_device, (nuint)blocks * Volume.BlockSize, Math.Max(Volume.BufferAlignment, 64));
        _buffers.Add(buffer);
        return buffer;
    }

    /// <summary>Makes a descriptor without a buffer. Every field that a layer has no business with holds a mark.</summary>
    public IoDescriptor* Make(IoOperation operation, ulong lba = 0, uint blocks = 0, IoFlags flags = IoFlags.None, ulong auxiliary = 0)
    {
        Assert.True(_made < Slots, "the test uses more descriptors than there are");
        var descriptor = _descriptors + _made;
        *descriptor = new IoDescriptor
        {
            Operation = operation, Flags = flags, Lba = lba, BlockCount = blocks, Auxiliary = auxiliary,
            Tag = 0xC0FFEE00_00000000UL + (ulong)_made, Parent = (IoDescriptor*)(0x1000 + _made * 64), Status = (IoStatus)0x7777, Pending = 0x5151, Scratch = 0x2222,
        };
        _made++;
        return descriptor;
    }

    /// <summary>Makes a descriptor with a contiguous buffer.</summary>
    public IoDescriptor* Make(IoOperation operation, ulong lba, uint blocks, TestBuffer buffer, uint bufferBlock = 0, IoFlags flags = IoFlags.None)
    {
        var descriptor = Make(operation, lba, blocks, flags);
        descriptor->Buffer = buffer.Address + (nuint)bufferBlock * Volume.BlockSize;
        descriptor->Region = buffer.Region;
        return descriptor;
    }

    /// <summary>Forgets all descriptors that were made. Nothing may be in flight.</summary>
    public void Reset()
    {
        Assert.Equal(0, InFlight);
        _made = 0;
    }

    /// <summary>Submits from <see cref="Batch"/> and returns how many were taken.</summary>
    public int Submit(int first, int count)
    {
        for (var i = first; i < first + count; i++) _before[Slot(Batch[i])] = *Batch[i];
        var taken = Queue.Submit(Batch + first, count);
        Assert.InRange(taken, 0, count);
        for (var i = first; i < first + taken; i++)
        {
            Assert.False(_inFlight[Slot(Batch[i])], "the test submitted a descriptor twice");
            _inFlight[Slot(Batch[i])] = true;
        }

        InFlight += taken;
        for (var i = first + taken; i < first + count; i++)
        {
            var before = _before[Slot(Batch[i])];
            before.Scratch = Batch[i]->Scratch; // Anyone below may overwrite it.
            var same = new Span<byte>(Batch[i], IoDescriptor.Size).SequenceEqual(new Span<byte>(&before, IoDescriptor.Size));
            Assert.True(same, $"a refused descriptor was changed: {Describe(*Batch[i])}, was {Describe(before)}");
        }

        return taken;
    }

    /// <summary>Submits one; false where it is refused.</summary>
    public bool Submit(IoDescriptor* descriptor)
    {
        Batch[Slots] = descriptor;
        return Submit(Slots, 1) == 1;
    }

    /// <summary>Submits so many of <see cref="Batch"/>, polling where the queue is full.</summary>
    public void SubmitAll(int count)
    {
        var clock = Stopwatch.StartNew();
        for (var done = 0; done < count;)
        {
            done += Submit(done, count - done);
            if (done < count) Poll();
            Assert.True(clock.Elapsed < Patience, $"the queue takes no more, with {InFlight} in flight");
        }
    }

    /// <summary>Polls once.</summary>
    public int Poll(int capacity = Slots)
    {
        for (var i = 0; i <= Slots; i++) Completed[i] = Canary;
        var count = Queue.Poll(Completed, capacity);
        Assert.InRange(count, 0, capacity);
        Assert.True(Completed[capacity] == Canary, "Poll wrote beyond its capacity");
        for (var i = 0; i < count; i++) TakeBack(Completed[i]);
        return count;
    }

    /// <summary>Polls until nothing is in flight.</summary>
    public void Drain()
    {
        var clock = Stopwatch.StartNew();
        while (InFlight != 0)
        {
            if (Poll() == 0) Thread.Yield();
            Assert.True(clock.Elapsed < Patience, $"{InFlight} descriptors do not come back");
        }
    }

    /// <summary>Does one and gives its status.</summary>
    public IoStatus Do(IoDescriptor* descriptor)
    {
        for (var clock = Stopwatch.StartNew(); !Submit(descriptor);)
        {
            Poll();
            Assert.True(clock.Elapsed < Patience, $"the queue takes no more, with {InFlight} in flight");
        }

        Drain();
        return descriptor->Status;
    }

    /// <summary>Does one that must succeed.</summary>
    public void Must(IoDescriptor* descriptor) => Assert.Equal((descriptor->Operation, IoStatus.Success), (descriptor->Operation, Do(descriptor)));

    /// <summary>Writes a pattern.</summary>
    public void WritePattern(ulong lba, uint blocks, int seed, TestBuffer buffer)
    {
        Pattern.Fill(buffer.Span(blocks * Volume.BlockSize), lba, Volume.BlockSize, seed);
        Must(Make(IoOperation.Write, lba, blocks, buffer));
        _made--;
    }

    /// <summary>Reads, and expects a pattern where the volume keeps data.</summary>
    public void ExpectPattern(ulong lba, uint blocks, int seed, TestBuffer buffer)
    {
        buffer.Span(blocks * Volume.BlockSize).Fill(0xEE);
        Must(Make(IoOperation.Read, lba, blocks, buffer));
        _made--;
        if (Volume.Has(VolumeCapabilities.RetainsData)) Pattern.Check(buffer.Span(blocks * Volume.BlockSize), lba, Volume.BlockSize, seed);
    }

    public void Dispose()
    {
        if (InFlight != 0)
        {
            // The test failed: end what is in flight, so that its failure is what is reported.
            Queue.Abandon();
            for (var clock = Stopwatch.StartNew(); InFlight != 0 && clock.Elapsed < Patience;) InFlight -= Queue.Poll(Completed, Slots);
        }

        Queue.Close();
        NativeObject.FinalRelease(Queue);
        foreach (var buffer in _buffers) buffer.Dispose();
        NativeMemory.AlignedFree(_descriptors);
        NativeMemory.Free(Batch);
        NativeMemory.Free(Completed);
    }

    private void TakeBack(IoDescriptor* descriptor)
    {
        var slot = Slot(descriptor);
        Assert.True(_inFlight[slot], $"{Describe(*descriptor)} came back though it is not in flight");
        _inFlight[slot] = false;
        InFlight--;
        ref var before = ref _before[slot];
        var same = descriptor->Operation == before.Operation && descriptor->Flags == before.Flags && descriptor->SegmentCount == before.SegmentCount
            && descriptor->BlockCount == before.BlockCount && descriptor->Region == before.Region && descriptor->Lba == before.Lba
            && descriptor->Buffer == before.Buffer && descriptor->Tag == before.Tag && descriptor->Parent == before.Parent
            && descriptor->Auxiliary == before.Auxiliary;
        Assert.True(same, $"a completed descriptor was changed: {Describe(*descriptor)}, was {Describe(before)}");
        Assert.True(Enum.IsDefined(descriptor->Status), $"{descriptor->Status} is not a status");
    }

    private int Slot(IoDescriptor* descriptor)
    {
        var slot = descriptor - _descriptors;
        Assert.True(slot >= 0 && slot < Slots && _descriptors + slot == descriptor, $"{(nint)descriptor:x} is not a descriptor of this queue's user");
        return (int)slot;
    }

    private static string Describe(in IoDescriptor d) =>
        $"{d.Operation} {d.Flags} {d.BlockCount} at {d.Lba}, status {d.Status}, segments {d.SegmentCount}, pending {d.Pending}, region {d.Region}, buffer {(nint)d.Buffer:x}, "
        + $"tag {d.Tag:x}, parent {(nint)d.Parent:x}, auxiliary {d.Auxiliary:x}, scratch {d.Scratch:x}";
}

/// <summary>A buffer of a device's memory.</summary>
internal sealed unsafe class TestBuffer : IDisposable
{
    private readonly IBlockDevice _device;
    private readonly IoBuffer _buffer;

    public TestBuffer(IBlockDevice device, nuint length, uint alignment)
    {
        _device = device;
        _buffer = device.AllocateIoBuffer(length, alignment, -1);
        IoBufferInfo info;
        device.GetBufferInfo(_buffer, &info);
        Address = (byte*)info.Address;
        Region = info.Region;
        Length = (nuint)info.Length;
    }

    public byte* Address { get; }

    public uint Region { get; }

    public nuint Length { get; }

    public Span<byte> Span() => new(Address, (int)Length);

    public Span<byte> Span(uint length) => new(Address, (int)length);

    public Span<byte> Block(uint block, uint blockSize) => new(Address + (nuint)block * blockSize, (int)blockSize);

    public void Dispose() => _device.FreeIoBuffer(_buffer);
}

/// <summary>Data that tells where it belongs: each eight bytes are made of LBA, place and seed.</summary>
internal static class Pattern
{
    public static void Fill(Span<byte> data, ulong lba, uint blockSize, int seed)
    {
        var words = MemoryMarshal.Cast<byte, ulong>(data);
        for (var i = 0; i < words.Length; i++) words[i] = Word(lba + (ulong)i * 8 / blockSize, (uint)(i * 8 % blockSize), seed);
    }

    public static void Check(ReadOnlySpan<byte> data, ulong lba, uint blockSize, int seed)
    {
        var words = MemoryMarshal.Cast<byte, ulong>(data);
        for (var i = 0; i < words.Length; i++)
        {
            var (block, at) = (lba + (ulong)i * 8 / blockSize, (uint)(i * 8 % blockSize));
            if (words[i] != Word(block, at, seed))
                Assert.Fail($"block {block}, byte {at}: {words[i]:x16} was read instead of {Word(block, at, seed):x16} (seed {seed})");
        }
    }

    private static ulong Word(ulong lba, uint at, int seed) => (lba * 0x9E3779B97F4A7C15 ^ at * 0xC2B2AE3D27D4EB4F) + (ulong)seed * 0x165667B19E3779F9;
}
