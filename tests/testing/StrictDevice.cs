using System.Runtime.InteropServices.Marshalling;

namespace Comanche.Testing;

/// <summary>
/// A device between a layer and its member in a test: narrows the member's limits, checks that each descriptor keeps them, refuses and reorders
/// at random, fails what it is told to fail, and counts.
/// </summary>
/// <param name="host">Its host.</param>
/// <param name="random">Where refusals and reordering come from; null for neither.</param>
[GeneratedComClass]
public sealed unsafe partial class StrictDevice(IHost host, Random? random = null) : BlockDevice(host)
{
    private IBlockDevice _below = null!;

    /// <summary>Changes the member's geometry on its way up; null to leave it.</summary>
    public Func<VolumeInfo, VolumeInfo>? Limits { get; set; }

    /// <summary>The status of an operation on a range, asked before it goes down: anything but success and it does not.</summary>
    public Func<IoOperation, ulong, uint, IoStatus>? Fault { get; set; }

    /// <summary>What broke the contract.</summary>
    public List<string> Violations { get; } = [];

    /// <summary>How many of each operation came.</summary>
    public int[] Counts { get; } = new int[IoOperations.Count];

    /// <summary>How many came with FUA.</summary>
    public int ForcedUnitAccesses { get; private set; }

    /// <summary>What it says of itself.</summary>
    public DeviceState Health { get; set; }

    /// <summary>Raises an event, as a device does that was degraded.</summary>
    public void Notify() => RaiseEvent();

    /// <inheritdoc/>
    public override void GetHealth(DeviceHealth* health) => *health = new DeviceHealth { State = Health };

    /// <inheritdoc/>
    protected override void OnStart() => _below = BoundOne<IBlockDevice>();

    /// <inheritdoc/>
    protected override VolumeInfo DescribeVolume()
    {
        VolumeInfo info;
        _below.GetVolumeInfo(&info);
        return Limits is null ? info : Limits(info);
    }

    /// <inheritdoc/>
    protected override IIoQueue CreateQueue(QueueOptions options) => new StrictQueue(this, _below.OpenQueue(&options), options.Depth, random).Opened();

    internal IoStatus Take(IoDescriptor* descriptor)
    {
        lock (Counts)
        {
            Counts[(int)descriptor->Operation]++;
            if ((descriptor->Flags & IoFlags.ForceUnitAccess) != 0) ForcedUnitAccesses++;
            if (Check(descriptor) is { Length: > 0 } violation) Violations.Add($"{Name}: {descriptor->Operation} of {descriptor->BlockCount} at {descriptor->Lba}: {violation}");
            return Fault?.Invoke(descriptor->Operation, descriptor->Lba, descriptor->BlockCount) ?? IoStatus.Success;
        }
    }

    private string Check(IoDescriptor* descriptor)
    {
        var volume = DescribeVolume();
        var operation = descriptor->Operation;
        if (!operation.HasRange()) return "";
        if (!volume.Has(operation.Needs())) return "not supported";
        if (operation.IsChange() && volume.Has(VolumeCapabilities.ReadOnly)) return "read-only";
        if (descriptor->BlockCount == 0 || descriptor->Lba >= volume.BlockCount || descriptor->BlockCount > volume.BlockCount - descriptor->Lba) return "out of range";
        if (operation == IoOperation.CompareAndWrite
            && descriptor->Lba / volume.CompareAndWriteBlocks != (descriptor->Lba + descriptor->BlockCount - 1) / volume.CompareAndWriteBlocks) return "crosses the unit";
        if (!operation.HasBuffer()) return descriptor->BlockCount > volume.MaxRangeBlocks ? "range too large" : "";
        if (descriptor->BlockCount > volume.MaxTransferBlocks) return "transfer too large";
        if ((descriptor->Flags & IoFlags.Segments) == 0) return (ulong)descriptor->Buffer % volume.BufferAlignment != 0 ? "misaligned" : "";
        if (descriptor->SegmentCount == 0 || descriptor->SegmentCount > volume.MaxSegments) return $"{descriptor->SegmentCount} segments";
        ulong length = 0;
        for (var i = 0; i < descriptor->SegmentCount; i++)
        {
            var segment = descriptor->Segments[i];
            if (segment.Length == 0 || segment.Length % volume.BlockSize != 0) return $"segment of {segment.Length} bytes";
            if ((ulong)segment.Address % volume.BufferAlignment != 0) return "segment misaligned";
            length += segment.Length;
        }

        return length != (ulong)descriptor->BlockCount * volume.BlockSize ? $"segments of {length} bytes" : "";
    }
}

/// <summary>A queue of <see cref="StrictDevice"/>. It allocates: it is for tests.</summary>
[GeneratedComClass]
internal sealed unsafe partial class StrictQueue(StrictDevice device, IIoQueue below, uint depth, Random? random) : IoQueue(device, depth)
{
    private readonly List<nint> _done = [];

    public override int Submit(IoDescriptor** batch, int count)
    {
        if (IsAbandoned) return 0;
        count = Math.Min(count, Depth - InFlight);
        if (random is not null) lock (random) count = random.Next(count + 1);
        var taken = 0;
        for (; taken < count; taken++)
        {
            var descriptor = batch[taken];
            var status = device.Take(descriptor);
            if (status == IoStatus.Success)
            {
                if (below.Submit(&descriptor, 1) == 0) break;
            }
            else
            {
                descriptor->Status = status;
                _done.Add((nint)descriptor);
            }

            InFlight++;
        }

        return taken;
    }

    public override int Poll(IoDescriptor** completed, int capacity)
    {
        var count = below.Poll(completed, capacity);
        for (var i = 0; i < count; i++) _done.Add((nint)completed[i]);
        count = Math.Min(capacity, _done.Count);
        if (random is not null) lock (random) count = random.Next(count + 1);
        for (var i = 0; i < count; i++)
        {
            var which = 0;
            if (random is not null) lock (random) which = random.Next(_done.Count);
            completed[i] = (IoDescriptor*)_done[which];
            _done.RemoveAt(which);
        }

        InFlight -= count;
        return count;
    }

    public override int Cancel(IoDescriptor* descriptor) => below.Cancel(descriptor);

    public override long Arm(WaitSet* waitSet) => _done.Count != 0 || random is not null ? 0 : below.Arm(waitSet);

    protected override void OnAbandon() => below.Abandon();

    protected override void OnClose() => below.Close();
}
