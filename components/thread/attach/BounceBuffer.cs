using Comanche.Linux;

namespace Comanche.Threading;

/// <summary>
/// A queue's own shared memory, through which data goes that lies where it can't be shared. Divided into pages, taken first fit. Made when it is first needed. Owner thread only.
/// </summary>
internal sealed unsafe class BounceBuffer : IDisposable
{
    private const int PageShift = 12;
    private const int Pages = 2048;

    /// <summary>The largest transfer: half of it, so that a compare-and-write has room for both of its buffers.</summary>
    public const uint MaxBytes = Pages / 2 << PageShift;

    private readonly AttachMemory _memory;
    private readonly byte* _address;
    private readonly bool[] _taken = new bool[Pages];
    private int _next; // Where the search begins.

    /// <summary>Makes it known to the server.</summary>
    public BounceBuffer(AttachMemory memory)
    {
        const ulong Bytes = (ulong)Pages << PageShift;
        _memory = memory;
        var error = Memory.CreateShared("comanche-bounce", (nuint)Bytes, huge: false, out var file);
        if (error != 0) throw new ComancheException($"{Bytes} bytes of shared memory can't be had: {Memory.Describe(error)}");
        try
        {
            error = Memory.MapAligned(file, (nuint)Bytes, Memory.PageSize, out var address);
            if (error != 0) throw new ComancheException($"{Bytes} bytes of shared memory can't be mapped: {Memory.Describe(error)}");
            _address = (byte*)address;
            Number = memory.Add(file, Bytes);
        }
        catch
        {
            if (_address is not null) Memory.Unmap(_address, (nuint)Bytes);
            throw;
        }
        finally
        {
            Sockets.Close(file);
        }
    }

    /// <summary>Its number as a region.</summary>
    public uint Number { get; }

    /// <summary>The first byte of a piece.</summary>
    public byte* this[int page] => _address + ((nuint)page << PageShift);

    /// <summary>The offset of a piece in the region.</summary>
    public static ulong OffsetOf(int page) => (ulong)page << PageShift;

    /// <summary>A length, up to the next page's boundary.</summary>
    public static ulong WholePages(ulong bytes) => (ulong)PagesOf(bytes) << PageShift;

    /// <summary>Takes a piece; returns its first page, or -1 where there is no room now.</summary>
    public int Take(ulong bytes)
    {
        var pages = PagesOf(bytes);
        var found = Search(_next, Pages, pages);
        if (found < 0) found = Search(0, Math.Min(Pages, _next + pages), pages);
        if (found < 0) return -1;
        _taken.AsSpan(found, pages).Fill(true);
        _next = found + pages;
        return found;
    }

    /// <summary>Gives a piece back.</summary>
    public void Return(int page, ulong bytes) => _taken.AsSpan(page, PagesOf(bytes)).Clear();

    /// <inheritdoc/>
    public void Dispose()
    {
        _memory.Remove(Number);
        Memory.Unmap(_address, Pages << PageShift);
    }

    private static int PagesOf(ulong bytes) => (int)(bytes + (1 << PageShift) - 1 >> PageShift);

    private int Search(int from, int to, int pages)
    {
        var free = 0;
        for (var i = from; i < to; i++)
        {
            free = _taken[i] ? 0 : free + 1;
            if (free == pages) return i - pages + 1;
        }

        return -1;
    }
}
