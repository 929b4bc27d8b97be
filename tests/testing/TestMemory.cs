using System.Runtime.InteropServices;
using System.Runtime.InteropServices.Marshalling;

namespace Comanche.Testing;

/// <summary>Memory for tests: every buffer is its own allocation, and with <see cref="Registers"/> its own region, otherwise region 0.</summary>
[GeneratedComClass]
public sealed unsafe partial class TestMemory : IZerocopyMemory
{
    private readonly Dictionary<ulong, (nint Address, nuint Length)> _buffers = [];
    private readonly ulong* _generation = (ulong*)NativeMemory.AllocZeroed(8);
    private readonly Dictionary<ulong, MemoryRegion> _regions = [];
    private ulong _next = 1;
    private uint _nextSlot = 1;

    /// <summary>Whether buffers are regions, as in the registry of a process.</summary>
    public bool Registers { get; init; }

    /// <summary>How many buffers are not freed.</summary>
    public int Live => _buffers.Count;

    /// <inheritdoc/>
    public IoBuffer AllocateIoBuffer(nuint size, uint alignment, int numaNode)
    {
        var address = NativeMemory.AlignedAlloc(size, Math.Max(alignment, 4096));
        NativeMemory.Clear(address, size);
        lock (_buffers)
        {
            _buffers.Add(_next, ((nint)address, size));
            AddRegion(_next, address, size);
            return new IoBuffer(_next++);
        }
    }

    /// <inheritdoc/>
    public void ReallocateIoBuffer(IoBuffer buffer, nuint size, uint alignment)
    {
        lock (_buffers)
        {
            var (old, length) = _buffers[buffer.Value];
            var address = NativeMemory.AlignedAlloc(size, Math.Max(alignment, 4096));
            NativeMemory.Clear(address, size);
            NativeMemory.Copy((void*)old, address, nuint.Min(length, size));
            NativeMemory.AlignedFree((void*)old);
            _buffers[buffer.Value] = ((nint)address, size);
        }
    }

    /// <inheritdoc/>
    public void FreeIoBuffer(IoBuffer buffer)
    {
        lock (_buffers)
        {
            if (!_buffers.Remove(buffer.Value, out var memory)) throw new ComancheException($"buffer {buffer.Value} is not allocated");
            if (_regions.Remove(buffer.Value)) ++*_generation;
            NativeMemory.AlignedFree((void*)memory.Address);
        }
    }

    /// <inheritdoc/>
    public IoBuffer RegisterMemory(void* address, nuint length)
    {
        lock (_buffers)
        {
            _buffers.Add(_next, ((nint)address, length));
            AddRegion(_next, address, length);
            return new IoBuffer(_next++);
        }
    }

    /// <inheritdoc/>
    public void UnregisterMemory(IoBuffer buffer)
    {
        lock (_buffers)
        {
            _buffers.Remove(buffer.Value);
            if (_regions.Remove(buffer.Value)) ++*_generation;
        }
    }

    /// <inheritdoc/>
    public void GetBufferInfo(IoBuffer buffer, IoBufferInfo* info)
    {
        lock (_buffers)
        {
            var (address, length) = _buffers[buffer.Value];
            *info = new IoBufferInfo
            {
                Address = (void*)address, Length = length, Iova = IoBufferInfo.NoIova, NumaNode = -1, PageSize = 4096, SharedDescriptor = -1,
                Region = _regions.TryGetValue(buffer.Value, out var region) ? region.Region : 0,
            };
        }
    }

    /// <inheritdoc/>
    public int Translate(void* address, nuint length, MemoryRun* runs, int capacity)
    {
        if (capacity > 0) runs[0] = new MemoryRun { DeviceAddress = (ulong)address, Length = length };
        return 1;
    }

    /// <inheritdoc/>
    public int GetRegions(MemoryRegion* regions, int capacity)
    {
        lock (_buffers)
        {
            foreach (var (region, index) in _regions.Values.Select((r, i) => (r, i)))
                if (index < capacity)
                    regions[index] = region;
            return _regions.Count;
        }
    }

    /// <inheritdoc/>
    public ulong* GetGeneration() => _generation;

    private void AddRegion(ulong buffer, void* address, nuint length)
    {
        if (!Registers) return;
        const uint Once = MemoryRegion.MaxSlots; // The use count stands above the slot.
        _regions.Add(buffer, new MemoryRegion { Address = address, Length = length, Region = Once | _nextSlot++ });
        ++*_generation;
    }

    IBase? IBase.Query(in Guid interfaceId) => ComponentModel.Implements(this, interfaceId) ? this : null;

    uint IBase.Retain() => 1;

    uint IBase.Release() => 1;

    void IBase.Bind(IBase component, string role) => throw new ComancheException("memory takes no bindings");

    void IBase.Unbind() { }

    void IBase.Start() { }

    void IBase.Stop() { }

    uint IBase.GetVersion() => 1 << 16;
}
