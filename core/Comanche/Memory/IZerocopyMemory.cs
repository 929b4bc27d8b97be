using System.Runtime.InteropServices;
using System.Runtime.InteropServices.Marshalling;

namespace Comanche;

/// <summary>The handle of an I/O buffer, as the registry of the process knows it. 0 is no buffer.</summary>
/// <param name="Value">Opaque.</param>
public readonly record struct IoBuffer(ulong Value);

/// <summary>Where an I/O buffer lies.</summary>
[StructLayout(LayoutKind.Sequential, Size = 48)]
public unsafe struct IoBufferInfo
{
    /// <summary>The virtual address of its first byte.</summary>
    public void* Address;

    /// <summary>Its length in bytes.</summary>
    public ulong Length;

    /// <summary>The address that devices use for its first byte (one IOVA, the same for every device); <see cref="NoIova"/> without an IOMMU.</summary>
    public ulong Iova;

    /// <summary>The registered region that it lies in, for <see cref="IoDescriptor.Region"/>; 0 where the memory could not be registered.</summary>
    public uint Region;

    /// <summary>The NUMA node, or -1 where it is not known.</summary>
    public int NumaNode;

    /// <summary>The size of the pages under it, in bytes.</summary>
    public ulong PageSize;

    /// <summary>The <c>memfd</c> that backs it, for sharing with another process; -1 where the caller owns the memory.</summary>
    public int SharedDescriptor;

    /// <summary>1 where the memory is locked and never moves.</summary>
    public int Locked;

    /// <summary>The value of <see cref="Iova"/> where there is none.</summary>
    public const ulong NoIova = ulong.MaxValue;
}

/// <summary>A piece of memory that is contiguous for a device.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct MemoryRun
{
    /// <summary>The device's address: an IOVA, or a physical address without an IOMMU.</summary>
    public ulong DeviceAddress;

    /// <summary>The length in bytes.</summary>
    public ulong Length;
}

/// <summary>A region of memory that devices may use: a pool, or memory that its owner registered.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct MemoryRegion
{
    /// <summary>Its first byte.</summary>
    public void* Address;

    /// <summary>Its length in bytes.</summary>
    public ulong Length;

    /// <summary>
    /// Its number: a slot in the lower 12 bits (1 to 4095), above it how often that slot was used. A number is never given twice,
    /// so one that is kept too long matches nothing.
    /// </summary>
    public uint Region;

    /// <summary>Filler.</summary>
    public uint Reserved;

    /// <summary>The slot of a region's number.</summary>
    public static int SlotOf(uint region) => (int)(region & (MaxSlots - 1));

    /// <summary>The number of slots; slot 0 is not used.</summary>
    public const int MaxSlots = 4096;
}

/// <summary>
/// Memory that is made for DMA: locked, never moved, known to every device of the process (the paper's appendix A).
/// A buffer that one device gave can be used with every other, since the process has one registry.
/// </summary>
/// <remarks>Any thread may call these methods; they lock and are not for the data path. Mistakes throw <see cref="ComancheException"/>.</remarks>
[GeneratedComInterface(StringMarshalling = StringMarshalling.Utf8, ExceptionToUnmanagedMarshaller = typeof(FailureMarshaller))]
[Guid("c0a4c4e0-0010-4b1e-9a51-6d6f6e746501")]
public unsafe partial interface IZerocopyMemory : IBase
{
    /// <summary>Allocates an I/O buffer. Its content is zero.</summary>
    /// <param name="size">Bytes, at least 1.</param>
    /// <param name="alignment">Alignment of the address in bytes: a power of two up to 2 MiB, or 0 for 4096.</param>
    /// <param name="numaNode">The NUMA node that is preferred, or -1.</param>
    IoBuffer AllocateIoBuffer(nuint size, uint alignment, int numaNode);

    /// <summary>
    /// Changes the size of a buffer; the handle stays, the address may change, the content is kept up to the smaller size and is zero
    /// beyond. Only for a buffer that was allocated here and that no I/O is using.
    /// </summary>
    void ReallocateIoBuffer(IoBuffer buffer, nuint size, uint alignment);

    /// <summary>
    /// Frees a buffer that was allocated here. No I/O may be using it, so nothing reaches it afterwards. Where its memory goes with it, an address mapping for devices is
    /// gone on return; a queue that keeps a table of regions (as io_uring) gives up its pin at its next Submit or Poll.
    /// </summary>
    void FreeIoBuffer(IoBuffer buffer);

    /// <summary>
    /// Registers memory that the caller owns and keeps in place until <see cref="UnregisterMemory"/>: locked, and mapped for every device.
    /// </summary>
    /// <param name="address">Its first byte, on a page boundary.</param>
    /// <param name="length">Bytes, a multiple of the page size.</param>
    IoBuffer RegisterMemory(void* address, nuint length);

    /// <summary>
    /// Takes registered memory back. No I/O may be using it, so nothing reaches it afterwards. An address mapping for devices is gone on return; a queue that keeps a
    /// table of regions (as io_uring) gives up its pin at its next Submit or Poll.
    /// </summary>
    void UnregisterMemory(IoBuffer buffer);

    /// <summary>Says where a buffer lies.</summary>
    void GetBufferInfo(IoBuffer buffer, IoBufferInfo* info);

    /// <summary>
    /// Gives the pieces of a range of registered memory that are contiguous for a device, in order.
    /// Returns their number, which may exceed <paramref name="capacity"/>; only the first <paramref name="capacity"/> are stored.
    /// </summary>
    int Translate(void* address, nuint length, MemoryRun* runs, int capacity);

    /// <summary>
    /// Lists the regions that live, for a device that opens late. Returns their number, which may exceed <paramref name="capacity"/>.
    /// </summary>
    int GetRegions(MemoryRegion* regions, int capacity);

    /// <summary>
    /// The address of a counter that changes with every region that comes or goes: a queue reads it once per batch and fetches
    /// <see cref="GetRegions"/> anew when it moved. Valid as long as the process.
    /// </summary>
    [PreserveSig]
    ulong* GetGeneration();
}
