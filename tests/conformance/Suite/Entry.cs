using Comanche.Runtime;

namespace Comanche.Conformance.Tests;

/// <summary>The edge that the composer puts at the top of a stack.</summary>
internal sealed class Entry : IDisposable
{
    private readonly ComancheProcess _process = new();

    public Entry(IBlockDevice device, bool readOnly = false) =>
        Device = _process.CreateEdge("top", device, new EdgeOptions { Entry = true, ReadOnly = readOnly });

    public Edge Device { get; }

    public void Dispose()
    {
        Device.Release();
        _process.Dispose();
    }
}
