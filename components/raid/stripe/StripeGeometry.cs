namespace Comanche.Raid;

/// <summary>Where the data of a stripe lies: the same on every member.</summary>
/// <param name="BlockSize">Bytes of a block.</param>
/// <param name="Members">The number of members, 1 to 64.</param>
/// <param name="ChunkBlocks">The chunk in blocks: a power of two.</param>
/// <param name="DataLba">First block of the data on each member.</param>
/// <param name="DataBlocks">Blocks of data on each member: whole chunks.</param>
internal sealed record StripeGeometry(uint BlockSize, uint Members, uint ChunkBlocks, ulong DataLba, ulong DataBlocks)
{
    /// <summary>The most members of a set.</summary>
    public const int MaxMembers = 64;

    /// <summary>
    /// What is kept free for labels at the start and at the end of each member: 1 MiB. It keeps data aligned to any medium's inner units, and it is
    /// where other formats (partition tables, file systems, md, LVM) leave their marks, so that looking at it tells whether a member is blank.
    /// </summary>
    public const uint ReservedBytes = 1 << 20;

    // A transfer larger than this gains nothing by being one, but its children and segment lists take memory in every queue.
    private const ulong LargestTransferBytes = 16 << 20;

    /// <summary>The length of the whole stripe in blocks.</summary>
    public ulong BlockCount => DataBlocks * Members;

    /// <summary>Lays out a new set on members of these sizes; the smallest says how much of each is used. DataBlocks is 0 where that is too small.</summary>
    public static StripeGeometry Layout(ReadOnlySpan<VolumeInfo> members, uint chunkBlocks)
    {
        var blockSize = members[0].BlockSize;
        var reserved = (ulong)ReservedBytes / blockSize;
        var smallest = ulong.MaxValue;
        foreach (var member in members) smallest = Math.Min(smallest, member.BlockCount);
        var data = smallest > 2 * reserved ? smallest - 2 * reserved : 0;
        return new(blockSize, (uint)members.Length, chunkBlocks, reserved, data / chunkBlocks * chunkBlocks);
    }

    /// <summary>The fewest bytes of a member.</summary>
    public static ByteSize SmallestMember(ulong chunkBytes) => new(2 * (ulong)ReservedBytes + chunkBytes);

    /// <summary>Whether requests with more chunks than members become one child per member, with segments.</summary>
    public static bool Gathers(uint members, uint memberMaxSegments) => members > 1 && memberMaxSegments >= 2;

    /// <summary>
    /// The volume that the members make.
    /// </summary>
    /// <remarks>
    /// Let C be the chunk, n the members, Mt and Ms the least of their largest transfers and segment counts. Where Ms ≥ 2 and Mt ≥ C, a transfer is at most R rows:
    /// T = n·R·C. Wherever it starts, a member gets at most R·C blocks of it (a partial first and a partial last chunk on the same member add up to one), in at most R+1
    /// chunks. A parent with s segments adds s-1 cuts, so a child has at most R+s segments: with S = Ms-R no child has more than Ms. R is therefore at most Mt/C and Ms/2.
    /// Without segments below (Ms = 1) each chunk is a child: T = n·C, at most n+1 children. With Mt &lt; C: T = Mt, which touches two chunks at most.
    /// </remarks>
    public VolumeInfo Describe(ReadOnlySpan<VolumeInfo> members, bool readOnly)
    {
        var info = members[0];
        var capabilities = members[0].Capabilities;
        var union = VolumeCapabilities.None;
        info.AtomicWriteBlocks = Math.Max(1, Common(info.AtomicWriteBlocks));
        info.CompareAndWriteBlocks = Common(info.CompareAndWriteBlocks);
        info.DiscardGranularityBlocks = 1;
        foreach (ref readonly var member in members)
        {
            capabilities &= member.Capabilities;
            union |= member.Capabilities;
            info.MaxTransferBlocks = Math.Min(info.MaxTransferBlocks, member.MaxTransferBlocks);
            info.MaxSegments = Math.Min(info.MaxSegments, Math.Min(member.MaxSegments, ushort.MaxValue));
            info.MaxRangeBlocks = Math.Min(info.MaxRangeBlocks, member.MaxRangeBlocks);
            info.BufferAlignment = Math.Max(info.BufferAlignment, member.BufferAlignment);
            info.AtomicWriteBlocks = GreatestCommonDivisor(info.AtomicWriteBlocks, Math.Max(1, Common(member.AtomicWriteBlocks)));
            info.CompareAndWriteBlocks = GreatestCommonDivisor(info.CompareAndWriteBlocks, Common(member.CompareAndWriteBlocks));

            // A range that starts and ends at multiples of n granules lies on each member at multiples of one.
            var granule = member.DiscardGranularityBlocks;
            info.DiscardGranularityBlocks = Math.Max(info.DiscardGranularityBlocks, granule <= ChunkBlocks ? granule : granule * Members);
        }

        const VolumeCapabilities Any = VolumeCapabilities.ReadOnly | VolumeCapabilities.VolatileCache;
        capabilities = (capabilities & ~Any) | (union & Any);
        if (readOnly) capabilities |= VolumeCapabilities.ReadOnly;
        if (members.Length > 0 && (capabilities & VolumeCapabilities.CompareAndWrite) == 0) info.CompareAndWriteBlocks = 0;
        info.Capabilities = capabilities & ~VolumeCapabilities.Copy; // Source and target lie on different members as a rule.
        info.BlockCount = BlockCount;
        info.OptimalIoBlocks = ChunkBlocks * Members;
        if (Members == 1) return info;

        if (info.MaxRangeBlocks >= ChunkBlocks)
            info.MaxRangeBlocks = (uint)Math.Min((ulong)uint.MaxValue, (ulong)(info.MaxRangeBlocks / ChunkBlocks) * ChunkBlocks * Members);
        if (info.MaxTransferBlocks < ChunkBlocks) return info;
        var rows = 1u;
        if (Gathers(Members, info.MaxSegments))
        {
            var largest = Math.Max(1, LargestTransferBytes / ((ulong)ChunkBlocks * BlockSize * Members));
            rows = (uint)Math.Min(Math.Min(info.MaxTransferBlocks / ChunkBlocks, info.MaxSegments / 2), largest);
            info.MaxSegments -= rows;
        }

        info.MaxTransferBlocks = Members * rows * ChunkBlocks;
        return info;
    }

    // The largest unit, aligned in the stripe, that is aligned on the member too and lies within a chunk.
    private uint Common(uint unit) =>
        Members == 1 ? GreatestCommonDivisor(unit, DataLba) : GreatestCommonDivisor(GreatestCommonDivisor(unit, ChunkBlocks), DataLba);

    private static uint GreatestCommonDivisor(uint unit, ulong other)
    {
        if (unit == 0 || other == 0) return 0;
        var (a, b) = (other, (ulong)unit);
        while (b != 0) (a, b) = (b, a % b);
        return (uint)a;
    }
}
