using System.Globalization;

namespace Comanche.Runtime.Loading;

/// <summary>Durations as stack files write them: <c>250ms</c>, <c>10s</c>, <c>1.5h</c>; 0 needs no unit.</summary>
public static class Durations
{
    // Longest unit names first, so that "ms" is not read as "s".
    private static readonly (string Unit, decimal Ticks)[] Units =
    [
        ("ns", 0.01m), ("us", TimeSpan.TicksPerMicrosecond), ("µs", TimeSpan.TicksPerMicrosecond), ("ms", TimeSpan.TicksPerMillisecond),
        ("min", TimeSpan.TicksPerMinute), ("s", TimeSpan.TicksPerSecond), ("m", TimeSpan.TicksPerMinute), ("h", TimeSpan.TicksPerHour),
        ("d", TimeSpan.TicksPerDay),
    ];

    /// <summary>Reads a duration; false where the text is none. What is finer than 100 ns is rounded up.</summary>
    public static bool TryParse(string text, out TimeSpan duration)
    {
        duration = default;
        text = text.Trim();
        if (text == "0") return true;
        foreach (var (unit, ticks) in Units)
        {
            if (!text.EndsWith(unit, StringComparison.Ordinal)) continue;
            var number = text[..^unit.Length].TrimEnd();
            if (!decimal.TryParse(number, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var count)) return false;
            if (count > long.MaxValue / Math.Max(ticks, 1)) return false;
            duration = new TimeSpan((long)decimal.Ceiling(count * ticks));
            return true;
        }

        return false;
    }

    /// <summary>The shortest exact spelling.</summary>
    public static string Format(TimeSpan duration)
    {
        if (duration == TimeSpan.Zero) return "0";
        ReadOnlySpan<(string Unit, long Ticks)> units =
        [
            ("d", TimeSpan.TicksPerDay), ("h", TimeSpan.TicksPerHour), ("min", TimeSpan.TicksPerMinute), ("s", TimeSpan.TicksPerSecond),
            ("ms", TimeSpan.TicksPerMillisecond), ("us", TimeSpan.TicksPerMicrosecond),
        ];
        foreach (var (unit, ticks) in units)
            if (duration.Ticks % ticks == 0)
                return string.Create(CultureInfo.InvariantCulture, $"{duration.Ticks / ticks}{unit}");
        return string.Create(CultureInfo.InvariantCulture, $"{duration.Ticks * 100}ns");
    }
}
