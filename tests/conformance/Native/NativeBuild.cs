using System.Security.Cryptography;
using System.Text;
using Comanche.Testing;

namespace Comanche.Conformance.Tests.Native;

/// <summary>Libraries that are built from sources of this checkout. What was built is kept under the hash of all that went in, so that only a change builds anew.</summary>
internal static class NativeBuild
{
    private static readonly Lock Building = new();

    /// <summary>The C++ example. Skips the test where there is no compiler.</summary>
    public static string Xor() => Build("c++", "g++", "comanche-xor.so", ["examples/native/xor/xor.cpp", "examples/native/xor/build.sh"],
        (folder, _) => ["bash", Source.Path("examples/native/xor/build.sh"), folder]);

    /// <summary>The C++ component that fails as it is asked to, and counts what lives.</summary>
    public static string Probe() => Cpp("probe");

    /// <summary>The C++ component that has a block device as a part.</summary>
    public static string Whole() => Cpp("whole");

    /// <summary>A factory in C with these descriptions.</summary>
    public static string Described(params string[] descriptions)
    {
        var literals = string.Join(", ", descriptions.Select(d => $"\"{d.Replace("\\", "\\\\").Replace("\"", "\\\"").Replace("\n", "\\n")}\""));
        return Build("cc", "gcc", "described.so", ["tests/conformance/Native/described.c"],
            (_, library) => ["cc", "-std=c11", "-O1", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fPIC", "-shared", $"-DDESCRIPTIONS={literals}", "-I", Source.Path("native"),
                Source.Path("tests/conformance/Native/described.c"), "-o", library], literals);
    }

    private static string Cpp(string name)
    {
        var source = $"tests/conformance/Native/{name}.cpp";
        return Build("c++", "g++", $"{name}.so", [source],
            (_, library) => ["c++", "-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", "-I", Source.Path("native"), Source.Path(source), "-o", library]);
    }

    private static string Build(string compiler, string package, string name, string[] sources, Func<string, string, string[]> command, string more = "")
    {
        Tools.Need(compiler, package);
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var file in sources.Concat(["native/comanche.h", "native/comanche.hpp", "native/comanche_options.hpp", "tests/conformance/Native/NativeBuild.cs"])) hash.AppendData(File.ReadAllBytes(Source.Path(file)));
        hash.AppendData(Encoding.UTF8.GetBytes(name + more));
        var folder = Path.Combine(Path.GetTempPath(), $"comanche-native-{Environment.UserName}-{Convert.ToHexStringLower(hash.GetHashAndReset())[..16]}");
        var library = Path.Combine(folder, name);
        lock (Building)
        {
            if (File.Exists(library)) return library;

            // Built beside its place and moved there: another process may be doing the same.
            var work = Directory.CreateTempSubdirectory("comanche-native-").FullName;
            var line = command(work, Path.Combine(work, name));
            var (code, output) = Tools.Run(line[0], line[1..]);
            if (code != 0) throw new InvalidOperationException($"{string.Join(' ', line)} ended with {code}:\n{output}");
            Directory.CreateDirectory(folder);
            File.Move(Path.Combine(work, name), library, overwrite: true);
            Directory.Delete(work, recursive: true);
            return library;
        }
    }
}
