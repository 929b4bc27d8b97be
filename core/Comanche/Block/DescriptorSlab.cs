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

    /// <summary>
    /// The free descriptors that will be taken last come first, as an array of this length: something to fill and submit as one batch.
    /// The caller has looked at <see cref="Available"/>, and says with <see cref="Take(int, int)"/> how many of them are gone.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public IoDescriptor** Peek(int count) => _free + (_available - count);

    /// <summary>Takes the first descriptors of the array that <see cref="Peek"/> gave.</summary>
    /// <param name="count">The length of the array.</param>
    /// <param name="taken">How many of them are taken.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Take(int count, int taken)
    {
        if (taken < count) Keep(_free + (_available - count), count, taken);
        _available -= taken;
    }

    /// <summary>
    /// Makes a descriptor the child of another: a copy of what is asked, without the submitter's own
    /// (<see cref="IoDescriptor.Tag"/>, <see cref="IoDescriptor.Scratch"/>).
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void MakeChild(IoDescriptor* child, IoDescriptor* parent)
    {
        // The first half goes in one move and is not written to again, so that the layer below, which does the same soon after, loads it
        // straight from the store buffer.
        *(FirstHalf*)child = *(FirstHalf*)parent;
        child->Parent = parent;
        child->Auxiliary = parent->Auxiliary;
    }

    /// <summary>Gives the memory back.</summary>
    public void Dispose()
    {
        if (_memory is null) return;
        NativeMemory.AlignedFree(_memory);
        _memory = null;
        _available = 0;
    }

    // What was peeked at but not taken moves down over what was taken: the stack has no holes.
    private static void Keep(IoDescriptor** peeked, int count, int taken)
    {
        for (var i = taken; i < count; i++) peeked[i - taken] = peeked[i];
    }

    // Operation to buffer.
    [StructLayout(LayoutKind.Sequential, Size = 32)]
    private struct FirstHalf
    {
        private readonly ulong _first;
    }
}
