using System.Text;

namespace Comanche.Runtime.Loading;

/// <summary>Names in stack files: their spelling, and the nearest known one to what was written.</summary>
public static class Spelling
{
    /// <summary>A .NET name in kebab-case: <c>BlockSize</c> → <c>block-size</c>, <c>IOPath</c> → <c>io-path</c>.</summary>
    public static string ToKebab(string name)
    {
        var text = new StringBuilder(name.Length + 4);
        for (var i = 0; i < name.Length; i++)
        {
            var startsWord = i > 0 && char.IsUpper(name[i])
                && (!char.IsUpper(name[i - 1]) || (i + 1 < name.Length && char.IsLower(name[i + 1])));
            if (startsWord && name[i - 1] != '_') text.Append('-');
            text.Append(name[i] == '_' ? '-' : char.ToLowerInvariant(name[i]));
        }

        return text.ToString();
    }

    /// <summary>The known name that is nearest to what was written, or null where none is near enough to be meant.</summary>
    public static string? Nearest(string written, IEnumerable<string> known)
    {
        // One slip in three letters is still the same word to a reader; never more than three. With one letter every other name of one would be near.
        var limit = written.Length == 1 ? 0 : Math.Clamp((written.Length + 2) / 3, 1, 3);
        string? best = null;
        foreach (var candidate in known)
        {
            var distance = Distance(written, candidate, limit);
            if (distance > limit) continue;
            limit = distance - 1;
            best = candidate;
        }

        return best;
    }

    /// <summary>Writes <c>; did you mean 'x'?</c>, or nothing where no name is near.</summary>
    public static string Suggest(string written, IEnumerable<string> known) =>
        Nearest(written, known) is { } near ? $"; did you mean '{near}'?" : "";

    // Damerau–Levenshtein (optimal string alignment): insertions, deletions, substitutions, neighbours swapped.
    private static int Distance(string a, string b, int limit)
    {
        if (Math.Abs(a.Length - b.Length) > limit) return limit + 1;
        var before = new int[b.Length + 1];
        var previous = new int[b.Length + 1];
        var current = new int[b.Length + 1];
        for (var j = 0; j <= b.Length; j++) previous[j] = j;
        for (var i = 1; i <= a.Length; i++)
        {
            current[0] = i;
            for (var j = 1; j <= b.Length; j++)
            {
                var cost = char.ToLowerInvariant(a[i - 1]) == char.ToLowerInvariant(b[j - 1]) ? 0 : 1;
                current[j] = Math.Min(Math.Min(current[j - 1] + 1, previous[j] + 1), previous[j - 1] + cost);
                if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) current[j] = Math.Min(current[j], before[j - 2] + 1);
            }

            (before, previous, current) = (previous, current, before);
        }

        return previous[b.Length];
    }
}
