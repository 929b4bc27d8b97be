using System.Diagnostics;

namespace Comanche.Testing;

/// <summary>External programs that tests need.</summary>
public static class Tools
{
    // What xunit takes for a skipped test when an exception's message starts with it (Xunit.Sdk.DynamicSkipToken).
    private const string SkipToken = "$XunitDynamicSkip$";

    /// <summary>Whether a program is installed.</summary>
    public static bool Has(string tool) => Find(tool) is not null;

    /// <summary>
    /// Skips the calling test, naming the Debian package, where a program is missing; fails it instead where COMANCHE_REQUIRE_TOOLS is 1.
    /// </summary>
    public static void Need(string tool, string package)
    {
        if (!Has(tool)) SkipOrFail($"needs {tool} of the Debian package {package}");
    }

    /// <summary>Skips the calling test for a reason, or fails it where COMANCHE_REQUIRE_TOOLS is 1.</summary>
    public static void SkipOrFail(string reason)
    {
        if (Environment.GetEnvironmentVariable("COMANCHE_REQUIRE_TOOLS") == "1") throw new InvalidOperationException(reason);
        throw new InvalidOperationException(SkipToken + reason);
    }

    /// <summary>Runs a program to its end, at most a minute, and returns its exit code and all that it printed.</summary>
    public static (int ExitCode, string Output) Run(string tool, params string[] arguments)
    {
        var start = new ProcessStartInfo(Find(tool) ?? tool) { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true };
        foreach (var argument in arguments) start.ArgumentList.Add(argument);
        using var process = Process.Start(start)!;
        process.StandardInput.Close();
        var error = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEndAsync();
        if (!process.WaitForExit(60_000))
        {
            process.Kill(entireProcessTree: true);
            throw new TimeoutException($"{tool} {string.Join(' ', arguments)} did not end within a minute");
        }

        return (process.ExitCode, output.GetAwaiter().GetResult() + error.GetAwaiter().GetResult());
    }

    private static string? Find(string tool)
    {
        // Administrators' programs are not in an ordinary user's path.
        var path = (Environment.GetEnvironmentVariable("PATH") ?? "") + ":/usr/sbin:/sbin:/usr/local/sbin";
        return path.Split(':', StringSplitOptions.RemoveEmptyEntries).Select(folder => Path.Combine(folder, tool)).FirstOrDefault(File.Exists);
    }
}
