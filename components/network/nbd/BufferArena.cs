using System.Numerics;
using System.Runtime.InteropServices;

namespace Comanche.Network;

/// <summary>
/// One DMA buffer, given out in contiguous runs of units. A bitmap holds the free units (1 is free). Owner thread only; allocates nothing after the constructor.
/// </summary>
internal sealed unsafe class BufferArena : IDisposable
{
    private readonly IBlockDevice _device;
    private readonly IoBuffer _buffer;
    private readonly byte* _memory;
    private readonly ulong* _free;
    private readonly int _words;
    private readonly int _unitShift;
    private int _hint; // The word where the last single unit was found.

    /// <summary>Allocates an arena.</summary>
    /// <param name="device">Whose memory interface gives the buffer.</param>
    /// <param name="bytes">Size; rounded up to 64 units.</param>
    /// <param name="unitBytes">A power of two, at least 4096.</param>
    public BufferArena(IBlockDevice device, ulong bytes, uint unitBytes)
    {
        _device = device;
        _unitShift = BitOperations.Log2(unitBytes);
        _words = (int)((bytes + (64UL << _unitShift) - 1) / (64UL << _unitShift));
        Units = _words * 64;
        _buffer = device.AllocateIoBuffer((nuint)Units << _unitShift, unitBytes, -1);
        IoBufferInfo info;
        device.GetBufferInfo(_buffer, &info);
        _memory = (byte*)info.Address;
        Region = info.Region;
        _free = (ulong*)NativeMemory.Alloc((nuint)_words, sizeof(ulong));
        new Span<ulong>(_free, _words).Fill(ulong.MaxValue);
    }

    /// <summary>The registered region of all runs.</summary>
    public uint Region { get; }

    /// <summary>How many units there are.</summary>
    public int Units { get; }

    /// <summary>How many units are taken.</summary>
    public int Used { get; private set; }

    /// <summary>How many units so many bytes need.</summary>
    public int UnitsOf(uint bytes) => (int)((bytes + (1UL << _unitShift) - 1) >> _unitShift);

    /// <summary>The first byte of a unit.</summary>
    public byte* AddressOf(int unit) => _memory + ((nuint)unit << _unitShift);

    /// <summary>Takes a run of so many units, at least 1; -1 where there is none now.</summary>
    public int Take(int units)
    {
        var first = units == 1 ? FindOne() : FindRun(units);
        if (first < 0) return -1;
        Mark(first, units, free: false);
        Used += units;
        return first;
    }

    /// <summary>Gives a run back.</summary>
    public void Return(int first, int units)
    {
        Mark(first, units, free: true);
        Used -= units;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _device.FreeIoBuffer(_buffer);
        NativeMemory.Free(_free);
    }

    private int FindOne()
    {
        for (var i = 0; i < _words; i++)
        {
            var word = _hint + i;
            if (word >= _words) word -= _words;
            if (_free[word] == 0) continue;
            _hint = word;
            return word * 64 + BitOperations.TrailingZeroCount(_free[word]);
        }

        return -1;
    }

    // First fit: walks free stretches, a word at a time where a word is all free or all taken.
    private int FindRun(int units)
    {
        if (units > Units - Used) return -1;
        var start = 0;
        var length = 0;
        for (var unit = 0; unit < Units;)
        {
            var bits = _free[unit >> 6] >> (unit & 63);
            var rest = 64 - (unit & 63);
            var taken = Math.Min(rest, BitOperations.TrailingZeroCount(bits));
            if (taken != 0)
            {
                unit += taken;
                start = unit;
                length = 0;
                continue;
            }

            var free = Math.Min(rest, BitOperations.TrailingZeroCount(~bits));
            length += free;
            unit += free;
            if (length >= units) return start;
        }

        return -1;
    }

    private void Mark(int first, int units, bool free)
    {
        while (units > 0)
        {
            var bit = first & 63;
            var count = Math.Min(units, 64 - bit);
            var mask = (count == 64 ? ulong.MaxValue : (1UL << count) - 1) << bit;
            if (free) _free[first >> 6] |= mask;
            else _free[first >> 6] &= ~mask;
            first += count;
            units -= count;
        }
    }
}
