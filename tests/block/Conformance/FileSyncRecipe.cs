using Comanche.Block;

namespace Comanche.Conformance.Tests.Recipes;

/// <summary><c>block/file</c> without io_uring, as on machines where it is forbidden.</summary>
public sealed class FileSyncRecipe : IConformanceRecipe
{
    /// <inheritdoc/>
    public string Name => "block/file by system calls";

    /// <inheritdoc/>
    public string? Component => "block/file";

    /// <inheritdoc/>
    public Prepared Prepare(Workbench bench)
    {
        var path = Path.Combine(bench.Folder, "volume");
        return new(host => new FileDevice(host, new FileDeviceOptions { Path = path, Size = ByteSize.MiB(8), Engine = FileEngine.Sync, Direct = false }));
    }
}
