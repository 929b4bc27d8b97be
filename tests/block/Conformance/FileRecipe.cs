using Comanche.Block;

namespace Comanche.Conformance.Tests.Recipes;

/// <summary>Makes <c>block/file</c> with blocks of 4 KiB, allocated at once.</summary>
public sealed class PreallocatedFileRecipe : IConformanceRecipe
{
    /// <inheritdoc/>
    public string Name => "block/file, 4 KiB blocks, preallocated";

    /// <inheritdoc/>
    public string Component => "block/file";

    /// <inheritdoc/>
    public Prepared Prepare(Workbench bench) => new(host => new FileDevice(host, new FileDeviceOptions
    {
        Path = Path.Combine(bench.Folder, "disk.img"), Size = ByteSize.MiB(8), BlockSize = ByteSize.KiB(4), Preallocate = true,
    }));
}

/// <summary>Makes <c>block/file</c> with a kernel thread that submits.</summary>
public sealed class PolledFileRecipe : IConformanceRecipe
{
    /// <inheritdoc/>
    public string Name => "block/file, sqpoll";

    /// <inheritdoc/>
    public string Component => "block/file";

    /// <inheritdoc/>
    public Prepared Prepare(Workbench bench) => new(host => new FileDevice(host, new FileDeviceOptions
    {
        Path = Path.Combine(bench.Folder, "disk.img"), Size = ByteSize.MiB(8), Sqpoll = true, Timeout = TimeSpan.FromSeconds(30),
    }));
}
