using System.Runtime.InteropServices;

namespace Comanche.Network;

/// <summary>A request, or a piece of a long one. Its descriptor is the one of the same index in the slab.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct RequestSlot
{
    /// <summary>The most bytes of a reply before its data.</summary>
    public const int HeaderBytes = 40;

    /// <summary>The client's own, as it came.</summary>
    public ulong Cookie;

    /// <summary>First byte on the volume.</summary>
    public ulong Offset;

    /// <summary>The data in the arena, or null.</summary>
    public byte* Buffer;

    /// <summary>Bytes.</summary>
    public uint Length;

    /// <summary>What it asks for.</summary>
    public NbdCommand Command;

    /// <summary>How.</summary>
    public CommandFlags Flags;

    /// <summary>First unit in the arena.</summary>
    public int Unit;

    /// <summary>Units in the arena; 0 where it has none.</summary>
    public int Units;

    /// <summary>A piece: the request that it is of. Otherwise <see cref="None"/>.</summary>
    public int Parent;

    /// <summary>A piece of a read: the next one in order. A long read: its first piece.</summary>
    public int Next;

    /// <summary>A long request: pieces that are not back.</summary>
    public int Pending;

    /// <summary>A long request: bytes of which pieces were made.</summary>
    public uint Issued;

    /// <summary>A long read: bytes whose replies are queued.</summary>
    public uint Replied;

    /// <summary>A long request: no piece is to come before those that are out are back.</summary>
    public bool RoundIssued;

    /// <summary>The first thing that went wrong.</summary>
    public NbdError Error;

    /// <summary>The reply's header, until it is sent.</summary>
    public fixed byte Header[HeaderBytes];

    /// <summary>No slot.</summary>
    public const int None = -1;
}
