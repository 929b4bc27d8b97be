using System.Numerics;

namespace Comanche.Runtime.Loading;

/// <summary>
/// Holds the geometry that a device in native code says of itself to what <see cref="VolumeInfo"/> promises: everything above divides, shifts and sizes its memory by it.
/// </summary>
internal static class NativeGeometry
{
    private const VolumeCapabilities Ranged = VolumeCapabilities.Discard | VolumeCapabilities.WriteZeroes | VolumeCapabilities.Fill | VolumeCapabilities.Copy;

    /// <summary>Throws where a field is not as it must be.</summary>
    /// <param name="name">The component's name.</param>
    /// <param name="volume">What it says.</param>
    public static void Check(string name, in VolumeInfo volume)
    {
        if (!BitOperations.IsPow2(volume.BlockSize) || volume.BlockSize is < 512 or > 65536) throw Wrong(nameof(volume.BlockSize), volume.BlockSize, "a power of two from 512 to 65536");
        if (volume.BlockCount > (ulong)long.MaxValue / volume.BlockSize) throw Wrong(nameof(volume.BlockCount), volume.BlockCount, $"fewer than 2^63 bytes in blocks of {volume.BlockSize}");
        if (!BitOperations.IsPow2(volume.BufferAlignment)) throw Wrong(nameof(volume.BufferAlignment), volume.BufferAlignment, "a power of two");
        AtLeastOne(nameof(volume.MaxTransferBlocks), volume.MaxTransferBlocks);
        AtLeastOne(nameof(volume.MaxSegments), volume.MaxSegments);
        AtLeastOne(nameof(volume.AtomicWriteBlocks), volume.AtomicWriteBlocks);
        AtLeastOne(nameof(volume.DiscardGranularityBlocks), volume.DiscardGranularityBlocks);
        if ((volume.Capabilities & Ranged) != 0) AtLeastOne(nameof(volume.MaxRangeBlocks), volume.MaxRangeBlocks);
        if (volume.Has(VolumeCapabilities.CompareAndWrite)) AtLeastOne(nameof(volume.CompareAndWriteBlocks), volume.CompareAndWriteBlocks);

        void AtLeastOne(string field, uint value)
        {
            if (value == 0) throw Wrong(field, value, "1 or more");
        }

        ComancheException Wrong(string field, ulong value, string needed) => new($"{name}: says that its {field} is {value}; {needed} is needed");
    }
}
