namespace Comanche.Runtime;

/// <summary>
/// The free pieces of a pool: first fit by address, neighbours merged. Everything is in bytes from the pool's start and a multiple of <see cref="Grain"/>.
/// </summary>
/// <remarks>Invariants: pieces are sorted, not empty, and never touch each other. The caller holds the registry's lock.</remarks>
internal sealed class Extents
{
    /// <summary>Buffers start and end on cache lines, so that two owners never share one.</summary>
    public const ulong Grain = 64;

    private readonly List<(ulong Start, ulong End)> _free;

    public Extents(ulong length)
    {
        Length = length;
        _free = [(0, length)];
    }

    /// <summary>The whole length.</summary>
    public ulong Length { get; }

    /// <summary>Bytes that are taken.</summary>
    public ulong Used { get; private set; }

    /// <summary>How many pieces the free room is in.</summary>
    public int Pieces => _free.Count;

    /// <summary>Takes a piece whose start is a multiple of the alignment (a power of two).</summary>
    public bool TryTake(ulong length, ulong alignment, out ulong start)
    {
        for (var i = 0; i < _free.Count; i++)
        {
            var (from, to) = _free[i];
            start = (from + alignment - 1) & ~(alignment - 1);
            if (start >= to || to - start < length) continue;
            Cut(i, start, start + length);
            return true;
        }

        start = 0;
        return false;
    }

    /// <summary>Takes exactly this piece where it is free: how a buffer grows in place.</summary>
    public bool TryTakeAt(ulong start, ulong length)
    {
        var i = IndexAfter(start) - 1;
        if (i < 0 || _free[i].End < start + length) return false;
        Cut(i, start, start + length);
        return true;
    }

    /// <summary>Gives a piece back.</summary>
    public void Return(ulong start, ulong length)
    {
        var end = start + length;
        var next = IndexAfter(start);
        var joinsPrevious = next > 0 && _free[next - 1].End == start;
        var joinsNext = next < _free.Count && _free[next].Start == end;
        if (joinsPrevious && joinsNext)
        {
            _free[next - 1] = (_free[next - 1].Start, _free[next].End);
            _free.RemoveAt(next);
        }
        else if (joinsPrevious)
        {
            _free[next - 1] = (_free[next - 1].Start, end);
        }
        else if (joinsNext)
        {
            _free[next] = (start, _free[next].End);
        }
        else
        {
            _free.Insert(next, (start, end));
        }

        Used -= length;
    }

    // The index of the first piece that starts after a point.
    private int IndexAfter(ulong point)
    {
        int low = 0, high = _free.Count;
        while (low < high)
        {
            var middle = (low + high) / 2;
            if (_free[middle].Start <= point) low = middle + 1;
            else high = middle;
        }

        return low;
    }

    private void Cut(int index, ulong start, ulong end)
    {
        var (from, to) = _free[index];
        Used += end - start;
        if (from == start && to == end) _free.RemoveAt(index);
        else if (from == start) _free[index] = (end, to);
        else
        {
            _free[index] = (from, start);
            if (to != end) _free.Insert(index + 1, (end, to));
        }
    }
}
