using System.Runtime.InteropServices;

namespace Comanche.Network;

// Requests that are longer than a piece, or than the device does at once. One is made into pieces at a time, and parsing goes on behind it when its last piece is made.
//
// A write, trim or zeroing is answered when all its pieces are back. A read is answered in rounds: a round's pieces are made, all come back, and their data is sent in order, as one chunk
// where replies are structured. A simple reply can't be interrupted by another, so a read of several rounds waits with simple replies until nothing else is open, and parsing waits for it.
internal sealed unsafe partial class NbdConnection
{
    private int _job = RequestSlot.None; // The long request of which pieces are being made.
    private int _lastPiece;              // Of a read: the last piece of its round.

    private int StartLong(in NbdRequest request)
    {
        if (request.Command == NbdCommand.Read && IsExclusive(request.Length) && _slab!.Available != _slab.Capacity) return Stall();
        _head += NbdProtocol.RequestBytes;
        _job = TakeSlot(request.Command, request.Flags, request.Offset, request.Length, 0, 0);
        _lastPiece = RequestSlot.None;
        var slot = _slots + _job;
        slot->Cookie = request.Cookie;
        slot->Pending = 0;
        slot->Issued = 0;
        slot->Replied = 0;
        slot->RoundIssued = false;
        return 1;
    }

    private bool IsExclusive(uint length) => !_structured && length > _roundBytes;

    // Makes pieces as far as there are slots and memory.
    private int AdvanceLong()
    {
        var job = _slots + _job;
        var reads = job->Command == NbdCommand.Read;
        if (job->RoundIssued) return Stall();
        while (job->Issued < job->Length)
        {
            if (reads && job->Issued - job->Replied >= _roundBytes) return EndRound(job);
            var piece = MakePiece(job);
            if (piece == RequestSlot.None) return Stall();
            if (job->Command == NbdCommand.Write)
            {
                ExpectPayload(piece, _slots[piece].Length);
                return 1;
            }

            Enqueue(piece);
        }

        if (reads && IsExclusive(job->Length)) return EndRound(job);
        var done = _job;
        _job = RequestSlot.None;
        job->RoundIssued = true;
        if (job->Pending == 0) FinishRound(done);
        return 1;
    }

    private int EndRound(RequestSlot* job)
    {
        // Its pieces are in the batch at the earliest since this turn, so none can have come back already.
        job->RoundIssued = true;
        return Stall();
    }

    private int MakePiece(RequestSlot* job)
    {
        var command = job->Command;
        var emulated = command == NbdCommand.WriteZeroes && !_zeroes;
        var buffered = emulated || command is NbdCommand.Read or NbdCommand.Write;
        var length = Math.Min(buffered ? _pieceBytes : _rangeBytes, job->Length - job->Issued);
        if (_slab!.Available == 0) return RequestSlot.None;
        int unit = 0, units = 0;
        if (buffered)
        {
            units = _arena!.UnitsOf(length);
            unit = _arena.Take(units);
            if (unit < 0) return RequestSlot.None;
        }

        var index = TakeSlot(emulated ? NbdCommand.Write : command, job->Flags, job->Offset + job->Issued, length, unit, units);
        var piece = _slots + index;
        piece->Parent = _job;
        if (emulated) NativeMemory.Clear(piece->Buffer, length);
        if (command == NbdCommand.Read)
        {
            if (_lastPiece == RequestSlot.None) job->Next = index;
            else _slots[_lastPiece].Next = index;
            _lastPiece = index;
        }

        job->Issued += length;
        job->Pending++;
        return index;
    }

    private void CompletePiece(int index, NbdError error)
    {
        var parent = _slots[index].Parent;
        var job = _slots + parent;
        if (error != NbdError.None && job->Error == NbdError.None) job->Error = error;

        // The pieces of a read hold their data until the round is sent.
        if (job->Command != NbdCommand.Read) FreeSlot(index);
        if (--job->Pending == 0 && job->RoundIssued) FinishRound(parent);
    }

    private void FinishRound(int index)
    {
        var job = _slots + index;
        if (job->Command == NbdCommand.Read) FinishReadRound(index);
        else if (job->Error != NbdError.None) ReplyError(index, job->Error);
        else if (job->Command == NbdCommand.Trim && (job->Flags & CommandFlags.ForceUnitAccess) != 0) FlushAfter(index);
        else ReplyDone(index);
    }

    private void FinishReadRound(int index)
    {
        var job = _slots + index;
        var first = job->Next;
        job->Next = RequestSlot.None;
        job->RoundIssued = false;
        if (_job == index) _lastPiece = RequestSlot.None;
        var last = job->Issued == job->Length;
        if (_job == index && (last || job->Error != NbdError.None)) _job = RequestSlot.None;
        if (job->Error != NbdError.None)
        {
            while (first != RequestSlot.None)
            {
                var next = _slots[first].Next;
                FreeSlot(first);
                first = next;
            }

            // A simple reply that has begun can't turn into an error any more.
            if (!_structured && job->Replied != 0) CloseSocket();
            else ReplyError(index, job->Error);
            return;
        }

        var length = job->Issued - job->Replied;
        if (_structured || job->Replied == 0) PushReadHeader(_slots[first].Header, job->Cookie, job->Offset + job->Replied, length, last);
        for (var piece = first; piece != RequestSlot.None; piece = _slots[piece].Next) _output.Push(_slots[piece].Buffer, _slots[piece].Length, piece);
        job->Replied = job->Issued;
        _server.CountRead(length);
        if (last) FreeSlot(index);
    }
}
