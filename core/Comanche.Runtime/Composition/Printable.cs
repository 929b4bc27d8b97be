using System.Text;

namespace Comanche.Runtime.Composition;

/// <summary>
/// Text from outside as it may go to a terminal: what would be obeyed there rather than shown (control characters, marks that turn the direction of writing) is
/// spelt out, like <c>\u001b</c>.
/// </summary>
public static class Printable
{
    /// <summary>A text as one line: line ends are spelt out too.</summary>
    public static string Line(string text) => Spell(text, keepsLines: false);

    /// <summary>A text of whole lines.</summary>
    public static string Lines(string text) => Spell(text, keepsLines: true);

    private static string Spell(string text, bool keepsLines)
    {
        if (!text.Any(c => IsObeyed(c, keepsLines))) return text;
        var spelt = new StringBuilder(text.Length + 16);
        foreach (var c in text)
        {
            if (IsObeyed(c, keepsLines)) spelt.Append($"\\u{(int)c:x4}");
            else spelt.Append(c);
        }

        return spelt.ToString();
    }

    // Beside the control characters: Arabic letter mark, the directional marks, embeddings, overrides and isolates, and the two separators that end a line.
    private static bool IsObeyed(char c, bool keepsLines) =>
        char.IsControl(c) ? !keepsLines || c != '\n' : c is '\u061c' or '\u200e' or '\u200f' or (>= '\u2028' and <= '\u202e') or (>= '\u2066' and <= '\u2069');
}
