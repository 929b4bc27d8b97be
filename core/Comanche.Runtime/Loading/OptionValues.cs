using System.Globalization;

namespace Comanche.Runtime.Loading;

/// <summary>Where something stands in a file. Lines and columns count from 1.</summary>
public readonly record struct SourceLocation(string File, int Line, int Column) : IComparable<SourceLocation>
{
    /// <inheritdoc/>
    public int CompareTo(SourceLocation other)
    {
        var line = Line.CompareTo(other.Line);
        return line != 0 ? line : Column.CompareTo(other.Column);
    }

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{File}:{Line}:{Column}");
}

/// <summary>A checked value of an option and where it was written.</summary>
/// <param name="Value">
/// <see cref="string"/> (text, choice), <see cref="bool"/>, <see cref="Int128"/>, <see cref="double"/>, <see cref="ByteSize"/>,
/// <see cref="TimeSpan"/>, <see cref="OptionSet"/>, or a list of these.
/// </param>
/// <param name="At">Where.</param>
public sealed record OptionValue(object Value, SourceLocation At);

/// <summary>The options that a stack file gives a component, checked against its description. What is not given is absent.</summary>
/// <param name="at">Where the device or the mapping begins.</param>
public sealed class OptionSet(SourceLocation at)
{
    private readonly Dictionary<string, OptionValue> _values = new(StringComparer.Ordinal);

    /// <summary>Where the mapping begins.</summary>
    public SourceLocation At { get; } = at;

    /// <summary>What is given, by name.</summary>
    public IReadOnlyDictionary<string, OptionValue> Values => _values;

    /// <summary>Stores a value.</summary>
    public void Set(string name, OptionValue value) => _values[name] = value;

    /// <summary>Where an option (<c>a</c>, or <c>a.b</c> for one inside a mapping) is written; the mapping's own place where it isn't.</summary>
    public SourceLocation Locate(string option)
    {
        var dot = option.IndexOf('.');
        var head = dot < 0 ? option : option[..dot];
        if (!_values.TryGetValue(head, out var value)) return At;
        return dot >= 0 && value.Value is OptionSet nested ? nested.Locate(option[(dot + 1)..]) : value.At;
    }
}

/// <summary>Reads single values as stack files write them.</summary>
public static class OptionText
{
    /// <summary>Reads a value of a kind; on failure says what was expected.</summary>
    public static bool TryParse(OptionKind kind, string text, out object value, out string expected)
    {
        value = text;
        expected = "";
        switch (kind)
        {
            case OptionKind.Boolean:
                expected = "true or false";
                value = text is "true";
                return text is "true" or "false";
            case OptionKind.Integer:
                expected = "a whole number";
                var whole = TryParseInteger(text, out var integer);
                value = integer;
                return whole;
            case OptionKind.Number:
                expected = "a number";
                var real = double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var number) && double.IsFinite(number);
                value = number;
                return real;
            case OptionKind.Size:
                expected = "a size like 512, 4KiB or 1GiB";
                var sized = ByteSize.TryParse(text, out var size);
                value = size;
                return sized;
            case OptionKind.Duration:
                expected = "a duration like 250ms or 10s";
                var timed = Durations.TryParse(text, out var duration);
                value = duration;
                return timed;
            default:
                return true;
        }
    }

    /// <summary>Writes a value as a stack file would.</summary>
    public static string Format(object value) => value switch
    {
        bool b => b ? "true" : "false",
        TimeSpan duration => Durations.Format(duration),
        Enum word => Spelling.ToKebab(word.ToString()),
        IFormattable formattable => formattable.ToString(null, CultureInfo.InvariantCulture),
        _ => value.ToString() ?? "",
    };

    private static bool TryParseInteger(string text, out Int128 value)
    {
        if (text.StartsWith("0x", StringComparison.OrdinalIgnoreCase))
            return Int128.TryParse(text.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out value);
        return Int128.TryParse(text.Replace("_", "", StringComparison.Ordinal), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out value);
    }
}
