using System.Runtime.InteropServices.Marshalling;

namespace Comanche.System.Tests;

/// <summary>A component in a folder that is not the program's, which is no block device.</summary>
[Component("odd/thing", "0dd00000-0000-4000-8000-000000000001", "A thing that manages regions of nothing")]
[GeneratedComClass]
public sealed unsafe partial class OddComponent(IHost host) : Component(host), IRegionManager
{
    public IBlockDevice ReuseOrAllocate(string name, ulong blockCount, ulong alignment) => throw new ComancheException("there is nothing");

    public IBlockDevice OpenRegion(string name) => throw new ComancheException("there is nothing");

    public void DeleteRegion(string name) => throw new ComancheException("there is nothing");

    public int GetRegionCount() => 0;

    public void GetRegion(int index, RegionInfo* info) => throw new ComancheException("there is nothing");

    public ulong GetFreeBlocks() => 0;

    public ulong GetLargestFreeRange() => 0;
}

/// <summary>How much it talks.</summary>
public sealed record ChatterboxOptions
{
    [Option("Lines every few milliseconds", Min = "1")]
    public int Lines { get; init; } = 1;
}

/// <summary>Talks all the time.</summary>
[Component("odd/chatterbox", "0dd00000-0000-4000-8000-000000000002", "An export that logs lines every few milliseconds")]
[GeneratedComClass]
public sealed partial class Chatterbox(IHost host, ChatterboxOptions options) : Component(host)
{
    private Timer? _timer;
    private int _lines;

    protected override void OnStart() => _timer = new Timer(_ => Talk(), null, 0, 5);

    protected override void OnStop() => _timer!.Dispose();

    // The text is no safer than what a stranger on the network can make a server say.
    private void Talk()
    {
        for (var i = 0; i < options.Lines; i++) Host.Log(LogLevel.Warning, $"line {Interlocked.Increment(ref _lines)}\e[31m\n");
    }
}
