using System.Globalization;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Comanche.App.Bench;

/// <summary>
/// A log-linear histogram of nanoseconds: 64 equal steps in each power of two, so that a value is kept to 1.6 %. One thread writes.
/// </summary>
internal sealed unsafe class LatencyHistogram : IDisposable
{
    // 64 steps per octave: below 64 ns every value has its own cell. 2^63 ns needs (63 − 6 + 2) octaves of them.
    private const int StepBits = 6;
    private const int Steps = 1 << StepBits;
    private const int Cells = (64 - StepBits + 1) * Steps;

    private readonly ulong* _cells = (ulong*)NativeMemory.AllocZeroed(Cells, sizeof(ulong));
    private double _sumOfSquares;

    /// <summary>How many values.</summary>
    public ulong Count { get; private set; }

    /// <summary>Their sum.</summary>
    public ulong Sum { get; private set; }

    /// <summary>The smallest; 0 without any.</summary>
    public ulong Min { get; private set; }

    /// <summary>The largest.</summary>
    public ulong Max { get; private set; }

    /// <summary>The mean; 0 without any.</summary>
    public double Mean => Count == 0 ? 0 : (double)Sum / Count;

    /// <summary>The standard deviation.</summary>
    public double Deviation => Count == 0 ? 0 : Math.Sqrt(Math.Max(0, _sumOfSquares / Count - Mean * Mean));

    /// <summary>Adds a value so many times.</summary>
    public void Record(ulong value, uint times)
    {
        _cells[IndexOf(value)] += times;
        if (Count == 0 || value < Min) Min = value;
        if (value > Max) Max = value;
        Count += times;
        Sum += value * times;
        _sumOfSquares += (double)value * value * times;
    }

    /// <summary>The value below or at which so many percent lie.</summary>
    public ulong Percentile(double percent)
    {
        if (Count == 0) return 0;
        var rank = (ulong)Math.Max(1, Math.Ceiling(Count * percent / 100));
        ulong seen = 0;
        for (var i = 0; i < Cells; i++)
        {
            seen += _cells[i];
            if (seen >= rank) return Math.Clamp(HighestOf(i), Min, Max);
        }

        return Max;
    }

    /// <summary>How many are below a value, to the precision of the steps.</summary>
    public ulong CountBelow(ulong value)
    {
        ulong below = 0;
        for (var i = 0; i < Cells && HighestOf(i) < value; i++) below += _cells[i];
        return below;
    }

    /// <summary>Takes in what another one holds.</summary>
    public void Add(LatencyHistogram other)
    {
        if (other.Count == 0) return;
        Min = Count == 0 ? other.Min : Math.Min(Min, other.Min);
        Max = Math.Max(Max, other.Max);
        Count += other.Count;
        Sum += other.Sum;
        _sumOfSquares += other._sumOfSquares;
        for (var i = 0; i < Cells; i++) _cells[i] += other._cells[i];
    }

    /// <summary>Writes all that it holds as one word, for <see cref="AddText"/> in another process.</summary>
    public string ToText()
    {
        var text = new System.Text.StringBuilder(string.Create(CultureInfo.InvariantCulture, $"{Min},{Max},{Sum},{_sumOfSquares:R}"));
        for (var i = 0; i < Cells; i++)
            if (_cells[i] != 0)
                text.Append(CultureInfo.InvariantCulture, $",{i}:{_cells[i]}");
        return text.ToString();
    }

    /// <summary>Takes in what another process's histogram wrote; false where it is not that.</summary>
    public bool AddText(string text)
    {
        using var other = new LatencyHistogram();
        var parts = text.Split(',');
        if (parts.Length < 4 || !Number(parts[0], out var min) || !Number(parts[1], out var max) || !Number(parts[2], out var sum)) return false;
        if (!double.TryParse(parts[3], NumberStyles.Float, CultureInfo.InvariantCulture, out other._sumOfSquares)) return false;
        (other.Min, other.Max, other.Sum) = (min, max, sum);
        foreach (var part in parts.AsSpan(4))
        {
            var colon = part.IndexOf(':', StringComparison.Ordinal);
            if (colon < 0 || !Number(part[..colon], out var cell) || cell >= Cells || !Number(part[(colon + 1)..], out var count)) return false;
            other._cells[cell] = count;
            other.Count += count;
        }

        Add(other);
        return true;

        static bool Number(string word, out ulong number) => ulong.TryParse(word, NumberStyles.None, CultureInfo.InvariantCulture, out number);
    }

    /// <summary>Forgets everything.</summary>
    public void Clear()
    {
        NativeMemory.Clear(_cells, Cells * sizeof(ulong));
        Count = Sum = Min = Max = 0;
        _sumOfSquares = 0;
    }

    /// <inheritdoc/>
    public void Dispose() => NativeMemory.Free(_cells);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int IndexOf(ulong value)
    {
        if (value < Steps) return (int)value;
        var shift = BitOperations.Log2(value) - StepBits;
        return (shift + 1) * Steps + (int)(value >> shift) - Steps;
    }

    private static ulong HighestOf(int index)
    {
        if (index < Steps) return (ulong)index;
        var shift = index / Steps - 1;
        return ((ulong)(index % Steps + Steps + 1) << shift) - 1;
    }
}
