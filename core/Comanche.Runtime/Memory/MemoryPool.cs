using Comanche.Linux;

namespace Comanche.Runtime;

/// <summary>One mapping that buffers are carved out of: shared, aligned to 2 MiB, and, where the system lets us, huge and locked.</summary>
internal sealed unsafe class MemoryPool
{
    private static ulong s_lastId;

    private readonly int _descriptor;
    private ulong _touched; // Bytes from the start that were ever handed out: what lies beyond is still zero.

    private MemoryPool(byte* address, ulong length, int descriptor, bool huge, bool locked, int node)
    {
        Address = address;
        Extents = new Extents(length);
        _descriptor = descriptor;
        IsHuge = huge;
        IsLocked = locked;
        Node = node;
    }

    /// <summary>A number that no other pool of this process has.</summary>
    public ulong Id { get; } = Interlocked.Increment(ref s_lastId);

    public byte* Address { get; }

    public ulong Length => Extents.Length;

    public Extents Extents { get; }

    public bool IsHuge { get; }

    public bool IsLocked { get; }

    /// <summary>The NUMA node of its pages, or -1.</summary>
    public int Node { get; }

    public int Descriptor => _descriptor;

    /// <summary>Whether it was made for one large buffer.</summary>
    public bool IsDedicated { get; init; }

    public uint Region { get; set; }

    public ulong Iova { get; set; } = IoBufferInfo.NoIova;

    /// <summary>Maps a pool.</summary>
    /// <param name="length">Bytes, a multiple of 2 MiB.</param>
    /// <param name="huge">Whether 2 MiB pages are to be tried.</param>
    /// <param name="lockIt">Whether it is to be locked.</param>
    /// <param name="node">The preferred NUMA node, or -1.</param>
    /// <param name="dedicated">Whether it is for one large buffer.</param>
    /// <param name="shortfall">What did not work, in words; null where all did.</param>
    public static MemoryPool Create(ulong length, bool huge, bool lockIt, int node, bool dedicated, out string? shortfall)
    {
        shortfall = null;
        if (huge)
        {
            if (TryMap(length, huge: true, node, populate: true, out var address, out var descriptor, out var error))
                return new MemoryPool(address, length, descriptor, huge: true, locked: true, Linux.Memory.NodeOf(address)) { IsDedicated = dedicated };
            shortfall = $"{length >> 20} MiB of huge pages could not be had ({Linux.Memory.Describe(error)})";
        }

        if (!TryMap(length, huge: false, node, populate: false, out var start, out var fd, out var failed))
            throw new ComancheException($"DMA memory: {length} bytes could not be mapped: {Linux.Memory.Describe(failed)}");
        var locked = false;
        if (lockIt)
        {
            var error = Linux.Memory.Lock(start, (nuint)length);
            locked = error == 0;
            if (!locked) shortfall = $"{(shortfall is null ? "" : shortfall + ", ")}{length >> 20} MiB could not be locked ({Linux.Memory.Describe(error)})";
        }

        // Without a first page there is no node to ask for: an unlocked pool says -1.
        return new MemoryPool(start, length, fd, huge: false, locked, locked ? Linux.Memory.NodeOf(start) : -1) { IsDedicated = dedicated };
    }

    public bool Contains(void* address) => address >= Address && address < Address + Length;

    /// <summary>Makes a piece that was just taken zero; only what was in use before is written.</summary>
    public void Clear(ulong start, ulong length)
    {
        var end = start + length;
        if (start < _touched) System.Runtime.InteropServices.NativeMemory.Clear(Address + start, (nuint)(Math.Min(end, _touched) - start));
        _touched = Math.Max(_touched, end);
    }

    public void Unmap()
    {
        Linux.Memory.Unmap(Address, (nuint)Length);
        Linux.Memory.Close(_descriptor);
    }

    private static bool TryMap(ulong length, bool huge, int node, bool populate, out byte* address, out int descriptor, out int error)
    {
        address = null;
        error = Linux.Memory.CreateShared("comanche", (nuint)length, huge, out descriptor);
        if (error != 0) return false;
        error = Linux.Memory.MapAligned(descriptor, (nuint)length, Linux.Memory.HugePageSize, out var mapped);
        if (error == 0)
        {
            address = (byte*)mapped;
            if (node >= 0) Linux.Memory.PreferNode(mapped, (nuint)length, node); // A preference: where it can't be had, any node will do.
            Linux.Memory.KeepFromFork(mapped, (nuint)length);
            if (populate) error = Linux.Memory.Populate(mapped, (nuint)length);
            if (error == 0) return true;
            Linux.Memory.Unmap(mapped, (nuint)length);
        }

        Linux.Memory.Close(descriptor);
        return false;
    }
}
