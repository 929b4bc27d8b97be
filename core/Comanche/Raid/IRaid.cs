using System.Runtime.InteropServices;
using System.Runtime.InteropServices.Marshalling;

namespace Comanche;

/// <summary>A composite of member devices.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct RaidInfo
{
    /// <summary>The set's identity, written in every member's label.</summary>
    public Guid Set;

    /// <summary>The number of members of the whole set.</summary>
    public uint MemberCount;

    /// <summary>The number of members that may be missing without loss.</summary>
    public uint Redundancy;

    /// <summary>The stripe unit (chunk) in blocks.</summary>
    public uint ChunkBlocks;

    /// <summary>How the set fares.</summary>
    public DeviceState State;
}

/// <summary>A member of a composite.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct RaidMember
{
    /// <summary>Its place in the set, from 0.</summary>
    public uint Index;

    /// <summary>How it fares.</summary>
    public DeviceState State;

    /// <summary>Its identity, written in its label.</summary>
    public Guid Unique;

    /// <summary>The first block of its data.</summary>
    public ulong DataLba;

    /// <summary>The length of its data in blocks.</summary>
    public ulong DataBlocks;
}

/// <summary>What can be asked of a device that is made of members.</summary>
[GeneratedComInterface(StringMarshalling = StringMarshalling.Utf8, ExceptionToUnmanagedMarshaller = typeof(FailureMarshaller))]
[Guid("c0a4c4e0-0022-4b1e-9a51-6d6f6e746501")]
public unsafe partial interface IRaid : IBase
{
    /// <summary>Describes the set. Any thread; the device must be started.</summary>
    void GetRaidInfo(RaidInfo* info);

    /// <summary>Describes a member. Any thread; the device must be started.</summary>
    /// <param name="index">0 up to, not including, <see cref="RaidInfo.MemberCount"/>.</param>
    /// <param name="member">Where to store it.</param>
    void GetMember(uint index, RaidMember* member);
}
