using System.Runtime.InteropServices;

namespace Comanche.Block;

/// <summary>
/// Descriptors in order of their deadlines, those of one deadline in order of arrival: a bounded binary heap in native memory. Owner thread only.
/// </summary>
/// <remarks>Invariant: an entry is not before its parent, the one at (index - 1) / 2; so the first is the next one due.</remarks>
internal sealed unsafe class DeadlineHeap(int capacity) : IDisposable
{
    private Entry* _entries = (Entry*)NativeMemory.Alloc((nuint)capacity, (nuint)sizeof(Entry));
    private ulong _arrivals;

    /// <summary>How many there are.</summary>
    public int Count { get; private set; }

    /// <summary>The next deadline in nanoseconds of the host's time; the heap is not empty.</summary>
    public ulong Next => _entries[0].Deadline;

    /// <summary>Adds a descriptor; the caller knows that there is room.</summary>
    public void Push(ulong deadline, IoDescriptor* descriptor) =>
        Rise(Count++, new Entry { Deadline = deadline, Arrival = _arrivals++, Descriptor = descriptor });

    /// <summary>Takes the one that is due next; the heap is not empty.</summary>
    public IoDescriptor* Pop()
    {
        var first = _entries[0].Descriptor;
        RemoveAt(0);
        return first;
    }

    /// <summary>Takes a descriptor out; false where it is not there. Linear: for cancelling.</summary>
    public bool Remove(IoDescriptor* descriptor)
    {
        for (var i = 0; i < Count; i++)
        {
            if (_entries[i].Descriptor != descriptor) continue;
            RemoveAt(i);
            return true;
        }

        return false;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        NativeMemory.Free(_entries);
        _entries = null;
        Count = 0;
    }

    private void RemoveAt(int index)
    {
        var last = _entries[--Count];
        if (index == Count) return;
        if (index > 0 && last.IsBefore(_entries[(index - 1) / 2])) Rise(index, last);
        else Sink(index, last);
    }

    private void Rise(int index, Entry entry)
    {
        while (index > 0)
        {
            var parent = (index - 1) / 2;
            if (!entry.IsBefore(_entries[parent])) break;
            _entries[index] = _entries[parent];
            index = parent;
        }

        _entries[index] = entry;
    }

    private void Sink(int index, Entry entry)
    {
        for (;;)
        {
            var child = 2 * index + 1;
            if (child >= Count) break;
            if (child + 1 < Count && _entries[child + 1].IsBefore(_entries[child])) child++;
            if (!_entries[child].IsBefore(entry)) break;
            _entries[index] = _entries[child];
            index = child;
        }

        _entries[index] = entry;
    }

    private struct Entry
    {
        public ulong Deadline;
        public ulong Arrival;
        public IoDescriptor* Descriptor;

        public readonly bool IsBefore(in Entry other) => Deadline != other.Deadline ? Deadline < other.Deadline : Arrival < other.Arrival;
    }
}
