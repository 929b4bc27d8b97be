using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Comanche.App.Bench;

/// <summary>
/// One job: a thread with a queue of its own that keeps it full. Everything that the loop needs is allocated before it begins.
/// </summary>
/// <remarks>
/// A turn submits what is ready, polls, takes the time once, counts what came back and readies it again in place. The latency of an I/O is from the
/// turn that readied it to the turn that saw it come back. Runs of equal latencies in a batch are counted at once.
/// </remarks>
internal sealed unsafe class BenchJob : IBenchJob
{
    // A wait set of this size holds the descriptors of any stack that one would bench; beyond it the host sleeps briefly only.
    private const int WaitRoom = 64;
    private const int MaxSpins = 64;

    private static readonly double NanosecondsPerTick = 1e9 / Stopwatch.Frequency;

    private readonly IBlockDevice _device;
    private readonly IHost _host;
    private readonly BenchPlan _plan;
    private readonly int _index;
    private readonly ulong _units;
    private readonly uint _unitBlocks;
    private readonly ulong _firstLba;
    private readonly uint _writeBelow; // A mixed load writes where 32 random bits are below this.
    private readonly bool _isRandom;
    private readonly bool _isMixed;
    private DescriptorSlab? _slab;
    private IoDescriptor** _batch;
    private int* _waitDescriptors;
    private IoBuffer _buffer;
    private IIoQueue _queue = null!; // Opened by the job's thread.
    private IWaitingQueue? _waiting; // The same, where it can sleep by itself.
    private ulong _random;
    private ulong _nextUnit;
    private ulong _left = ulong.MaxValue; // I/Os still to be readied.
    private int _ready;
    private int _inFlight;
    private int _spins = MaxSpins;
    private int _empty;
    private long _measuredFrom;
    private long _end = long.MaxValue;
    private bool _ramping;
    private volatile bool _stop;
    private ulong _readBytes;  // Job's thread writes, the reporter reads.
    private ulong _writtenBytes;

    public BenchJob(IBlockDevice device, IHost host, BenchPlan plan, int index)
    {
        _device = device;
        _host = host;
        _plan = plan;
        _index = index;
        VolumeInfo volume;
        device.GetVolumeInfo(&volume);
        _unitBlocks = plan.BlockBytes / volume.BlockSize;
        _firstLba = plan.Offset / volume.BlockSize;
        _units = plan.Units;
        _isRandom = plan.IsRandom;
        _isMixed = plan.IsMixed;
        _writeBelow = (uint)Math.Min(uint.MaxValue, (100 - plan.ReadPercent) / 100.0 * (1L << 32));
        _random = SplitMix(plan.Seed + (ulong)index * 0x9E37_79B9_7F4A_7C15);
        _nextUnit = _units * (ulong)index / (ulong)plan.Jobs;
        if (plan.TotalBytes != 0) _left = Math.Max(1, plan.TotalBytes / plan.BlockBytes);
    }

    public LatencyHistogram Reads { get; } = new();

    public LatencyHistogram Writes { get; } = new();

    /// <summary>How long was measured. Valid once the thread has ended.</summary>
    public TimeSpan Elapsed { get; private set; }

    /// <summary>What the garbage collector gave out during the measured loop, in bytes.</summary>
    public long AllocatedBytes { get; private set; }

    /// <summary>What went wrong, or null.</summary>
    public string? Failure { get; private set; }

    /// <summary>Bytes so far, the ramp included. Any thread.</summary>
    public (ulong Read, ulong Written) Progress => (Volatile.Read(ref _readBytes), Volatile.Read(ref _writtenBytes));

    /// <inheritdoc/>
    public JobOutcome Outcome => new(Reads, Writes, Elapsed, AllocatedBytes, Failure);

    /// <summary>Asks it to end soon. Any thread.</summary>
    public void Stop() => _stop = true;

    /// <summary>The thread's body.</summary>
    public void Run()
    {
        try
        {
            _plan.Pin(_index);
            Open();
            Loop();
        }
        catch (ComancheException e)
        {
            Failure = e.Message;
        }
        finally
        {
            Close();
        }
    }

    public void Dispose()
    {
        Reads.Dispose();
        Writes.Dispose();
    }

    private void Open()
    {
        VolumeInfo volume;
        _device.GetVolumeInfo(&volume);
        var depth = _plan.Depth;
        var alignment = Math.Max(volume.BufferAlignment, 4096);
        var stride = (_plan.BlockBytes + volume.BufferAlignment - 1) / volume.BufferAlignment * volume.BufferAlignment;
        _buffer = _device.AllocateIoBuffer((nuint)stride * (nuint)depth, alignment, -1);
        IoBufferInfo memory;
        _device.GetBufferInfo(_buffer, &memory);
        if (_plan.Writes) FillRandom((ulong*)memory.Address, stride * (ulong)depth / sizeof(ulong));
        _slab = new DescriptorSlab(depth);
        _batch = (IoDescriptor**)NativeMemory.AllocZeroed((nuint)depth, (nuint)sizeof(IoDescriptor*));
        _waitDescriptors = (int*)NativeMemory.AllocZeroed(WaitRoom, sizeof(int));
        for (var i = 0; i < depth; i++)
        {
            var descriptor = _slab[i];
            *descriptor = new IoDescriptor
            {
                Operation = _plan.Pattern is Pattern.Write or Pattern.RandWrite ? IoOperation.Write : IoOperation.Read,
                BlockCount = _unitBlocks, Buffer = (byte*)memory.Address + (ulong)i * stride, Region = memory.Region,
            };
            _batch[i] = descriptor;
        }

        var options = new QueueOptions { Depth = (uint)depth };
        _queue = _device.OpenQueue(&options);
        _waiting = _queue as IWaitingQueue;
    }

    private void Loop()
    {
        var start = Stopwatch.GetTimestamp();
        _measuredFrom = start;
        _ramping = _plan.Ramp > TimeSpan.Zero;
        if (_plan.Runtime > TimeSpan.Zero) _end = start + Ticks(_plan.Ramp + _plan.Runtime);
        var rampEnd = start + Ticks(_plan.Ramp);
        var depth = (int)Math.Min((ulong)_plan.Depth, _left);
        for (var i = 0; i < depth; i++) Ready(_batch[i], (ulong)start);
        _ready = depth;
        if (_left != ulong.MaxValue) _left -= (ulong)depth;
        var allocated = GC.GetAllocatedBytesForCurrentThread();
        var now = start;
        while (_ready + _inFlight != 0)
        {
            now = Turn(now);
            if (now >= _end || _stop) break;
            if (!_ramping || now < rampEnd) continue;
            _ramping = false;
            _measuredFrom = now;
            Reads.Clear();
            Writes.Clear();
            allocated = GC.GetAllocatedBytesForCurrentThread();
        }

        // Nothing new from here on; what is in flight still counts.
        _left = 0;
        _ready = 0;
        while (_inFlight != 0) now = Turn(now);
        AllocatedBytes = GC.GetAllocatedBytesForCurrentThread() - allocated;
        Elapsed = Stopwatch.GetElapsedTime(_measuredFrom, now);
    }

    // One turn; answers the time at its end. The array's first entries are what is ready; what comes back is put behind them.
    private long Turn(long before)
    {
        var batch = _batch;
        var ready = _ready;
        if (ready != 0)
        {
            var taken = _queue.Submit(batch, ready);
            _inFlight += taken;
            ready -= taken;
            if (ready != 0) MoveUp(batch, taken, ready);
        }

        var done = _queue.Poll(batch + ready, _inFlight);
        if (done == 0)
        {
            _ready = ready;
            Idle();
            return Stopwatch.GetTimestamp();
        }

        _empty = 0;
        _inFlight -= done;
        var now = Stopwatch.GetTimestamp();
        _ready = ready + Take(batch + ready, done, (ulong)now);
        return now;
    }

    // Counts what came back and readies it again; answers how many are ready.
    private int Take(IoDescriptor** batch, int done, ulong now)
    {
        var again = _left < (ulong)done ? (int)_left : done;
        if (_left != ulong.MaxValue) _left -= (ulong)again;
        var runSince = batch[0]->Tag;
        var runOperation = batch[0]->Operation;
        uint run = 0;
        for (var i = 0; i < done; i++)
        {
            var descriptor = batch[i];
            if (descriptor->Status != IoStatus.Success)
            {
                Fail(descriptor);
                again = 0;
            }

            if (descriptor->Tag != runSince || descriptor->Operation != runOperation)
            {
                Count(runOperation, now - runSince, run);
                runSince = descriptor->Tag;
                runOperation = descriptor->Operation;
                run = 0;
            }

            run++;
            if (i < again) Ready(descriptor, now);
        }

        Count(runOperation, now - runSince, run);
        return again;
    }

    private void Ready(IoDescriptor* descriptor, ulong now)
    {
        // xorshift64: three shifts, full period, good enough to choose blocks by its upper bits.
        var random = _random;
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        _random = random;
        ulong unit;
        if (_isRandom)
        {
            unit = Math.BigMul(random, _units, out _);
        }
        else
        {
            unit = _nextUnit;
            _nextUnit = unit + 1 == _units ? 0 : unit + 1;
        }

        descriptor->Lba = _firstLba + unit * _unitBlocks;
        descriptor->Tag = now;
        if (_isMixed) descriptor->Operation = (uint)(random * 0x2545_F491_4F6C_DD1D >> 32) < _writeBelow ? IoOperation.Write : IoOperation.Read;
    }

    private void Count(IoOperation operation, ulong ticks, uint run)
    {
        var nanoseconds = NanosecondsPerTick == 1 ? ticks : (ulong)(ticks * NanosecondsPerTick);
        var bytes = (ulong)run * _plan.BlockBytes;
        if (operation == IoOperation.Read)
        {
            Reads.Record(nanoseconds, run);
            Volatile.Write(ref _readBytes, _readBytes + bytes);
        }
        else
        {
            Writes.Record(nanoseconds, run);
            Volatile.Write(ref _writtenBytes, _writtenBytes + bytes);
        }
    }

    // Sleeps in the queue where that can. Otherwise spins for a few polls, fewer where that was in vain lately, and then sleeps as the queue says.
    private void Idle()
    {
        if (_inFlight != 0 && _waiting is not null && _waiting.Wait(1, WaitSet.Forever)) return;
        if (_inFlight == 0 || ++_empty <= _spins)
        {
            if (_inFlight != 0 && _empty == 1 && _spins < MaxSpins) _spins++;
            return;
        }

        _empty = 0;
        _spins >>= 1;
        var waitSet = new WaitSet { Descriptors = _waitDescriptors, Capacity = WaitRoom };
        var deadline = _queue.Arm(&waitSet);
        if (deadline != 0) _host.Wait(&waitSet, waitSet.Count > WaitRoom ? 1_000_000 : deadline);
    }

    private void Fail(IoDescriptor* descriptor)
    {
        Failure ??= $"{descriptor->Operation.ToString().ToLowerInvariant()} of {descriptor->BlockCount} blocks at LBA {descriptor->Lba} failed: {descriptor->Status}";
        _left = 0;
        _stop = true;
    }

    private void Close()
    {
        _queue?.Close();
        NativeObject.FinalRelease(_queue);
        _slab?.Dispose();
        NativeMemory.Free(_batch);
        NativeMemory.Free(_waitDescriptors);
        if (_buffer.Value != 0) _device.FreeIoBuffer(_buffer);
    }

    private void FillRandom(ulong* words, ulong count)
    {
        var state = SplitMix(_random);
        for (ulong i = 0; i < count; i++)
        {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            words[i] = state;
        }
    }

    private static void MoveUp(IoDescriptor** batch, int from, int count)
    {
        for (var i = 0; i < count; i++) batch[i] = batch[from + i];
    }

    private static long Ticks(TimeSpan time) => (long)(time.TotalSeconds * Stopwatch.Frequency);

    // SplitMix64's finaliser: any seed, also 0, becomes a good and nonzero state.
    private static ulong SplitMix(ulong seed)
    {
        seed = (seed ^ seed >> 30) * 0xBF58_476D_1CE4_E5B9;
        seed = (seed ^ seed >> 27) * 0x94D0_49BB_1331_11EB;
        return (seed ^ seed >> 31) | 1;
    }
}
