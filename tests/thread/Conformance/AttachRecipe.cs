using Comanche.Threading;

namespace Comanche.Conformance.Tests;

/// <summary>The far end of a shared memory device, in one process: the rings, the socket and the checks are those of two.</summary>
public sealed class AttachRecipe : IConformanceRecipe
{
    /// <inheritdoc/>
    public string Name => "thread/attach";

    /// <inheritdoc/>
    public string? Component => Name;

    /// <inheritdoc/>
    public Prepared Prepare(Workbench bench)
    {
        var socket = Path.Combine(bench.Folder, "share.sock");
        bench.Add(new ShareExport(bench.Host("share"), new ShareOptions { Socket = socket }), ("", bench.AddMemory()));
        return new Prepared(host => new AttachDevice(host, new AttachOptions { Socket = socket }));
    }
}
