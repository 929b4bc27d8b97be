using System.Diagnostics;
using Comanche.Runtime;

namespace Comanche.Threading.Tests;

/// <summary>Writes and reads on a reactor without a pause, each block with its number and round in it, and looks whether what it reads is what it wrote.</summary>
internal sealed unsafe class VerifiedLoad : IPoller, IDisposable
{
    private const int Depth = 16;
    private const uint Blocks = 8;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    private readonly Reactor _reactor;
    private readonly IBlockDevice _device;
    private readonly DescriptorSlab _slab = new(Depth);
    private readonly IoDescriptor*[] _ready = new IoDescriptor*[Depth];
    private readonly ulong[] _round = new ulong[Depth];
    private IIoQueue _queue = null!;
    private IoBuffer _buffer;
    private byte* _memory;
    private uint _blockSize;
    private int _readyCount;
    private int _rounds;
    private bool _stopping;
    private string? _failure;

    public VerifiedLoad(Reactor reactor, IBlockDevice device)
    {
        _reactor = reactor;
        _device = device;
        reactor.Invoke(Start);
    }

    /// <summary>How many writes were read back.</summary>
    public int Rounds => Volatile.Read(ref _rounds);

    /// <summary>Waits until it has gone on for some rounds, or fails where it did not.</summary>
    public void Advance()
    {
        var target = Rounds + 4 * Depth;
        var clock = Stopwatch.StartNew();
        while (Rounds < target && Volatile.Read(ref _failure) is null)
        {
            Assert.True(clock.Elapsed < Patience, "the load does not go on");
            Thread.Sleep(1);
        }

        Assert.Null(_failure);
    }

    public int Poll()
    {
        var work = 0;
        if (_readyCount != 0)
        {
            fixed (IoDescriptor** batch = _ready)
            {
                var taken = _queue.Submit(batch, _readyCount);
                for (var i = taken; i < _readyCount; i++) _ready[i - taken] = _ready[i];
                _readyCount -= taken;
                work += taken;
            }
        }

        var done = stackalloc IoDescriptor*[Depth];
        var count = _queue.Poll(done, Depth);
        for (var i = 0; i < count; i++) Take(done[i]);
        return work + count;
    }

    public long Arm(WaitSet* waitSet) => _queue.Arm(waitSet);

    public void Failed(Exception exception) => _failure ??= exception.Message;

    public void Dispose()
    {
        Volatile.Write(ref _stopping, true);
        var clock = Stopwatch.StartNew();
        var ended = false;
        while (!ended && clock.Elapsed < Patience)
        {
            _reactor.Invoke(() => ended = _readyCount == 0 && _slab.Available == Depth);
            Thread.Sleep(1);
        }

        _reactor.Invoke(() =>
        {
            _reactor.Remove(this);
            _queue.Close();
            _device.FreeIoBuffer(_buffer);
            _slab.Dispose();
        });
        Assert.Null(_failure);
    }

    private void Start()
    {
        VolumeInfo volume;
        _device.GetVolumeInfo(&volume);
        _blockSize = volume.BlockSize;
        _buffer = _device.AllocateIoBuffer(Depth * Blocks * _blockSize, 4096, -1);
        IoBufferInfo info;
        _device.GetBufferInfo(_buffer, &info);
        _memory = (byte*)info.Address;
        var options = new QueueOptions { Depth = Depth };
        _queue = _device.OpenQueue(&options);
        for (var i = 0; i < Depth; i++)
        {
            var descriptor = _slab.Take();
            *descriptor = new IoDescriptor { BlockCount = Blocks, Buffer = _memory + i * Blocks * _blockSize, Region = info.Region, Tag = (ulong)i, Lba = (ulong)i * Blocks };
            Write(descriptor);
        }

        _reactor.Add(this);
    }

    private void Write(IoDescriptor* descriptor)
    {
        descriptor->Operation = IoOperation.Write;
        var round = ++_round[descriptor->Tag];
        var words = (ulong*)descriptor->Buffer;
        for (var i = 0u; i < Blocks * _blockSize / 8; i++) words[i] = Word(descriptor->Tag, round, i);
        _ready[_readyCount++] = descriptor;
    }

    private void Take(IoDescriptor* descriptor)
    {
        if (descriptor->Status != IoStatus.Success)
        {
            _failure ??= $"{descriptor->Operation}: {descriptor->Status}";
            _slab.Return(descriptor);
            return;
        }

        if (descriptor->Operation == IoOperation.Write)
        {
            descriptor->Operation = IoOperation.Read;
            new Span<byte>(descriptor->Buffer, (int)(Blocks * _blockSize)).Clear();
            _ready[_readyCount++] = descriptor;
            return;
        }

        var words = (ulong*)descriptor->Buffer;
        for (var i = 0u; i < Blocks * _blockSize / 8 && _failure is null; i++)
            if (words[i] != Word(descriptor->Tag, _round[descriptor->Tag], i))
                _failure = $"block range {descriptor->Tag}, round {_round[descriptor->Tag]}, word {i} is 0x{words[i]:x}";
        Volatile.Write(ref _rounds, _rounds + 1);
        if (Volatile.Read(ref _stopping)) _slab.Return(descriptor);
        else Write(descriptor);
    }

    private static ulong Word(ulong range, ulong round, uint index) => (range << 48 ^ round << 16 ^ index) * 0x9E37_79B9_7F4A_7C15 | 1;
}
