using Comanche.Block;

namespace Comanche.Conformance.Tests.Recipes;

/// <summary><c>block/memory</c> with blocks of 4 KiB.</summary>
public sealed class MemoryLargeBlocksRecipe : IConformanceRecipe
{
    /// <inheritdoc/>
    public string Name => "block/memory with blocks of 4 KiB";

    /// <inheritdoc/>
    public string? Component => "block/memory";

    /// <inheritdoc/>
    public Prepared Prepare(Workbench bench) =>
        new(host => new MemoryDevice(host, new MemoryOptions { Size = ByteSize.MiB(8), BlockSize = ByteSize.KiB(4) }));
}
