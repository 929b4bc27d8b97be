using System.Runtime.InteropServices;
using Comanche.Linux;
using static Comanche.Linux.IoUringAbi;

namespace Comanche.Block;

// Registered memory: the regions of the process, mirrored in the ring, so that the kernel need not look up and pin pages for each I/O.
//
// A descriptor names a region by slot and use count; the mirror has a place for each slot and holds the whole number, so that one that was kept too long
// finds nothing and goes the ordinary way. The kernel registers at most 1 GiB in one place: larger regions take several, one after the
// other, and an I/O that crosses a border of them goes the ordinary way too.
internal sealed unsafe partial class UringFileQueue
{
    // Places for registered memory in the ring: as many GiB, 8 bytes each in the kernel.
    private const int Places = 1024;
    private const int NoPlace = -1;

    private ulong* _generation;
    private ulong _seenGeneration;
    private Mirror* _mirrors; // By slot of the region's number.
    private MemoryRegion* _listed; // Where the registry's list goes.
    private byte* _taken; // Places that are in use.
    private bool _canRegister;
    private bool _saidWhy;
    private uint _round;

    private void OpenRegions()
    {
        _generation = _device.GetGeneration();
        _mirrors = (Mirror*)NativeMemory.AllocZeroed(MemoryRegion.MaxSlots, (nuint)sizeof(Mirror));
        _listed = (MemoryRegion*)NativeMemory.Alloc(MemoryRegion.MaxSlots, (nuint)sizeof(MemoryRegion));
        _taken = (byte*)NativeMemory.AllocZeroed(Places);
        _canRegister = _ring.RegisterSparseBuffers(Places) >= 0;
        RefreshRegions();
    }

    private void CloseRegions()
    {
        NativeMemory.Free(_mirrors);
        NativeMemory.Free(_listed);
        NativeMemory.Free(_taken);
    }

    // The place of memory in the ring, or NoPlace.
    private int FindRegistered(uint region, byte* address, uint length)
    {
        if (region == 0) return NoPlace;
        ref readonly var mirror = ref _mirrors[MemoryRegion.SlotOf(region)];
        if (mirror.Region != region || mirror.Place == NoPlace) return NoPlace;
        var offset = (ulong)address - mirror.Address;
        if (offset >= mirror.Length || length > mirror.Length - offset) return NoPlace;
        var piece = offset / MaxRegisteredBytes;
        return (offset + length - 1) / MaxRegisteredBytes == piece ? mirror.Place + (int)piece : NoPlace;
    }

    // The registry changed: what is gone leaves the ring, what came enters it. I/O in flight keeps the memory that it began with.
    private void RefreshRegions()
    {
        _seenGeneration = Volatile.Read(ref *_generation);
        if (!_canRegister) return;
        var count = Math.Min(_device.GetRegions(_listed, MemoryRegion.MaxSlots), MemoryRegion.MaxSlots);
        _round++;
        for (var i = 0; i < count; i++)
        {
            var slot = MemoryRegion.SlotOf(_listed[i].Region);
            if (_mirrors[slot].Region == _listed[i].Region) _mirrors[slot].Round = _round;
        }

        for (var slot = 1; slot < MemoryRegion.MaxSlots; slot++)
            if (_mirrors[slot].Region != 0 && _mirrors[slot].Round != _round)
                Remove(_mirrors + slot);

        for (var i = 0; i < count; i++)
        {
            var mirror = _mirrors + MemoryRegion.SlotOf(_listed[i].Region);
            if (mirror->Region == 0) Add(mirror, _listed[i]);
        }
    }

    private void Add(Mirror* mirror, in MemoryRegion region)
    {
        *mirror = new Mirror { Address = (ulong)region.Address, Length = region.Length, Region = region.Region, Place = NoPlace, Round = _round };
        var pieces = PiecesOf(region.Length);
        var place = FindPlaces(pieces);
        if (place == NoPlace) return;
        for (var i = 0; i < pieces; i++)
        {
            var offset = (ulong)i * MaxRegisteredBytes;
            var result = _ring.UpdateBuffer((uint)(place + i), (byte*)region.Address + offset, Math.Min(region.Length - offset, MaxRegisteredBytes));
            if (result >= 0) continue;
            for (var j = 0; j < i; j++) _ring.UpdateBuffer((uint)(place + j), null, 0);
            SayWhy(region, -result);
            return;
        }

        new Span<byte>(_taken + place, pieces).Fill(1);
        mirror->Place = place;
    }

    private void Remove(Mirror* mirror)
    {
        if (mirror->Place != NoPlace)
        {
            var pieces = PiecesOf(mirror->Length);
            for (var i = 0; i < pieces; i++) _ring.UpdateBuffer((uint)(mirror->Place + i), null, 0);
            new Span<byte>(_taken + mirror->Place, pieces).Clear();
        }

        *mirror = default;
    }

    private int FindPlaces(int pieces)
    {
        var run = 0;
        for (var i = 0; i < Places; i++)
        {
            run = _taken[i] == 0 ? run + 1 : 0;
            if (run == pieces) return i - pieces + 1;
        }

        return NoPlace;
    }

    private void SayWhy(in MemoryRegion region, int error)
    {
        if (_saidWhy) return;
        _saidWhy = true;
        var advice = error == Errno.ENOMEM ? "; more lockable memory (ulimit -l) would help" : "";
        _host.Log(LogLevel.Information, $"{new ByteSize(region.Length)} of I/O memory can't be registered with io_uring ({Errno.Describe(error)}); its pages are pinned for each I/O instead{advice}");
    }

    private static int PiecesOf(ulong length) => (int)((length + MaxRegisteredBytes - 1) / MaxRegisteredBytes);

    private struct Mirror
    {
        public ulong Address;
        public ulong Length;
        public uint Region; // 0: none.
        public int Place;
        public uint Round;
    }
}
