using System.Numerics;
using System.Runtime.InteropServices;

namespace Comanche;

/// <summary>A bounded first-in-first-out ring of descriptor pointers in native memory. Owner thread only.</summary>
public sealed unsafe class DescriptorRing : IDisposable
{
    private readonly uint _mask;
    private IoDescriptor** _slots;
    private uint _head;
    private uint _tail;

    /// <summary>Makes a ring for at least so many pointers.</summary>
    public DescriptorRing(int capacity)
    {
        var slots = BitOperations.RoundUpToPowerOf2((uint)Math.Max(capacity, 1));
        _mask = slots - 1;
        _slots = (IoDescriptor**)NativeMemory.Alloc(slots, (nuint)sizeof(IoDescriptor*));
    }

    /// <summary>How many pointers are in it.</summary>
    public int Count => (int)(_tail - _head);

    /// <summary>How many more fit.</summary>
    public int Free => (int)(_mask + 1) - Count;

    /// <summary>Adds a pointer; the caller knows that there is room.</summary>
    public void Push(IoDescriptor* descriptor) => _slots[_tail++ & _mask] = descriptor;

    /// <summary>Adds pointers; the caller knows that there is room.</summary>
    public void Push(IoDescriptor** descriptors, int count)
    {
        for (var i = 0; i < count; i++) _slots[_tail++ & _mask] = descriptors[i];
    }

    /// <summary>Takes the oldest pointer; the caller knows that there is one.</summary>
    public IoDescriptor* Pop() => _slots[_head++ & _mask];

    /// <summary>Takes up to so many of the oldest pointers.</summary>
    public int Pop(IoDescriptor** into, int capacity)
    {
        var count = Math.Min(capacity, Count);
        for (var i = 0; i < count; i++) into[i] = _slots[_head++ & _mask];
        return count;
    }

    /// <summary>Takes a pointer from wherever it is; false where it is not in the ring. The others keep their order. Linear: for cancelling.</summary>
    public bool Remove(IoDescriptor* descriptor)
    {
        var found = false;
        for (var left = Count; left != 0; left--)
        {
            var one = Pop();
            if (one == descriptor) found = true;
            else Push(one);
        }

        return found;
    }

    /// <summary>
    /// Submits the oldest pointers, in order, as far as the queue takes them; returns how many it took.
    /// </summary>
    public int SubmitTo(IIoQueue queue)
    {
        var total = 0;
        while (Count != 0)
        {
            // A ring lies in at most two contiguous pieces.
            var start = _head & _mask;
            var piece = (int)Math.Min((uint)Count, _mask + 1 - start);
            var taken = queue.Submit(_slots + start, piece);
            _head += (uint)taken;
            total += taken;
            if (taken < piece) break;
        }

        return total;
    }

    /// <summary>Gives the memory back.</summary>
    public void Dispose()
    {
        NativeMemory.Free(_slots);
        _slots = null;
        _head = _tail = 0;
    }
}
