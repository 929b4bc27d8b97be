using System.Numerics;
using System.Runtime.InteropServices;
using System.Runtime.InteropServices.Marshalling;

namespace Comanche.Runtime;

/// <summary>
/// The queue between two layers in debug builds: holds the layer above and the one below to the contract.
/// </summary>
/// <remarks>
/// Above: every descriptor keeps the rules of the volume, is not in flight already, fits the depth, and comes from the owner thread. Below: a refused or finished
/// descriptor is as it was (scratch, pending and status apart), every one comes back once, none that was not given, and with a known status.
/// What breaks a rule is reported; one that was never given down is not passed up either. Meanwhile scratch is overwritten, since it is free for whoever is below.
/// </remarks>
[GeneratedComClass]
internal sealed unsafe partial class CheckQueue : EdgeQueue
{
    private const ulong Poison = 0xDEAD_5C4A_7C4D_EAD0;

    // Open addressing with linear probing, at most half full; a copy of each descriptor as it went down.
    private struct Given
    {
        public IoDescriptor* Descriptor;
        public IoDescriptor Copy;
    }

    private readonly Edge _edge;
    private readonly Action<string> _report;
    private readonly uint _mask;
    private readonly bool _movable;
    private readonly int _owner = Environment.CurrentManagedThreadId;
    private Given* _given;
    private DescriptorRules _rules;

    public CheckQueue(Edge edge, IIoQueue below, in QueueOptions options, in VolumeInfo volume, Action<string> report)
        : base(edge, below, options.Depth, volume, latency: false)
    {
        _edge = edge;
        _report = report;
        _movable = (options.Flags & QueueFlags.Movable) != 0;
        _rules = new DescriptorRules(volume);
        var slots = BitOperations.RoundUpToPowerOf2(options.Depth * 2 + 2);
        _mask = slots - 1;
        _given = (Given*)NativeMemory.AllocZeroed(slots, (nuint)sizeof(Given));
    }

    /// <inheritdoc/>
    public override int Submit(IoDescriptor** batch, int count)
    {
        RequireOwner("Submit");
        if (count < 0) Report($"Submit of {count} descriptors");
        var room = Math.Min(count, Depth - InFlight);
        for (var i = 0; i < room; i++)
        {
            var descriptor = batch[i];
            var twice = Find(descriptor)->Descriptor is not null;
            if (twice) Report($"{Describe(descriptor)} was submitted while it is in flight");
            var status = Judge(descriptor);
            if (status != IoStatus.Success) Report($"{Describe(descriptor)} breaks the contract of the volume: {status}");
            if (twice)
            {
                room = i; // It can't be told from the one in flight: it goes no further.
                break;
            }

            Remember(descriptor);
        }

        if (room <= 0) return 0;
        for (var i = 0; i < room; i++) batch[i]->Scratch = Poison;
        var taken = Below.Submit(batch, room);
        if (taken < 0 || taken > room)
        {
            Report($"Submit took {taken} of {room}");
            taken = Math.Clamp(taken, 0, room);
        }

        for (var i = taken; i < room; i++)
        {
            var given = Find(batch[i]);
            if (!IsRestored(given->Copy, batch[i])) Report($"{Describe(batch[i])} was refused and is not as it was");
            Forget(given);
        }

        InFlight += taken;
        return taken;
    }

    /// <inheritdoc/>
    public override int Poll(IoDescriptor** completed, int capacity)
    {
        RequireOwner("Poll");
        if (capacity < 0)
        {
            Report($"Poll with room for {capacity}");
            return 0;
        }

        var count = Below.Poll(completed, capacity);
        if (count < 0 || count > capacity)
        {
            Report($"Poll gave {count} for a capacity of {capacity}");
            count = Math.Clamp(count, 0, capacity);
        }

        var kept = 0;
        for (var i = 0; i < count; i++)
        {
            var descriptor = completed[i];
            var given = Find(descriptor);
            if (given->Descriptor is null)
            {
                Report($"{Describe(descriptor)} came back without being in flight: twice, or never given");
                continue;
            }

            if (!IsRestored(given->Copy, descriptor)) Report($"{Describe(descriptor)} came back and is not as it was");
            if (!Enum.IsDefined(descriptor->Status)) Report($"{Describe(descriptor)} came back with the unknown status {(ushort)descriptor->Status}");
            Forget(given);
            descriptor->Scratch = Poison;
            completed[kept++] = descriptor;
        }

        InFlight -= kept;
        return kept;
    }

    /// <inheritdoc/>
    public override long Arm(WaitSet* waitSet)
    {
        RequireOwner("Arm");
        var deadline = base.Arm(waitSet);
        if (deadline < 0) Report($"Arm gave the deadline {deadline}");
        return deadline;
    }

    /// <inheritdoc/>
    protected override void OnClosed()
    {
        NativeMemory.Free(_given);
        _given = null;
    }

    private IoStatus Judge(IoDescriptor* descriptor)
    {
        var status = _rules.Check(descriptor);
        if (status != IoStatus.OutOfRange) return status;
        VolumeInfo volume; // It may have grown.
        _edge.GetVolumeInfo(&volume);
        _rules = new DescriptorRules(volume);
        return _rules.Check(descriptor);
    }

    // Pending and status are the holder's, scratch is anybody's: everything else is the submitter's.
    private static bool IsRestored(in IoDescriptor before, IoDescriptor* now) =>
        before.Operation == now->Operation && before.Flags == now->Flags && before.SegmentCount == now->SegmentCount && before.BlockCount == now->BlockCount
        && before.Region == now->Region && before.Lba == now->Lba && before.Buffer == now->Buffer && before.Tag == now->Tag && before.Parent == now->Parent
        && before.Auxiliary == now->Auxiliary;

    private Given* Find(IoDescriptor* descriptor)
    {
        var at = Home(descriptor);
        while (_given[at].Descriptor is not null && _given[at].Descriptor != descriptor) at = (at + 1) & _mask;
        return _given + at;
    }

    private void Remember(IoDescriptor* descriptor)
    {
        var given = Find(descriptor);
        given->Descriptor = descriptor;
        given->Copy = *descriptor;
    }

    // Removes an entry and moves up those that had to step aside for it.
    private void Forget(Given* given)
    {
        var hole = (uint)(given - _given);
        for (var at = (hole + 1) & _mask; _given[at].Descriptor is not null; at = (at + 1) & _mask)
        {
            var home = Home(_given[at].Descriptor);
            if (((at - home) & _mask) < ((at - hole) & _mask)) continue;
            _given[hole] = _given[at];
            hole = at;
        }

        _given[hole].Descriptor = null;
    }

    private uint Home(IoDescriptor* descriptor) => (uint)((ulong)descriptor / IoDescriptor.Size * 0x9E37_79B9_7F4A_7C15 >> 32) & _mask;

    private void RequireOwner(string call)
    {
        if (!_movable && Environment.CurrentManagedThreadId != _owner) Report($"{call} was called by a thread that does not own the queue");
    }

    private static string Describe(IoDescriptor* descriptor) =>
        $"descriptor 0x{(nuint)descriptor:x} ({descriptor->Operation} of {descriptor->BlockCount} blocks at LBA {descriptor->Lba})";

    private void Report(string what) => _report($"{Name}: {what}");
}
