using System.Globalization;

namespace Comanche;

/// <summary>A number of bytes, written <c>512</c>, <c>4KiB</c>, <c>1GiB</c>; decimal units (<c>kB</c>, <c>MB</c> …) mean powers of 1000.</summary>
/// <param name="Bytes">The number of bytes.</param>
public readonly record struct ByteSize(ulong Bytes) : IComparable<ByteSize>
{
    private static readonly (string Unit, ulong Factor)[] Units =
    [
        ("KiB", 1UL << 10), ("MiB", 1UL << 20), ("GiB", 1UL << 30), ("TiB", 1UL << 40), ("PiB", 1UL << 50),
        ("kB", 1_000), ("MB", 1_000_000), ("GB", 1_000_000_000), ("TB", 1_000_000_000_000), ("PB", 1_000_000_000_000_000),
        ("k", 1UL << 10), ("K", 1UL << 10), ("m", 1UL << 20), ("M", 1UL << 20), ("g", 1UL << 30), ("G", 1UL << 30), ("T", 1UL << 40), ("B", 1),
    ];

    /// <summary>So many KiB.</summary>
    public static ByteSize KiB(ulong count) => new(count << 10);

    /// <summary>So many MiB.</summary>
    public static ByteSize MiB(ulong count) => new(count << 20);

    /// <summary>So many GiB.</summary>
    public static ByteSize GiB(ulong count) => new(count << 30);

    /// <summary>Reads a size; false where the text is none, or the value does not fit 63 bits.</summary>
    public static bool TryParse(string text, out ByteSize size)
    {
        size = default;
        text = text.Trim();
        ulong factor = 1;
        foreach (var (unit, value) in Units)
        {
            if (!text.EndsWith(unit, StringComparison.Ordinal)) continue;
            factor = value;
            text = text[..^unit.Length].TrimEnd();
            break;
        }

        if (!decimal.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var number)) return false;
        if (number > long.MaxValue / (decimal)factor) return false;
        var bytes = number * factor;
        if (bytes != decimal.Truncate(bytes)) return false;
        size = new((ulong)bytes);
        return true;
    }

    /// <inheritdoc/>
    public int CompareTo(ByteSize other) => Bytes.CompareTo(other.Bytes);

    /// <summary>The shortest exact spelling in binary units.</summary>
    public override string ToString()
    {
        if (Bytes == 0) return "0";
        for (var i = 4; i >= 0; i--)
        {
            var (unit, factor) = Units[i];
            if (Bytes % factor == 0) return string.Create(CultureInfo.InvariantCulture, $"{Bytes / factor}{unit}");
        }

        return Bytes.ToString(CultureInfo.InvariantCulture);
    }
}
