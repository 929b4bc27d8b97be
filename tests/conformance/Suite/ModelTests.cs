using System.Runtime.InteropServices;
using CsCheck;

namespace Comanche.Conformance.Tests;

/// <summary>A device against an array of bytes, under random operations. A failure prints CsCheck's seed, with which it replays.</summary>
public sealed unsafe class ModelTests
{
    // A window that straddles the places where layers break: chunks, stripe units and pages of 64 KiB and less.
    private const uint Window = 384, MaxBlocks = 160;

    public static TheoryData<string> Devices => DeviceCatalogue.Names;

    /// <summary>One operation: what, where in the window, how long, with which data, in how many segments.</summary>
    public readonly record struct Step(IoOperation Operation, uint At, uint Blocks, int Seed, int Segments, bool Fua);

    [Theory, MemberData(nameof(Devices))]
    public void A_device_is_an_array_of_bytes(string device)
    {
        using var rig = new Rig(device);
        if (!rig.Volume.Has(VolumeCapabilities.RetainsData)) return;
        Check(rig.Device, iterations: 20);
    }

    /// <summary>Holds a device against the model; on one thread, the caller's.</summary>
    internal static void Check(IBlockDevice device, int iterations)
    {
        using var io = new TestIo(device, depth: 4);
        var volume = io.Volume;
        var operations = Enum.GetValues<IoOperation>().Where(o => volume.Has(o.Needs())).Concat([IoOperation.Read, IoOperation.Read, IoOperation.Write, IoOperation.Write]).ToArray();
        var window = (uint)Math.Min(Window, volume.BlockCount);
        var step =
            from operation in Gen.Int[0, operations.Length - 1].Select(i => operations[i])
            from at in Gen.UInt[0, window - 1]
            from blocks in Gen.Frequency((3, Gen.UInt[1, 8]), (1, Gen.UInt[1, MaxBlocks]))
            from seed in Gen.Int
            from segments in Gen.Frequency((2, Gen.Const(0)), (1, Gen.Int[1, 9]))
            from fua in Gen.Bool
            select new Step(operation, at, Math.Min(blocks, window - at), seed, segments, fua);
        using var run = new ModelRun(io, window);
        step.Array[1, 40].Sample(run.Check, iter: iterations, threads: 1);
    }

    private sealed class ModelRun(TestIo io, uint window) : IDisposable
    {
        private readonly uint _blockSize = io.Volume.BlockSize;
        private readonly ulong _base = (io.Volume.BlockCount - window) / 2;
        private readonly byte[] _model = new byte[window * io.Volume.BlockSize];
        private readonly TestBuffer _buffer = io.Buffer(window * 2 + 16);
        private readonly TestBuffer _other = io.Buffer(window);
        private readonly IoSegment* _segments = (IoSegment*)NativeMemory.AlignedAlloc(64 * 16, 64);

        public void Check(Step[] steps)
        {
            // A fresh window for each run, so that a run depends on nothing but its steps.
            Array.Clear(_model);
            for (uint at = 0; at < window; at += Most) Do(new Step(IoOperation.Write, at, Math.Min(Most, window - at), 0, 0, false), clear: true);
            foreach (var step in steps) Do(step with { Blocks = Math.Min(step.Blocks, Limit(step.Operation)) });
            for (uint at = 0; at < window; at += Most) Do(new Step(IoOperation.Read, at, Math.Min(Most, window - at), 0, 0, false));
        }

        public void Dispose() => NativeMemory.AlignedFree(_segments);

        private uint Most => Math.Min(io.Volume.MaxTransferBlocks, MaxBlocks);

        private uint Limit(IoOperation operation) =>
            operation == IoOperation.CompareAndWrite ? io.Volume.CompareAndWriteBlocks : operation.HasBuffer() ? Most : Math.Max(1, Math.Min(io.Volume.MaxRangeBlocks, window));

        private void Do(Step step, bool clear = false)
        {
            io.Reset();
            var expected = _model.AsSpan((int)(step.At * _blockSize), (int)(step.Blocks * _blockSize));
            var data = new byte[expected.Length];
            if (!clear) new Random(step.Seed).NextBytes(data);
            var descriptor = io.Make(step.Operation, _base + step.At, step.Blocks);
            if (step.Fua && step.Operation is IoOperation.Write or IoOperation.WriteZeroes or IoOperation.Fill or IoOperation.Copy) descriptor->Flags |= IoFlags.ForceUnitAccess;
            switch (step.Operation)
            {
                case IoOperation.Flush or IoOperation.None:
                    descriptor->Lba = 0;
                    descriptor->BlockCount = 0;
                    io.Must(descriptor);
                    break;
                case IoOperation.Read:
                    Scatter(descriptor, step.Segments, data);
                    io.Must(descriptor);
                    Gather(descriptor, data);
                    Same(expected, data, step);
                    break;
                case IoOperation.Write:
                    Scatter(descriptor, step.Segments, data);
                    io.Must(descriptor);
                    data.CopyTo(expected);
                    break;
                case IoOperation.Compare:
                    var equal = step.Seed % 2 == 0;
                    if (equal) expected.CopyTo(data);
                    Scatter(descriptor, step.Segments, data);
                    var status = io.Do(descriptor);
                    Assert.Equal(expected.SequenceEqual(data) ? IoStatus.Success : IoStatus.Miscompare, status);
                    break;
                case IoOperation.CompareAndWrite:
                    CompareAndWrite(descriptor, step, data);
                    break;
                case IoOperation.WriteZeroes:
                    io.Must(descriptor);
                    expected.Clear();
                    break;
                case IoOperation.Fill:
                    descriptor->Auxiliary = (ulong)step.Seed * 0x9E3779B97F4A7C15;
                    io.Must(descriptor);
                    MemoryMarshal.Cast<byte, ulong>(expected).Fill(descriptor->Auxiliary);
                    break;
                case IoOperation.Discard:
                    io.Must(descriptor);
                    Discarded(step, expected);
                    break;
                case IoOperation.Copy:
                    Copy(descriptor, step);
                    break;
            }
        }

        private void CompareAndWrite(IoDescriptor* descriptor, Step step, byte[] data)
        {
            // Its range may not cross a multiple of the largest one.
            var most = io.Volume.CompareAndWriteBlocks;
            var blocks = (uint)Math.Min(step.Blocks, most - (_base + step.At) % most);
            descriptor->BlockCount = blocks;
            var expected = _model.AsSpan((int)(step.At * _blockSize), (int)(blocks * _blockSize));
            var found = _other.Span(blocks * _blockSize);
            expected.CopyTo(found);
            var equal = step.Seed % 3 != 0;
            if (!equal) found[step.Seed & (int)(_blockSize - 1)] ^= 0x40;
            descriptor->Auxiliary = (ulong)_other.Address;
            var next = data.AsSpan(0, expected.Length);
            Scatter(descriptor, 0, next);
            Assert.Equal(equal ? IoStatus.Success : IoStatus.Miscompare, io.Do(descriptor));
            if (equal) next.CopyTo(expected);
        }

        private void Copy(IoDescriptor* descriptor, Step step)
        {
            // From the other half of the window: source and target do not overlap.
            var half = window / 2;
            var (to, from) = step.At < half ? (step.At, half) : (step.At, 0u);
            var blocks = Math.Min(step.Blocks, (step.At < half ? half : window) - step.At);
            blocks = Math.Min(blocks, half);
            descriptor->BlockCount = blocks;
            descriptor->Auxiliary = _base + from;
            io.Must(descriptor);
            _model.AsSpan((int)(from * _blockSize), (int)(blocks * _blockSize)).CopyTo(_model.AsSpan((int)(to * _blockSize)));
        }

        // Zero, or, where the volume does not promise that, whatever is read now.
        private void Discarded(Step step, Span<byte> expected)
        {
            var grain = io.Volume.DiscardGranularityBlocks;
            var aligned = (_base + step.At) % grain == 0 && step.Blocks % grain == 0;
            if (io.Volume.Has(VolumeCapabilities.DiscardReadsZero) && aligned)
            {
                expected.Clear();
                return;
            }

            for (uint done = 0; done < step.Blocks; done += Most)
            {
                var piece = Math.Min(Most, step.Blocks - done);
                var read = io.Make(IoOperation.Read, _base + step.At + done, piece);
                Scatter(read, 0, new byte[piece * _blockSize]);
                io.Must(read);
                Gather(read, expected.Slice((int)(done * _blockSize), (int)(piece * _blockSize)));
            }
        }

        // Lays data out in the buffer, in one piece or in so many segments with holes between them.
        private void Scatter(IoDescriptor* descriptor, int segments, ReadOnlySpan<byte> data)
        {
            descriptor->Region = _buffer.Region;
            segments = (int)Math.Min(Math.Min((uint)segments, io.Volume.MaxSegments), descriptor->BlockCount);
            if (segments == 0)
            {
                descriptor->Buffer = _buffer.Address;
                data.CopyTo(_buffer.Span());
                return;
            }

            descriptor->Flags |= IoFlags.Segments;
            descriptor->Segments = _segments;
            descriptor->SegmentCount = (ushort)segments;
            uint done = 0;
            for (var i = 0; i < segments; i++)
            {
                var blocks = i == segments - 1 ? descriptor->BlockCount - done : descriptor->BlockCount / (uint)segments;
                _segments[i] = new IoSegment { Address = _buffer.Address + (done + (uint)i) * _blockSize, Length = blocks * _blockSize, Region = _buffer.Region };
                data.Slice((int)(done * _blockSize), (int)_segments[i].Length).CopyTo(new Span<byte>(_segments[i].Address, (int)_segments[i].Length));
                done += blocks;
            }
        }

        private void Gather(IoDescriptor* descriptor, Span<byte> data)
        {
            if ((descriptor->Flags & IoFlags.Segments) == 0)
            {
                new Span<byte>(descriptor->Buffer, data.Length).CopyTo(data);
                return;
            }

            for (var i = 0; i < descriptor->SegmentCount; i++)
            {
                var segment = new Span<byte>(_segments[i].Address, (int)_segments[i].Length);
                segment.CopyTo(data);
                data = data[segment.Length..];
            }
        }

        private void Same(ReadOnlySpan<byte> expected, ReadOnlySpan<byte> data, Step step)
        {
            var at = expected.CommonPrefixLength(data);
            if (at != expected.Length)
                Assert.Fail($"{step}: byte {at % _blockSize} of block {_base + step.At + (uint)at / _blockSize} is {data[at]:x2} instead of {expected[at]:x2}");
        }
    }
}
