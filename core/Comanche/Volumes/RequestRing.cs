using System.Numerics;
using System.Runtime.InteropServices;

namespace Comanche;

/// <summary>A bounded ring from many threads to one (D. Vyukov's: a cell's sequence number says whose turn it is).</summary>
/// <remarks>The users bound what is in it, so that it is never full.</remarks>
internal sealed class RequestRing
{
    private readonly Cell[] _cells;
    private readonly long _mask;
    private PaddedLong _tail; // Any thread.
    private PaddedLong _head; // Consumer only.

    public RequestRing(int capacity)
    {
        _cells = new Cell[BitOperations.RoundUpToPowerOf2((uint)Math.Max(capacity, 2))];
        _mask = _cells.Length - 1;
        for (var i = 0; i < _cells.Length; i++) _cells[i].Sequence = i;
    }

    /// <summary>Whether there is something to pop. Consumer only.</summary>
    public bool IsEmpty => Volatile.Read(ref _cells[_head.Value & _mask].Sequence) != _head.Value + 1;

    /// <summary>Adds a request. Any thread.</summary>
    public void Push(VolumeRequest request)
    {
        // The bound guarantees that the cell is free: whoever popped from it has set its sequence before the request could come again.
        var place = Interlocked.Increment(ref _tail.Value) - 1;
        ref var cell = ref _cells[place & _mask];
        var spin = default(SpinWait);
        while (Volatile.Read(ref cell.Sequence) != place) spin.SpinOnce();
        cell.Request = request;
        Volatile.Write(ref cell.Sequence, place + 1);
    }

    /// <summary>Takes the oldest request, or null. Consumer only.</summary>
    public VolumeRequest? Pop()
    {
        ref var cell = ref _cells[_head.Value & _mask];
        if (Volatile.Read(ref cell.Sequence) != _head.Value + 1) return null;
        var request = cell.Request;
        cell.Request = null;
        Volatile.Write(ref cell.Sequence, _head.Value + _mask + 1);
        _head.Value++;
        return request;
    }

    private struct Cell
    {
        public long Sequence;
        public VolumeRequest? Request;
    }

    // Alone on a cache line, and on the one that the processor fetches with it.
    [StructLayout(LayoutKind.Explicit, Size = 128)]
    private struct PaddedLong
    {
        [FieldOffset(0)] public long Value;
    }
}
