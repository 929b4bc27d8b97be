using Comanche.Partition;

namespace Comanche.Conformance.Tests;

/// <summary>A named region in the middle of a memory device, so that there are neighbours to be left alone.</summary>
public sealed class RegionRecipe : IConformanceRecipe
{
    /// <inheritdoc/>
    public string Name => "partition/region";

    /// <inheritdoc/>
    public string? Component => Name;

    /// <inheritdoc/>
    public Prepared Prepare(Workbench bench) =>
        new(host => new RegionDevice(host, new RegionOptions { Region = "data", Size = ByteSize.MiB(4) }), ("", bench.AddMemory()));
}
