namespace Comanche.Runtime;

/// <summary>
/// The numbers of regions: a slot in the lower 12 bits, above it how often that slot was used. A slot whose count is used up is never used again, so that
/// no number is given twice. The caller holds the registry's lock.
/// </summary>
internal sealed unsafe class RegionTable
{
    private const int SlotBits = 12;
    private const uint MaxUses = (1u << 32 - SlotBits) - 1;

    private readonly MemoryRegion[] _slots = new MemoryRegion[MemoryRegion.MaxSlots]; // Region 0: not in use.
    private readonly uint[] _uses = new uint[MemoryRegion.MaxSlots];
    private int _highest;

    /// <summary>How many regions live.</summary>
    public int Count { get; private set; }

    /// <summary>Gives a region the lowest slot that is free; 0 where there is none.</summary>
    public uint Add(void* address, ulong length)
    {
        for (var slot = 1; slot < MemoryRegion.MaxSlots; slot++)
        {
            if (_slots[slot].Region != 0 || _uses[slot] == MaxUses) continue;
            var number = (uint)slot | ++_uses[slot] << SlotBits;
            _slots[slot] = new MemoryRegion { Address = address, Length = length, Region = number };
            _highest = Math.Max(_highest, slot);
            Count++;
            return number;
        }

        return 0;
    }

    /// <summary>Takes a region away.</summary>
    public void Remove(uint region)
    {
        if (region == 0) return;
        _slots[MemoryRegion.SlotOf(region)] = default;
        Count--;
    }

    /// <summary>Stores the regions that live; returns their number.</summary>
    public int CopyTo(MemoryRegion* regions, int capacity)
    {
        var count = 0;
        for (var slot = 1; slot <= _highest; slot++)
        {
            if (_slots[slot].Region == 0) continue;
            if (count < capacity) regions[count] = _slots[slot];
            count++;
        }

        return count;
    }
}
