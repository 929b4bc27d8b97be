using Comanche.Partition;

namespace Comanche.Conformance.Tests;

/// <summary>A partition in the middle of a memory device, with the table's two copies as neighbours to be left alone.</summary>
public sealed class GptRecipe : IConformanceRecipe
{
    /// <inheritdoc/>
    public string Name => "partition/gpt";

    /// <inheritdoc/>
    public string? Component => Name;

    /// <inheritdoc/>
    public Prepared Prepare(Workbench bench) =>
        new(host => new GptDevice(host, new GptOptions { Create = true, Size = ByteSize.MiB(4) }), ("", bench.AddMemory()));
}
