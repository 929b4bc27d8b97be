using Comanche.Block;

namespace Comanche.Conformance.Tests.Recipes;

/// <summary><c>block/pass</c> with a descriptor of its own for each I/O.</summary>
public sealed class PassChildRecipe : IConformanceRecipe
{
    /// <inheritdoc/>
    public string Name => "block/pass with children";

    /// <inheritdoc/>
    public string? Component => "block/pass";

    /// <inheritdoc/>
    public Prepared Prepare(Workbench bench) => new(host => new PassDevice(host, new PassOptions { Child = true }), ("", bench.AddMemory()));
}
