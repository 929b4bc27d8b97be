using System.Runtime.InteropServices;
using System.Runtime.InteropServices.Marshalling;

namespace Comanche.Block;

/// <summary>A queue of <c>block/memory</c>: a ring of what was accepted, worked off by <c>Poll</c>. Owner thread only.</summary>
[GeneratedComClass]
internal sealed unsafe partial class MemoryQueue(MemoryDevice device, uint depth, byte* data, uint blockSize, Lock compareAndWrite) : IoQueue(device, depth)
{
    private readonly DescriptorRing _accepted = new((int)depth);

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
        for (var i = 0; i < count; i++) completed[i]->Status = IsAbandoned ? IoStatus.Aborted : Execute(completed[i]);
        InFlight -= count;
        return count;
    }

    /// <inheritdoc/>
    public override long Arm(WaitSet* waitSet) => InFlight == 0 ? WaitSet.Forever : 0;

    /// <inheritdoc/>
    protected override void OnAbandon() { }

    /// <inheritdoc/>
    protected override void OnClose() => _accepted.Dispose();

    private IoStatus Execute(IoDescriptor* descriptor)
    {
        var at = data + descriptor->Lba * blockSize;
        var length = (nuint)descriptor->BlockCount * blockSize;
        switch (descriptor->Operation)
        {
            case IoOperation.Read or IoOperation.Write or IoOperation.Compare when (descriptor->Flags & IoFlags.Segments) != 0:
                return Scattered(descriptor->Operation, descriptor, at);
            case IoOperation.Read or IoOperation.Write or IoOperation.Compare:
                return Move(descriptor->Operation, at, descriptor->Buffer, length);
            case IoOperation.Discard or IoOperation.WriteZeroes:
                NativeMemory.Clear(at, length);
                return IoStatus.Success;
            case IoOperation.Fill:
                for (nuint i = 0; i < length; i += 8) *(ulong*)(at + i) = descriptor->Auxiliary;
                return IoStatus.Success;
            case IoOperation.Copy:
                NativeMemory.Copy(data + descriptor->Auxiliary * blockSize, at, length);
                return IoStatus.Success;
            case IoOperation.CompareAndWrite:
                return ComparedWrite(descriptor, at, length);
            default:
                return descriptor->Operation is IoOperation.Flush or IoOperation.None ? IoStatus.Success : IoStatus.Unsupported;
        }
    }

    private static IoStatus Move(IoOperation operation, byte* at, byte* buffer, nuint length)
    {
        switch (operation)
        {
            case IoOperation.Read:
                NativeMemory.Copy(at, buffer, length);
                return IoStatus.Success;
            case IoOperation.Write:
                NativeMemory.Copy(buffer, at, length);
                return IoStatus.Success;
            default:
                return new ReadOnlySpan<byte>(at, (int)length).SequenceEqual(new ReadOnlySpan<byte>(buffer, (int)length))
                    ? IoStatus.Success
                    : IoStatus.Miscompare;
        }
    }

    private static IoStatus Scattered(IoOperation operation, IoDescriptor* descriptor, byte* at)
    {
        for (var i = 0; i < descriptor->SegmentCount; i++)
        {
            var segment = descriptor->Segments[i];
            var status = Move(operation, at, segment.Address, segment.Length);
            if (status != IoStatus.Success) return status;
            at += segment.Length;
        }

        return IoStatus.Success;
    }

    private IoStatus ComparedWrite(IoDescriptor* descriptor, byte* at, nuint length)
    {
        lock (compareAndWrite)
        {
            var status = Move(IoOperation.Compare, at, (byte*)descriptor->Auxiliary, length);
            if (status != IoStatus.Success) return status;
            return (descriptor->Flags & IoFlags.Segments) != 0
                ? Scattered(IoOperation.Write, descriptor, at)
                : Move(IoOperation.Write, at, descriptor->Buffer, length);
        }
    }
}
