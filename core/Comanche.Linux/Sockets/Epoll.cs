using System.Runtime.InteropServices;

namespace Comanche.Linux;

/// <summary>What happened at a descriptor: <c>struct epoll_event</c>, which is packed on x86-64 and nowhere else.</summary>
public readonly record struct EpollEvent(EpollEvents Events, ulong Tag);

/// <summary>The kinds of events.</summary>
[Flags]
public enum EpollEvents : uint
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>Something can be received, or accepted.</summary>
    Readable = 0x1,

    /// <summary>Something can be sent.</summary>
    Writable = 0x4,

    /// <summary>An error.</summary>
    Error = 0x8,

    /// <summary>Both directions are closed.</summary>
    HangUp = 0x10,

    /// <summary>The peer sends no more.</summary>
    PeerClosed = 0x2000,

    /// <summary>Report changes only: the user takes all there is each time.</summary>
    Edge = 1u << 31,
}

/// <summary>
/// A kernel event list. Its own <see cref="Descriptor"/> is readable while there are events, so a reactor sleeps on that one descriptor for any number of sockets, and for
/// writability too.
/// </summary>
public sealed unsafe class Epoll : IDisposable
{
    private const int AddOperation = 1;
    private const int RemoveOperation = 2;
    private const int CloseOnExec = 0x80000;
    private const int Capacity = 64;

    // 12 bytes an event on x86-64, 16 elsewhere.
    private static readonly int Stride = RuntimeInformation.ProcessArchitecture == Architecture.X64 ? 12 : 16;
    private readonly byte* _events = (byte*)NativeMemory.AllocZeroed(Capacity, 16);

    /// <summary>Makes an empty list.</summary>
    public Epoll()
    {
        Descriptor = EpollNative.epoll_create1(CloseOnExec);
        if (Descriptor < 0) throw new ComancheException($"epoll_create1: {Marshal.GetPInvokeErrorMessage(Marshal.GetLastSystemError())}");
    }

    /// <summary>The list's own descriptor.</summary>
    public int Descriptor { get; private set; }

    /// <summary>Watches a descriptor; false where the kernel has no room.</summary>
    public bool Add(int descriptor, EpollEvents events, ulong tag)
    {
        var entry = stackalloc byte[16];
        *(uint*)entry = (uint)events;
        *(ulong*)(entry + Stride - 8) = tag;
        return EpollNative.epoll_ctl(Descriptor, AddOperation, descriptor, entry) == 0;
    }

    /// <summary>Watches a descriptor no more. Done before the descriptor is closed or handed on.</summary>
    public void Remove(int descriptor)
    {
        var entry = stackalloc byte[16];
        _ = EpollNative.epoll_ctl(Descriptor, RemoveOperation, descriptor, entry);
    }

    /// <summary>Fetches events without waiting; returns their number. The data path's call: one system call, no allocation.</summary>
    public int Fetch()
    {
        var count = EpollNative.epoll_wait(Descriptor, _events, Capacity, 0);
        return count < 0 ? 0 : count;
    }

    /// <summary>An event of the last <see cref="Fetch"/>.</summary>
    public EpollEvent this[int index] => new(*(EpollEvents*)(_events + index * Stride), *(ulong*)(_events + index * Stride + Stride - 8));

    /// <inheritdoc/>
    public void Dispose()
    {
        if (Descriptor < 0) return;
        Sockets.Close(Descriptor);
        Descriptor = -1;
        NativeMemory.Free(_events);
    }
}

internal static unsafe partial class EpollNative
{
    [LibraryImport("libc")] internal static partial int epoll_create1(int flags);
    [LibraryImport("libc")] internal static partial int epoll_ctl(int list, int operation, int descriptor, byte* entry);
    [LibraryImport("libc")] internal static partial int epoll_wait(int list, byte* events, int capacity, int timeoutMs);
}
