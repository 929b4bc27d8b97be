using System.Globalization;
using System.IO.MemoryMappedFiles;
using System.Runtime.InteropServices;
using Comanche.Runtime;
using Comanche.Threading;

namespace Comanche.ThreadBench;

/// <summary>
/// A client that writes and reads units of its own range at random, each with its writer, its place, a sequence and a CRC in it, until its standard input ends or it is killed. What was acknowledged
/// stands in a mapped file, which outlives it: its successor finds at least that.
/// </summary>
internal sealed unsafe class StressWorker : IDisposable
{
    private const int Depth = 16;
    private const uint UnitBytes = 4096;
    private const ulong Magic = 0x5353_4552_5453_4D43; // "CMSTRESS"

    private readonly int _writer;
    private readonly int _units;
    private readonly MemoryMappedViewAccessor _journal;
    private readonly ulong* _acknowledged; // By unit: the sequence of the last write that came back.
    private readonly ComancheProcess _process = new();
    private readonly IBlockDevice _device;
    private readonly uint _unitBlocks;
    private readonly ulong _firstLba;
    private readonly DescriptorSlab _slab = new(Depth);
    private readonly bool[] _busy;
    private IIoQueue _queue = null!;
    private IoBuffer _buffer;
    private ulong _random;
    private volatile bool _stop;
    private long _done;

    /// <summary>Attaches.</summary>
    public StressWorker(string socket, string device, int writer, int units, string journal)
    {
        _writer = writer;
        _units = units;
        _random = (ulong)Environment.ProcessId * 0x9E37_79B9_7F4A_7C15 | 1;
        _busy = new bool[units];
        using (var file = MemoryMappedFile.CreateFromFile(journal, FileMode.OpenOrCreate, null, (long)units * sizeof(ulong)))
            _journal = file.CreateViewAccessor();
        byte* pointer = null;
        _journal.SafeMemoryMappedViewHandle.AcquirePointer(ref pointer);
        _acknowledged = (ulong*)pointer;
        _device = ComancheClient.Connect(_process.CreateHost($"worker{writer}"), socket, device);
        VolumeInfo volume;
        _device.GetVolumeInfo(&volume);
        _unitBlocks = UnitBytes / volume.BlockSize;
        _firstLba = (ulong)writer * (ulong)units * _unitBlocks;
    }

    /// <summary>Works; returns what was wrong, or null.</summary>
    public string? Run()
    {
        new Thread(() =>
        {
            while (Console.In.Read() >= 0) { }
            _stop = true;
        }) { IsBackground = true }.Start();
        new Thread(Report) { IsBackground = true }.Start();
        var options = new QueueOptions { Depth = Depth };
        _queue = _device.OpenQueue(&options);
        _buffer = _device.AllocateIoBuffer(Depth * UnitBytes, UnitBytes, -1);
        IoBufferInfo info;
        _device.GetBufferInfo(_buffer, &info);
        var ready = new Stack<nint>();
        for (var i = 0; i < Depth; i++)
        {
            *_slab[i] = new IoDescriptor { BlockCount = _unitBlocks, Buffer = (byte*)info.Address + i * UnitBytes, Region = info.Region };
            ready.Push((nint)_slab[i]);
        }

        string? problem = null;
        var first = 0; // Everything is read once before anything is written.
        var inFlight = 0;
        while (problem is null && (!_stop || inFlight != 0))
        {
            while (!_stop && ready.Count != 0 && (first < _units || inFlight < Depth))
            {
                var descriptor = (IoDescriptor*)ready.Peek();
                if (first < _units) Ready(descriptor, first, IoOperation.Read);
                else if (!Choose(descriptor)) break;
                if (_queue.Submit(&descriptor, 1) == 0)
                {
                    _busy[descriptor->Tag] = false;
                    break;
                }

                if (first < _units) first++;
                ready.Pop();
                inFlight++;
            }

            IoDescriptor* done;
            if (_queue.Poll(&done, 1) == 0)
            {
                Sleep();
                continue;
            }

            inFlight--;
            problem = Judge(done);
            ready.Push((nint)done);
        }

        return problem;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _queue?.Close();
        if (_buffer.Value != 0) _device.FreeIoBuffer(_buffer);
        _device.Release();
        _journal.SafeMemoryMappedViewHandle.ReleasePointer();
        _journal.Dispose();
        _slab.Dispose();
        _process.Dispose();
    }

    private void Report()
    {
        while (true)
        {
            Thread.Sleep(100);
            Console.Out.WriteLine(Volatile.Read(ref _done).ToString(CultureInfo.InvariantCulture));
            Console.Out.Flush();
        }
    }

    private void Sleep()
    {
        var descriptors = stackalloc int[8];
        var set = new WaitSet { Descriptors = descriptors, Capacity = 8 };
        var deadline = _queue.Arm(&set);
        if (deadline != 0) Linux.Poll.Wait(&set, deadline);
    }

    private bool Choose(IoDescriptor* descriptor)
    {
        _random ^= _random << 13;
        _random ^= _random >> 7;
        _random ^= _random << 17;
        var unit = (int)Math.BigMul(_random, (ulong)_units, out _);
        if (_busy[unit]) return false;
        Ready(descriptor, unit, (_random & 1) == 0 ? IoOperation.Write : IoOperation.Read);
        return true;
    }

    private void Ready(IoDescriptor* descriptor, int unit, IoOperation operation)
    {
        _busy[unit] = true;
        descriptor->Operation = operation;
        descriptor->Tag = (ulong)unit;
        descriptor->Lba = _firstLba + (ulong)unit * _unitBlocks;
        if (operation == IoOperation.Write) Fill(descriptor->Buffer, unit, _acknowledged[unit] + 1);
    }

    private void Fill(byte* to, int unit, ulong sequence)
    {
        var words = (ulong*)to;
        words[0] = Magic;
        words[1] = (ulong)_writer;
        words[2] = (ulong)unit;
        words[3] = sequence;
        for (var i = 5u; i < UnitBytes / sizeof(ulong); i++) words[i] = (sequence ^ i) * 0x9E37_79B9_7F4A_7C15;
        words[4] = 0;
        words[4] = Crc32C.Compute(new ReadOnlySpan<byte>(to, (int)UnitBytes));
    }

    private string? Judge(IoDescriptor* done)
    {
        var unit = (int)done->Tag;
        _busy[unit] = false;
        if (done->Status != IoStatus.Success) return $"{done->Operation} of unit {unit}: {done->Status}";
        Volatile.Write(ref _done, _done + 1);
        if (done->Operation == IoOperation.Write)
        {
            _acknowledged[unit]++;
            return null;
        }

        var words = (ulong*)done->Buffer;
        var expected = _acknowledged[unit];
        if (words[0] == 0 && expected == 0) return null; // Never written.
        var crc = words[4];
        words[4] = 0;
        if (words[0] != Magic || crc != Crc32C.Compute(new ReadOnlySpan<byte>(done->Buffer, (int)UnitBytes))) return $"unit {unit} is torn or foreign";
        if (words[1] != (ulong)_writer || words[2] != (ulong)unit) return $"unit {unit} holds unit {words[2]} of writer {words[1]}";

        // One more than was acknowledged: a write that the predecessor did not live to see the end of.
        if (words[3] != expected && words[3] != expected + 1) return $"unit {unit} has sequence {words[3]}; {expected} was acknowledged";
        _acknowledged[unit] = words[3];
        return null;
    }
}
