using System.Numerics;

namespace Comanche.Block;

/// <summary>
/// A ring of DMA memory out of which entries are cut in order, given back in any order, and free again in order. Owner thread only.
/// </summary>
/// <remarks>
/// Invariants: head ≤ tail ≤ head + capacity, both counting bytes for ever; an entry never wraps, so one at most half as long as the ring
/// fits whenever the ring is empty.
/// </remarks>
internal sealed unsafe class StagingRing
{
    private readonly byte* _memory;
    private readonly ulong _capacity;
    private readonly Entry[] _entries;
    private readonly uint _mask;
    private ulong _head;
    private ulong _tail;
    private uint _oldest;
    private uint _next;

    /// <summary>Makes a ring.</summary>
    /// <param name="memory">Its memory.</param>
    /// <param name="capacity">The bytes of it.</param>
    /// <param name="entries">The most entries at once.</param>
    public StagingRing(byte* memory, ulong capacity, int entries)
    {
        _memory = memory;
        _capacity = capacity;
        _entries = new Entry[BitOperations.RoundUpToPowerOf2((uint)entries)];
        _mask = (uint)_entries.Length - 1;
    }

    /// <summary>Whether so many bytes can be cut now.</summary>
    public bool Fits(ulong bytes) => _next - _oldest <= _mask && _tail + Skipped(bytes) + bytes - _head <= _capacity;

    /// <summary>Cuts an entry that fits; its index is for <see cref="this"/> and <see cref="Return"/>.</summary>
    public byte* Take(ulong bytes, out uint index)
    {
        _tail += Skipped(bytes);
        var start = _memory + _tail % _capacity;
        _tail += bytes;
        index = _next++ & _mask;
        _entries[index] = new Entry { End = _tail };
        return start;
    }

    /// <summary>A number to keep with an entry.</summary>
    public ref ulong this[uint index] => ref _entries[index].Sequence;

    /// <summary>Gives an entry back.</summary>
    public void Return(uint index)
    {
        _entries[index].Returned = true;
        while (_oldest != _next && _entries[_oldest & _mask].Returned) _head = _entries[_oldest++ & _mask].End;
    }

    // What is left unused before the wrap, where the entry does not fit there.
    private ulong Skipped(ulong bytes)
    {
        var left = _capacity - _tail % _capacity;
        return left < bytes ? left : 0;
    }

    private struct Entry
    {
        public ulong End;
        public ulong Sequence;
        public bool Returned;
    }
}
