using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Runtime.InteropServices.Marshalling;

namespace Comanche.Peers;

/// <summary>The least host that a device needs: its log goes to standard error, its memory is one registered region.</summary>
[GeneratedComClass]
internal sealed unsafe partial class BenchHost(BenchMemory memory) : IHost
{
    private readonly Random _random = new(1);

    public string GetName() => "bench";

    public HostFlags GetFlags() => HostFlags.None;

    public IZerocopyMemory GetMemory() => memory;

    public ulong GetTime() => (ulong)(Stopwatch.GetTimestamp() * (1_000_000_000L / Stopwatch.Frequency));

    public void FillRandom(void* buffer, nuint length) => _random.NextBytes(new Span<byte>(buffer, (int)length));

    public void Log(LogLevel level, string message) => Console.Error.WriteLine($"{level}: {message}");

    public ulong* AddCounter(string name, string unit, string description) => (ulong*)NativeMemory.AllocZeroed(64);

    public void Wait(WaitSet* waitSet, long timeoutNs) => Thread.Sleep(1);

    public void Fail(string message) => Console.Error.WriteLine(message);
}

/// <summary>One region of 64 MiB, from which buffers are cut and never given back.</summary>
[GeneratedComClass]
internal sealed unsafe partial class BenchMemory : IZerocopyMemory
{
    private const uint Region = 1 << 12 | 1;
    private const nuint Bytes = 64 << 20;
    private readonly byte* _base = (byte*)NativeMemory.AlignedAlloc(Bytes, 2 << 20);
    private readonly ulong* _generation = (ulong*)NativeMemory.AllocZeroed(8);
    private readonly List<(nuint Offset, nuint Length)> _buffers = [];
    private nuint _next;

    public BenchMemory() => NativeMemory.Clear(_base, Bytes);

    public IoBuffer AllocateIoBuffer(nuint size, uint alignment, int numaNode)
    {
        var align = (nuint)Math.Max(alignment, 4096);
        var offset = (_next + align - 1) / align * align;
        _next = offset + size;
        if (_next > Bytes) throw new ComancheException("the bench's memory is used up");
        _buffers.Add((offset, size));
        return new IoBuffer((ulong)_buffers.Count);
    }

    public void GetBufferInfo(IoBuffer buffer, IoBufferInfo* info)
    {
        var (offset, length) = _buffers[(int)buffer.Value - 1];
        *info = new IoBufferInfo { Address = _base + offset, Length = length, Iova = IoBufferInfo.NoIova, Region = Region, NumaNode = -1, PageSize = 4096 };
    }

    public int GetRegions(MemoryRegion* regions, int capacity)
    {
        if (capacity > 0) regions[0] = new MemoryRegion { Address = _base, Length = Bytes, Region = Region };
        return 1;
    }

    public ulong* GetGeneration() => _generation;

    public void ReallocateIoBuffer(IoBuffer buffer, nuint size, uint alignment) => throw new ComancheException("the bench does not reallocate");

    public void FreeIoBuffer(IoBuffer buffer) { }

    public IoBuffer RegisterMemory(void* address, nuint length) => throw new ComancheException("the bench registers no memory");

    public void UnregisterMemory(IoBuffer buffer) { }

    public int Translate(void* address, nuint length, MemoryRun* runs, int capacity) => 0;

    IBase? IBase.Query(in Guid interfaceId) => null;

    uint IBase.Retain() => 1;

    uint IBase.Release() => 1;

    void IBase.Bind(IBase component, string role) { }

    void IBase.Unbind() { }

    void IBase.Start() { }

    void IBase.Stop() { }

    uint IBase.GetVersion() => 1 << 16;
}
