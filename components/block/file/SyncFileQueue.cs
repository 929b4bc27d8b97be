using System.Runtime.InteropServices;
using System.Runtime.InteropServices.Marshalling;
using Comanche.Linux;
using static Comanche.Linux.FileAbi;

namespace Comanche.Block;

/// <summary>
/// A queue of <c>block/file</c> where io_uring can't be used: <c>Poll</c> carries out what was accepted, each by a blocking call. Correct, not fast.
/// Owner thread only.
/// </summary>
[GeneratedComClass]
internal sealed unsafe partial class SyncFileQueue : IoQueue
{
    private readonly FileDevice _device;
    private readonly int _file;
    private readonly uint _blockSize;
    private readonly uint _offsetAlignment;
    private readonly bool _isBlockDevice;
    private readonly bool _keepAllocated;
    private readonly byte* _zeroes;
    private readonly FileQueueRules _rules;
    private readonly DescriptorRing _accepted;
    private readonly iovec* _vectors;
    private readonly ulong* _syscalls;

    /// <summary>Opens a queue on the device's medium.</summary>
    public SyncFileQueue(FileDevice device, IHost host, uint depth) : base(device, depth)
    {
        _ = host;
        _device = device;
        var medium = device.Medium;
        VolumeInfo volume;
        device.GetVolumeInfo(&volume);
        _file = medium.Descriptor;
        _blockSize = medium.BlockSize;
        _offsetAlignment = medium.OffsetAlignment;
        _isBlockDevice = medium.IsBlockDevice;
        _keepAllocated = medium.KeepAllocated;
        _zeroes = device.Zeroes;
        _rules = new FileQueueRules(medium, volume);
        _accepted = new DescriptorRing((int)depth);
        _vectors = (iovec*)NativeMemory.Alloc(volume.MaxSegments, (nuint)sizeof(iovec));
        _syscalls = device.TakeSyscallCounter();
    }

    /// <inheritdoc/>
    public override int Submit(IoDescriptor** batch, int count)
    {
        if (IsAbandoned) return 0;
        var taken = Math.Min(count, Depth - InFlight);
        for (var i = 0; i < taken; i++) _accepted.Push(batch[i]);
        InFlight += taken;
        return taken;
    }

    /// <inheritdoc/>
    public override int Poll(IoDescriptor** completed, int capacity)
    {
        var count = _accepted.Pop(completed, capacity);
        for (var i = 0; i < count; i++)
        {
            var descriptor = completed[i];
            if (IsAbandoned) descriptor->Status = IoStatus.Aborted;
            else if (_rules.Admits(descriptor)) Execute(descriptor);
        }

        InFlight -= count;
        return count;
    }

    /// <inheritdoc/>
    public override long Arm(WaitSet* waitSet) => InFlight == 0 ? WaitSet.Forever : 0;

    /// <inheritdoc/>
    protected override void OnAbandon() { }

    /// <inheritdoc/>
    protected override void OnClose()
    {
        _accepted.Dispose();
        NativeMemory.Free(_vectors);
        _device.ReturnSyscallCounter(_syscalls);
    }

    private void Execute(IoDescriptor* descriptor)
    {
        var offset = descriptor->Lba * _blockSize;
        var length = (ulong)descriptor->BlockCount * _blockSize;
        var error = descriptor->Operation switch
        {
            IoOperation.Read or IoOperation.Write => Transfer(descriptor, offset, length),
            IoOperation.Discard => Discard(offset, length),
            IoOperation.WriteZeroes => WriteZeroes(descriptor, offset, length),
            _ => Sync(),
        };
        var isDurable = descriptor->Operation == IoOperation.Flush || (descriptor->Flags & IoFlags.ForceUnitAccess) != 0;
        descriptor->Status = isDurable ? _device.Durability : IoStatus.Success;
        if (error == 0) return;
        descriptor->Status = _rules.Status(descriptor, error);
        _device.CountFailure(descriptor->Operation, descriptor->Status);
        var isLoss = descriptor->Operation == IoOperation.Flush || descriptor->Status is IoStatus.MediaError or IoStatus.DeviceFailed;
        if (isDurable && isLoss && !descriptor->Status.IsRetryable()) _device.CountLoss(descriptor->Status);
    }

    private int Transfer(IoDescriptor* descriptor, ulong offset, ulong length)
    {
        var flags = (descriptor->Flags & IoFlags.ForceUnitAccess) != 0 ? RWF_DSYNC : 0;
        for (ulong done = 0; done < length;)
        {
            var count = FileVectors.Fill(descriptor, done, length, _vectors);
            ++*_syscalls;
            var moved = descriptor->Operation == IoOperation.Read
                ? PosixFile.ReadVector(_file, _vectors, count, offset + done, 0)
                : PosixFile.WriteVector(_file, _vectors, count, offset + done, flags);
            if (moved < 0) return (int)-moved;
            var next = done + (ulong)moved;
            if (next < length) next -= next % _offsetAlignment;
            if (next == done) return Errno.EIO; // The file ends before the volume does, or nothing moves any more.
            done = next;
        }

        return 0;
    }

    private int Discard(ulong offset, ulong length)
    {
        ++*_syscalls;
        var result = PosixFile.Allocate(_file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length);
        return result == -Errno.EOPNOTSUPP && _isBlockDevice ? -PosixFile.DeviceDiscard(_file, offset, length) : -result;
    }

    private int WriteZeroes(IoDescriptor* descriptor, ulong offset, ulong length)
    {
        var keep = _keepAllocated || (descriptor->Flags & IoFlags.NoUnmap) != 0;
        var result = -Errno.EOPNOTSUPP;
        *_syscalls += 2;
        if (!keep) result = PosixFile.Allocate(_file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length);
        if (result == -Errno.EOPNOTSUPP) result = PosixFile.Allocate(_file, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, offset, length);
        for (ulong done = 0; result == -Errno.EOPNOTSUPP && done < length;)
        {
            ++*_syscalls;
            var moved = PosixFile.Write(_file, _zeroes, (nuint)Math.Min(length - done, FileDevice.ZeroBytes), offset + done);
            if (moved <= 0) return moved == 0 ? Errno.EIO : (int)-moved;
            done += (ulong)moved;
            if (done == length) result = 0;
        }

        if (result < 0) return -result;
        return (descriptor->Flags & IoFlags.ForceUnitAccess) != 0 ? Sync() : 0;
    }

    private int Sync()
    {
        ++*_syscalls;
        return -PosixFile.SyncData(_file);
    }
}
