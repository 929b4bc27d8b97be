using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.InteropServices;

namespace Comanche.App.Bench;

/// <summary>
/// Writes units that say what they are, and reads them back. The header of a unit: magic (4 bytes), CRC32C of the unit with this field as zero (4),
/// first LBA (8), sequence number (8), seed (8), all little-endian; the rest is pseudo-random from LBA, sequence and seed.
/// </summary>
/// <remarks>
/// <para>A load goes in passes. A pass visits every unit once, in an order of its own (unit = a·i + b modulo n, with a prime to n), so that no two I/Os of one unit are in
/// flight; after it, all that was written is read back. In a mixed load it hangs on unit, pass and seed alone whether a unit is written or read in a pass: so it
/// is known without any memory of it which pass wrote a unit last, and every read is checked against that.</para>
/// <para>A load that only reads checks what an earlier run of the same seed wrote.</para>
/// </remarks>
internal sealed unsafe class VerifyJob : IBenchJob
{
    private const uint Magic = 0x5652_4643; // "CFRV"
    private const int HeaderBytes = 32;
    private const int WaitRoom = 64;

    // What a read is to find, where it is not the number of a pass.
    private const ulong AnyPass = 0, Unknown = ulong.MaxValue;

    private readonly IBlockDevice _device;
    private readonly IHost _host;
    private readonly BenchPlan _plan;
    private readonly int _index;
    private readonly ulong _firstUnit; // Jobs have ranges of their own.
    private readonly ulong _units;
    private readonly uint _unitBlocks;
    private readonly ulong _firstLba;
    private readonly ulong _step;
    private readonly ulong _shift;
    private readonly ulong _writeBelow; // A mixed load writes where 32 bits of a hash are below this.
    private readonly ulong[] _expected; // By index of the descriptor: the pass that a read is to find.
    private volatile bool _stop;
    private ulong _readBytes;
    private ulong _writtenBytes;

    public VerifyJob(IBlockDevice device, IHost host, BenchPlan plan, int index)
    {
        _device = device;
        _host = host;
        _plan = plan;
        _index = index;
        VolumeInfo volume;
        device.GetVolumeInfo(&volume);
        _unitBlocks = plan.BlockBytes / volume.BlockSize;
        _firstLba = plan.Offset / volume.BlockSize;
        _firstUnit = plan.Units * (ulong)index / (ulong)plan.Jobs;
        _units = plan.Units * (ulong)(index + 1) / (ulong)plan.Jobs - _firstUnit;
        _writeBelow = !plan.Writes ? 0 : plan.IsMixed ? (ulong)((100 - plan.ReadPercent) / 100.0 * (1UL << 32)) : 1UL << 32;
        _expected = new ulong[Math.Min((ulong)plan.Depth, _units)];
        (_step, _shift) = plan.IsRandom && _units > 2 ? Permutation(_units, plan.Seed + (ulong)index) : (1, 0);
    }

    public LatencyHistogram Reads { get; } = new();

    public LatencyHistogram Writes { get; } = new();

    public string? Failure { get; private set; }

    public TimeSpan Elapsed { get; private set; }

    public (ulong Read, ulong Written) Progress => (Volatile.Read(ref _readBytes), Volatile.Read(ref _writtenBytes));

    public JobOutcome Outcome => new(Reads, Writes, Elapsed, 0, Failure);

    public void Stop() => _stop = true;

    public void Run()
    {
        var start = _host.GetTime();
        var end = _plan.Runtime > TimeSpan.Zero ? start + (ulong)_plan.Runtime.Ticks * 100 : ulong.MaxValue;
        try
        {
            for (ulong sequence = 1; ; sequence++)
            {
                if (_plan.Writes) Pass(sequence, isCheck: false);
                if (Failure is null && !_stop) Pass(sequence, isCheck: true);
                if (Failure is not null || _stop || _plan.Runtime == TimeSpan.Zero || _host.GetTime() >= end) break;
            }
        }
        catch (ComancheException e)
        {
            Failure = e.Message;
        }

        Elapsed = TimeSpan.FromTicks((long)(_host.GetTime() - start) / 100);
    }

    public void Dispose()
    {
        Reads.Dispose();
        Writes.Dispose();
    }

    // Every unit once; a pass is not cut short by the time, so that what is read was written.
    private void Pass(ulong sequence, bool isCheck)
    {
        VolumeInfo volume;
        _device.GetVolumeInfo(&volume);
        var depth = _expected.Length;
        var stride = (_plan.BlockBytes + volume.BufferAlignment - 1) / volume.BufferAlignment * volume.BufferAlignment;
        var buffer = _device.AllocateIoBuffer((nuint)stride * (nuint)depth, Math.Max(volume.BufferAlignment, 4096), -1);
        using var slab = new DescriptorSlab(depth);
        var batch = stackalloc IoDescriptor*[1];
        var wait = stackalloc int[WaitRoom];
        var options = new QueueOptions { Depth = (uint)depth };
        var queue = _device.OpenQueue(&options);
        try
        {
            IoBufferInfo memory;
            _device.GetBufferInfo(buffer, &memory);
            ulong next = 0;
            var inFlight = 0;
            while (GoesOn() || inFlight != 0)
            {
                while (slab.Available != 0 && GoesOn())
                {
                    var unit = _firstUnit + (ulong)(((UInt128)next * _step + _shift) % _units);
                    if (isCheck && _plan.Writes && LastWrite(unit, sequence) == Unknown)
                    {
                        next++;
                        continue;
                    }

                    var descriptor = slab.Take();
                    var index = slab.IndexOf(descriptor);
                    Prepare(descriptor, index, unit, sequence, isCheck, (byte*)memory.Address + (ulong)index * stride, memory.Region);
                    batch[0] = descriptor;
                    if (queue.Submit(batch, 1) == 0)
                    {
                        slab.Return(descriptor);
                        break;
                    }

                    next++;
                    inFlight++;
                }

                if (inFlight == 0 && !GoesOn()) break;
                if (queue.Poll(batch, 1) == 0)
                {
                    Wait(queue, wait);
                    continue;
                }

                inFlight--;
                Complete(batch[0], _expected[slab.IndexOf(batch[0])]);
                slab.Return(batch[0]);
            }

            bool GoesOn() => next < _units && Failure is null && !_stop;
        }
        finally
        {
            queue.Close();
            NativeObject.FinalRelease(queue);
            _device.FreeIoBuffer(buffer);
        }
    }

    private void Wait(IIoQueue queue, int* descriptors)
    {
        var waitSet = new WaitSet { Descriptors = descriptors, Capacity = WaitRoom };
        var deadline = queue.Arm(&waitSet);
        if (deadline != 0) _host.Wait(&waitSet, waitSet.Count > WaitRoom ? 1_000_000 : deadline);
    }

    private void Prepare(IoDescriptor* descriptor, int index, ulong unit, ulong sequence, bool isCheck, byte* buffer, uint region)
    {
        var writes = !isCheck && IsWrite(unit, sequence);
        *descriptor = new IoDescriptor
        {
            Operation = writes ? IoOperation.Write : IoOperation.Read, Lba = _firstLba + unit * _unitBlocks, BlockCount = _unitBlocks, Buffer = buffer, Region = region,
            Tag = _host.GetTime(),
        };
        _expected[index] = !_plan.Writes ? AnyPass : LastWrite(unit, isCheck ? sequence : sequence - 1);
        var data = new Span<byte>(buffer, (int)_plan.BlockBytes);
        if (writes) Fill(data, descriptor->Lba, sequence, _plan.Seed);
        else data.Clear();
    }

    // The pass, up to this one, that wrote a unit last, or Unknown where none did.
    private ulong LastWrite(ulong unit, ulong sequence)
    {
        if (_writeBelow == 0) return Unknown;
        for (; sequence != 0; sequence--)
            if (IsWrite(unit, sequence))
                return sequence;
        return Unknown;
    }

    private bool IsWrite(ulong unit, ulong sequence)
    {
        // The finaliser of SplitMix64, whose upper bits hang on all of what goes in.
        var hash = unit * 0x9E37_79B9_7F4A_7C15 + sequence * 0xD1B5_4A32_D192_ED03 + _plan.Seed;
        hash = (hash ^ hash >> 30) * 0xBF58_476D_1CE4_E5B9;
        hash = (hash ^ hash >> 27) * 0x94D0_49BB_1331_11EB;
        return hash >> 32 < _writeBelow;
    }

    private void Complete(IoDescriptor* descriptor, ulong expected)
    {
        var isRead = descriptor->Operation == IoOperation.Read;
        if (descriptor->Status != IoStatus.Success)
            Failure ??= $"{(isRead ? "read" : "write")} of {descriptor->BlockCount} blocks at LBA {descriptor->Lba} failed: {descriptor->Status}";
        else if (isRead && expected != Unknown && Problem(new Span<byte>(descriptor->Buffer, (int)_plan.BlockBytes), descriptor->Lba, expected, _plan.Seed) is { } problem)
            Failure ??= $"verify: LBA {descriptor->Lba}: {problem}";
        (isRead ? Reads : Writes).Record(_host.GetTime() - descriptor->Tag, 1);
        if (isRead) Volatile.Write(ref _readBytes, _readBytes + _plan.BlockBytes);
        else Volatile.Write(ref _writtenBytes, _writtenBytes + _plan.BlockBytes);
    }

    /// <summary>Fills a unit.</summary>
    internal static void Fill(Span<byte> unit, ulong lba, ulong sequence, ulong seed)
    {
        var words = MemoryMarshal.Cast<byte, ulong>(unit);
        var state = (lba * 0x9E37_79B9_7F4A_7C15 ^ sequence * 0xBF58_476D_1CE4_E5B9 ^ seed) | 1;
        for (var i = 0; i < words.Length; i++)
        {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            words[i] = state;
        }

        BinaryPrimitives.WriteUInt32LittleEndian(unit, Magic);
        BinaryPrimitives.WriteUInt32LittleEndian(unit[4..], 0);
        BinaryPrimitives.WriteUInt64LittleEndian(unit[8..], lba);
        BinaryPrimitives.WriteUInt64LittleEndian(unit[16..], sequence);
        BinaryPrimitives.WriteUInt64LittleEndian(unit[24..], seed);
        BinaryPrimitives.WriteUInt32LittleEndian(unit[4..], Crc32C(unit));
    }

    /// <summary>Says what is wrong with a unit, or null. Sequence 0 stands for that of any pass.</summary>
    internal static string? Problem(Span<byte> unit, ulong lba, ulong sequence, ulong seed)
    {
        if (unit.Length < HeaderBytes) return "the unit is too short";
        if (BinaryPrimitives.ReadUInt32LittleEndian(unit) != Magic) return "no header is there";
        var crc = BinaryPrimitives.ReadUInt32LittleEndian(unit[4..]);
        BinaryPrimitives.WriteUInt32LittleEndian(unit[4..], 0);
        if (Crc32C(unit) != crc) return "the checksum does not match";
        var (found, number, by) = (BinaryPrimitives.ReadUInt64LittleEndian(unit[8..]), BinaryPrimitives.ReadUInt64LittleEndian(unit[16..]),
            BinaryPrimitives.ReadUInt64LittleEndian(unit[24..]));
        if (found != lba) return $"it holds LBA {found}";
        if (by != seed) return $"it was written with seed {by}, not {seed}";
        return sequence != AnyPass && number != sequence ? $"it holds pass {number}, not {sequence}: a write was lost" : null;
    }

    private static uint Crc32C(ReadOnlySpan<byte> data)
    {
        var crc = uint.MaxValue;
        foreach (var word in MemoryMarshal.Cast<byte, ulong>(data)) crc = BitOperations.Crc32C(crc, word);
        return ~crc;
    }

    private static (ulong Step, ulong Shift) Permutation(ulong count, ulong seed)
    {
        var step = (seed * 0x9E37_79B9_7F4A_7C15 | 1) % count;
        while (step < 2 || Gcd(step, count) != 1) step = (step + 1) % count;
        return (step, seed * 0xBF58_476D_1CE4_E5B9 % count);
    }

    private static ulong Gcd(ulong a, ulong b)
    {
        while (b != 0) (a, b) = (b, a % b);
        return a;
    }
}
