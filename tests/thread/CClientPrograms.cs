using System.Runtime.CompilerServices;
using Comanche.Testing;

namespace Comanche.Threading.Tests;

/// <summary>The program that uses the client library in C, compiled when a test first asks for it.</summary>
public sealed class CClientPrograms : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("comanche-client-").FullName;

    /// <summary>Where its headers are.</summary>
    public static string[] Includes => ["-I", Source("native"), "-I", Source("native/client")];

    /// <summary>As it is meant to be.</summary>
    public string Plain => Compile("plain", "-O2");

    /// <summary>With checks of memory and arithmetic; skips the test where the compiler has none.</summary>
    public string Sanitized => Compile("sanitized", "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all");

    /// <inheritdoc/>
    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private string Compile(string name, params string[] options)
    {
        Tools.Need("cc", "gcc");
        var program = Path.Combine(_folder, name);
        if (File.Exists(program)) return program;
        string[] sources = [.. Directory.GetFiles(Source("native/client"), "*.c"), Source("tests/thread/native/client_test.c")];
        var (code, output) = Tools.Run("cc", ["-std=c11", "-Wall", "-Wextra", "-Werror", .. options, .. Includes, .. sources, "-o", program]);
        if (code != 0 && output.Contains("cannot find", StringComparison.Ordinal)) Tools.SkipOrFail("needs the sanitizers of gcc");
        Assert.True(code == 0, output);
        return program;
    }

    private static string Source(string relative, [CallerFilePath] string here = "") => Path.Combine(Path.GetDirectoryName(here)!, "../..", relative);
}
