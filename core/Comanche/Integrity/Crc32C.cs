using System.Buffers.Binary;
using System.Numerics;

namespace Comanche;

/// <summary>CRC-32C (Castagnoli): polynomial 0x1EDC6F41, reflected, initial and final value all ones; the checksum of our on-disk structures.</summary>
public static class Crc32C
{
    /// <summary>The checksum of some bytes: of "123456789" it is 0xE3069283.</summary>
    public static uint Compute(ReadOnlySpan<byte> data) => ~Append(uint.MaxValue, data);

    /// <summary>
    /// The checksum of a structure that holds its own checksum, which counts as zero there.
    /// </summary>
    /// <param name="data">The structure.</param>
    /// <param name="fieldOffset">Where its 4 bytes of checksum lie.</param>
    public static uint ComputeWithout(ReadOnlySpan<byte> data, int fieldOffset)
    {
        var crc = Append(uint.MaxValue, data[..fieldOffset]);
        crc = BitOperations.Crc32C(crc, 0u);
        return ~Append(crc, data[(fieldOffset + 4)..]);
    }

    private static uint Append(uint crc, ReadOnlySpan<byte> data)
    {
        for (; data.Length >= 8; data = data[8..]) crc = BitOperations.Crc32C(crc, BinaryPrimitives.ReadUInt64LittleEndian(data));
        foreach (var value in data) crc = BitOperations.Crc32C(crc, value);
        return crc;
    }
}
