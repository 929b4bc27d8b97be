using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Comanche.Runtime;

/// <summary>
/// Counts times in nanoseconds by log-linear buckets, in fixed native memory: what HdrHistogram does.
/// </summary>
/// <remarks>
/// <para>A value below 128 has a bucket of its own; above that every power of two is divided into 64 buckets, so a bucket is at most 1/64 of its value wide, and a percentile, which is
/// the middle of its bucket, at most 0.8 % off. Values beyond 2^42 ns (73 minutes) count as that. (42 − 6 + 1) × 64 = 2368 buckets, 18.5 KiB.</para>
/// <para>One thread at a time records. Any thread may read meanwhile: it sees each count as it was a moment ago.</para>
/// <para>The memory goes with the object at the latest, and the collector may take that for dead while one of its own methods still runs: each keeps it alive to its last access.</para>
/// </remarks>
public sealed unsafe class LatencyHistogram : IDisposable
{
    private const int LinearBits = 6;
    private const int MaxBits = 42;
    private const ulong Largest = (1UL << MaxBits) - 1;

    /// <summary>The number of buckets.</summary>
    public const int BucketCount = (MaxBits - LinearBits + 1) << LinearBits;

    private ulong* _buckets;

    /// <summary>Makes an empty histogram.</summary>
    public LatencyHistogram() => _buckets = (ulong*)NativeMemory.AllocZeroed(BucketCount, sizeof(ulong));

    /// <summary>How many values were recorded.</summary>
    public ulong Count
    {
        get
        {
            ulong count = 0;
            for (var i = 0; i < BucketCount; i++) count += _buckets[i];
            GC.KeepAlive(this);
            return count;
        }
    }

    /// <summary>The mean in nanoseconds, 0 where nothing was recorded; at most 0.8 % off.</summary>
    public double Mean
    {
        get
        {
            double sum = 0, count = 0;
            for (var i = 0; i < BucketCount; i++)
            {
                sum += _buckets[i] * Middle(i);
                count += _buckets[i];
            }

            GC.KeepAlive(this);
            return count == 0 ? 0 : sum / count;
        }
    }

    /// <summary>The standard deviation in nanoseconds.</summary>
    public double StandardDeviation
    {
        get
        {
            double mean = Mean, sum = 0, count = 0;
            for (var i = 0; i < BucketCount; i++)
            {
                if (_buckets[i] == 0) continue;
                var distance = Middle(i) - mean;
                sum += _buckets[i] * distance * distance;
                count += _buckets[i];
            }

            GC.KeepAlive(this);
            return count == 0 ? 0 : Math.Sqrt(sum / count);
        }
    }

    /// <summary>The smallest value in nanoseconds, by its bucket's lower end; 0 where nothing was recorded.</summary>
    public ulong Min
    {
        get
        {
            for (var i = 0; i < BucketCount; i++)
                if (_buckets[i] != 0)
                    return Lower(i);
            GC.KeepAlive(this);
            return 0;
        }
    }

    /// <summary>The largest value in nanoseconds, by its bucket's upper end; 0 where nothing was recorded.</summary>
    public ulong Max
    {
        get
        {
            for (var i = BucketCount - 1; i >= 0; i--)
                if (_buckets[i] != 0)
                    return Lower(i + 1) - 1;
            GC.KeepAlive(this);
            return 0;
        }
    }

    /// <summary>Records one value. Owner thread.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Record(ulong ns)
    {
        _buckets[IndexOf(ns)]++;
        GC.KeepAlive(this);
    }

    /// <summary>The value in nanoseconds that so many percent of all values do not exceed; 0 where nothing was recorded.</summary>
    /// <param name="percent">0 to 100.</param>
    public ulong Percentile(double percent)
    {
        var total = Count;
        if (total == 0) return 0;
        var rank = Math.Clamp((ulong)Math.Ceiling(total * (percent / 100)), 1, total);
        ulong seen = 0;
        for (var i = 0; i < BucketCount; i++)
        {
            seen += _buckets[i];
            if (seen >= rank) return (ulong)Middle(i);
        }

        GC.KeepAlive(this);
        return Max; // Values came while we counted.
    }

    /// <summary>Adds all values of another one to this one.</summary>
    public void Add(LatencyHistogram other)
    {
        for (var i = 0; i < BucketCount; i++) _buckets[i] += other._buckets[i];
        GC.KeepAlive(other);
        GC.KeepAlive(this);
    }

    /// <summary>Forgets all values. Owner thread.</summary>
    public void Clear()
    {
        NativeMemory.Clear(_buckets, BucketCount * sizeof(ulong));
        GC.KeepAlive(this);
    }

    /// <summary>The bucket of a value.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static int IndexOf(ulong ns)
    {
        if (ns > Largest) ns = Largest;

        // The shift that brings the value's leading bits into 64..127; 0 for values below 128, whose index is themselves.
        var shift = 63 - LinearBits - BitOperations.LeadingZeroCount(ns | 1UL << LinearBits);
        return (shift << LinearBits) + (int)(ns >> shift);
    }

    /// <summary>The buckets, for a recorder that keeps the pointer as long as the histogram lives.</summary>
    internal ulong* Buckets => _buckets;

    /// <inheritdoc/>
    public void Dispose()
    {
        NativeMemory.Free(_buckets);
        _buckets = null;
        GC.SuppressFinalize(this);
    }

    /// <summary>Gives the memory back where nobody disposed it: merged copies are handed out freely.</summary>
    ~LatencyHistogram() => NativeMemory.Free(_buckets);

    // The smallest value of a bucket.
    private static ulong Lower(int index)
    {
        if (index < 2 << LinearBits) return (ulong)index;
        var shift = (index >> LinearBits) - 1;
        return ((ulong)index & ((1UL << LinearBits) - 1) | 1UL << LinearBits) << shift;
    }

    private static double Middle(int index) => (Lower(index) + (Lower(index + 1) - 1)) / 2.0;
}
