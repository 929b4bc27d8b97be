using Comanche.Linux;
using static Comanche.Linux.FileAbi;
using static Comanche.Linux.IoUringAbi;

namespace Comanche.Block;

// The steps of an I/O: what is asked of the kernel, and what follows from its answer.
internal sealed unsafe partial class UringFileQueue
{
    // Prepares the slot's next entry, or defers it where there is no room.
    private void Prepare(Slot* slot)
    {
        var descriptor = slot->Descriptor;
        var scattered = slot->Step == Step.Transfer && (descriptor->Flags & IoFlags.Segments) != 0 && descriptor->SegmentCount > 1;
        if (scattered && _vectorCount + descriptor->SegmentCount > _vectorCapacity) Enter();
        var entry = scattered && _vectorCount + descriptor->SegmentCount > _vectorCapacity ? null : NextEntry();
        if (entry is null)
        {
            slot->NextDeferred = _deferred;
            _deferred = (int)(uint)slot->Key;
            return;
        }

        entry->fd = _file;
        entry->flags = _fileFlags;
        entry->user_data = slot->Key;
        entry->off = descriptor->Lba * _blockSize + slot->Done;
        switch (slot->Step)
        {
            case Step.Transfer when scattered:
                PrepareVectors(entry, slot, descriptor);
                break;
            case Step.Transfer:
                PrepareBuffer(entry, slot, descriptor);
                break;
            case Step.Sync:
                entry->opcode = IORING_OP_FSYNC;
                entry->off = 0;
                entry->fsync_flags = IORING_FSYNC_DATASYNC;
                break;
            case Step.ZeroWrite:
                entry->opcode = IORING_OP_WRITE;
                entry->addr = (ulong)_zeroes;
                entry->len = (uint)Math.Min(slot->Length - slot->Done, FileDevice.ZeroBytes);
                break;
            default:
                entry->opcode = IORING_OP_FALLOCATE;
                entry->addr = slot->Length;
                entry->len = FALLOC_FL_KEEP_SIZE | (slot->Step == Step.Punch ? (uint)FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE);
                break;
        }
    }

    private void PrepareBuffer(io_uring_sqe* entry, Slot* slot, IoDescriptor* descriptor)
    {
        var region = descriptor->Region;
        var address = descriptor->Buffer;
        if ((descriptor->Flags & IoFlags.Segments) != 0)
        {
            address = descriptor->Segments->Address;
            region = descriptor->Segments->Region;
        }

        address += slot->Done;
        var length = (uint)(slot->Length - slot->Done);
        var index = slot->Unfixed != 0 ? -1 : FindRegistered(region, address, length);
        var isWrite = descriptor->Operation == IoOperation.Write;
        if (index >= 0)
        {
            entry->opcode = isWrite ? IORING_OP_WRITE_FIXED : IORING_OP_READ_FIXED;
            entry->buf_index = (ushort)index;
        }
        else
        {
            entry->opcode = isWrite ? IORING_OP_WRITE : IORING_OP_READ;
        }

        entry->addr = (ulong)address;
        entry->len = length;
        if (isWrite && (descriptor->Flags & IoFlags.ForceUnitAccess) != 0) entry->rw_flags = RWF_DSYNC;
    }

    private void PrepareVectors(io_uring_sqe* entry, Slot* slot, IoDescriptor* descriptor)
    {
        var vectors = _vectors + _vectorCount;
        var count = FileVectors.Fill(descriptor, slot->Done, slot->Length, vectors);
        _vectorCount += count;
        var isWrite = descriptor->Operation == IoOperation.Write;
        entry->opcode = isWrite ? IORING_OP_WRITEV : IORING_OP_READV;
        entry->addr = (ulong)vectors;
        entry->len = (uint)count;
        if (isWrite && (descriptor->Flags & IoFlags.ForceUnitAccess) != 0) entry->rw_flags = RWF_DSYNC;
    }

    private void PrepareCancel(Slot* slot)
    {
        var entry = NextEntry();
        if (entry is null) return; // The kernel takes nothing now: best effort.
        entry->opcode = IORING_OP_ASYNC_CANCEL;
        entry->fd = -1;
        entry->addr = slot->Key;
        entry->user_data = CancelKey;
    }

    private io_uring_sqe* NextEntry()
    {
        var entry = _ring.NextEntry();
        if (entry is not null) return entry;
        Enter();
        return _ring.NextEntry();
    }

    private void PrepareDeferred()
    {
        var next = _deferred;
        _deferred = None;
        while (next != None)
        {
            var slot = _slots + next;
            next = slot->NextDeferred;
            if (!IsAbandoned && slot->CancelAsked == 0 && slot->TimedOut == 0)
            {
                Prepare(slot);
                continue;
            }

            slot->Descriptor->Status = StatusOfCancelled(slot);
            _ready.Push(slot->Descriptor);
            Release(slot);
        }
    }

    // Takes in the kernel's answer. True where the I/O is done and its status set; otherwise its next entry is prepared.
    private bool Finish(Slot* slot, int result)
    {
        if (slot->Step == Step.Transfer && result >= 0 && slot->Done + (uint)result == slot->Length)
        {
            slot->Descriptor->Status = (slot->Descriptor->Flags & IoFlags.ForceUnitAccess) == 0 ? IoStatus.Success : _device.Durability;
            return true;
        }

        if (result < 0) return Fail(slot, -result);
        switch (slot->Step)
        {
            case Step.Transfer:
            case Step.ZeroWrite:
                var done = slot->Done + (uint)result;
                if (done < slot->Length) done -= done % _offsetAlignment;
                if (done == slot->Done) return Fail(slot, Errno.EIO); // The file ends before the volume does, or nothing moves any more.
                slot->Done = done;
                if (done < slot->Length) return Continue(slot);
                break;
            case Step.Sync:
                slot->Descriptor->Status = _device.Durability;
                return true;
        }

        // A discard or a zeroing is through; one with FUA is made durable.
        if (slot->Descriptor->Operation == IoOperation.WriteZeroes && (slot->Descriptor->Flags & IoFlags.ForceUnitAccess) != 0)
        {
            slot->Step = Step.Sync;
            return Continue(slot);
        }

        slot->Descriptor->Status = (slot->Descriptor->Flags & IoFlags.ForceUnitAccess) == 0 ? IoStatus.Success : _device.Durability;
        return true;
    }

    private bool Continue(Slot* slot)
    {
        if (IsAbandoned || slot->CancelAsked != 0 || slot->TimedOut != 0)
        {
            slot->Descriptor->Status = StatusOfCancelled(slot);
            return true;
        }

        Prepare(slot);
        return false;
    }

    private bool Fail(Slot* slot, int error)
    {
        var descriptor = slot->Descriptor;
        switch (error)
        {
            case Errno.EAGAIN or Errno.EINTR when slot->CancelAsked == 0 && slot->TimedOut == 0 && !IsAbandoned && slot->Retries < MaxRetries:
                slot->Retries++;
                return Continue(slot);
            case Errno.EFAULT when slot->Unfixed == 0 && slot->Step == Step.Transfer:
                slot->Unfixed = 1;
                return Continue(slot);
            case Errno.EOPNOTSUPP when descriptor->Operation == IoOperation.WriteZeroes && slot->Step is Step.Punch or Step.ZeroRange:
                slot->Step = slot->Step == Step.Punch ? Step.ZeroRange : Step.ZeroWrite;
                return Continue(slot);
            case Errno.EOPNOTSUPP when slot->Step == Step.Punch && _isBlockDevice:
                // The device can't promise zeroes; a plain discard has no entry of its own on every kernel, and is rare enough to wait for.
                ++*_syscalls;
                error = -PosixFile.DeviceDiscard(_rawFile, descriptor->Lba * _blockSize, slot->Length);
                break;
        }

        var cancelled = error is Errno.ECANCELED or Errno.EINTR && (slot->CancelAsked != 0 || slot->TimedOut != 0 || IsAbandoned);
        descriptor->Status = cancelled ? StatusOfCancelled(slot) : _rules.Status(descriptor, error);
        if (descriptor->Status == IoStatus.Success || cancelled) return true;
        _device.CountFailure(descriptor->Operation, descriptor->Status);
        if (slot->Step == Step.Sync || (descriptor->Flags & IoFlags.ForceUnitAccess) != 0) NoteLoss(descriptor->Status, slot->Step == Step.Sync);
        return true;
    }

    // A write that found no room was refused, and is its submitter's to deal with; a sync that found none lost what was written before.
    private void NoteLoss(IoStatus status, bool isSync)
    {
        if (!status.IsRetryable() && (isSync || status is IoStatus.MediaError or IoStatus.DeviceFailed)) _device.CountLoss(status);
    }

    private IoStatus StatusOfCancelled(Slot* slot) =>
        IsAbandoned ? IoStatus.Aborted : slot->TimedOut != 0 ? IoStatus.TimedOut : IoStatus.Cancelled;
}
