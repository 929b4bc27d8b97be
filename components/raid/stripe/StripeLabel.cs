using System.Buffers.Binary;
using System.Text;

namespace Comanche.Raid;

/// <summary>How far a set has come into being.</summary>
internal enum StripeState : uint
{
    /// <summary>Labels are being written: no data has been accepted, and members may still be blank.</summary>
    Creating = 1,

    /// <summary>Every member has its label.</summary>
    Active = 2,
}

/// <summary>What was found where a copy of a label should be.</summary>
internal enum CopyState
{
    /// <summary>A label that can be trusted.</summary>
    Good,

    /// <summary>A label of ours that can't be trusted: torn, rotten, or nonsense.</summary>
    Damaged,

    /// <summary>A label of a version that this code does not know.</summary>
    OtherVersion,

    /// <summary>All zero.</summary>
    Zero,

    /// <summary>Something that is not ours.</summary>
    Alien,

    /// <summary>The device could not read it.</summary>
    Unreadable,
}

/// <summary>
/// The label of a member, as <c>docs/formats/stripe-label.md</c> has it: 512 bytes at the start of the first and of the last block of the member. A block
/// is written whole or not at all, so a label is never torn on a medium that keeps its promise; a checksum tells where it does not.
/// </summary>
internal sealed record StripeLabel
{
    /// <summary>Bytes of a label: the smallest block.</summary>
    public const int Size = 512;

    /// <summary>The version that this code writes and reads.</summary>
    public const uint CurrentVersion = 1;

    /// <summary>The most bytes of a name in UTF-8.</summary>
    public const int MaxNameBytes = 63;

    private const int ChecksumOffset = 12;
    private const int NameOffset = 104;

    /// <summary>The first 8 bytes.</summary>
    public static ReadOnlySpan<byte> Magic => "CMNSTRIP"u8;

    /// <summary>Grows with every change of the member's label; the copy with the larger one is the newer.</summary>
    public required ulong Generation { get; init; }

    /// <summary>The set's identity.</summary>
    public required Guid Set { get; init; }

    /// <summary>The member's identity.</summary>
    public required Guid Member { get; init; }

    /// <summary>The member's place in the set, from 0.</summary>
    public required uint Index { get; init; }

    /// <summary>Where the data lies.</summary>
    public required StripeGeometry Geometry { get; init; }

    /// <summary>The member's length in blocks when it was labelled; the second copy lies in the last of them.</summary>
    public required ulong MemberBlocks { get; init; }

    /// <summary>How far the set has come.</summary>
    public required StripeState State { get; init; }

    /// <summary>The set's name; may be empty.</summary>
    public required string Name { get; init; }

    /// <summary>Writes the label into the first <see cref="Size"/> bytes of a block and zeroes the rest.</summary>
    /// <param name="block">The block.</param>
    /// <param name="copy">0 for the copy in the first block, 1 for the one in the last.</param>
    public void Encode(Span<byte> block, uint copy)
    {
        block.Clear();
        var label = block[..Size];
        Magic.CopyTo(label);
        BinaryPrimitives.WriteUInt32LittleEndian(label[8..], CurrentVersion);
        BinaryPrimitives.WriteUInt64LittleEndian(label[16..], Generation);
        Set.TryWriteBytes(label[24..]);
        Member.TryWriteBytes(label[40..]);
        BinaryPrimitives.WriteUInt16LittleEndian(label[60..], (ushort)Index);
        BinaryPrimitives.WriteUInt16LittleEndian(label[62..], (ushort)Geometry.Members);
        BinaryPrimitives.WriteUInt32LittleEndian(label[64..], Geometry.BlockSize);
        BinaryPrimitives.WriteUInt32LittleEndian(label[68..], Geometry.ChunkBlocks);
        BinaryPrimitives.WriteUInt64LittleEndian(label[72..], Geometry.DataLba);
        BinaryPrimitives.WriteUInt64LittleEndian(label[80..], Geometry.DataBlocks);
        BinaryPrimitives.WriteUInt64LittleEndian(label[88..], MemberBlocks);
        BinaryPrimitives.WriteUInt32LittleEndian(label[96..], (uint)State);
        BinaryPrimitives.WriteUInt32LittleEndian(label[100..], copy);
        Encoding.UTF8.GetBytes(Name, label.Slice(NameOffset, MaxNameBytes));
        BinaryPrimitives.WriteUInt32LittleEndian(label[ChecksumOffset..], Crc32C.ComputeWithout(label, ChecksumOffset));
    }

    /// <summary>
    /// Reads a label. Null, with the reason in words, where these bytes are none that can be trusted.
    /// </summary>
    /// <param name="block">At least <see cref="Size"/> bytes.</param>
    /// <param name="copy">Which copy it should be.</param>
    /// <param name="state">What was found.</param>
    /// <param name="problem">What is wrong; empty where it is good.</param>
    public static StripeLabel? Decode(ReadOnlySpan<byte> block, uint copy, out CopyState state, out string problem)
    {
        var label = block[..Size];
        problem = "";
        if (!label[..8].SequenceEqual(Magic))
        {
            state = block.IndexOfAnyExcept((byte)0) < 0 ? CopyState.Zero : CopyState.Alien;
            problem = $"the magic is {Convert.ToHexString(label[..8])}, {Convert.ToHexString(Magic)} was expected";
            return null;
        }

        state = CopyState.Damaged;
        var version = BinaryPrimitives.ReadUInt32LittleEndian(label[8..]);
        var stored = BinaryPrimitives.ReadUInt32LittleEndian(label[ChecksumOffset..]);
        var computed = Crc32C.ComputeWithout(label, ChecksumOffset);
        if (stored != computed)
        {
            problem = $"its CRC32C is {stored:X8}, {computed:X8} was expected";
            return null;
        }

        if (version != CurrentVersion)
        {
            state = CopyState.OtherVersion;
            problem = $"it has version {version}, {CurrentVersion} was expected";
            return null;
        }

        var geometry = new StripeGeometry(
            BinaryPrimitives.ReadUInt32LittleEndian(label[64..]),
            BinaryPrimitives.ReadUInt16LittleEndian(label[62..]),
            BinaryPrimitives.ReadUInt32LittleEndian(label[68..]),
            BinaryPrimitives.ReadUInt64LittleEndian(label[72..]),
            BinaryPrimitives.ReadUInt64LittleEndian(label[80..]));
        var name = label.Slice(NameOffset, MaxNameBytes + 1);
        var end = name.IndexOf((byte)0);
        var decoded = new StripeLabel
        {
            Generation = BinaryPrimitives.ReadUInt64LittleEndian(label[16..]),
            Set = new Guid(label.Slice(24, 16)),
            Member = new Guid(label.Slice(40, 16)),
            Index = BinaryPrimitives.ReadUInt16LittleEndian(label[60..]),
            Geometry = geometry,
            MemberBlocks = BinaryPrimitives.ReadUInt64LittleEndian(label[88..]),
            State = (StripeState)BinaryPrimitives.ReadUInt32LittleEndian(label[96..]),
            Name = end > 0 ? Encoding.UTF8.GetString(name[..end]) : "",
        };
        problem = decoded.Nonsense(BinaryPrimitives.ReadUInt32LittleEndian(label[56..]), BinaryPrimitives.ReadUInt32LittleEndian(label[100..]), copy, end);
        if (problem.Length != 0) return null;
        state = CopyState.Good;
        return decoded;
    }

    // A checksum protects against accidents; these bounds protect against a label that somebody made.
    private string Nonsense(uint level, uint storedCopy, uint copy, int nameEnd)
    {
        var (blockSize, members, chunk, dataLba, dataBlocks) = Geometry;
        if (level != 0) return $"it is of RAID level {level}, 0 was expected";
        if (storedCopy != copy) return $"it says that it is copy {storedCopy}, copy {copy} was expected";
        if (!uint.IsPow2(blockSize) || blockSize is < 512 or > 65536) return $"its block size is {blockSize}";
        if (members is 0 or > StripeGeometry.MaxMembers) return $"its set has {members} members";
        if (Index >= members) return $"its index is {Index} of {members} members";
        if (!uint.IsPow2(chunk)) return $"its chunk is {chunk} blocks";
        var reserved = StripeGeometry.ReservedBytes / blockSize;
        if (MemberBlocks > ulong.MaxValue / blockSize) return $"its member has {MemberBlocks} blocks";
        if (dataLba < reserved || dataLba % reserved != 0 || dataLba > MemberBlocks) return $"its data starts at LBA {dataLba}";
        if (dataBlocks == 0 || dataBlocks % chunk != 0 || dataBlocks > MemberBlocks - dataLba || MemberBlocks - dataLba - dataBlocks < reserved
            || dataBlocks > ulong.MaxValue / blockSize / members)
            return $"its data is {dataBlocks} blocks from LBA {dataLba} on a member of {MemberBlocks}";
        if (State is not (StripeState.Creating or StripeState.Active)) return $"its state is {(uint)State}";
        return nameEnd < 0 ? "its name does not end" : "";
    }
}
