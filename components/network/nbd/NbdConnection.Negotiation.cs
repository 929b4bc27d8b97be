using System.Buffers.Binary;
using System.Text;
using Comanche.Linux;

namespace Comanche.Network;

// The fixed newstyle handshake. An option is parsed when it is whole and all replies to the one before are sent, so one buffer of replies is enough and a client that asks and never reads
// stands still. A mistake that the protocol can answer is answered; any other ends the connection.
internal sealed unsafe partial class NbdConnection
{
    // The longest reply is a list of 64 exports, each a header, a name of up to 255 bytes and a description of up to 512.
    private const int RepliesBytes = 64 * (NbdProtocol.OptionReplyBytes + 4 + MaxName + MaxDescription) + 1024;

    // Options carry a name of up to 4096 bytes and a few queries; what is longer than this is no honest client.
    private const uint MaxOptionBytes = 64 * 1024;

    // Each option costs the server a reply: a client that haggles longer than this means no good.
    private const int MaxOptions = 1000;

    /// <summary>The longest name of an export, in bytes of UTF-8.</summary>
    public const int MaxName = 255;

    /// <summary>The longest description of an export, in bytes of UTF-8.</summary>
    public const int MaxDescription = 512;

    private static readonly byte[] AllocationContextName = Encoding.UTF8.GetBytes(NbdProtocol.AllocationContextName);

    private readonly byte* _replies;
    private int _options;
    private bool _noZeroes;
    private int _inner = -1;                 // While the consent to encrypt is sent: the pair of sockets, ours and the one for the encryption.
    private int _outer = -1;
    private TlsTunnel? _tunnel;              // Holds the client's socket, where it is encrypted.
    private bool _structured;
    private NbdVolume? _contextVolume; // The volume whose allocation context the client selected.
    private bool _reportsStatus;

    private void Greet()
    {
        var reply = new ReplyWriter(_replies);
        reply.Put64(NbdProtocol.Magic);
        reply.Put64(NbdProtocol.OptionMagic);
        reply.Put16((ushort)(HandshakeFlags.FixedNewstyle | HandshakeFlags.NoZeroes));
        _output.Push(_replies, reply.Length, OutputQueue.NoSlot);
    }

    private int ParseGreeting()
    {
        if (_tail - _head < 4) return 0;
        var flags = BinaryPrimitives.ReverseEndianness(*(uint*)(_receive + _head));
        _head += 4;
        if ((flags & ~3u) != 0 || (flags & (uint)HandshakeFlags.FixedNewstyle) == 0)
        {
            CloseSocket();
            return 1;
        }

        _noZeroes = (flags & (uint)HandshakeFlags.NoZeroes) != 0;
        _phase = Phase.Options;
        return 1;
    }

    // Parses one option; returns 1 where it did.
    private int ParseOption()
    {
        if (_tail - _head < NbdProtocol.OptionHeaderBytes) return 0;
        var at = _receive + _head;
        var option = (NbdOption)BinaryPrimitives.ReverseEndianness(*(uint*)(at + 8));
        var length = BinaryPrimitives.ReverseEndianness(*(uint*)(at + 12));
        if (BinaryPrimitives.ReverseEndianness(*(ulong*)at) != NbdProtocol.OptionMagic || length > MaxOptionBytes || ++_options > MaxOptions)
        {
            CloseSocket();
            return 1;
        }

        if (_tail - _head < NbdProtocol.OptionHeaderBytes + (int)length)
        {
            _options--; // It is looked at again when it is whole.
            if (ReceiveBytes - _head < NbdProtocol.OptionHeaderBytes + (int)length) MakeRoom();
            return 0;
        }

        _head += NbdProtocol.OptionHeaderBytes + (int)length;
        var reply = new ReplyWriter(_replies);
        Answer(option, new ReadOnlySpan<byte>(at + NbdProtocol.OptionHeaderBytes, (int)length), ref reply);
        if (reply.Length != 0 && _phase != Phase.Closed) _output.Push(_replies, reply.Length, OutputQueue.NoSlot);
        return 1;
    }

    private void Answer(NbdOption option, ReadOnlySpan<byte> data, ref ReplyWriter reply)
    {
        if (option == NbdOption.Abort)
        {
            PutReply(ref reply, option, NbdReply.Ack, 0);
            Finish();
            return;
        }

        if (option == NbdOption.ExportName)
        {
            EnterByName(data, ref reply);
            return;
        }

        if (_server.IsStopping) PutReply(ref reply, option, NbdReply.ErrorShutdown, 0);
        else if (option == NbdOption.StartTls) AnswerStartTls(data, ref reply);
        else if (_server.TlsRequired && !IsEncrypted) PutReply(ref reply, option, NbdReply.ErrorTlsRequired, 0);
        else
            switch (option)
            {
                case NbdOption.List:
                    AnswerList(data, ref reply);
                    break;
                case NbdOption.Info or NbdOption.Go:
                    AnswerInfo(option, data, ref reply);
                    break;
                case NbdOption.StructuredReply:
                    _structured |= data.Length == 0;
                    PutReply(ref reply, option, data.Length == 0 ? NbdReply.Ack : NbdReply.ErrorInvalid, 0);
                    break;
                case NbdOption.ListMetaContext or NbdOption.SetMetaContext:
                    AnswerMetaContext(option, data, ref reply);
                    break;
                default:
                    PutReply(ref reply, option, NbdReply.ErrorUnsupported, 0);
                    break;
            }
    }

    private void EnterByName(ReadOnlySpan<byte> name, ref ReplyWriter reply)
    {
        // This option has no error reply: the connection ends instead.
        if ((_server.TlsRequired && !IsEncrypted) || _server.IsStopping || _server.Find(name) is not { } volume || !TryOpen(volume, out _))
        {
            CloseSocket();
            return;
        }

        reply.Put64(_info.ByteLength);
        reply.Put16((ushort)NbdVolume.FlagsOf(_info, _structured));
        if (!_noZeroes) reply.Put(stackalloc byte[124]);
        EnterTransmission(volume);
    }

    private void AnswerStartTls(ReadOnlySpan<byte> data, ref ReplyWriter reply)
    {
        if (!_server.HasTls)
        {
            PutReply(ref reply, NbdOption.StartTls, NbdReply.ErrorPolicy, 0);
        }
        else if (IsEncrypted || data.Length != 0)
        {
            PutReply(ref reply, NbdOption.StartTls, NbdReply.ErrorInvalid, 0);
        }
        else if (!Sockets.TryPair(out _inner, out _outer))
        {
            // Asked for before the consent: behind it the client can't be told any more.
            _server.Warn("a client was refused: there are no descriptors left to encrypt");
            PutReply(ref reply, NbdOption.StartTls, NbdReply.ErrorPolicy, 0);
        }
        else
        {
            PutReply(ref reply, NbdOption.StartTls, NbdReply.Ack, 0);
            _phase = Phase.StartingTls;
        }
    }

    private void AnswerList(ReadOnlySpan<byte> data, ref ReplyWriter reply)
    {
        if (data.Length != 0)
        {
            PutReply(ref reply, NbdOption.List, NbdReply.ErrorInvalid, 0);
            return;
        }

        foreach (var volume in _server.Volumes)
        {
            PutReply(ref reply, NbdOption.List, NbdReply.Server, 4 + volume.Name.Length + volume.Description.Length);
            reply.Put32((uint)volume.Name.Length);
            reply.Put(volume.Name);
            reply.Put(volume.Description);
        }

        PutReply(ref reply, NbdOption.List, NbdReply.Ack, 0);
    }

    private void AnswerInfo(NbdOption option, ReadOnlySpan<byte> data, ref ReplyWriter reply)
    {
        // Name length, name, number of requests, requests.
        if (!TryTakeString(ref data, out var name) || data.Length < 2 || BinaryPrimitives.ReadUInt16BigEndian(data) * 2 != data.Length - 2)
        {
            PutReply(ref reply, option, NbdReply.ErrorInvalid, 0);
            return;
        }

        if (_server.Find(name) is not { } volume)
        {
            PutReply(ref reply, option, NbdReply.ErrorUnknown, 0);
            return;
        }

        if (!TryOpen(volume, out var info, describeOnly: option == NbdOption.Info))
        {
            PutReply(ref reply, option, NbdReply.ErrorPolicy, 0);
            return;
        }

        PutReply(ref reply, option, NbdReply.Info, 12);
        reply.Put16((ushort)NbdInfo.Export);
        reply.Put64(info.ByteLength);
        reply.Put16((ushort)NbdVolume.FlagsOf(info, _structured));
        PutReply(ref reply, option, NbdReply.Info, 14);
        reply.Put16((ushort)NbdInfo.BlockSize);
        reply.Put32(info.BlockSize);
        reply.Put32(NbdVolume.PreferredBlock(info, volume.MaxRequest));
        reply.Put32(volume.MaxRequest);
        var asked = 0u;
        for (data = data[2..]; data.Length != 0; data = data[2..]) asked |= 1u << Math.Min((int)BinaryPrimitives.ReadUInt16BigEndian(data), 31);
        if ((asked >> (int)NbdInfo.Name & 1) != 0) PutText(ref reply, option, NbdInfo.Name, volume.Name);
        if ((asked >> (int)NbdInfo.Description & 1) != 0 && volume.Description.Length != 0) PutText(ref reply, option, NbdInfo.Description, volume.Description);
        PutReply(ref reply, option, NbdReply.Ack, 0);
        if (option == NbdOption.Go) EnterTransmission(volume);
    }

    private void AnswerMetaContext(NbdOption option, ReadOnlySpan<byte> data, ref ReplyWriter reply)
    {
        var set = option == NbdOption.SetMetaContext;
        if (set) _contextVolume = null; // Also when this one fails.
        if (!_structured || !TryTakeString(ref data, out var name) || data.Length < 4)
        {
            PutReply(ref reply, option, NbdReply.ErrorInvalid, 0);
            return;
        }

        var volume = _server.Find(name);
        var queries = BinaryPrimitives.ReadUInt32BigEndian(data);
        data = data[4..];
        var selected = queries == 0 && !set;
        for (; queries != 0; queries--)
        {
            if (!TryTakeString(ref data, out var query))
            {
                PutReply(ref reply, option, NbdReply.ErrorInvalid, 0);
                return;
            }

            selected |= query.SequenceEqual(AllocationContextName) || (!set && query.SequenceEqual("base:"u8));
        }

        if (data.Length != 0 || volume is null)
        {
            PutReply(ref reply, option, data.Length != 0 ? NbdReply.ErrorInvalid : NbdReply.ErrorUnknown, 0);
            return;
        }

        if (selected)
        {
            PutReply(ref reply, option, NbdReply.MetaContext, 4 + AllocationContextName.Length);
            reply.Put32(set ? NbdProtocol.AllocationContext : 0);
            reply.Put(AllocationContextName);
            if (set) _contextVolume = volume;
        }

        PutReply(ref reply, option, NbdReply.Ack, 0);
    }

    // Opens queue and memory; says in the log why the device has no room, or can't even say what it is: such a client is refused, and asks again if it likes.
    private bool TryOpen(NbdVolume volume, out VolumeInfo info, bool describeOnly = false)
    {
        info = default;
        try
        {
            info = volume.Describe();
            if (!describeOnly) OpenVolume(volume, info);
            return true;
        }
        catch (Exception error) when (_queue is null)
        {
            _server.Warn($"a client was refused: {error.Message}");
            return false;
        }
    }

    private void EnterTransmission(NbdVolume volume)
    {
        _reportsStatus = _contextVolume == volume && _structured;
        _phase = Phase.Transmission;
        Deadline = ulong.MaxValue;
    }

    // The consent is sent: from here on the socket belongs to the encryption, and this connection talks to its other side.
    private void StartTls()
    {
        if (_tail != _head)
        {
            // Something came in the clear behind the wish to encrypt. It might be someone else's.
            CloseSocket();
            return;
        }

        if (_watched) Unwatch();
        _tunnel = _server.Encrypt(_socket, _outer);
        _socket = _inner;
        _inner = _outer = -1;
        _writable = true;
        _structured = false; // What was agreed on in the clear counts for nothing.
        _contextVolume = null;
        _phase = Phase.Options;
    }

    private static bool TryTakeString(ref ReadOnlySpan<byte> data, out ReadOnlySpan<byte> text)
    {
        text = default;
        if (data.Length < 4) return false;
        var length = BinaryPrimitives.ReadUInt32BigEndian(data);
        if (length > NbdProtocol.MaxString || length > data.Length - 4) return false;
        text = data.Slice(4, (int)length);
        data = data[(4 + (int)length)..];
        return true;
    }

    private static void PutText(ref ReplyWriter reply, NbdOption option, NbdInfo kind, byte[] text)
    {
        PutReply(ref reply, option, NbdReply.Info, 2 + text.Length);
        reply.Put16((ushort)kind);
        reply.Put(text);
    }

    private static void PutReply(ref ReplyWriter reply, NbdOption option, NbdReply type, int length)
    {
        reply.Put64(NbdProtocol.OptionReplyMagic);
        reply.Put32((uint)option);
        reply.Put32((uint)type);
        reply.Put32((uint)length);
    }
}
