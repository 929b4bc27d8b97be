using System.Buffers.Binary;
using System.Text;

namespace Comanche.Partition;

/// <summary>A region as its directory has it.</summary>
/// <param name="Name">1 to 111 bytes in UTF-8.</param>
/// <param name="Unique">Its identity.</param>
/// <param name="FirstLba">First block.</param>
/// <param name="BlockCount">Length in blocks.</param>
internal sealed record RegionEntry(string Name, Guid Unique, ulong FirstLba, ulong BlockCount)
{
    /// <summary>The block after its last one.</summary>
    public ulong EndLba => FirstLba + BlockCount;

    /// <summary>The range as a window.</summary>
    public Window Window => new(FirstLba, BlockCount);
}

/// <summary>What was found where a copy of a directory should be.</summary>
internal enum RegionCopyState
{
    /// <summary>A directory that can be trusted.</summary>
    Good,

    /// <summary>A directory of ours that can't be trusted: torn, rotten, or nonsense.</summary>
    Damaged,

    /// <summary>A directory of a version that this code does not know.</summary>
    OtherVersion,

    /// <summary>No directory: another magic, or nothing.</summary>
    NotOurs,

    /// <summary>The device could not read it.</summary>
    Unreadable,
}

/// <summary>
/// The directory of a device's regions, as <c>docs/formats/regions.md</c> has it. Immutable: a change is a new directory with the next generation.
/// </summary>
internal sealed record RegionDirectory
{
    /// <summary>Bytes between the two copies: the room of each.</summary>
    public const int SlotBytes = 512 * 1024;

    /// <summary>Bytes at the start of the device that belong to the directory: two copies. Regions begin behind them.</summary>
    public const int ReservedBytes = 2 * SlotBytes;

    /// <summary>Bytes before the first entry.</summary>
    public const int HeaderBytes = 4096;

    /// <summary>Bytes of an entry.</summary>
    public const int EntryBytes = 160;

    /// <summary>The most regions: 4096 + 2048·160 bytes = 324 KiB, which fit a copy's room with some to spare for later versions.</summary>
    public const int MaxRegions = 2048;

    /// <summary>The most bytes of a name in UTF-8.</summary>
    public const int MaxNameBytes = 111;

    /// <summary>The version that this code writes and reads.</summary>
    public const uint CurrentVersion = 1;

    private const int ChecksumOffset = 12;

    private static readonly UTF8Encoding StrictUtf8 = new(false, throwOnInvalidBytes: true);

    /// <summary>The first 8 bytes.</summary>
    public static ReadOnlySpan<byte> Magic => "CMNREGDR"u8;

    /// <summary>The directory's identity.</summary>
    public required Guid Unique { get; init; }

    /// <summary>Grows with every change; the copy with the larger one is the newer.</summary>
    public required ulong Generation { get; init; }

    /// <summary>Bytes of a block of the device.</summary>
    public required uint BlockSize { get; init; }

    /// <summary>The device's length in blocks when the directory was written; on one that shrank, at least the end of the last region.</summary>
    public required ulong DeviceBlocks { get; init; }

    /// <summary>The regions, in order of first block.</summary>
    public required IReadOnlyList<RegionEntry> Entries { get; init; }

    /// <summary>First block that a region may have.</summary>
    public ulong DataLba => (ulong)ReservedBytes / BlockSize;

    /// <summary>The region of this name, or null.</summary>
    public RegionEntry? Find(string name)
    {
        foreach (var entry in Entries)
            if (entry.Name == name)
                return entry;
        return null;
    }

    /// <summary>The next directory, with other regions.</summary>
    public RegionDirectory With(IEnumerable<RegionEntry> entries, ulong deviceBlocks)
    {
        var ordered = entries.OrderBy(entry => entry.FirstLba).ToArray();
        var end = ordered.Length == 0 ? 0 : ordered[^1].EndLba;
        return this with { Generation = Generation + 1, DeviceBlocks = Math.Max(deviceBlocks, end), Entries = ordered };
    }

    /// <summary>Whether two directories say the same.</summary>
    public bool SameAs(RegionDirectory other) =>
        Unique == other.Unique && Generation == other.Generation && BlockSize == other.BlockSize && DeviceBlocks == other.DeviceBlocks
        && Entries.SequenceEqual(other.Entries);

    /// <summary>The directory as bytes, padded to whole blocks; at most <see cref="SlotBytes"/>.</summary>
    public byte[] Encode()
    {
        var length = HeaderBytes + Entries.Count * EntryBytes;
        var bytes = new byte[(length + BlockSize - 1) / BlockSize * BlockSize];
        var header = bytes.AsSpan(0, length);
        Magic.CopyTo(header);
        BinaryPrimitives.WriteUInt32LittleEndian(header[8..], CurrentVersion);
        BinaryPrimitives.WriteUInt64LittleEndian(header[16..], Generation);
        Unique.TryWriteBytes(header[24..]);
        BinaryPrimitives.WriteUInt32LittleEndian(header[40..], BlockSize);
        BinaryPrimitives.WriteUInt32LittleEndian(header[44..], (uint)Entries.Count);
        BinaryPrimitives.WriteUInt64LittleEndian(header[48..], DeviceBlocks);
        for (var i = 0; i < Entries.Count; i++)
        {
            var (name, unique, first, count) = Entries[i];
            var entry = header.Slice(HeaderBytes + i * EntryBytes, EntryBytes);
            unique.TryWriteBytes(entry);
            BinaryPrimitives.WriteUInt64LittleEndian(entry[16..], first);
            BinaryPrimitives.WriteUInt64LittleEndian(entry[24..], count);
            BinaryPrimitives.WriteUInt16LittleEndian(entry[36..], (ushort)Encoding.UTF8.GetBytes(name, entry.Slice(40, MaxNameBytes)));
        }

        BinaryPrimitives.WriteUInt32LittleEndian(header[ChecksumOffset..], Crc32C.ComputeWithout(header, ChecksumOffset));
        return bytes;
    }

    /// <summary>
    /// How many bytes a copy takes, by its header; 0 with the reason where that is no header of ours. Nothing of it is trusted yet.
    /// </summary>
    public static int Measure(ReadOnlySpan<byte> header, out RegionCopyState state, out string problem)
    {
        if (!header[..8].SequenceEqual(Magic))
        {
            state = RegionCopyState.NotOurs;
            problem = $"the magic is {Convert.ToHexString(header[..8])}, {Convert.ToHexString(Magic)} was expected";
            return 0;
        }

        state = RegionCopyState.Damaged;
        var count = BinaryPrimitives.ReadUInt32LittleEndian(header[44..]);
        problem = count > MaxRegions ? $"it has {count} regions, at most {MaxRegions} were expected" : "";
        return count > MaxRegions ? 0 : HeaderBytes + (int)count * EntryBytes;
    }

    /// <summary>Reads a directory. Null, with the reason in words, where these bytes are none that can be trusted.</summary>
    /// <param name="bytes">As many as <see cref="Measure"/> said.</param>
    /// <param name="state">What was found.</param>
    /// <param name="problem">What is wrong; empty where it is good.</param>
    public static RegionDirectory? Decode(ReadOnlySpan<byte> bytes, out RegionCopyState state, out string problem)
    {
        var length = Measure(bytes, out state, out problem);
        if (length == 0) return null;
        if (length > bytes.Length)
        {
            problem = $"it is {length} bytes long now; it was {bytes.Length} a moment ago";
            return null;
        }

        var stored = BinaryPrimitives.ReadUInt32LittleEndian(bytes[ChecksumOffset..]);
        var computed = Crc32C.ComputeWithout(bytes[..length], ChecksumOffset);
        if (stored != computed)
        {
            problem = $"its CRC32C is {stored:X8}, {computed:X8} was expected";
            return null;
        }

        var version = BinaryPrimitives.ReadUInt32LittleEndian(bytes[8..]);
        if (version != CurrentVersion)
        {
            state = RegionCopyState.OtherVersion;
            problem = $"it has version {version}, {CurrentVersion} was expected";
            return null;
        }

        var entries = new RegionEntry[(length - HeaderBytes) / EntryBytes];
        for (var i = 0; i < entries.Length; i++)
        {
            if (DecodeEntry(bytes.Slice(HeaderBytes + i * EntryBytes, EntryBytes)) is not { } entry)
            {
                problem = $"the name of entry {i} is none";
                return null;
            }

            entries[i] = entry;
        }

        var directory = new RegionDirectory
        {
            Generation = BinaryPrimitives.ReadUInt64LittleEndian(bytes[16..]),
            Unique = new Guid(bytes.Slice(24, 16)),
            BlockSize = BinaryPrimitives.ReadUInt32LittleEndian(bytes[40..]),
            DeviceBlocks = BinaryPrimitives.ReadUInt64LittleEndian(bytes[48..]),
            Entries = entries,
        };
        problem = directory.Nonsense();
        if (problem.Length != 0) return null;
        state = RegionCopyState.Good;
        return directory;
    }

    /// <summary>What is wrong with a name, or nothing.</summary>
    public static string NameProblem(string name)
    {
        if (name.Length == 0) return "a region needs a name";
        if (name.Contains('\0', StringComparison.Ordinal)) return "the name holds a zero character";
        try
        {
            var bytes = StrictUtf8.GetByteCount(name);
            return bytes > MaxNameBytes ? $"the name has {bytes} bytes in UTF-8; at most {MaxNameBytes} fit" : "";
        }
        catch (EncoderFallbackException)
        {
            return "the name is no valid text";
        }
    }

    private static RegionEntry? DecodeEntry(ReadOnlySpan<byte> entry)
    {
        var length = BinaryPrimitives.ReadUInt16LittleEndian(entry[36..]);
        if (length is 0 or > MaxNameBytes) return null;
        string name;
        try
        {
            name = StrictUtf8.GetString(entry.Slice(40, length));
        }
        catch (DecoderFallbackException)
        {
            return null;
        }

        if (name.Contains('\0', StringComparison.Ordinal)) return null;
        return new(name, new Guid(entry[..16]), BinaryPrimitives.ReadUInt64LittleEndian(entry[16..]), BinaryPrimitives.ReadUInt64LittleEndian(entry[24..]));
    }

    // A checksum protects against accidents; these bounds protect against a directory that somebody made.
    private string Nonsense()
    {
        if (!uint.IsPow2(BlockSize) || BlockSize is < 512 or > 65536) return $"its block size is {BlockSize}";
        if (DeviceBlocks > ulong.MaxValue / BlockSize) return $"its device has {DeviceBlocks} blocks";
        var end = DataLba;
        var names = new HashSet<string>(StringComparer.Ordinal);
        var identities = new HashSet<Guid>();
        foreach (var (name, unique, first, count) in Entries)
        {
            if (count == 0 || first > DeviceBlocks || count > DeviceBlocks - first)
                return $"region '{name}' of {count} blocks from LBA {first} does not lie on its device of {DeviceBlocks} blocks";
            if (first < end) return $"region '{name}' from LBA {first} lies over what ends at LBA {end}";
            if (!names.Add(name)) return $"two regions are called '{name}'";
            if (!identities.Add(unique)) return $"two regions have the identity {unique}";
            end = first + count;
        }

        return "";
    }
}
