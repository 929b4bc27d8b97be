using Comanche.Linux;

namespace Comanche.Threading;

/// <summary>
/// A client's memory as the server has mapped it: regions under the client's numbers, and what of it is in use.
/// </summary>
/// <remarks>
/// <para>A region that is taken back may still be in use by what was admitted before. Descriptors are counted in the half of an epoch in which they were admitted; taking a region
/// back begins the next half, and is over when nothing of the one before is left. One removal at a time, which is also what the protocol allows; so the half
/// that begins is always empty.</para>
/// <para>Servicing thread only, except <see cref="Map"/> and <see cref="Release"/>, which touch nothing of this and may take long.</para>
/// </remarks>
internal sealed unsafe class ClientMemory(int most)
{
    private const nuint HugePage = 2 << 20;

    private readonly Mapping?[] _regions = new Mapping?[most]; // By number - 1.
    private readonly int[] _inUse = new int[2];
    private int _epoch;

    /// <summary>How many regions there are.</summary>
    public int Count => _regions.Count(r => r is not null);

    /// <summary>How many bytes they have.</summary>
    public ulong Bytes => _regions.Aggregate(0UL, (sum, r) => sum + (r?.Length ?? 0));

    /// <summary>Maps and registers a client's file. Any thread.</summary>
    /// <param name="memory">The registry of the process.</param>
    /// <param name="descriptor">The file; it stays the caller's.</param>
    /// <param name="length">How long the client says that it is.</param>
    /// <param name="isTrusted">Whether the client is of the user that runs this, or root: from others huge pages are not taken, since they could be taken away again.</param>
    /// <exception cref="ComancheException">The file is not what was said, or can't be mapped.</exception>
    public static Mapping Map(IZerocopyMemory memory, int descriptor, ulong length, bool isTrusted)
    {
        if (length == 0 || length % HugePage != 0) throw new ComancheException($"a region of {length} bytes was offered; a multiple of 2 MiB is expected");
        var error = Memory.CheckShared(descriptor, length);
        if (error != 0)
            throw new ComancheException(error == 1 ? "the region's file is not sealed against shrinking" : $"the region's file is not what was said: {Memory.Describe(error)}");
        if (!isTrusted && Memory.IsOfHugePages(descriptor)) throw new ComancheException("huge pages of another user are not taken");
        error = Memory.MapAligned(descriptor, (nuint)length, HugePage, out var address);
        if (error != 0) throw new ComancheException($"the region can't be mapped: {Memory.Describe(error)}");
        try
        {
            var buffer = memory.RegisterMemory(address, (nuint)length);
            IoBufferInfo info;
            memory.GetBufferInfo(buffer, &info);
            return new Mapping(memory, (byte*)address, length, buffer, info.Region);
        }
        catch
        {
            Memory.Unmap(address, (nuint)length);
            throw;
        }
    }

    /// <summary>Gives a mapping back that no device uses. Any thread.</summary>
    public static void Release(Mapping mapping)
    {
        mapping.Memory.UnregisterMemory(mapping.Buffer);
        Memory.Unmap(mapping.Address, (nuint)mapping.Length);
    }

    /// <summary>Whether a number can be given to a region.</summary>
    public bool IsFree(uint number) => number - 1 < (uint)_regions.Length && _regions[number - 1] is null;

    /// <summary>Gives a number to a mapping.</summary>
    public void Add(uint number, Mapping mapping) => _regions[number - 1] = mapping;

    /// <summary>Takes a region from its number, so that nothing new finds it; null where there is none. It is in use until <see cref="IsQuiet"/>.</summary>
    public Mapping? Remove(uint number)
    {
        if (number - 1 >= (uint)_regions.Length || _regions[number - 1] is not { } mapping) return null;
        _regions[number - 1] = null;
        _epoch ^= 1;
        return mapping;
    }

    /// <summary>Whether nothing is in use that was admitted before the last <see cref="Remove"/>.</summary>
    public bool IsQuiet => _inUse[_epoch ^ 1] == 0;

    /// <summary>Counts a descriptor as admitted; returns what <see cref="Leave"/> is to be told.</summary>
    public byte Enter()
    {
        _inUse[_epoch]++;
        return (byte)_epoch;
    }

    /// <summary>Counts it as done.</summary>
    public void Leave(byte epoch) => _inUse[epoch]--;

    /// <summary>Makes an address and a region of the process out of a client's offset; false where it does not lie in the region with its whole length.</summary>
    public bool TryFind(uint number, ulong offset, ulong length, out byte* address, out uint region)
    {
        address = null;
        region = 0;
        if (number - 1 >= (uint)_regions.Length || _regions[number - 1] is not { } mapping) return false;
        if (offset > mapping.Length || length > mapping.Length - offset) return false;
        address = mapping.Address + offset;
        region = mapping.Region;
        return true;
    }

    /// <summary>Takes every region; nothing is in flight any more.</summary>
    public List<Mapping> RemoveAll()
    {
        var all = _regions.OfType<Mapping>().ToList();
        Array.Clear(_regions);
        return all;
    }

    /// <summary>A file of a client, mapped and registered.</summary>
    internal sealed class Mapping(IZerocopyMemory memory, byte* address, ulong length, IoBuffer buffer, uint region)
    {
        public IZerocopyMemory Memory { get; } = memory;

        public byte* Address { get; } = address;

        public ulong Length { get; } = length;

        public IoBuffer Buffer { get; } = buffer;

        public uint Region { get; } = region;
    }
}
