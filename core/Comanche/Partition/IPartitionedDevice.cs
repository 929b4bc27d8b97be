using System.Runtime.InteropServices;
using System.Runtime.InteropServices.Marshalling;

namespace Comanche;

/// <summary>A partition as its table describes it. LBAs and counts are in blocks of the device below.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct PartitionInfo
{
    /// <summary>Its number, from 1: the place of its entry in the table.</summary>
    public uint Number;

    /// <summary>Filler.</summary>
    public uint Reserved;

    /// <summary>First block.</summary>
    public ulong FirstLba;

    /// <summary>Length in blocks.</summary>
    public ulong BlockCount;

    /// <summary>Attribute bits as the table has them.</summary>
    public ulong Attributes;

    /// <summary>What it is for.</summary>
    public Guid Type;

    /// <summary>Its own identity.</summary>
    public Guid Unique;

    /// <summary>Its name in UTF-8, ending with a zero byte.</summary>
    public fixed byte Name[112];
}

/// <summary>A device that is divided into numbered partitions, each of which is a block device.</summary>
/// <remarks>Set-up interface: one thread at a time; reads and writes the table synchronously. Errors throw.</remarks>
[GeneratedComInterface(StringMarshalling = StringMarshalling.Utf8, ExceptionToUnmanagedMarshaller = typeof(FailureMarshaller))]
[Guid("c0a4c4e0-0020-4b1e-9a51-6d6f6e746501")]
public unsafe partial interface IPartitionedDevice : IBase
{
    /// <summary>The number of partitions in use.</summary>
    int GetPartitionCount();

    /// <summary>Describes a partition by its place in the list, in order of number.</summary>
    /// <param name="index">0 up to, not including, <see cref="GetPartitionCount"/>.</param>
    /// <param name="info">Where to store it.</param>
    void GetPartition(int index, PartitionInfo* info);

    /// <summary>Opens a partition by number. The caller owns the one count of the device that it gets, which is started.</summary>
    IBlockDevice OpenPartition(uint number);

    /// <summary>Makes a partition and returns its number.</summary>
    /// <param name="name">Its name, at most 36 UTF-16 code units.</param>
    /// <param name="firstLba">First block, or 0 for the start of the largest free range, aligned to 1 MiB.</param>
    /// <param name="blockCount">Length in blocks, or 0 for all of that range.</param>
    /// <param name="type">What it is for.</param>
    uint CreatePartition(string name, ulong firstLba, ulong blockCount, in Guid type);

    /// <summary>Takes a partition out of the table. Refused while it is open.</summary>
    void DeletePartition(uint number);
}
