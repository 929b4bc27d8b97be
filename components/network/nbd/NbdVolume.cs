using System.Numerics;
using System.Text;

namespace Comanche.Network;

/// <summary>A volume that is exported: its names on the wire and what clients are told of it. Reactor thread only after its making.</summary>
internal sealed unsafe class NbdVolume(IBlockDevice device, string name, string description, bool readOnly, uint maxRequest)
{
    /// <summary>The device.</summary>
    public IBlockDevice Device { get; } = device;

    /// <summary>Its name in UTF-8; empty for one without a name.</summary>
    public byte[] Name { get; } = Encoding.UTF8.GetBytes(name);

    /// <summary>A line for people, in UTF-8; may be empty.</summary>
    public byte[] Description { get; } = Encoding.UTF8.GetBytes(description);

    /// <summary>The longest read or write.</summary>
    public uint MaxRequest { get; } = maxRequest;

    /// <summary>Geometry as it is now: a volume may have grown since the last client came.</summary>
    public VolumeInfo Describe()
    {
        VolumeInfo info;
        Device.GetVolumeInfo(&info);
        if (readOnly) info.Capabilities |= VolumeCapabilities.ReadOnly;
        return info;
    }

    /// <summary>What clients are told that it can do.</summary>
    public static TransmissionFlags FlagsOf(in VolumeInfo info, bool structured)
    {
        // Several connections see one cache, since a flush of a device covers the writes of all its queues.
        var flags = TransmissionFlags.HasFlags | TransmissionFlags.SendFlush | TransmissionFlags.SendFua | TransmissionFlags.CanMultiConnection;
        if (structured) flags |= TransmissionFlags.SendDontFragment;
        if (info.Has(VolumeCapabilities.ReadOnly)) return flags | TransmissionFlags.ReadOnly;
        flags |= TransmissionFlags.SendWriteZeroes | TransmissionFlags.SendFastZero;
        if (info.Has(VolumeCapabilities.Discard)) flags |= TransmissionFlags.SendTrim;
        return flags;
    }

    /// <summary>The transfer that works well: the device's optimum where it is a power of two, at least a page.</summary>
    public static uint PreferredBlock(in VolumeInfo info, uint maxRequest)
    {
        var least = Math.Max(4096, info.BlockSize);
        var optimal = (ulong)info.OptimalIoBlocks * info.BlockSize;
        return optimal > least && optimal <= maxRequest && BitOperations.IsPow2(optimal) ? (uint)optimal : least;
    }
}
