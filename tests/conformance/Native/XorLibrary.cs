using System.Security.Cryptography;
using Comanche.Testing;

namespace Comanche.Conformance.Tests.Native;

/// <summary>The C++ example, built from this checkout. What was built is kept under its sources' hash, so that only a change builds anew.</summary>
internal static class XorLibrary
{
    private static readonly Lazy<string> Built = new(Build);

    /// <summary>Where the library lies. Skips the test where there is no compiler.</summary>
    public static string Path
    {
        get
        {
            Tools.Need("c++", "g++");
            return Built.Value;
        }
    }

    private static string Build()
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var file in new[] { "native/comanche.h", "native/comanche.hpp", "examples/native/xor/xor.cpp", "examples/native/xor/build.sh" })
            hash.AppendData(File.ReadAllBytes(Source.Path(file)));
        var folder = System.IO.Path.Combine(System.IO.Path.GetTempPath(), $"comanche-xor-{Environment.UserName}-{Convert.ToHexStringLower(hash.GetHashAndReset())[..16]}");
        var library = System.IO.Path.Combine(folder, "comanche-xor.so");
        if (File.Exists(library)) return library;
        var (code, output) = Tools.Run("bash", Source.Path("examples/native/xor/build.sh"), folder);
        if (code != 0) throw new InvalidOperationException($"examples/native/xor/build.sh ended with {code}:\n{output}");
        return library;
    }
}
