using System.Runtime.InteropServices;
using System.Runtime.InteropServices.Marshalling;

namespace Comanche;

/// <summary>A named region of a device.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct RegionInfo
{
    /// <summary>First block on the device below.</summary>
    public ulong FirstLba;

    /// <summary>Length in blocks.</summary>
    public ulong BlockCount;

    /// <summary>Its identity, given when it was made.</summary>
    public Guid Unique;

    /// <summary>Its name in UTF-8, ending with a zero byte.</summary>
    public fixed byte Name[112];
}

/// <summary>Divides a device into regions that are known by name.</summary>
/// <remarks>Set-up interface: one thread at a time; every change is durable when the call returns. Errors throw.</remarks>
[GeneratedComInterface(StringMarshalling = StringMarshalling.Utf8, ExceptionToUnmanagedMarshaller = typeof(FailureMarshaller))]
[Guid("c0a4c4e0-0021-4b1e-9a51-6d6f6e746501")]
public unsafe partial interface IRegionManager : IBase
{
    /// <summary>
    /// Opens the region of this name if there is one of at least this length, else makes one. The caller owns the one count
    /// of the device that it gets, which is started.
    /// </summary>
    /// <param name="name">1 to 111 bytes of UTF-8.</param>
    /// <param name="blockCount">The length that is needed, in blocks; 0 for all of the largest free range.</param>
    /// <param name="alignment">Alignment of a new region's first block, in blocks; 0 for 1 MiB.</param>
    IBlockDevice ReuseOrAllocate(string name, ulong blockCount, ulong alignment);

    /// <summary>Opens the region of this name. The caller owns the one count.</summary>
    IBlockDevice OpenRegion(string name);

    /// <summary>Deletes a region. Refused while it is open. Its blocks are free afterwards; their content is not erased.</summary>
    void DeleteRegion(string name);

    /// <summary>The number of regions.</summary>
    int GetRegionCount();

    /// <summary>Describes a region by its place in the list, in order of first block.</summary>
    void GetRegion(int index, RegionInfo* info);

    /// <summary>Blocks that belong to no region.</summary>
    ulong GetFreeBlocks();

    /// <summary>The longest range of such blocks.</summary>
    ulong GetLargestFreeRange();
}
