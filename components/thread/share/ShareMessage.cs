using System.Runtime.InteropServices;
using System.Text;

namespace Comanche.Threading;

/// <summary>What a message of the control socket asks.</summary>
internal enum ShareRequest : ushort
{
    /// <summary>The first: names the device. The answer has its geometry, and brings the status page and the server's eventfd.</summary>
    Attach = 1,

    /// <summary>Opens a queue of a depth. The answer has its number, and brings the memory of its rings and the client's eventfd.</summary>
    OpenQueue = 2,

    /// <summary>Closes a queue, in which nothing is in flight.</summary>
    CloseQueue = 3,

    /// <summary>Gives up what a queue has in flight. It comes back by the ring.</summary>
    Abandon = 4,

    /// <summary>Brings memory of the client, under a number of its choice.</summary>
    AddRegion = 5,

    /// <summary>Takes memory back. The answer comes when no device uses it any more.</summary>
    RemoveRegion = 6,

    /// <summary>Asks for geometry and health anew.</summary>
    Describe = 7,
}

/// <summary>
/// A message of the control socket, either way (docs/formats/share.md): 256 bytes, in the byte order of the machine, since both ends are on it. An answer is the request with other contents.
/// </summary>
[StructLayout(LayoutKind.Explicit, Size = Size)]
internal unsafe struct ShareMessage
{
    /// <summary>Bytes of every message.</summary>
    public const int Size = 256;

    /// <summary>"CMSH", read as a little-endian number.</summary>
    public const uint GoodMagic = 0x48534D43;

    /// <summary>The version of the protocol. Another one is refused.</summary>
    public const ushort GoodVersion = 1;

    private const int TextBytes = 96;

    /// <summary><see cref="GoodMagic"/>.</summary>
    [FieldOffset(0)] public uint Magic;

    /// <summary><see cref="GoodVersion"/>.</summary>
    [FieldOffset(4)] public ushort Version;

    /// <summary>What is asked.</summary>
    [FieldOffset(6)] public ShareRequest Request;

    /// <summary>In an answer: 0, or 1 where it is refused, for the reason in the text.</summary>
    [FieldOffset(8)] public uint Refused;

    /// <summary>The number of a queue (from the server) or of a region (from the client).</summary>
    [FieldOffset(12)] public uint Number;

    /// <summary>OpenQueue: the depth, and in the answer the bytes of memory. AddRegion: bytes. Attach, in the answer: the most depth of a queue.</summary>
    [FieldOffset(16)] public ulong Length;

    /// <summary>Attach, in the answer: segments that a descriptor can have.</summary>
    [FieldOffset(24)] public uint Segments;

    /// <summary>Attach and Describe, in the answer: the volume's geometry.</summary>
    [FieldOffset(32)] public VolumeInfo Volume;

    /// <summary>Attach and Describe, in the answer: the device's health.</summary>
    [FieldOffset(96)] public DeviceHealth Health;

    [FieldOffset(160)] private fixed byte _text[TextBytes];

    /// <summary>A message of this kind.</summary>
    public static ShareMessage Of(ShareRequest request) => new() { Magic = GoodMagic, Version = GoodVersion, Request = request };

    /// <summary>The name of the device, or the reason for a refusal: UTF-8, ended by a zero, cut where it is too long.</summary>
    public string Text
    {
        readonly get
        {
            fixed (byte* text = _text)
            {
                var bytes = new ReadOnlySpan<byte>(text, TextBytes);
                var end = bytes.IndexOf((byte)0);
                return Encoding.UTF8.GetString(end < 0 ? bytes : bytes[..end]);
            }
        }

        set
        {
            fixed (byte* text = _text)
            {
                var room = new Span<byte>(text, TextBytes);
                room.Clear();
                if (Encoding.UTF8.GetByteCount(value) >= TextBytes) value = value[..(TextBytes / 4 * 3)] + "…"; // Longer than any name; few letters take more than a byte.
                Encoding.UTF8.GetEncoder().Convert(value, room[..^1], flush: true, out _, out _, out _);
            }
        }
    }
}

/// <summary>What the server tells all queues of a client without being asked: one page of shared memory, which the server alone writes.</summary>
[StructLayout(LayoutKind.Explicit, Size = 4096)]
internal struct SharePage
{
    /// <summary>The device's event number (<see cref="IBlockDevice.GetEventNumber"/>).</summary>
    [FieldOffset(0)] public ulong EventNumber;
}
