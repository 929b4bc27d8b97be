using System.Runtime.InteropServices;
using System.Runtime.InteropServices.Marshalling;

namespace Comanche;

/// <summary>Memory that another process can map: a whole anonymous file, sealed against shrinking, and where this process has mapped it.</summary>
[StructLayout(LayoutKind.Sequential, Size = 32)]
public unsafe struct SharedRange
{
    /// <summary>The address of its first byte; byte 0 of the file.</summary>
    public void* Address;

    /// <summary>Its length in bytes.</summary>
    public ulong Length;

    /// <summary>A number that no other range of this process ever had or will have; never 0.</summary>
    public ulong Id;

    /// <summary>The file's descriptor. It stays the memory's own, and is valid as long as a buffer in the range is.</summary>
    public int Descriptor;

    /// <summary>Filler, 0.</summary>
    public uint Reserved;
}

/// <summary>What memory offers that can be shared with other processes; asked of <see cref="IHost.GetMemory"/> by <see cref="IBase.Query"/>.</summary>
[GeneratedComInterface(StringMarshalling = StringMarshalling.Utf8, ExceptionToUnmanagedMarshaller = typeof(FailureMarshaller))]
[Guid("c0a4c4e0-0013-4b1e-9a51-6d6f6e746501")]
public unsafe partial interface ISharedMemory : IBase
{
    /// <summary>
    /// Finds the range that an address lies in; returns 1, or 0 where it lies in none. Any thread; it locks. What is found may be kept until the counter of
    /// <see cref="IZerocopyMemory.GetGeneration"/> moves.
    /// </summary>
    [PreserveSig]
    int FindShared(void* address, SharedRange* range);
}
