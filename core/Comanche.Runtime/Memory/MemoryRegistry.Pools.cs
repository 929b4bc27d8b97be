using System.Runtime.InteropServices;
using Comanche.Linux;

namespace Comanche.Runtime;

// How the registry gets, divides and describes its pools. Everything here runs under the lock.
public sealed unsafe partial class MemoryRegistry
{
    private static ulong RoundUp(ulong value, ulong multiple) => (value + multiple - 1) & ~(multiple - 1);

    private static uint CheckAlignment(nuint size, uint alignment)
    {
        if (size == 0) throw new ComancheException("an I/O buffer of 0 bytes was asked for");
        if (size > 1UL << 46) throw new ComancheException($"an I/O buffer of {size} bytes was asked for: more than there are addresses");
        if (alignment == 0) return DefaultAlignment;
        if ((alignment & (alignment - 1)) != 0 || alignment > MaxAlignment)
            throw new ComancheException($"an I/O buffer aligned to {alignment} bytes was asked for; a power of two up to 2 MiB can be had");
        return Math.Max(alignment, (uint)Extents.Grain);
    }

    // Takes room in a pool, which is made where none has room; returns the bytes taken. What is taken is zero.
    private ulong Take(nuint size, uint alignment, int node, out MemoryPool pool, out ulong start)
    {
        var length = RoundUp(size, Extents.Grain);
        if (node >= 0 && !Linux.Limits.HasNode(node)) node = -1;
        var dedicated = length > _poolSize / 2;
        if (!dedicated)
        {
            foreach (var candidate in _pools)
            {
                if (candidate.IsDedicated || (node >= 0 && candidate.Node >= 0 && candidate.Node != node)) continue;
                if (!candidate.Extents.TryTake(length, alignment, out start)) continue;
                pool = candidate;
                pool.Clear(start, length);
                return length;
            }
        }

        pool = AddPool(dedicated ? RoundUp(length, MaxAlignment) : _poolSize, dedicated, node);
        pool.Extents.TryTake(length, alignment, out start);
        pool.Clear(start, length);
        return length;
    }

    private void Give(MemoryPool pool, ulong start, ulong length)
    {
        pool.Extents.Return(start, length);
        if (pool.IsDedicated && pool.Extents.Used == 0) RemovePool(pool);
    }

    private static bool ResizeInPlace(ref Entry entry, ulong start, ulong wanted)
    {
        var pool = entry.Pool!;
        if (wanted > entry.Taken)
        {
            if (!pool.Extents.TryTakeAt(start + entry.Taken, wanted - entry.Taken)) return false;
            pool.Clear(start + entry.Taken, wanted - entry.Taken);
        }
        else if (wanted < entry.Taken)
        {
            pool.Extents.Return(start + wanted, entry.Taken - wanted);
        }

        entry.Taken = wanted;
        return true;
    }

    private MemoryPool AddPool(ulong length, bool dedicated, int node)
    {
        // Devices pin what is registered, huge or not, against the same limit as locked memory.
        var mayLock = MayLock(length);
        var pool = MemoryPool.Create(length, _limits.HugePages, mayLock, node, dedicated, out var shortfall);
        if (!_limits.HugePages) shortfall = "there are no huge pages (sysctl vm.nr_hugepages)";
        if (!mayLock) shortfall = $"{(shortfall is null ? "" : shortfall + ", ")}{length >> 20} MiB may not be locked ({Limit()})";
        try
        {
            if (mayLock && pool.IsLocked) (pool.Region, pool.Iova) = AddRegion(pool.Address, pool.Length);
        }
        catch
        {
            pool.Unmap();
            throw;
        }

        if (pool.IsLocked) _lockedBytes += pool.Length;
        if (shortfall is not null) Say(shortfall, pool.Region != 0);
        _pools.Add(pool);
        Changed();
        return pool;
    }

    private void RemovePool(MemoryPool pool)
    {
        _pools.Remove(pool);
        RemoveRegion(pool.Region, pool.Iova, pool.Length);
        Changed();
        if (pool.IsLocked) _lockedBytes -= pool.Length;
        pool.Unmap();
    }

    private bool MayLock(ulong length) => _limits.LockableBytes == ulong.MaxValue || _lockedBytes + length <= _limits.LockableBytes;

    private string Limit() => $"RLIMIT_MEMLOCK is {_limits.LockableBytes >> 10} KiB";

    // Says once that less than the best was had.
    private void Say(string shortfall, bool registered = false)
    {
        if (_saidShortfall) return;
        _saidShortfall = true;
        _log.Write(LogLevel.Information, "memory", registered
            ? $"DMA memory on ordinary pages, locked: {shortfall}"
            : $"DMA memory on ordinary pages, unlocked and unregistered, so devices pin it for each I/O: {shortfall}");
    }

    // A region and its address for devices, the address first: where there is none left, nothing was made known yet. No number left: neither.
    private (uint Region, ulong Iova) AddRegion(byte* address, ulong length)
    {
        var iova = _iova is null ? IoBufferInfo.NoIova : TakeIova(_iova, length);
        var region = _regions.Add(address, length);
        if (region != 0) return (region, iova);
        if (iova != IoBufferInfo.NoIova) _iova!.Return(iova, length);
        return (0, IoBufferInfo.NoIova);
    }

    private (uint Region, ulong Iova) AddLockedRegion(byte* address, nuint length)
    {
        try
        {
            return AddRegion(address, length);
        }
        catch
        {
            Linux.Memory.Unlock(address, length);
            throw;
        }
    }

    private void RemoveRegion(uint region, ulong iova, ulong length)
    {
        if (iova != IoBufferInfo.NoIova) _iova!.Return(iova, length);
        _regions.Remove(region);
    }

    private static ulong TakeIova(IovaSpace space, ulong length) =>
        space.TryTake(length, out var iova) ? iova : throw new ComancheException($"DMA memory: no {length} bytes of device addresses are left");

    // The counter that queues read: written under the lock, with the tables changed already.
    private void Changed() => Volatile.Write(ref *_generation, *_generation + 1);

    private void CheckOverlap(byte* address, ulong length)
    {
        var end = address + length;
        foreach (var pool in _pools)
            if (address < pool.Address + pool.Length && end > pool.Address)
                throw new ComancheException($"memory to register at 0x{(nuint)address:x} lies in a pool: buffers from here are registered already");
        for (var i = 1; i < _entryCount; i++)
            if (_entries[i].Kind == EntryKind.Registered && address < _entries[i].Address + _entries[i].Length && end > _entries[i].Address)
                throw new ComancheException($"memory to register at 0x{(nuint)address:x} overlaps memory that is registered");
    }

    // The region that a range lies in: its start, length, device address, and whether its pages never move.
    private (nint Start, ulong Length, ulong Iova, bool Stays) LocateRegion(byte* address, ulong length)
    {
        foreach (var pool in _pools)
            if (pool.Contains(address))
                return length <= (ulong)(pool.Address + pool.Length - address) ? ((nint)pool.Address, pool.Length, pool.Iova, pool.IsHuge) : default;
        for (var i = 1; i < _entryCount; i++)
        {
            ref var entry = ref _entries[i];
            if (entry.Kind != EntryKind.Registered || address < entry.Address || address >= entry.Address + entry.Length) continue;
            return length <= (ulong)(entry.Address + entry.Length - address) ? ((nint)entry.Address, entry.Length, entry.Iova, false) : default;
        }

        return default;
    }

    private static int Physical(byte* address, ulong length, MemoryRun* runs, int capacity)
    {
        var page = (ulong)Linux.Memory.PageSize;
        var offset = (ulong)address % page;
        const int Chunk = 512; // The entries of one huge page.
        var frames = stackalloc ulong[Chunk];
        var count = 0;
        ulong runStart = 0, runLength = 0;
        while (length != 0)
        {
            var pages = (int)Math.Min(Chunk, (offset + length + page - 1) / page);
            var error = Linux.Memory.PhysicalPages(address, frames, pages);
            if (error != 0) throw new ComancheException($"/proc/self/pagemap cannot be read: {Linux.Memory.Describe(error)}");
            for (var i = 0; i < pages; i++)
            {
                if (frames[i] == 0) throw new ComancheException($"the physical address of 0x{(nuint)address:x} is not known");
                var piece = Math.Min(page - offset, length);
                if (runLength != 0 && frames[i] + offset == runStart + runLength)
                {
                    runLength += piece;
                }
                else
                {
                    if (runLength != 0) Store();
                    (runStart, runLength) = (frames[i] + offset, piece);
                }

                address += piece;
                length -= piece;
                offset = 0;
            }
        }

        Store();
        return count;

        void Store()
        {
            if (count < capacity) runs[count] = new MemoryRun { DeviceAddress = runStart, Length = runLength };
            count++;
        }
    }

    private ref Entry NewEntry(out IoBuffer handle)
    {
        if (!_freeEntries.TryPop(out var index))
        {
            index = _entryCount++;
            if (index == _entries.Length) Array.Resize(ref _entries, index * 2);
        }

        ref var entry = ref _entries[index];
        entry = new Entry { Uses = entry.Uses + 1, Iova = IoBufferInfo.NoIova };
        handle = new IoBuffer((ulong)entry.Uses << 32 | (uint)index);
        _buffers++;
        return ref entry;
    }

    private void FreeEntry(IoBuffer buffer)
    {
        var index = (int)(uint)buffer.Value;
        _entries[index] = new Entry { Uses = _entries[index].Uses };
        _freeEntries.Push(index);
        _buffers--;
    }

    // The entry of a handle; kind Free stands for any that is in use.
    private ref Entry Find(IoBuffer buffer, EntryKind kind)
    {
        var index = (uint)buffer.Value;
        if (index == 0 || index >= _entryCount || _entries[index].Uses < buffer.Value >> 32 || buffer.Value >> 32 == 0)
            throw new ComancheException($"0x{buffer.Value:x} is not a buffer of this process");
        ref var entry = ref _entries[index];
        if (entry.Uses != buffer.Value >> 32 || entry.Kind == EntryKind.Free) throw new ComancheException($"buffer 0x{buffer.Value:x} was freed before");
        if (kind != EntryKind.Free && entry.Kind != kind)
        {
            throw new ComancheException(kind == EntryKind.Allocated
                ? $"buffer 0x{buffer.Value:x} is registered memory of its owner: it is unregistered, not freed or reallocated"
                : $"buffer 0x{buffer.Value:x} was allocated here: it is freed, not unregistered");
        }

        return ref entry;
    }
}
