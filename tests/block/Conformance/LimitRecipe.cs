using Comanche.Block;

namespace Comanche.Conformance.Tests.Recipes;

/// <summary>Limits that hold I/Os up all the time, each only shortly: 50 000 per second, with nothing saved up.</summary>
public sealed class LimitRecipe : IConformanceRecipe
{
    /// <inheritdoc/>
    public string Name => "block/limit with limits";

    /// <inheritdoc/>
    public string? Component => "block/limit";

    /// <inheritdoc/>
    public Prepared Prepare(Workbench bench) => new(
        host => new LimitDevice(host, new LimitOptions { Iops = 50_000, WriteIops = 40_000, Bandwidth = ByteSize.GiB(2), Burst = TimeSpan.Zero }), ("", bench.AddMemory()));
}
