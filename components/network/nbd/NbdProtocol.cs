using System.Buffers.Binary;

namespace Comanche.Network;

/// <summary>
/// The numbers of the NBD protocol, with the names of its specification (NetworkBlockDevice/nbd, doc/proto.md). All fields on the wire are big-endian.
/// </summary>
internal static class NbdProtocol
{
    public const ulong Magic = 0x4e42444d41474943;          // NBDMAGIC
    public const ulong OptionMagic = 0x49484156454F5054;    // IHAVEOPT
    public const ulong OptionReplyMagic = 0x0003e889045565a9;
    public const uint RequestMagic = 0x25609513;
    public const uint SimpleReplyMagic = 0x67446698;
    public const uint StructuredReplyMagic = 0x668e33ef;

    public const int OptionHeaderBytes = 16;
    public const int OptionReplyBytes = 20;
    public const int RequestBytes = 28;
    public const int SimpleReplyBytes = 16;
    public const int ChunkBytes = 20;

    /// <summary>The longest string that the protocol allows.</summary>
    public const int MaxString = 4096;

    /// <summary>What a client may send in one payload when no size was agreed on.</summary>
    public const uint DefaultMaxPayload = 32u << 20;

    public const uint AllocationContext = 1;
    public const string AllocationContextName = "base:allocation";
}

[Flags]
internal enum HandshakeFlags : ushort
{
    FixedNewstyle = 1,
    NoZeroes = 2,
}

internal enum NbdOption : uint
{
    ExportName = 1,
    Abort = 2,
    List = 3,
    StartTls = 5,
    Info = 6,
    Go = 7,
    StructuredReply = 8,
    ListMetaContext = 9,
    SetMetaContext = 10,
}

internal enum NbdReply : uint
{
    Ack = 1,
    Server = 2,
    Info = 3,
    MetaContext = 4,
    ErrorUnsupported = 0x80000001,
    ErrorPolicy = 0x80000002,
    ErrorInvalid = 0x80000003,
    ErrorTlsRequired = 0x80000005,
    ErrorUnknown = 0x80000006,
    ErrorShutdown = 0x80000007,
    ErrorTooBig = 0x80000009,
}

internal enum NbdInfo : ushort
{
    Export = 0,
    Name = 1,
    Description = 2,
    BlockSize = 3,
}

[Flags]
internal enum TransmissionFlags : ushort
{
    HasFlags = 1 << 0,
    ReadOnly = 1 << 1,
    SendFlush = 1 << 2,
    SendFua = 1 << 3,
    SendTrim = 1 << 5,
    SendWriteZeroes = 1 << 6,
    SendDontFragment = 1 << 7,
    CanMultiConnection = 1 << 8,
    SendFastZero = 1 << 11,
}

internal enum NbdCommand : ushort
{
    Read = 0,
    Write = 1,
    Disconnect = 2,
    Flush = 3,
    Trim = 4,
    Cache = 5,
    WriteZeroes = 6,
    BlockStatus = 7,
}

[Flags]
internal enum CommandFlags : ushort
{
    None = 0,
    ForceUnitAccess = 1 << 0,
    NoHole = 1 << 1,
    DontFragment = 1 << 2,
    RequestOne = 1 << 3,
    FastZero = 1 << 4,
}

internal enum ChunkType : ushort
{
    None = 0,
    OffsetData = 1,
    BlockStatus = 5,
    Error = 0x8001,
}

internal enum NbdError : uint
{
    None = 0,
    NotPermitted = 1,
    InputOutput = 5,
    Invalid = 22,
    NoSpace = 28,
    Overflow = 75,
    NotSupported = 95,
    Shutdown = 108,
}

/// <summary>A request's header, in the machine's byte order.</summary>
internal readonly struct NbdRequest
{
    public readonly CommandFlags Flags;
    public readonly NbdCommand Command;
    public readonly ulong Cookie; // Kept as it came: it is only sent back.
    public readonly ulong Offset;
    public readonly uint Length;

    /// <summary>Reads a header of 28 bytes; false where it does not begin with the magic number.</summary>
    public static unsafe bool TryRead(byte* at, out NbdRequest request)
    {
        request = new NbdRequest(at);
        return BinaryPrimitives.ReverseEndianness(*(uint*)at) == NbdProtocol.RequestMagic;
    }

    private unsafe NbdRequest(byte* at)
    {
        Flags = (CommandFlags)BinaryPrimitives.ReverseEndianness(*(ushort*)(at + 4));
        Command = (NbdCommand)BinaryPrimitives.ReverseEndianness(*(ushort*)(at + 6));
        Cookie = *(ulong*)(at + 8);
        Offset = BinaryPrimitives.ReverseEndianness(*(ulong*)(at + 16));
        Length = BinaryPrimitives.ReverseEndianness(*(uint*)(at + 24));
    }
}
