using System.Globalization;

namespace Comanche.Peers;

/// <summary>Arguments of the form <c>--name value</c>, all optional.</summary>
internal sealed class Arguments
{
    private readonly Dictionary<string, string> _values = [];

    /// <summary>Reads them.</summary>
    public Arguments(string[] args)
    {
        for (var i = 0; i < args.Length; i += 2)
        {
            if (!args[i].StartsWith("--", StringComparison.Ordinal) || i + 1 == args.Length)
                throw new ComancheException($"{args[i]}: an option and its value were expected, like --runtime-ms 1000");
            _values[args[i][2..]] = args[i + 1];
        }
    }

    /// <summary>A text, or its default.</summary>
    public string Text(string name, string fallback) => _values.GetValueOrDefault(name, fallback);

    /// <summary>A positive number, or its default.</summary>
    public int Number(string name, int fallback) => !_values.TryGetValue(name, out var text) ? fallback
        : int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number > 0 ? number
        : throw new ComancheException($"--{name}: {text} is not a positive number");

    /// <summary>Positive numbers separated by commas, or their default.</summary>
    public int[] Numbers(string name, string fallback) =>
        [.. Text(name, fallback).Split(',').Select(t => int.TryParse(t, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number > 0
            ? number
            : throw new ComancheException($"--{name}: {t} is not a positive number"))];

    /// <summary>A size, or its default.</summary>
    public ByteSize Size(string name, string fallback) => ByteSize.TryParse(Text(name, fallback), out var size) && size.Bytes > 0
        ? size
        : throw new ComancheException($"--{name}: {Text(name, fallback)} is not a size");
}
