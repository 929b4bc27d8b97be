using Comanche.Runtime.Loading;

namespace Comanche.Conformance.Tests.Native;

/// <summary>The C++ example over memory: the same suite as for everything in C#.</summary>
public sealed class XorRecipe : IConformanceRecipe
{
    internal static readonly Guid Xor = new("6b0c2f5e-8a41-4c6d-9b77-1f2e3d4c5b6a");

    /// <inheritdoc/>
    public string Name => "example/xor (C++)";

    /// <inheritdoc/>
    public string? Component => null;

    /// <inheritdoc/>
    public Prepared Prepare(Workbench bench) => new(Make(), ("", bench.AddMemory()));

    internal static Func<IHost, IBase> Make(string json = "{}")
    {
        var path = NativeBuild.Xor();
        return host =>
        {
            using var library = NativeComponentLibrary.Open(path);
            return library.Create(Xor, host, json);
        };
    }
}
