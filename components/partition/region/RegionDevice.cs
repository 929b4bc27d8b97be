using System.Runtime.InteropServices.Marshalling;
using System.Text;

namespace Comanche.Partition;

/// <summary>The options of <c>partition/region</c>.</summary>
public sealed record RegionOptions
{
    /// <summary>The region's name.</summary>
    [Option("The region's name, 1 to 111 bytes of UTF-8", Required = true)]
    public string Region { get; init; } = "";

    /// <summary>Its length.</summary>
    [Option(
        "The length that is needed: an existing region must have at least this, a new one has exactly this",
        Default = "any for an existing region, the largest free range for a new one")]
    public ByteSize Size { get; init; }

    /// <summary>Whether it is made where there is none.</summary>
    [Option("Whether the region, and on a blank device (all zero in its first MiB) the directory, are made where there are none")]
    public bool Create { get; init; } = true;

    /// <summary>Alignment of a new region.</summary>
    [Option("Alignment of a new region's first byte: a multiple of the block size", Min = "512")]
    public ByteSize Alignment { get; init; } = ByteSize.MiB(1);
}

/// <summary>
/// Named regions of a device. The component is the volume of the region that its options name, and the manager of all of them.
/// </summary>
/// <remarks>
/// Any number of these may stand on one device. The directory is read again before each answer and each change, under a lock that they share, and they share
/// the counts of open regions too. Two processes are kept apart by whoever opens the device at the bottom.
/// </remarks>
[Component("partition/region", "4f6f2a51-54c1-4b0a-8f4e-0d6c1f6b1c02", "A named region of a device, made or reused; several can stand on one device")]
[Binds(typeof(IBlockDevice))]
[GeneratedComClass]
public sealed unsafe partial class RegionDevice(IHost host, RegionOptions options) : BlockDevice(host), IRegionManager, IPlanned
{
    private const string Group = "region";

    private readonly RegionOptions _options = options;
    private IBlockDevice? _below;
    private RegionStore _store = null!;
    private RegionUse _use = null!;
    private RegionDirectory _directory = null!; // As last read.
    private RegionEntry _own = null!;
    private int _openRegions; // By the interface; interlocked, since the last release may come on any thread.

    /// <inheritdoc/>
    public static void Plan(PlanContext plan)
    {
        var options = plan.Options<RegionOptions>();
        foreach (var binding in plan.Bindings) plan.Share(binding, Group);
        var name = RegionDirectory.NameProblem(options.Region);
        if (name.Length != 0) plan.Error("region", name);
        else if (plan.Bindings.Count != 0) plan.Claim($"region '{options.Region}' of {plan.Bindings[0].Name}", "region");
        if (plan.Below is not { } below) return;
        var (option, message) = Problem(options, below);
        if (option.Length != 0) plan.Error(option, message);
        else if (options.Size.Bytes != 0)
            plan.Volume = new Window(options.Alignment.Bytes / below.BlockSize, options.Size.Bytes / below.BlockSize).Describe(below, plan.IsReadOnly);
    }

    /// <inheritdoc/>
    public override ulong GetEventNumber() => base.GetEventNumber() + (_below?.GetEventNumber() ?? 0);

    /// <inheritdoc/>
    public override void GetHealth(DeviceHealth* health) => Below.GetHealth(health);

    /// <inheritdoc/>
    public IBlockDevice ReuseOrAllocate(string name, ulong blockCount, ulong alignment)
    {
        RequireStarted();
        RequireName(name);
        lock (_use.Changes)
        {
            Reload();
            if (alignment == 0) alignment = Math.Max(1, (1ul << 20) / _store.Volume.BlockSize);
            return Open(_directory.Find(name) is { } found ? Reuse(found, blockCount) : Allocate(name, blockCount, alignment));
        }
    }

    /// <inheritdoc/>
    public IBlockDevice OpenRegion(string name)
    {
        RequireStarted();
        RequireName(name);
        lock (_use.Changes)
        {
            Reload();
            return Open(Reuse(_directory.Find(name) ?? throw NoSuch(name), 0));
        }
    }

    /// <inheritdoc/>
    public void DeleteRegion(string name)
    {
        RequireStarted();
        RequireName(name);
        RequireWritable($"region '{name}' is not deleted");
        lock (_use.Changes)
        {
            Reload();
            var entry = _directory.Find(name) ?? throw NoSuch(name);
            var open = _use.OpenCount(entry.Unique);
            if (open != 0) throw new ComancheException($"{Name}: region '{name}' is not deleted: it is open {(open == 1 ? "once" : $"{open} times")}");
            Save(_directory.Entries.Where(other => other != entry));
            Host.Log(LogLevel.Information, $"region '{name}' deleted: {entry.BlockCount} blocks from LBA {entry.FirstLba} are free");
        }
    }

    /// <inheritdoc/>
    public int GetRegionCount()
    {
        RequireStarted();
        Reload();
        return _directory.Entries.Count;
    }

    /// <summary>Describes a region by its place in the list, in order of first block, as <see cref="GetRegionCount"/> or another call last read it.</summary>
    public void GetRegion(int index, RegionInfo* info)
    {
        RequireStarted();
        if ((uint)index >= (uint)_directory.Entries.Count) throw new ComancheException($"{Name}: asked for region {index} of {_directory.Entries.Count}");
        var entry = _directory.Entries[index];
        *info = new RegionInfo { FirstLba = entry.FirstLba, BlockCount = entry.BlockCount, Unique = entry.Unique };
        Encoding.UTF8.GetBytes(entry.Name, new Span<byte>(info->Name, RegionDirectory.MaxNameBytes));
    }

    /// <inheritdoc/>
    public ulong GetFreeBlocks()
    {
        RequireStarted();
        Reload();
        return RegionSpace.Free(_directory, _store.Volume.BlockCount).Aggregate(0ul, (sum, free) => sum + free.BlockCount);
    }

    /// <inheritdoc/>
    public ulong GetLargestFreeRange()
    {
        RequireStarted();
        Reload();
        return RegionSpace.Free(_directory, _store.Volume.BlockCount).Select(free => free.BlockCount).DefaultIfEmpty().Max();
    }

    /// <inheritdoc/>
    protected override void OnStart()
    {
        RequireName(_options.Region);
        var below = BoundOne<IBlockDevice>();
        VolumeInfo volume;
        below.GetVolumeInfo(&volume);
        var (option, message) = Problem(_options, volume);
        if (option.Length != 0) throw new ComancheException($"{Name}: {option}: {message}");
        _store = new RegionStore(Host, below, IsReadOnly);
        lock (RegionUse.StartLock(Host.GetMemory()))
        {
            _directory = _store.Load() ?? Format();
            _use = RegionUse.Join(Host.GetMemory(), _directory.Unique);
        }

        try
        {
            lock (_use.Changes)
            {
                var blocks = _options.Size.Bytes / volume.BlockSize;
                Reload();
                _own = _directory.Find(_options.Region) is { } found
                    ? Reuse(found, blocks)
                    : _options.Create ? Allocate(_options.Region, blocks, _options.Alignment.Bytes / volume.BlockSize)
                    : throw new ComancheException($"{NoSuch(_options.Region).Message}, and create is false");
                _use.Opened(_own.Unique);
            }
        }
        catch
        {
            _use.Leave();
            throw;
        }

        _below = below;
    }

    /// <inheritdoc/>
    protected override void OnStop()
    {
        base.OnStop();
        var open = Volatile.Read(ref _openRegions);
        if (open != 0) throw new ComancheException($"{Name}: stopped with {open} open regions");
        _use.Closed(_own.Unique);
        _use.Leave();
        _below = null;
    }

    /// <inheritdoc/>
    protected override VolumeInfo DescribeVolume()
    {
        VolumeInfo info;
        Below.GetVolumeInfo(&info);
        return _own.Window.Describe(info, IsReadOnly);
    }

    /// <inheritdoc/>
    protected override IIoQueue CreateQueue(QueueOptions queue) => WindowQueue.Open(this, Below, _own.Window, queue);

    private IBlockDevice Below => _below ?? throw new ComancheException($"{Name}: used before it is started");

    private static (string Option, string Message) Problem(RegionOptions options, in VolumeInfo below)
    {
        var block = new ByteSize(below.BlockSize);
        if (options.Size.Bytes % block.Bytes != 0) return ("size", $"{options.Size} is not a multiple of the block size, {block}");
        if (options.Alignment.Bytes == 0 || options.Alignment.Bytes % block.Bytes != 0) return ("alignment", $"{options.Alignment} is not a multiple of the block size, {block}");
        return options.Size.Bytes > below.ByteLength || below.ByteLength - options.Size.Bytes < RegionDirectory.ReservedBytes
            ? ("size", $"{options.Size} and {new ByteSize(RegionDirectory.ReservedBytes)} for the directory do not fit the device of {new ByteSize(below.ByteLength)}")
            : ("", "");
    }

    private RegionDirectory Format()
    {
        RequireWritable("the device below is blank and is not given a directory of regions");
        if (!_options.Create) throw new ComancheException($"{Name}: the device below is blank, and create is false");
        var directory = new RegionDirectory
        {
            Unique = NewUuid(), Generation = 1, BlockSize = _store.Volume.BlockSize, DeviceBlocks = _store.Volume.BlockCount, Entries = [],
        };
        _store.Save(directory);
        Host.Log(LogLevel.Information, $"directory of regions {directory.Unique} made on a blank device");
        return directory;
    }

    // The region that there is, if it serves.
    private RegionEntry Reuse(RegionEntry entry, ulong blocks)
    {
        if (entry.EndLba > _store.Volume.BlockCount)
            throw new ComancheException(
                $"{Name}: region '{entry.Name}' ends at LBA {entry.EndLba}, but the device below has only {_store.Volume.BlockCount} blocks now");
        if (entry.BlockCount < blocks)
            throw new ComancheException($"{Name}: region '{entry.Name}' has {entry.BlockCount} blocks, at least {blocks} were expected");
        return entry;
    }

    private RegionEntry Allocate(string name, ulong blocks, ulong alignment)
    {
        RequireWritable($"region '{name}' is not made");
        if (_directory.Entries.Count == RegionDirectory.MaxRegions)
            throw new ComancheException($"{Name}: region '{name}' is not made: the directory is full with {RegionDirectory.MaxRegions} regions");
        var volume = _store.Volume;
        var place = RegionSpace.Fit(_directory, volume.BlockCount, blocks, alignment) ?? throw new ComancheException(
            $"{Name}: region '{name}' is not made: no free range has {Math.Max(blocks, 1)} blocks aligned to {alignment}; "
            + $"the largest has {RegionSpace.Free(_directory, volume.BlockCount).Select(free => free.BlockCount).DefaultIfEmpty().Max()} blocks");
        var entry = new RegionEntry(name, NewUuid(), place.FirstLba, place.BlockCount);
        Save(_directory.Entries.Append(entry));
        Host.Log(LogLevel.Information, $"region '{name}' made: {entry.BlockCount} blocks from LBA {entry.FirstLba}");
        return entry;
    }

    private WindowDevice Open(RegionEntry entry)
    {
        _use.Opened(entry.Unique);
        Interlocked.Increment(ref _openRegions);
        try
        {
            return WindowDevice.Open(Host, Below, entry.Window, this, () => Closed(entry.Unique));
        }
        catch
        {
            Closed(entry.Unique);
            throw;
        }
    }

    private void Closed(Guid region)
    {
        _use.Closed(region);
        Interlocked.Decrement(ref _openRegions);
    }

    private void Save(IEnumerable<RegionEntry> entries)
    {
        var changed = _directory.With(entries, _store.Volume.BlockCount);
        _store.Save(changed);
        _directory = changed;
    }

    // Others change the directory too.
    private void Reload()
    {
        lock (_use.Changes)
        {
            var loaded = _store.Load();
            if (loaded?.Unique != _directory.Unique)
            {
                throw new ComancheException(
                    $"{Name}: the directory of regions is gone from the device below: {_directory.Unique} was expected, {loaded?.Unique.ToString() ?? "none"} is there");
            }

            _directory = loaded;
        }
    }

    private void RequireName(string name)
    {
        var problem = RegionDirectory.NameProblem(name);
        if (problem.Length != 0) throw new ComancheException($"{Name}: region: {problem}");
    }

    private void RequireWritable(string what)
    {
        if (IsReadOnly) throw new ComancheException($"{Name}: {what}, since this is read-only");
    }

    private void RequireStarted()
    {
        if (!IsStarted) throw new ComancheException($"{Name}: asked for its regions before it is started");
    }

    private ComancheException NoSuch(string name) => new($"{Name}: there is no region '{name}'");

    // Version 4, variant 1 of RFC 9562, from the host's randomness.
    private Guid NewUuid()
    {
        var bytes = stackalloc byte[16];
        Host.FillRandom(bytes, 16);
        bytes[7] = (byte)((bytes[7] & 0x0F) | 0x40);
        bytes[8] = (byte)((bytes[8] & 0x3F) | 0x80);
        return new Guid(new ReadOnlySpan<byte>(bytes, 16));
    }
}
