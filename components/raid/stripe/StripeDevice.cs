using System.Runtime.InteropServices.Marshalling;
using System.Text;

namespace Comanche.Raid;

/// <summary>The options of <c>raid/stripe</c>.</summary>
public sealed record StripeOptions
{
    /// <summary>The chunk.</summary>
    [Option(
        "Bytes that go to one member before the next one's turn: a power of two, a multiple of the block size. Fixed when the set is made",
        Min = "512", Max = "16MiB")]
    public ByteSize Chunk { get; init; } = ByteSize.KiB(64);

    /// <summary>Whether blank members may become a set.</summary>
    [Option("Whether members that are blank (all zero in their first and last MiB) are labelled; members that hold anything else are never overwritten")]
    public bool Create { get; init; } = true;

    /// <summary>Whether members of whose labels one is gone are taken.</summary>
    [Option("Take a member of whose two labels one is gone: a cleared one is written anew, what somebody else wrote over one is left alone. A member that was cut short and extended again, or that is somebody else's by now, looks the same: then data are lost, theirs or yours")]
    public bool Repair { get; init; }

    /// <summary>The set's name.</summary>
    [Option("The set's name, at most 63 bytes: given to a new set, expected of an existing one", Default = "none for a new set, any for an existing one")]
    public string Name { get; init; } = "";

    /// <summary>The set's UUID.</summary>
    [Option("The set's UUID: given to a new set, expected of an existing one", Default = "random for a new set, any for an existing one")]
    public string Uuid { get; init; } = "";
}

/// <summary>
/// A stripe (RAID 0): chunks go to the members in turn. As fast as its members together, and lost with any one of them.
/// </summary>
[Component("raid/stripe", "4f6f2a51-54c1-4b0a-8f4e-0d6c1f6b1b01", "A volume striped over 1 to 64 members (RAID 0); labels keep swapped and foreign members out")]
[Binds(typeof(IBlockDevice), Min = 1, Max = StripeGeometry.MaxMembers)]
[GeneratedComClass]
public sealed unsafe partial class StripeDevice(IHost host, StripeOptions options) : BlockDevice(host), IRaid, IPlanned
{
    private readonly StripeOptions _options = options;
    private IBlockDevice[] _members = [];
    private StripeLabel[] _labels = [];
    private StripeGeometry _geometry = null!;
    private VolumeInfo _volume;
    private bool _gathers;

    // Any thread, interlocked. States are DeviceState values that only grow.
    private int _state;
    private int[] _memberStates = [];
    private ulong _readErrors;
    private ulong _writeErrors;
    private ulong _flushErrors;

    /// <inheritdoc/>
    public static void Plan(PlanContext plan)
    {
        var options = plan.Options<StripeOptions>();
        var problem = Problem(options);
        if (problem.Option.Length != 0) plan.Error(problem.Option, problem.Message);
        if (plan.Bindings.Any(binding => binding.Volume is null)) return;
        var volumes = plan.Bindings.Select(binding => binding.Volume!.Value).ToArray();
        if (!PlanMembers(plan, volumes) || problem.Option.Length != 0) return;
        if (options.Chunk.Bytes % volumes[0].BlockSize != 0)
        {
            plan.Error("chunk", $"{options.Chunk} is not a multiple of the members' block size, {new ByteSize(volumes[0].BlockSize)}");
            return;
        }

        var geometry = StripeGeometry.Layout(volumes, (uint)(options.Chunk.Bytes / volumes[0].BlockSize));
        if (geometry.DataBlocks != 0)
        {
            plan.Volume = geometry.Describe(volumes, plan.IsReadOnly);
            return;
        }

        var smallest = plan.Bindings.MinBy(binding => binding.Volume!.Value.ByteLength)!;
        var needed = StripeGeometry.SmallestMember(options.Chunk.Bytes);
        plan.Error("", $"{smallest.Name} has {new ByteSize(smallest.Volume!.Value.ByteLength)}: a member needs at least {needed}");
    }

    /// <inheritdoc/>
    public override ulong GetEventNumber()
    {
        var events = base.GetEventNumber();
        foreach (var member in _members) events += member.GetEventNumber();
        return events;
    }

    /// <inheritdoc/>
    public override void GetHealth(DeviceHealth* health)
    {
        *health = new DeviceHealth
        {
            State = (DeviceState)Volatile.Read(ref _state),
            ReadErrors = Volatile.Read(ref _readErrors),
            WriteErrors = Volatile.Read(ref _writeErrors),
            FlushErrors = Volatile.Read(ref _flushErrors),
        };
        foreach (var member in _members)
        {
            DeviceHealth below;
            member.GetHealth(&below);
            if (below.State > health->State) health->State = below.State;
            health->Timeouts += below.Timeouts;
            health->Resets += below.Resets;
        }
    }

    /// <inheritdoc/>
    public void GetRaidInfo(RaidInfo* info)
    {
        RequireStarted();
        DeviceHealth health;
        GetHealth(&health);
        *info = new RaidInfo
        {
            Set = _labels[0].Set, MemberCount = _geometry.Members, Redundancy = 0, ChunkBlocks = _geometry.ChunkBlocks, State = health.State,
        };
    }

    /// <inheritdoc/>
    public void GetMember(uint index, RaidMember* member)
    {
        RequireStarted();
        if (index >= _geometry.Members) throw new ComancheException($"{Name}: asked for member {index} of {_geometry.Members}");
        DeviceHealth below;
        _members[index].GetHealth(&below);
        var own = (DeviceState)Volatile.Read(ref _memberStates[index]);
        *member = new RaidMember
        {
            Index = index, State = below.State > own ? below.State : own, Unique = _labels[index].Member,
            DataLba = _geometry.DataLba, DataBlocks = _geometry.DataBlocks,
        };
    }

    /// <summary>Counts a request that failed for a reason that speaks of the set. Any thread.</summary>
    internal void Failed(IoDescriptor* request, IoStatus status)
    {
        if (StateAfter(status) is var state && state == DeviceState.Healthy) return;
        if (request->Operation == IoOperation.Flush) Interlocked.Increment(ref _flushErrors);
        else if (request->Operation.IsChange()) Interlocked.Increment(ref _writeErrors);
        else Interlocked.Increment(ref _readErrors);
        if (Worsen(ref _state, state)) RaiseEvent();
    }

    /// <summary>Notes what a part of a request that failed says of the member that it was for. Any thread.</summary>
    internal void MemberFailed(int member, IoStatus status)
    {
        if (StateAfter(status) is var state && state != DeviceState.Healthy) Worsen(ref _memberStates[member], state);
    }

    // What was asked and can't be done, or not now, says nothing of a device.
    private static DeviceState StateAfter(IoStatus status) => status switch
    {
        IoStatus.DeviceRemoved or IoStatus.DeviceFailed => DeviceState.Failed,
        IoStatus.MediaError or IoStatus.DataCorrupt or IoStatus.TimedOut => DeviceState.Degraded,
        _ => DeviceState.Healthy,
    };

    /// <inheritdoc/>
    protected override void OnStart()
    {
        var (option, message) = Problem(_options);
        if (option.Length != 0) throw new ComancheException($"{Name}: {option}: {message}");
        var bound = Bound().ToArray();
        var devices = Bound<IBlockDevice>().ToArray();
        if (devices.Length is 0 or > StripeGeometry.MaxMembers)
            throw new ComancheException($"{Name}: {devices.Length} members are bound; 1 to {StripeGeometry.MaxMembers} can be");
        var members = new StripeMember[devices.Length];
        for (var i = 0u; i < members.Length; i++)
            members[i] = new StripeMember(Host, devices[i], (bound[i] as INamed)?.Name ?? $"device {i + 1}", i);
        Guid? uuid = _options.Uuid.Length == 0 ? null : Guid.Parse(_options.Uuid);
        var set = new StripeSet(Host, members, new StripeRequest(_options.Chunk.Bytes, _options.Create, IsReadOnly, uuid, _options.Name, _options.Repair));
        set.Open();
        var volumes = members.Select(member => member.Volume).ToArray();
        _geometry = set.Geometry;
        _labels = set.Labels;
        _volume = _geometry.Describe(volumes, IsReadOnly);
        _gathers = StripeGeometry.Gathers(_geometry.Members, volumes.Min(volume => volume.MaxSegments));
        _memberStates = new int[members.Length];
        _state = 0;
        _members = devices;
    }

    /// <inheritdoc/>
    protected override void OnStop()
    {
        base.OnStop();
        _members = [];
    }

    /// <inheritdoc/>
    protected override VolumeInfo DescribeVolume() => _volume;

    /// <inheritdoc/>
    protected override IIoQueue CreateQueue(QueueOptions queue) => StripeQueue.Open(this, _geometry, _volume, _gathers, _members, queue);

    private void RequireStarted()
    {
        if (!IsStarted) throw new ComancheException($"{Name}: asked for its members before it is started");
    }

    // True where the state was better before.
    private static bool Worsen(ref int cell, DeviceState state)
    {
        while (true)
        {
            var now = Volatile.Read(ref cell);
            if (now >= (int)state) return false;
            if (Interlocked.CompareExchange(ref cell, (int)state, now) == now) return true;
        }
    }

    private static bool PlanMembers(PlanContext plan, VolumeInfo[] volumes)
    {
        var good = true;
        for (var i = 0; i < volumes.Length; i++)
        {
            var name = plan.Bindings[i].Name;
            if (volumes[i].BlockSize != volumes[0].BlockSize)
            {
                plan.Error("", $"{name} has blocks of {volumes[i].BlockSize} bytes, {plan.Bindings[0].Name} has blocks of {volumes[0].BlockSize}");
                good = false;
            }

            if (volumes.Length > 1 && volumes[i].BufferAlignment > volumes[i].BlockSize)
            {
                plan.Error(
                    "", $"{name} wants buffers aligned to {volumes[i].BufferAlignment} bytes; the parts of a request are aligned only to a block of {volumes[i].BlockSize}");
                good = false;
            }
        }

        if (good && volumes.Max(volume => volume.BlockCount) != volumes.Min(volume => volume.BlockCount))
            plan.Warn("", "the members have different sizes: of each only as much is used as the smallest has");
        return good && volumes.Length != 0;
    }

    private static (string Option, string Message) Problem(StripeOptions options)
    {
        if (!ulong.IsPow2(options.Chunk.Bytes) || options.Chunk.Bytes is < 512 or > 16 << 20)
            return ("chunk", $"{options.Chunk} is not a power of two from 512 to 16MiB");
        if (options.Uuid.Length != 0 && !Guid.TryParse(options.Uuid, out _)) return ("uuid", $"'{options.Uuid}' is not a UUID");
        if (Encoding.UTF8.GetByteCount(options.Name) > StripeLabel.MaxNameBytes)
            return ("name", $"it has {Encoding.UTF8.GetByteCount(options.Name)} bytes in UTF-8; {StripeLabel.MaxNameBytes} fit the label");
        return options.Name.Contains('\0', StringComparison.Ordinal) ? ("name", "it holds a zero character") : ("", "");
    }
}
