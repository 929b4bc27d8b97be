using System.Buffers.Binary;
using System.IO.Hashing;
using System.Text;

namespace Comanche.Partition;

/// <summary>An entry in use, as the table has it.</summary>
/// <param name="Number">Its number, from 1.</param>
/// <param name="Type">What it is for.</param>
/// <param name="Unique">Its identity.</param>
/// <param name="FirstLba">First block.</param>
/// <param name="LastLba">Last block.</param>
/// <param name="Attributes">Attribute bits.</param>
/// <param name="Name">Its name; code units that are no UTF-16 stand as U+FFFD.</param>
internal sealed record GptEntry(uint Number, Guid Type, Guid Unique, ulong FirstLba, ulong LastLba, ulong Attributes, string Name)
{
    /// <summary>Length in blocks.</summary>
    public ulong BlockCount => LastLba - FirstLba + 1;
}

/// <summary>A table in memory: what the header says of the whole, and the entry array as bytes, of which only what is asked is changed.</summary>
/// <remarks>
/// Invariants of a table that <see cref="Violation"/> finds nothing wrong with: every entry lies in FirstUsable..LastUsable, first ≤ last,
/// and no two share a block.
/// </remarks>
internal sealed class GptTable(GptHeader header, byte[] array)
{
    /// <summary>UTF-16 code units of a name. A name that fills them all has no terminating zero, as other tools have it too.</summary>
    public const int NameUnits = 36;

    private const int TypeAt = 0, UniqueAt = 16, FirstAt = 32, LastAt = 40, AttributesAt = 48, NameAt = 56;

    /// <summary>The header of the copy that it was read from.</summary>
    public GptHeader Header { get; } = header;

    /// <summary>The entry array, entry count × entry size bytes.</summary>
    public ReadOnlySpan<byte> Array => array;

    /// <summary>The CRC of the array as it is.</summary>
    public uint ComputeArrayCrc() => Crc32.HashToUInt32(array);

    /// <summary>The entries in use, in order of number.</summary>
    public List<GptEntry> Entries()
    {
        var entries = new List<GptEntry>();
        for (var number = 1u; number <= Header.EntryCount; number++)
            if (Find(number) is { } entry)
                entries.Add(entry);
        return entries;
    }

    /// <summary>The entry with this number, or null where it is free or beyond the table.</summary>
    public GptEntry? Find(uint number)
    {
        if (number == 0 || number > Header.EntryCount) return null;
        var bytes = EntryBytes(number);
        var type = new Guid(bytes.Slice(TypeAt, 16));
        if (type == Guid.Empty) return null;
        return new GptEntry(
            number, type, new Guid(bytes.Slice(UniqueAt, 16)),
            BinaryPrimitives.ReadUInt64LittleEndian(bytes[FirstAt..]), BinaryPrimitives.ReadUInt64LittleEndian(bytes[LastAt..]),
            BinaryPrimitives.ReadUInt64LittleEndian(bytes[AttributesAt..]), ReadName(bytes.Slice(NameAt, NameUnits * 2)));
    }

    /// <summary>The lowest number that is free, or 0.</summary>
    public uint FreeNumber()
    {
        for (var number = 1u; number <= Header.EntryCount; number++)
            if (Find(number) is null)
                return number;
        return 0;
    }

    /// <summary>What breaks the rules among the entries, or null.</summary>
    public string? Violation()
    {
        var entries = Entries();
        foreach (var entry in entries)
        {
            if (entry.FirstLba > entry.LastLba)
                return $"partition {entry.Number} starts at LBA {entry.FirstLba} and ends before it, at LBA {entry.LastLba}";
            if (entry.FirstLba < Header.FirstUsableLba || entry.LastLba > Header.LastUsableLba)
                return $"partition {entry.Number} (LBA {entry.FirstLba} to {entry.LastLba}) lies outside the usable range, "
                    + $"LBA {Header.FirstUsableLba} to {Header.LastUsableLba}";
        }

        entries.Sort((a, b) => a.FirstLba.CompareTo(b.FirstLba));
        for (var i = 1; i < entries.Count; i++)
            if (entries[i].FirstLba <= entries[i - 1].LastLba)
                return $"partitions {entries[i - 1].Number} and {entries[i].Number} both use LBA {entries[i].FirstLba}";
        return null;
    }

    /// <summary>Fills a free entry.</summary>
    public void Add(GptEntry entry)
    {
        var bytes = EntryBytes(entry.Number);
        bytes.Clear();
        entry.Type.TryWriteBytes(bytes[TypeAt..]);
        entry.Unique.TryWriteBytes(bytes[UniqueAt..]);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[FirstAt..], entry.FirstLba);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[LastAt..], entry.LastLba);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[AttributesAt..], entry.Attributes);
        Encoding.Unicode.GetBytes(entry.Name, bytes.Slice(NameAt, NameUnits * 2));
    }

    /// <summary>Frees an entry.</summary>
    public void Remove(uint number) => EntryBytes(number).Clear();

    /// <summary>The free ranges of the usable range, in order: first block and last block.</summary>
    public List<(ulong First, ulong Last)> FreeRanges()
    {
        var ranges = new List<(ulong, ulong)>();
        var next = Header.FirstUsableLba;
        foreach (var entry in Entries().OrderBy(e => e.FirstLba))
        {
            if (entry.FirstLba > next) ranges.Add((next, entry.FirstLba - 1));
            next = entry.LastLba + 1;
        }

        if (next <= Header.LastUsableLba) ranges.Add((next, Header.LastUsableLba));
        return ranges;
    }

    /// <summary>A copy that can be changed by itself.</summary>
    public GptTable Clone() => new(Header.Clone(), [.. array]);

    /// <summary>Whether another copy describes the same device and partitions.</summary>
    public bool Agrees(GptTable other) =>
        Header.DiskGuid == other.Header.DiskGuid && Header.FirstUsableLba == other.Header.FirstUsableLba
        && Header.LastUsableLba == other.Header.LastUsableLba && Header.EntryCount == other.Header.EntryCount
        && Header.EntrySize == other.Header.EntrySize && Array.SequenceEqual(other.Array);

    private Span<byte> EntryBytes(uint number) => array.AsSpan((int)((number - 1) * Header.EntrySize), (int)Header.EntrySize);

    private static string ReadName(ReadOnlySpan<byte> bytes)
    {
        Span<char> units = stackalloc char[NameUnits];
        var length = 0;
        for (; length < NameUnits; length++)
        {
            units[length] = (char)BinaryPrimitives.ReadUInt16LittleEndian(bytes[(2 * length)..]);
            if (units[length] == 0) break;
        }

        for (var i = 0; i < length; i++)
        {
            if (char.IsHighSurrogate(units[i]) && i + 1 < length && char.IsLowSurrogate(units[i + 1])) i++;
            else if (char.IsSurrogate(units[i])) units[i] = '\uFFFD';
        }

        return new string(units[..length]);
    }
}
