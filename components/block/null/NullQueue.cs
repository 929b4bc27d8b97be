using System.Runtime.InteropServices.Marshalling;

namespace Comanche.Block;

/// <summary>A queue of <c>block/null</c>: a ring of what was accepted. Owner thread only.</summary>
[GeneratedComClass]
internal sealed unsafe partial class NullQueue(NullDevice device, uint depth) : IoQueue(device, depth)
{
    private readonly DescriptorRing _accepted = new((int)depth);

    /// <inheritdoc/>
    public override int Submit(IoDescriptor** batch, int count)
    {
        if (IsAbandoned) return 0;
        var taken = Math.Min(count, Depth - InFlight);
        _accepted.Push(batch, taken);
        InFlight += taken;
        return taken;
    }

    /// <inheritdoc/>
    public override int Poll(IoDescriptor** completed, int capacity)
    {
        var count = _accepted.Pop(completed, capacity);
        for (var i = 0; i < count; i++) completed[i]->Status = IoStatus.Success;
        InFlight -= count;
        return count;
    }

    /// <inheritdoc/>
    public override long Arm(WaitSet* waitSet) => InFlight == 0 ? WaitSet.Forever : 0;

    /// <inheritdoc/>
    protected override void OnAbandon() { }

    /// <inheritdoc/>
    protected override void OnClose() => _accepted.Dispose();
}
