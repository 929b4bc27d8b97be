using System.Runtime.InteropServices.Marshalling;

namespace Comanche.Threading;

/// <summary>The queue of a device that gives none any more: it takes everything and gives it back as failed. Nothing but the places of its descriptors is held.</summary>
[GeneratedComClass]
internal sealed unsafe partial class NoQueue : IIoQueue, IDisposable
{
    private readonly DescriptorRing _ended;

    /// <summary>Makes one for so many descriptors in flight.</summary>
    public NoQueue(uint depth) => _ended = new DescriptorRing((int)depth);

    public int Submit(IoDescriptor** batch, int count)
    {
        count = Math.Min(count, _ended.Free);
        for (var i = 0; i < count; i++) batch[i]->Status = IoStatus.DeviceFailed;
        _ended.Push(batch, count);
        return count;
    }

    public int Poll(IoDescriptor** completed, int capacity) => _ended.Pop(completed, capacity);

    public int Cancel(IoDescriptor* descriptor) => 0;

    public long Arm(WaitSet* waitSet) => _ended.Count == 0 ? WaitSet.Forever : 0;

    public void Abandon() { }

    public void Close() => Dispose();

    public void Dispose() => _ended.Dispose();
}
