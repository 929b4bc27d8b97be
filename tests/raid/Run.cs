using System.Runtime.InteropServices;

namespace Comanche.Raid.Tests;

/// <summary>A queue with as many descriptors as it is deep, all on one buffer, which starts as zeroes.</summary>
internal sealed unsafe class Run : IDisposable
{
    private readonly int _depth;
    private readonly IoDescriptor* _descriptors;
    private readonly IoDescriptor** _batch;
    private readonly byte* _buffer;
    private readonly int _bytes;
    private int _inFlight;
    private int _back;
    private int _idle;
    private bool _disposed;

    public Run(IBlockDevice device, int depth, int bytes)
    {
        _depth = depth;
        _bytes = bytes;
        var options = new QueueOptions { Depth = (uint)depth };
        Queue = device.OpenQueue(&options);
        _descriptors = (IoDescriptor*)NativeMemory.AlignedAlloc((nuint)depth * IoDescriptor.Size, IoDescriptor.Size);
        _batch = (IoDescriptor**)NativeMemory.Alloc((nuint)depth, (nuint)sizeof(IoDescriptor*));
        _buffer = (byte*)NativeMemory.AlignedAlloc((nuint)bytes, 4096);
        NativeMemory.Clear(_buffer, (nuint)bytes);
    }

    public IIoQueue Queue { get; }

    public Span<byte> Bytes => new(_buffer, _bytes);

    public IoStatus Do(in IoDescriptor request)
    {
        _descriptors[0] = request;
        if (request.Operation.HasBuffer()) _descriptors[0].Buffer = _buffer;
        _batch[0] = _descriptors;
        Assert.Equal(1, Queue.Submit(_batch, 1));
        _inFlight = 1;
        Drain();
        return _descriptors[0].Status;
    }

    /// <summary>Submits the same request in every descriptor, once, polling only when nothing more is taken.</summary>
    public void SubmitAll(in IoDescriptor request)
    {
        for (var i = 0; i < _depth; i++)
        {
            _descriptors[i] = request;
            _descriptors[i].Buffer = _buffer;
            _descriptors[i].Tag = (ulong)i;
        }

        _back = 0;
        var done = stackalloc IoDescriptor*[16];
        for (var i = 0; i < _depth;)
        {
            var descriptor = _descriptors + i;
            if (Queue.Submit(&descriptor, 1) == 1)
            {
                _inFlight++;
                i++;
                continue;
            }

            var count = Queue.Poll(done, 16);
            _inFlight -= count;
            _back += count;
            if (count == 0 && ++_idle > 1_000_000) Assert.Fail("nothing is taken and nothing comes back");
        }
    }

    /// <summary>Polls until nothing is in flight; returns how many came back since the last <see cref="SubmitAll"/>.</summary>
    public int Drain()
    {
        var done = stackalloc IoDescriptor*[16];
        for (var polls = 0; _inFlight != 0; polls++)
        {
            if (polls > 10_000_000) Assert.Fail($"{_inFlight} descriptors do not come back");
            var count = Queue.Poll(done, 16);
            _inFlight -= count;
            _back += count;
        }

        return _back;
    }

    /// <summary>So many batches of reads, writes, ranges and flushes, scattered ones among them; allocates nothing.</summary>
    public void Repeat(int batches)
    {
        var segments = stackalloc IoSegment[2];
        segments[0] = new IoSegment { Address = _buffer + 65536, Length = 3 * 512 };
        segments[1] = new IoSegment { Address = _buffer, Length = 61 * 512 };
        for (var batch = 0; batch < batches; batch++)
        {
            for (var i = 0; i < _depth; i++)
            {
                _descriptors[i] = new IoDescriptor { Operation = (IoOperation)(1 + i % 6), Lba = (ulong)(i * 64 + 3), BlockCount = 64, Buffer = _buffer };
                if (i % 6 == 2) _descriptors[i].Lba = _descriptors[i].BlockCount = 0;
                if (i >= 6)
                {
                    _descriptors[i].Flags = IoFlags.Segments;
                    _descriptors[i].Segments = segments;
                    _descriptors[i].SegmentCount = 2;
                }

                _batch[i] = _descriptors + i;
            }

            var from = 0;
            while (from < _depth || _inFlight != 0)
            {
                var taken = Queue.Submit(_batch + from, _depth - from);
                from += taken;
                _inFlight += taken;
                if (_inFlight == 0) continue;
                var done = Poll();
                _inFlight -= done;
            }
        }
    }

    public void Dispose()
    {
        if (_disposed) return;
        _disposed = true;
        Queue.Close();
        NativeMemory.AlignedFree(_descriptors);
        NativeMemory.Free(_batch);
        NativeMemory.AlignedFree(_buffer);
    }

    private int Poll()
    {
        var done = stackalloc IoDescriptor*[16];
        return Queue.Poll(done, 16);
    }
}
