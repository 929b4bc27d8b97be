using System.Runtime.CompilerServices;

namespace Comanche.Network;

// From finished descriptors to pieces of output.
internal sealed unsafe partial class NbdConnection
{
    private void Complete(int index, IoStatus status)
    {
        var slot = _slots + index;
        if (_phase == Phase.Closed)
        {
            FreeSlot(index);
            return;
        }

        var error = status == IoStatus.Success ? NbdError.None : ErrorOf(status);
        if (slot->Parent != RequestSlot.None) CompletePiece(index, error);
        else if (error != NbdError.None) ReplyError(index, error);
        else if (slot->Command == NbdCommand.Read) ReplyData(index);
        else if (slot->Command == NbdCommand.Trim && (slot->Flags & CommandFlags.ForceUnitAccess) != 0) FlushAfter(index);
        else ReplyDone(index);
    }

    private static NbdError ErrorOf(IoStatus status) => status switch
    {
        IoStatus.NoSpace => NbdError.NoSpace,
        IoStatus.ReadOnly or IoStatus.PermissionDenied => NbdError.NotPermitted,
        IoStatus.InvalidArgument or IoStatus.OutOfRange or IoStatus.Misaligned or IoStatus.Unsupported => NbdError.Invalid,
        _ => NbdError.InputOutput,
    };

    // A discard has no FUA: what it did becomes durable by a flush behind it.
    private void FlushAfter(int index)
    {
        _slots[index].Command = NbdCommand.Flush;
        Enqueue(index);
    }

    private void ReplyData(int index)
    {
        var slot = _slots + index;
        _server.CountRead(slot->Length);
        PushReadHeader(slot->Header, slot->Cookie, slot->Offset, slot->Length, done: true);
        _output.Push(slot->Buffer, slot->Length, index);
    }

    private void PushReadHeader(byte* header, ulong cookie, ulong offset, uint length, bool done)
    {
        var reply = new ReplyWriter(header);
        if (_structured)
        {
            PutChunk(ref reply, cookie, ChunkType.OffsetData, 8 + length, done);
            reply.Put64(offset);
        }
        else
        {
            PutSimple(ref reply, cookie, NbdError.None);
        }

        _output.Push(header, reply.Length, OutputQueue.NoSlot);
    }

    private void ReplyDone(int index)
    {
        var slot = _slots + index;
        _server.CountWritten(slot->Command == NbdCommand.Write ? slot->Length : 0);
        var reply = new ReplyWriter(slot->Header);
        PutSimple(ref reply, slot->Cookie, NbdError.None);
        _output.Push(slot->Header, reply.Length, index);
    }

    private void ReplyError(int index, NbdError error)
    {
        var slot = _slots + index;
        _server.CountError();
        var reply = new ReplyWriter(slot->Header);
        if (_structured && slot->Command is (NbdCommand.Read or NbdCommand.BlockStatus))
        {
            PutChunk(ref reply, slot->Cookie, ChunkType.Error, 6, done: true);
            reply.Put32((uint)error);
            reply.Put16(0);
        }
        else
        {
            PutSimple(ref reply, slot->Cookie, error);
        }

        _output.Push(slot->Header, reply.Length, index);
    }

    // All allocated: what the device holds is not known, and this is the answer that is always true.
    private void ReplyStatus(int index)
    {
        var slot = _slots + index;
        var reply = new ReplyWriter(slot->Header);
        PutChunk(ref reply, slot->Cookie, ChunkType.BlockStatus, 12, done: true);
        reply.Put32(NbdProtocol.AllocationContext);
        reply.Put32(slot->Length);
        reply.Put32(0);
        _output.Push(slot->Header, reply.Length, index);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void PutSimple(ref ReplyWriter reply, ulong cookie, NbdError error)
    {
        reply.Put32(NbdProtocol.SimpleReplyMagic);
        reply.Put32((uint)error);
        reply.PutRaw64(cookie);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void PutChunk(ref ReplyWriter reply, ulong cookie, ChunkType type, uint length, bool done)
    {
        reply.Put32(NbdProtocol.StructuredReplyMagic);
        reply.Put16(done ? (ushort)1 : (ushort)0);
        reply.Put16((ushort)type);
        reply.PutRaw64(cookie);
        reply.Put32(length);
    }
}
