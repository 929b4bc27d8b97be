using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.InteropServices.Marshalling;

namespace Comanche.Runtime;

/// <summary>
/// The queue at the top of a stack: holds what is submitted to the contract, counts what comes back, and measures how long it took.
/// </summary>
/// <remarks>
/// <para>A descriptor that breaks the contract is accepted, goes nowhere, and comes back from the next Poll with the status that says so.</para>
/// <para>Latency needs a place for the time of submission that nobody below touches: a table of <c>depth</c> slots, whose index stands in the descriptor's
/// tag while it is in flight; the submitter's own tag waits in the slot. Without latency the tag stays and there is no table.</para>
/// <para>Nothing is allocated after the constructor, and per descriptor there is no call that is not inlined. A volume that grew is noticed by the first
/// descriptor that seems to lie beyond its end.</para>
/// </remarks>
[GeneratedComClass]
internal sealed unsafe partial class EntryQueue : EdgeQueue
{
    private struct Slot
    {
        public ulong Tag;
        public ulong SubmittedNs;
    }

    private readonly Edge _edge;
    private readonly Func<ulong>? _clock;
    private readonly DescriptorRing _rejected;
    private readonly OperationCounter* _counters;
    private readonly bool _latency;
    private readonly uint _slotMask;
    private readonly ulong* _readNs, _writeNs, _otherNs; // Buckets of the histograms.
    private Slot* _slots;
    private uint* _freeSlots;
    private int _freeCount;
    private DescriptorRules _rules;

    public EntryQueue(Edge edge, IIoQueue below, uint depth, in VolumeInfo volume, bool latency, Func<ulong>? clock)
        : base(edge, below, depth, volume, latency)
    {
        _edge = edge;
        _clock = clock;
        _rules = new DescriptorRules(volume);
        _rejected = new DescriptorRing((int)depth);
        _counters = Counters.Operations;
        if (Counters.Latency is not { } histograms) return;
        _latency = true;
        _readNs = histograms[(int)LatencyKind.Read].Buckets;
        _writeNs = histograms[(int)LatencyKind.Write].Buckets;
        _otherNs = histograms[(int)LatencyKind.Other].Buckets;
        var slots = BitOperations.RoundUpToPowerOf2(depth); // So that a tag that a faulty layer spoilt is masked, not followed.
        _slotMask = slots - 1;
        _slots = (Slot*)NativeMemory.AllocZeroed(slots, (nuint)sizeof(Slot));
        _freeSlots = (uint*)NativeMemory.Alloc(slots, sizeof(uint));
        while (_freeCount < Depth)
        {
            _freeSlots[_freeCount] = (uint)_freeCount;
            _freeCount++;
        }
    }

    /// <inheritdoc/>
    public override int Submit(IoDescriptor** batch, int count)
    {
        if (IsAbandoned) return 0;
        var room = Depth - InFlight;
        if (count > room) count = room;
        var done = 0;
        while (done < count)
        {
            var from = batch + done;
            var good = CountGood(from, count - done);
            if (_latency) Enter(from, good);
            var taken = good == 0 ? 0 : Below.Submit(from, good);
            done += taken;
            if (taken < good)
            {
                if (_latency) Undo(from + taken, good - taken);
                break;
            }

            if (done < count && Reject(batch[done])) done++;
        }

        InFlight += done;
        return done;
    }

    /// <inheritdoc/>
    public override int Poll(IoDescriptor** completed, int capacity)
    {
        var rejected = _rejected.Count == 0 ? 0 : _rejected.Pop(completed, capacity);
        completed += rejected;
        var count = Below.Poll(completed, capacity - rejected);
        if (_latency) Leave(completed, count);
        else
        {
            var counters = _counters;
            for (var i = 0; i < count; i++) Count(counters, completed[i]);
        }

        count += rejected;
        InFlight -= count;
        return count;
    }

    /// <inheritdoc/>
    public override bool Wait(int wanted, long timeoutNs) => _rejected.Count == 0 && base.Wait(wanted, timeoutNs);

    /// <inheritdoc/>
    public override long Arm(WaitSet* waitSet) => _rejected.Count != 0 ? 0 : base.Arm(waitSet);

    /// <inheritdoc/>
    protected override void OnClosed()
    {
        _rejected.Dispose();
        NativeMemory.Free(_slots);
        NativeMemory.Free(_freeSlots);
        _slots = null;
        _freeSlots = null;
    }

    // How many descriptors from the front of the batch break no rule.
    private int CountGood(IoDescriptor** batch, int count)
    {
        ref readonly var rules = ref _rules;
        for (var i = 0; i < count; i++)
            if (!rules.IsPlain(batch[i]) && rules.Check(batch[i]) != IoStatus.Success)
                return i;
        return count;
    }

    // Judges a descriptor that broke a rule; false where the volume grew and it breaks none any more.
    private bool Reject(IoDescriptor* descriptor)
    {
        var status = _rules.Check(descriptor);
        if (status == IoStatus.OutOfRange && Refresh()) status = _rules.Check(descriptor);
        if (status == IoStatus.Success) return false;
        descriptor->Status = status;
        var operation = (int)descriptor->Operation < IoOperations.Count ? (int)descriptor->Operation : 0;
        _counters[operation].Operations++;
        _counters[operation].Errors++;
        _rejected.Push(descriptor);
        return true;
    }

    private bool Refresh()
    {
        VolumeInfo volume;
        try
        {
            _edge.GetVolumeInfo(&volume);
        }
        catch (ComancheException)
        {
            return false; // Nothing throws here; a device that can't say how large it is has not grown.
        }

        if (volume.BlockCount == _rules.BlockCount) return false;
        _rules = new DescriptorRules(volume);
        return true;
    }

    private void Enter(IoDescriptor** batch, int count)
    {
        if (count == 0) return;
        var now = Now();
        var slots = _slots;
        var free = _freeSlots + _freeCount;
        for (var i = 0; i < count; i++)
        {
            var slot = *--free;
            slots[slot].Tag = batch[i]->Tag;
            slots[slot].SubmittedNs = now;
            batch[i]->Tag = slot;
        }

        _freeCount -= count;
    }

    // What was refused below is as it was before.
    private void Undo(IoDescriptor** batch, int count)
    {
        for (var i = count - 1; i >= 0; i--)
        {
            var slot = (uint)batch[i]->Tag & _slotMask;
            batch[i]->Tag = _slots[slot].Tag;
            _freeSlots[_freeCount++] = slot;
        }
    }

    private void Leave(IoDescriptor** completed, int count)
    {
        if (count == 0) return;
        var now = Now();
        var slots = _slots;
        var counters = _counters;
        var free = _freeSlots + _freeCount;
        for (var i = 0; i < count; i++)
        {
            var descriptor = completed[i];
            var slot = (uint)descriptor->Tag & _slotMask;
            descriptor->Tag = slots[slot].Tag;
            *free++ = slot;
            Count(counters, descriptor);
            var buckets = descriptor->Operation == IoOperation.Read ? _readNs : descriptor->Operation == IoOperation.Write ? _writeNs : _otherNs;
            buckets[LatencyHistogram.IndexOf(now - slots[slot].SubmittedNs)]++;
        }

        _freeCount += count;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private ulong Now() => _clock is null ? MonotonicClock.Now : _clock();
}
