using System.Buffers.Binary;
using System.IO.Hashing;

namespace Comanche.Partition;

/// <summary>
/// A GPT header, as the UEFI specification (2.10, section 5.3.2) lays it out; docs/formats/gpt.md has the table of offsets.
/// </summary>
/// <remarks>The bytes are kept as they were read, so that fields of a longer header survive a rewrite.</remarks>
internal sealed class GptHeader
{
    /// <summary><c>EFI PART</c>, little-endian.</summary>
    public const ulong Signature = 0x5452_4150_2049_4645;

    /// <summary>Bytes of a header of revision 1.0.</summary>
    public const int Size = 92;

    /// <summary>The only revision there is: 1.0.</summary>
    public const uint Revision = 0x0001_0000;

    private const int HeaderSizeAt = 12, CrcAt = 16;
    private readonly byte[] _bytes;

    private GptHeader(byte[] bytes) => _bytes = bytes;

    /// <summary>The LBA that it says it lies at.</summary>
    public ulong MyLba { get => Get64(24); set => Set64(24, value); }

    /// <summary>The LBA of the other copy.</summary>
    public ulong AlternateLba { get => Get64(32); set => Set64(32, value); }

    /// <summary>The first block that partitions may use.</summary>
    public ulong FirstUsableLba { get => Get64(40); set => Set64(40, value); }

    /// <summary>The last block that partitions may use.</summary>
    public ulong LastUsableLba { get => Get64(48); set => Set64(48, value); }

    /// <summary>The identity of the device's table.</summary>
    public Guid DiskGuid { get => new(_bytes.AsSpan(56, 16)); set => value.TryWriteBytes(_bytes.AsSpan(56, 16)); }

    /// <summary>The first block of this copy's entry array.</summary>
    public ulong ArrayLba { get => Get64(72); set => Set64(72, value); }

    /// <summary>The number of entries.</summary>
    public uint EntryCount { get => Get32(80); set => Set32(80, value); }

    /// <summary>Bytes of an entry.</summary>
    public uint EntrySize { get => Get32(84); set => Set32(84, value); }

    /// <summary>The CRC of the entry array.</summary>
    public uint ArrayCrc { get => Get32(88); set => Set32(88, value); }

    /// <summary>The revision.</summary>
    public uint RevisionNumber => Get32(8);

    /// <summary>Bytes of the entry array.</summary>
    public ulong ArrayBytes => (ulong)EntryCount * EntrySize;

    /// <summary>A new header, all fields zero but signature, revision and size.</summary>
    public static GptHeader Create()
    {
        var header = new GptHeader(new byte[Size]);
        BinaryPrimitives.WriteUInt64LittleEndian(header._bytes, Signature);
        header.Set32(8, Revision);
        header.Set32(HeaderSizeAt, Size);
        return header;
    }

    /// <summary>Whether a block starts with the signature.</summary>
    public static bool HasSignature(ReadOnlySpan<byte> block) => BinaryPrimitives.ReadUInt64LittleEndian(block) == Signature;

    /// <summary>
    /// Reads a header whose signature is there; null, with what is wrong, where size or CRC do not hold. Nothing else is checked.
    /// </summary>
    public static GptHeader? Read(ReadOnlySpan<byte> block, out string problem)
    {
        var size = BinaryPrimitives.ReadUInt32LittleEndian(block[HeaderSizeAt..]);
        if (size < Size || size > block.Length)
        {
            problem = $"header size {size}, expected {Size} to {block.Length}";
            return null;
        }

        var header = new GptHeader(block[..(int)size].ToArray());
        var stored = header.Get32(CrcAt);
        var computed = header.ComputeCrc();
        problem = stored == computed ? "" : $"header CRC 0x{stored:x8}, expected 0x{computed:x8}";
        return stored == computed ? header : null;
    }

    /// <summary>A copy that can be changed by itself.</summary>
    public GptHeader Clone() => new([.. _bytes]);

    /// <summary>Brings the CRC up to date and writes the header to the front of a block; the rest of the block is cleared.</summary>
    public void Write(Span<byte> block)
    {
        Set32(CrcAt, ComputeCrc());
        block.Clear();
        _bytes.CopyTo(block);
    }

    private uint ComputeCrc()
    {
        var stored = Get32(CrcAt);
        Set32(CrcAt, 0);
        var crc = Crc32.HashToUInt32(_bytes);
        Set32(CrcAt, stored);
        return crc;
    }

    private uint Get32(int at) => BinaryPrimitives.ReadUInt32LittleEndian(_bytes.AsSpan(at));

    private ulong Get64(int at) => BinaryPrimitives.ReadUInt64LittleEndian(_bytes.AsSpan(at));

    private void Set32(int at, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(_bytes.AsSpan(at), value);

    private void Set64(int at, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(_bytes.AsSpan(at), value);
}
