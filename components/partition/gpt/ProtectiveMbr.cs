using System.Buffers.Binary;

namespace Comanche.Partition;

/// <summary>What the first block of a device holds.</summary>
internal enum MbrState
{
    /// <summary>Only zeroes.</summary>
    Empty,

    /// <summary>One entry, of type 0xEE, from LBA 1: the device belongs to its GPT.</summary>
    Protective,

    /// <summary>A protective entry beside others, made by hand for old boot loaders.</summary>
    Hybrid,

    /// <summary>An MBR whose entries do not protect a GPT: somebody else's partition table or boot sector.</summary>
    Foreign,

    /// <summary>Data without the signature of an MBR.</summary>
    Other,
}

/// <summary>The protective MBR of the UEFI specification (2.10, section 5.2.3), in the first 512 bytes of LBA 0.</summary>
internal static class ProtectiveMbr
{
    private const int EntriesAt = 446, EntryBytes = 16, SignatureAt = 510;
    private const byte ProtectiveType = 0xEE;

    /// <summary>Says what a first block holds.</summary>
    public static MbrState Inspect(ReadOnlySpan<byte> block)
    {
        if (!block.ContainsAnyExcept((byte)0)) return MbrState.Empty;
        if (block[SignatureAt] != 0x55 || block[SignatureAt + 1] != 0xAA) return MbrState.Other;
        var (protective, others) = (0, 0);
        for (var i = 0; i < 4; i++)
        {
            var entry = block.Slice(EntriesAt + i * EntryBytes, EntryBytes);
            if (entry[4] == ProtectiveType && BinaryPrimitives.ReadUInt32LittleEndian(entry[8..]) == 1) protective++;
            else if (entry[4] != 0) others++;
        }

        return (protective, others) switch
        {
            (1, 0) => MbrState.Protective,
            ( >= 1, _) => MbrState.Hybrid,
            _ => MbrState.Foreign,
        };
    }

    /// <summary>Writes a protective MBR for a device of so many blocks, and clears the rest of the block.</summary>
    public static void Write(Span<byte> block, ulong blockCount)
    {
        block.Clear();
        SetLength(block, blockCount);
        block[SignatureAt] = 0x55;
        block[SignatureAt + 1] = 0xAA;
    }

    /// <summary>Sets the protective entry to a device of so many blocks and leaves the boot code and the other entries as they are.</summary>
    public static void SetLength(Span<byte> block, ulong blockCount)
    {
        var entry = block.Slice(EntriesAt, EntryBytes);
        for (var i = 0; i < 4; i++)
            if (block[EntriesAt + i * EntryBytes + 4] == ProtectiveType)
                entry = block.Slice(EntriesAt + i * EntryBytes, EntryBytes);

        // Start: cylinder 0, head 0, sector 2. End: 0xFFFFFF, which says that the address does not fit. A length that does not fit is 0xFFFFFFFF.
        ReadOnlySpan<byte> addresses = [0x00, 0x00, 0x02, 0x00, ProtectiveType, 0xFF, 0xFF, 0xFF];
        addresses.CopyTo(entry);
        BinaryPrimitives.WriteUInt32LittleEndian(entry[8..], 1);
        BinaryPrimitives.WriteUInt32LittleEndian(entry[12..], (uint)Math.Min(blockCount - 1, uint.MaxValue));
    }
}
