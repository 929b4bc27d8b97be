using System.Buffers.Binary;
using System.Net.Sockets;
using System.Text;

namespace Comanche.Network.Tests;

/// <summary>A client that speaks the protocol byte by byte, correct or not, independently of the server's own code.</summary>
internal sealed class NbdClient(Stream stream, Socket socket) : IDisposable
{
    public const uint Read = 0, Write = 1, Disconnect = 2, Flush = 3, Trim = 4, Cache = 5, WriteZeroes = 6, BlockStatus = 7;
    public const uint OptExportName = 1, OptAbort = 2, OptList = 3, OptStartTls = 5, OptInfo = 6, OptGo = 7, OptStructured = 8, OptListMeta = 9, OptSetMeta = 10;
    public const uint Ack = 1, Server = 2, Info = 3, Meta = 4, Unsupported = 0x80000001, Policy = 0x80000002, Invalid = 0x80000003, TlsRequired = 0x80000005, Unknown = 0x80000006;

    private ulong _cookie = 1000;

    public Socket Socket => socket;

    public Stream Stream { get; private set; } = stream;

    public ulong Size { get; private set; }

    public ushort Flags { get; private set; }

    public (uint Minimum, uint Preferred, uint Maximum) BlockSizes { get; private set; }

    public bool Structured { get; private set; }

    /// <summary>Greeting, flags, and into transmission.</summary>
    public NbdClient Enter(string name = "", bool structured = false, bool allocation = false)
    {
        Greet();
        if (structured) Negotiate();
        if (allocation) Assert.Equal([Meta, Ack], Option(OptSetMeta, MetaQuery(name, "base:allocation")).Select(r => r.Type));
        Go(name);
        return this;
    }

    public void Greet(uint flags = 3)
    {
        var greeting = Take(18);
        Assert.Equal("NBDMAGICIHAVEOPT", Encoding.ASCII.GetString(greeting, 0, 16));
        Assert.Equal(3, BinaryPrimitives.ReadUInt16BigEndian(greeting.AsSpan(16)));
        Send(Big(flags));
    }

    public void Negotiate()
    {
        Assert.Equal(Ack, Assert.Single(Option(OptStructured, [])).Type);
        Structured = true;
    }

    public void Go(string name)
    {
        var replies = Option(OptGo, InfoQuery(name, 3));
        Assert.Equal(Ack, replies[^1].Type);
        TakeInfo(replies);
    }

    public void TakeInfo(List<(uint Type, byte[] Data)> replies)
    {
        foreach (var (type, data) in replies)
        {
            if (type != Info) continue;
            var at = data.AsSpan(2);
            switch (BinaryPrimitives.ReadUInt16BigEndian(data))
            {
                case 0:
                    Size = BinaryPrimitives.ReadUInt64BigEndian(at);
                    Flags = BinaryPrimitives.ReadUInt16BigEndian(at[8..]);
                    break;
                case 3:
                    BlockSizes = (BinaryPrimitives.ReadUInt32BigEndian(at), BinaryPrimitives.ReadUInt32BigEndian(at[4..]), BinaryPrimitives.ReadUInt32BigEndian(at[8..]));
                    break;
            }
        }
    }

    /// <summary>Sends an option and takes its replies, up to the one that ends them.</summary>
    public List<(uint Type, byte[] Data)> Option(uint option, byte[] data)
    {
        SendOption(option, data);
        var replies = new List<(uint, byte[])>();
        while (true)
        {
            var header = Take(20);
            Assert.Equal(0x3e889045565a9UL, BinaryPrimitives.ReadUInt64BigEndian(header));
            Assert.Equal(option, BinaryPrimitives.ReadUInt32BigEndian(header.AsSpan(8)));
            var type = BinaryPrimitives.ReadUInt32BigEndian(header.AsSpan(12));
            replies.Add((type, Take((int)BinaryPrimitives.ReadUInt32BigEndian(header.AsSpan(16)))));
            if (type == Ack || (type & 0x80000000) != 0) return replies;
        }
    }

    public void SendOption(uint option, byte[] data) => Send([.. "IHAVEOPT"u8, .. Big(option), .. Big((uint)data.Length), .. data]);

    public static byte[] InfoQuery(string name, params ushort[] infos) =>
        [.. Big((uint)Encoding.UTF8.GetByteCount(name)), .. Encoding.UTF8.GetBytes(name), (byte)(infos.Length >> 8), (byte)infos.Length, .. infos.SelectMany(i => new[] { (byte)(i >> 8), (byte)i })];

    public static byte[] MetaQuery(string name, params string[] queries) =>
        [.. Text(name), .. Big((uint)queries.Length), .. queries.SelectMany(Text)];

    public static byte[] Text(string text) => [.. Big((uint)Encoding.UTF8.GetByteCount(text)), .. Encoding.UTF8.GetBytes(text)];

    /// <summary>Sends a request and returns its cookie.</summary>
    public ulong Request(uint command, ulong offset, uint length, ushort flags = 0, ReadOnlySpan<byte> payload = default)
    {
        var cookie = ++_cookie;
        Send([.. Header(command, offset, length, flags, cookie), .. payload]);
        return cookie;
    }

    public static byte[] Header(uint command, ulong offset, uint length, ushort flags, ulong cookie) =>
        [.. Big(0x25609513), (byte)(flags >> 8), (byte)flags, (byte)(command >> 8), (byte)command, .. Big(cookie), .. Big(offset), .. Big(length)];

    /// <summary>Does a request and returns error and data.</summary>
    public (uint Error, byte[] Data) Do(uint command, ulong offset, uint length, ushort flags = 0, byte[]? payload = null)
    {
        var cookie = Request(command, offset, length, flags, payload);
        var (got, error, data) = Reply(command == Read ? length : 0, offset);
        Assert.Equal(cookie, got);
        return (error, data);
    }

    /// <summary>
    /// Takes one whole reply. A simple one to a read has so many bytes of data; of structured ones the chunks are put together, and those of other kinds are returned whole.
    /// </summary>
    public (ulong Cookie, uint Error, byte[] Data) Reply(uint readLength = 0, ulong offset = 0)
    {
        var data = new byte[readLength];
        var filled = 0u;
        var error = 0u;
        while (true)
        {
            var magic = BinaryPrimitives.ReadUInt32BigEndian(Take(4));
            if (magic == 0x67446698)
            {
                var simple = Take(12);
                error = BinaryPrimitives.ReadUInt32BigEndian(simple);
                var cookie = BinaryPrimitives.ReadUInt64BigEndian(simple.AsSpan(4));
                if (readLength != 0) Assert.False(Structured, "a read is never answered simply where structured replies were agreed on");
                return (cookie, error, error == 0 ? Take((int)readLength) : []);
            }

            Assert.Equal(0x668e33efu, magic);
            Assert.True(Structured);
            var header = Take(16);
            var done = (BinaryPrimitives.ReadUInt16BigEndian(header) & 1) != 0;
            var type = BinaryPrimitives.ReadUInt16BigEndian(header.AsSpan(2));
            var payload = Take((int)BinaryPrimitives.ReadUInt32BigEndian(header.AsSpan(12)));
            switch (type)
            {
                case 1:
                    var at = BinaryPrimitives.ReadUInt64BigEndian(payload) - offset;
                    payload.AsSpan(8).CopyTo(data.AsSpan((int)at));
                    filled += (uint)payload.Length - 8;
                    break;
                case 5:
                    data = payload;
                    break;
                case 0x8001:
                    error = BinaryPrimitives.ReadUInt32BigEndian(payload);
                    Assert.NotEqual(0u, error);
                    break;
                default:
                    Assert.Equal(0, type);
                    break;
            }

            if (!done) continue;
            if (error == 0 && readLength != 0) Assert.Equal(readLength, filled);
            return (BinaryPrimitives.ReadUInt64BigEndian(header.AsSpan(4)), error, error == 0 ? data : []);
        }
    }

    public void Send(ReadOnlySpan<byte> bytes) => Stream.Write(bytes);

    public byte[] Take(int count)
    {
        var bytes = new byte[count];
        Stream.ReadExactly(bytes);
        return bytes;
    }

    /// <summary>Whether the server closes the connection, after whatever it still sends.</summary>
    public bool IsClosed()
    {
        var buffer = new byte[65536];
        try
        {
            while (Stream.Read(buffer) != 0) { }
            return true;
        }
        catch (IOException e) when (e.InnerException is SocketException { SocketErrorCode: SocketError.ConnectionReset })
        {
            return true;
        }
    }

    public void Encrypt(Stream encrypted) => Stream = encrypted;

    public void Dispose() => Stream.Dispose();

    public static byte[] Big(uint value)
    {
        var bytes = new byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, value);
        return bytes;
    }

    public static byte[] Big(ulong value)
    {
        var bytes = new byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(bytes, value);
        return bytes;
    }
}
