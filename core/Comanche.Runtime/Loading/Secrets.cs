namespace Comanche.Runtime.Loading;

/// <summary>Secrets, which a stack file only refers to: <c>env:NAME</c> or <c>file:PATH</c>.</summary>
internal static class Secrets
{
    /// <summary>Whether a text is a reference.</summary>
    public static bool IsReference(string text) =>
        (text.StartsWith("env:", StringComparison.Ordinal) && text.Length > 4) || (text.StartsWith("file:", StringComparison.Ordinal) && text.Length > 5);

    /// <summary>Fetches what a reference stands for; one line end at the end of a file does not count. Its content never appears in a message.</summary>
    public static string Fetch(string reference, SourceLocation at)
    {
        if (reference.StartsWith("env:", StringComparison.Ordinal))
            return Environment.GetEnvironmentVariable(reference[4..])
                ?? throw new ComancheException($"{at}: error: the environment variable {reference[4..]}, which holds a secret, is not set");
        try
        {
            var text = File.ReadAllText(reference[5..]);
            return text.EndsWith("\r\n", StringComparison.Ordinal) ? text[..^2] : text.EndsWith('\n') ? text[..^1] : text;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ComancheException($"{at}: error: the secret in {reference[5..]} can't be read: {e.Message}", e);
        }
    }
}
