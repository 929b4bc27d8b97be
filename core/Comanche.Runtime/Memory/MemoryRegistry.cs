using System.Runtime.InteropServices;
using System.Runtime.InteropServices.Marshalling;
using Comanche.Linux;

namespace Comanche.Runtime;

/// <summary>
/// The one memory registry of a process: pools for DMA, buffers in them, memory that owners registered, and the regions that devices know.
/// </summary>
/// <remarks>
/// <para>A pool is a sealed <c>memfd</c>, mapped shared on a 2 MiB boundary. It is tried in this order: huge pages, populated; ordinary pages, locked; ordinary pages
/// as they are. What is not locked gets no region number (0): devices take such buffers too, but pin them for each I/O. The first time that something
/// less than the best is had, one line in the log says so.</para>
/// <para>A handle is an index into the table of buffers and, above it, how often that entry was used: a handle that was freed, or is not from here,
/// matches nothing and throws.</para>
/// <para>Any thread; one lock. A pool of many buffers is kept once it is there; that of one large buffer goes with it.</para>
/// </remarks>
[GeneratedComClass]
public sealed unsafe partial class MemoryRegistry : IZerocopyMemory, ISharedMemory, IDisposable
{
    private const uint MaxAlignment = 2 << 20;
    private const uint DefaultAlignment = 4096;

    // Below 4 GiB lie the interrupt windows of x86 and ARM.
    private const ulong FirstIova = 1UL << 32;

    private enum EntryKind : byte
    {
        Free,
        Allocated,
        Registered,
    }

    private struct Entry
    {
        public EntryKind Kind;
        public uint Uses;          // The upper half of the handle.
        public MemoryPool? Pool;   // Allocated only.
        public byte* Address;
        public ulong Length;       // As asked for.
        public ulong Taken;        // Allocated: bytes taken from the pool.
        public uint Region;        // Registered only; a pool has its own.
        public ulong Iova;         // Registered only.
        public bool Locked;        // Registered only.
    }

    private readonly Lock _lock = new();
    private readonly MemoryLimits _limits;
    private readonly ILogSink _log;
    private readonly ulong _poolSize;
    private readonly List<MemoryPool> _pools = [];
    private readonly RegionTable _regions = new();
    private readonly Stack<int> _freeEntries = new();
    private readonly ulong* _generation;
    private Entry[] _entries = new Entry[64];
    private int _entryCount = 1; // Entry 0 stays empty: handle 0 is no buffer.
    private IovaSpace? _iova;
    private ulong _lockedBytes, _registeredBytes;
    private int _buffers;
    private bool _saidShortfall, _disposed;

    /// <summary>Makes a registry; memory is mapped when the first buffer is asked for.</summary>
    public MemoryRegistry(MemoryRegistryOptions? options = null)
    {
        options ??= new MemoryRegistryOptions();
        _limits = options.Limits ?? MemoryLimits.Detect();
        _log = options.Log ?? LogSink.None;
        _poolSize = RoundUp(Math.Max(options.PoolSize, MaxAlignment), MaxAlignment);
        _generation = (ulong*)NativeMemory.AlignedAlloc(64, 64); // A cache line of its own; it lives as long as the process, since queues keep its address.
        *_generation = 1;
    }

    /// <summary>What the system permits.</summary>
    public MemoryLimits Limits => _limits;

    /// <summary>What the registry holds now. Any thread.</summary>
    public MemoryStatistics Statistics
    {
        get
        {
            lock (_lock)
            {
                ulong reserved = 0, used = 0, huge = 0;
                foreach (var pool in _pools)
                {
                    reserved += pool.Length;
                    used += pool.Extents.Used;
                    if (pool.IsHuge) huge += pool.Length;
                }

                return new MemoryStatistics(reserved, used, _lockedBytes, huge, _registeredBytes, _pools.Count, _buffers, _regions.Count);
            }
        }
    }

    /// <summary>
    /// Gives every region, now and from now on, an address for devices: called once, when the first device with an IOMMU opens, before it maps the regions.
    /// </summary>
    public void EnableIova()
    {
        lock (_lock)
        {
            if (_iova is not null) return;
            var space = new IovaSpace(FirstIova, _limits.DeviceAddressBytes);
            try
            {
                foreach (var pool in _pools)
                    if (pool.Region != 0)
                        pool.Iova = TakeIova(space, pool.Length);
                for (var i = 1; i < _entryCount; i++)
                    if (_entries[i] is { Kind: EntryKind.Registered, Region: not 0 })
                        _entries[i].Iova = TakeIova(space, _entries[i].Length);
            }
            catch
            {
                foreach (var pool in _pools) pool.Iova = IoBufferInfo.NoIova;
                for (var i = 1; i < _entryCount; i++) _entries[i].Iova = IoBufferInfo.NoIova;
                throw;
            }

            _iova = space;
            Changed();
        }
    }

    /// <inheritdoc/>
    public IoBuffer AllocateIoBuffer(nuint size, uint alignment, int numaNode)
    {
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            var taken = Take(size, CheckAlignment(size, alignment), numaNode, out var pool, out var start);
            ref var entry = ref NewEntry(out var handle);
            entry.Kind = EntryKind.Allocated;
            entry.Pool = pool;
            entry.Address = pool.Address + start;
            entry.Length = size;
            entry.Taken = taken;
            return handle;
        }
    }

    /// <inheritdoc/>
    public void ReallocateIoBuffer(IoBuffer buffer, nuint size, uint alignment)
    {
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            ref var entry = ref Find(buffer, EntryKind.Allocated);
            alignment = CheckAlignment(size, alignment);
            var old = entry.Pool!;
            var start = (ulong)(entry.Address - old.Address);
            var wanted = RoundUp(size, Extents.Grain);
            if (((nuint)entry.Address & (alignment - 1)) == 0 && ResizeInPlace(ref entry, start, wanted))
            {
                // Zero beyond the smaller size: what an earlier, larger size of this buffer left there, and the rest of its last cache line.
                if (size > entry.Length) NativeMemory.Clear(entry.Address + entry.Length, (nuint)(Math.Min(RoundUp(entry.Length, Extents.Grain), size) - entry.Length));
                entry.Length = size;
                return;
            }

            var taken = Take(size, alignment, old.Node, out var pool, out var place);
            NativeMemory.Copy(entry.Address, pool.Address + place, (nuint)Math.Min(entry.Length, size));
            Give(old, start, entry.Taken);
            entry.Pool = pool;
            entry.Address = pool.Address + place;
            entry.Length = size;
            entry.Taken = taken;
        }
    }

    /// <inheritdoc/>
    public void FreeIoBuffer(IoBuffer buffer)
    {
        lock (_lock)
        {
            ref var entry = ref Find(buffer, EntryKind.Allocated);
            var pool = entry.Pool!;
            if (!_disposed) Give(pool, (ulong)(entry.Address - pool.Address), entry.Taken); // Else the pool is gone, and its addresses are somebody else's.
            FreeEntry(buffer);
        }
    }

    /// <inheritdoc/>
    public IoBuffer RegisterMemory(void* address, nuint length)
    {
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (address is null || length == 0) throw new ComancheException("memory to register is empty");
            if ((nuint)address % Linux.Memory.PageSize != 0 || length % Linux.Memory.PageSize != 0)
                throw new ComancheException($"memory to register (0x{(nuint)address:x}, {length} bytes) does not lie on whole pages of {Linux.Memory.PageSize} bytes");
            CheckOverlap((byte*)address, length);
            var locked = MayLock(length);
            var error = locked ? Linux.Memory.Lock(address, length) : 0;
            if (error is 12 or 22 && Linux.Memory.Populate(address, length) != 0) // ENOMEM also means: nothing is mapped there.
                throw new ComancheException($"memory to register (0x{(nuint)address:x}, {length} bytes) is not mapped: {Linux.Memory.Describe(error)}");
            locked &= error == 0;
            if (!locked) Say(error == 0 ? $"{length >> 10} KiB could not be locked ({Limit()})" : $"{length >> 10} KiB could not be locked ({Linux.Memory.Describe(error)})");
            var (region, iova) = locked ? AddLockedRegion((byte*)address, length) : (0, IoBufferInfo.NoIova);
            ref var entry = ref NewEntry(out var handle);
            entry.Kind = EntryKind.Registered;
            entry.Address = (byte*)address;
            entry.Length = length;
            entry.Locked = locked;
            entry.Region = region;
            entry.Iova = iova;
            if (locked) _lockedBytes += length;
            _registeredBytes += length;
            Changed();
            return handle;
        }
    }

    /// <inheritdoc/>
    public void UnregisterMemory(IoBuffer buffer)
    {
        lock (_lock)
        {
            ref var entry = ref Find(buffer, EntryKind.Registered);
            RemoveRegion(entry.Region, entry.Iova, entry.Length);
            Changed();
            if (entry.Locked)
            {
                Linux.Memory.Unlock(entry.Address, (nuint)entry.Length);
                _lockedBytes -= entry.Length;
            }

            _registeredBytes -= entry.Length;
            FreeEntry(buffer);
        }
    }

    /// <inheritdoc/>
    public void GetBufferInfo(IoBuffer buffer, IoBufferInfo* info)
    {
        lock (_lock)
        {
            ref var entry = ref Find(buffer, EntryKind.Free);
            ObjectDisposedException.ThrowIf(_disposed && entry.Pool is not null, this);
            *info = entry.Pool is { } pool
                ? new IoBufferInfo
                {
                    Address = entry.Address,
                    Length = entry.Length,
                    Iova = pool.Iova == IoBufferInfo.NoIova ? IoBufferInfo.NoIova : pool.Iova + (ulong)(entry.Address - pool.Address),
                    Region = pool.Region,
                    NumaNode = pool.Node,
                    PageSize = pool.IsHuge ? Linux.Memory.HugePageSize : Linux.Memory.PageSize,
                    SharedDescriptor = pool.Descriptor,
                    Locked = pool.IsLocked ? 1 : 0,
                }
                : new IoBufferInfo
                {
                    Address = entry.Address,
                    Length = entry.Length,
                    Iova = entry.Iova,
                    Region = entry.Region,
                    NumaNode = entry.Locked ? Linux.Memory.NodeOf(entry.Address) : -1,
                    PageSize = Linux.Memory.PageSize,
                    SharedDescriptor = -1,
                    Locked = entry.Locked ? 1 : 0,
                };
        }
    }

    /// <inheritdoc/>
    public int Translate(void* address, nuint length, MemoryRun* runs, int capacity)
    {
        lock (_lock)
        {
            if (length == 0) return 0;
            var (start, size, iova, stays) = LocateRegion((byte*)address, length);
            if (start == 0) throw new ComancheException($"0x{(nuint)address:x} with {length} bytes does not lie in registered memory");
            if (iova != IoBufferInfo.NoIova)
            {
                if (capacity > 0) runs[0] = new MemoryRun { DeviceAddress = iova + (ulong)((nint)address - start), Length = length };
                return 1;
            }

            if (!stays)
                throw new ComancheException(
                    $"0x{(nuint)address:x} has no address for devices: there is no IOMMU, and its {size} bytes are not on locked huge pages (sysctl vm.nr_hugepages)");
            if (!_limits.PhysicalAddresses)
                throw new ComancheException($"0x{(nuint)address:x} has no address for devices: there is no IOMMU, and physical addresses need CAP_SYS_ADMIN");
            return Physical((byte*)address, length, runs, capacity);
        }
    }

    /// <inheritdoc/>
    public int GetRegions(MemoryRegion* regions, int capacity)
    {
        lock (_lock) return _regions.CopyTo(regions, capacity);
    }

    /// <inheritdoc/>
    public ulong* GetGeneration() => _generation;

    /// <inheritdoc/>
    public int FindShared(void* address, SharedRange* range)
    {
        lock (_lock)
        {
            foreach (var pool in _pools)
            {
                if (!pool.Contains(address)) continue;
                *range = new SharedRange { Address = pool.Address, Length = pool.Length, Id = pool.Id, Descriptor = pool.Descriptor };
                return 1;
            }
        }

        return 0;
    }

    /// <summary>Gives every pool back; buffers that are still out there become invalid, and may still be freed.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            if (_disposed) return;
            _disposed = true;
            if (_buffers != 0) _log.Write(LogLevel.Warning, "memory", $"{_buffers} buffers were not freed");
            while (_pools.Count != 0) RemovePool(_pools[^1]);
        }
    }

    IBase? IBase.Query(in Guid interfaceId) => ComponentModel.Implements(this, interfaceId) ? this : null;

    // The registry belongs to the process and outlives every component: nobody's count closes it.
    uint IBase.Retain() => 1;

    uint IBase.Release() => 1;

    void IBase.Bind(IBase component, string role) => throw new ComancheException("the memory registry takes no bindings");

    void IBase.Unbind() { }

    void IBase.Start() { }

    void IBase.Stop() { }

    uint IBase.GetVersion() => 1 << 16;
}
