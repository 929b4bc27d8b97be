using System.Numerics;
using System.Runtime.InteropServices;

namespace Comanche.Network;

// From the receive buffer to the batch of descriptors.
internal sealed unsafe partial class NbdConnection
{
    private const CommandFlags ReadFlags = CommandFlags.ForceUnitAccess | CommandFlags.DontFragment;
    private const CommandFlags ZeroFlags = CommandFlags.ForceUnitAccess | CommandFlags.NoHole | CommandFlags.FastZero;
    private const CommandFlags StatusFlags = CommandFlags.ForceUnitAccess | CommandFlags.RequestOne;

    private byte* _payloadTo;            // Where the payload goes; null where it is thrown away.
    private uint _payloadLeft;           // Bytes of it that are still to come.
    private int _payloadSlot;
    private int _blockShift;
    private uint _pieceBytes;            // The longest request that is served in one piece.
    private uint _roundBytes;            // The longest part of a long read that is answered at once: so much fits the arena and the slots for sure.
    private uint _rangeBytes;            // The longest trim or zeroing of one descriptor.
    private bool _zeroes;                // The device zeroes by itself.

    private void SetLimits(int slots)
    {
        _blockShift = BitOperations.Log2(_info.BlockSize);
        var mask = ~(_info.BlockSize - 1);
        var arenaBytes = (ulong)_arena!.Units * Math.Max(4096, Math.Max(_info.BlockSize, _info.BufferAlignment));

        // Eight pieces fit the arena, so one long request never keeps all others out; pieces of a round take at most half of it, so that the next piece finds a run whatever the
        // fragmentation: n pieces of a round leave n + 1 gaps, one of which is at least a piece long.
        _pieceBytes = (uint)Math.Min((ulong)_info.MaxTransferBlocks << _blockShift, arenaBytes / 8) & mask;
        var pieces = Math.Max(1, Math.Min((slots - 1) / 2, _arena.Units / 2 / _arena.UnitsOf(_pieceBytes)));
        _roundBytes = (uint)pieces * _pieceBytes;
        _rangeBytes = (uint)Math.Min((ulong)_info.MaxRangeBlocks << _blockShift, uint.MaxValue) & mask;
        _zeroes = _info.Has(VolumeCapabilities.WriteZeroes) && _rangeBytes != 0;
    }

    // Parses all that is there; returns how many steps it took.
    private int Parse()
    {
        var steps = 0;
        _stalled = false;
        while (true)
        {
            var step = 0;
            switch (_phase)
            {
                case Phase.Transmission:
                    step = ParseRequest();
                    break;
                case Phase.Finishing when _job != RequestSlot.None:
                    step = _payloadLeft != 0 ? TakePayload() : AdvanceLong();
                    break;
                case Phase.Greeting:
                    step = ParseGreeting();
                    break;
                case Phase.Options:
                    if (_output.IsEmpty) step = ParseOption();
                    else _stalled = _tail != _head; // With nothing to parse there is nothing to wait for.
                    break;
            }

            if (step == 0) return steps;
            steps++;
        }
    }

    private int ParseRequest()
    {
        if (_payloadLeft != 0) return TakePayload();
        if (_job != RequestSlot.None) return AdvanceLong();
        if (_tail - _head < NbdProtocol.RequestBytes) return 0;
        if (_slab!.Available == 0) return Stall();
        if (!NbdRequest.TryRead(_receive + _head, out var request))
        {
            // Where the next request begins can't be known any more.
            CloseSocket();
            return 1;
        }

        if (request.Command == NbdCommand.Disconnect)
        {
            Finish();
            return 1;
        }

        if (request.Command == NbdCommand.Write && request.Length > Math.Max(_volume!.MaxRequest, NbdProtocol.DefaultMaxPayload))
        {
            // Such a payload is not even read to be thrown away.
            CloseSocket();
            return 1;
        }

        return Start(request);
    }

    private int Start(in NbdRequest request)
    {
        var error = Check(request);
        if (error == NbdError.None && IsLong(request)) return StartLong(request);
        int unit = 0, units = 0;
        if (error == NbdError.None && request.Command is NbdCommand.Read or NbdCommand.Write && request.Length <= _pieceBytes)
        {
            units = _arena!.UnitsOf(request.Length);
            unit = _arena.Take(units);
            if (unit < 0) return Stall();
        }

        _head += NbdProtocol.RequestBytes;
        var index = TakeSlot(request.Command, request.Flags, request.Offset, request.Length, unit, units);
        var slot = _slots + index;
        slot->Cookie = request.Cookie;
        slot->Error = error;
        if (request.Command == NbdCommand.Write) ExpectPayload(index, request.Length);
        else if (error != NbdError.None) ReplyError(index, error);
        else if (request.Command == NbdCommand.BlockStatus) ReplyStatus(index);
        else Enqueue(index);
        _readAhead = request.Command == NbdCommand.Write && request.Length > DirectBytes ? ShortReadAhead : ReceiveBytes;
        return 1;
    }

    // What is wrong with a request by itself.
    private NbdError Check(in NbdRequest request)
    {
        if (_server.IsStopping) return NbdError.Shutdown;
        var flags = request.Flags;
        var changes = false;
        switch (request.Command)
        {
            case NbdCommand.Read:
                if ((flags & ~(_structured ? ReadFlags : CommandFlags.ForceUnitAccess)) != 0) return NbdError.Invalid;
                break;
            case NbdCommand.Write:
                if ((flags & ~CommandFlags.ForceUnitAccess) != 0) return NbdError.Invalid;
                changes = true;
                break;
            case NbdCommand.Trim:
                if ((flags & ~CommandFlags.ForceUnitAccess) != 0 || !_info.Has(VolumeCapabilities.Discard)) return NbdError.Invalid;
                changes = true;
                break;
            case NbdCommand.WriteZeroes:
                if ((flags & ~ZeroFlags) != 0) return NbdError.Invalid;
                changes = true;
                break;
            case NbdCommand.BlockStatus:
                if ((flags & ~StatusFlags) != 0 || !_reportsStatus) return NbdError.Invalid;
                break;
            case NbdCommand.Flush:
                return (flags & ~CommandFlags.ForceUnitAccess) != 0 || request.Offset != 0 || request.Length != 0 ? NbdError.Invalid : NbdError.None;
            default:
                return NbdError.Invalid;
        }

        if (changes && _info.Has(VolumeCapabilities.ReadOnly)) return NbdError.NotPermitted;
        return CheckRange(request);
    }

    private NbdError CheckRange(in NbdRequest request)
    {
        var end = _info.ByteLength;
        if (request.Length == 0 || ((request.Offset | request.Length) & (_info.BlockSize - 1)) != 0) return NbdError.Invalid;
        if (request.Offset > end || request.Length > end - request.Offset)
            return request.Command is NbdCommand.Write or NbdCommand.WriteZeroes ? NbdError.NoSpace : NbdError.Invalid;
        switch (request.Command)
        {
            case NbdCommand.Read when (request.Flags & CommandFlags.DontFragment) != 0 && request.Length > _roundBytes:
                return NbdError.Overflow;
            case NbdCommand.Read or NbdCommand.Write when request.Length > _volume!.MaxRequest:
                return NbdError.Invalid;
            case NbdCommand.WriteZeroes when (request.Flags & CommandFlags.FastZero) != 0 && !(_zeroes && _info.Has(VolumeCapabilities.FastZeroes)):
                return NbdError.NotSupported;
            default:
                return NbdError.None;
        }
    }

    private bool IsLong(in NbdRequest request) => request.Command switch
    {
        NbdCommand.Read or NbdCommand.Write => request.Length > _pieceBytes,
        NbdCommand.WriteZeroes => !_zeroes || request.Length > _rangeBytes,
        NbdCommand.Trim => request.Length > _rangeBytes,
        _ => false,
    };

    private int Stall()
    {
        _stalled = true;
        return 0;
    }

    private int TakeSlot(NbdCommand command, CommandFlags flags, ulong offset, uint length, int unit, int units)
    {
        var index = (int)_slab!.Take()->Tag;
        var slot = _slots + index;
        slot->Offset = offset;
        slot->Length = length;
        slot->Command = command;
        slot->Flags = flags;
        slot->Unit = unit;
        slot->Units = units;
        slot->Buffer = units == 0 ? null : _arena!.AddressOf(unit);
        slot->Parent = RequestSlot.None;
        slot->Next = RequestSlot.None;
        slot->Error = NbdError.None;
        return index;
    }

    private void FreeSlot(int index)
    {
        var slot = _slots + index;
        if (slot->Units != 0) _arena!.Return(slot->Unit, slot->Units);
        slot->Units = 0;
        _slab!.Return(_slab[index]);
    }

    private void ExpectPayload(int index, uint length)
    {
        _payloadSlot = index;
        _payloadTo = _slots[index].Buffer;
        _payloadLeft = length;
        if (length == 0) PayloadComplete();
    }

    private int TakePayload()
    {
        var count = (uint)Math.Min(_tail - _head, _payloadLeft);
        if (count == 0) return 0;
        if (_payloadTo is not null)
        {
            NativeMemory.Copy(_receive + _head, _payloadTo, count);
            _payloadTo += count;
        }

        _head += (int)count;
        _payloadLeft -= count;
        if (_payloadLeft == 0) PayloadComplete();
        return 1;
    }

    private void PayloadComplete()
    {
        _payloadTo = null;
        var error = _slots[_payloadSlot].Error;
        if (error != NbdError.None) ReplyError(_payloadSlot, error);
        else Enqueue(_payloadSlot);
    }

    // Makes the slot's descriptor and puts it into the batch.
    private void Enqueue(int index)
    {
        var slot = _slots + index;
        var descriptor = _slab![index];
        descriptor->SegmentCount = 0;
        descriptor->BlockCount = slot->Length >> _blockShift;
        descriptor->Region = _arena!.Region;
        descriptor->Lba = slot->Offset >> _blockShift;
        descriptor->Buffer = slot->Buffer;
        descriptor->Auxiliary = 0;
        var durable = (slot->Flags & CommandFlags.ForceUnitAccess) != 0 ? IoFlags.ForceUnitAccess : IoFlags.None;
        switch (slot->Command)
        {
            case NbdCommand.Read:
                descriptor->Operation = IoOperation.Read;
                descriptor->Flags = IoFlags.None;
                break;
            case NbdCommand.Write:
                descriptor->Operation = IoOperation.Write;
                descriptor->Flags = durable;
                break;
            case NbdCommand.WriteZeroes:
                descriptor->Operation = IoOperation.WriteZeroes;
                descriptor->Flags = durable | ((slot->Flags & CommandFlags.NoHole) != 0 ? IoFlags.NoUnmap : IoFlags.None);
                break;
            case NbdCommand.Trim:
                descriptor->Operation = IoOperation.Discard;
                descriptor->Flags = IoFlags.None;
                break;
            default:
                descriptor->Operation = IoOperation.Flush;
                descriptor->Flags = IoFlags.None;
                descriptor->BlockCount = 0;
                descriptor->Region = 0;
                descriptor->Lba = 0;
                break;
        }

        _batch[_batchCount++] = descriptor;
    }
}
