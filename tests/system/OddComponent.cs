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
