using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Comanche;

/// <summary>
/// A fixed number of descriptors in native memory with a stack of free ones: where a layer takes its children from. Owner thread only.
/// </summary>
public sealed unsafe class DescriptorSlab : IDisposable
{
    private readonly IoDescriptor** _free;
    private IoDescriptor* _memory;
    private int _available;

    /// <summary>Makes a slab of so many descriptors, all free and zero.</summary>
    public DescriptorSlab(int capacity)
    {
        Capacity = capacity;
        var bytes = (nuint)capacity * IoDescriptor.Size;
        _memory = (IoDescriptor*)NativeMemory.AlignedAlloc(bytes + (nuint)capacity * (nuint)sizeof(IoDescriptor*), IoDescriptor.Size);
        NativeMemory.Clear(_memory, bytes);
        _free = (IoDescriptor**)(_memory + capacity);
        for (var i = capacity - 1; i >= 0; i--) _free[_available++] = _memory + i;
    }

    /// <summary>How many descriptors there are.</summary>
    public int Capacity { get; }

    /// <summary>How many of them are free.</summary>
    public int Available => _available;

    /// <summary>The descriptor with this index, free or not.</summary>
    public IoDescriptor* this[int index] => _memory + index;

    /// <summary>The index of a descriptor of this slab, or -1 where it is not of this slab.</summary>
    public int IndexOf(IoDescriptor* descriptor)
    {
        var index = descriptor - _memory;
        return index >= 0 && index < Capacity ? (int)index : -1;
    }

    /// <summary>Takes a free descriptor; the caller has looked at <see cref="Available"/>. Its content is whatever was left in it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public IoDescriptor* Take() => _free[--_available];

    /// <summary>Gives a descriptor back.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Return(IoDescriptor* descriptor) => _free[_available++] = descriptor;

    /// <summary>Gives the memory back.</summary>
    public void Dispose()
    {
        if (_memory is null) return;
        NativeMemory.AlignedFree(_memory);
        _memory = null;
        _available = 0;
    }
}
