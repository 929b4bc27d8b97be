using System.Runtime.InteropServices.Marshalling;
using System.Text;

namespace Comanche.Partition;

/// <summary>The options of <c>partition/gpt</c>.</summary>
public sealed record GptOptions
{
    /// <summary>Which partition.</summary>
    [Option("Number of the partition that is the volume", Min = "1", Max = "32768")]
    public uint Partition { get; init; } = 1;

    /// <summary>Whether to make what is absent.</summary>
    [Option("Makes what is absent: the table on an empty device, the partition in a table that has room; never replaces anything")]
    public bool Create { get; init; }

    /// <summary>Length of a partition that is made.</summary>
    [Option("Length of the partition; one that is there must have it", Default = "the largest free range")]
    public ByteSize Size { get; init; }

    /// <summary>Name of a partition that is made.</summary>
    [Option("Name of a partition that is made: at most 36 UTF-16 code units", Default = "the device's name in the stack")]
    public string Name { get; init; } = "";

    /// <summary>Type of a partition that is made.</summary>
    [Option("Type of a partition that is made: a UUID, or linux, efi, swap, lvm, raid, home, bios or data")]
    public string Type { get; init; } = "linux";

    /// <summary>Whether to restore a lost copy of the table.</summary>
    [Option("Restores a lost primary table from the backup or the other way round, and moves the backup to the end of a device that has grown")]
    public bool Repair { get; init; }
}

/// <summary>
/// A partition of a device with a GUID partition table, as a volume; and, as <see cref="IPartitionedDevice"/>, the table.
/// </summary>
/// <remarks>
/// Any number of these may stand on one device, one for each partition: they share its table and a count of who has which partition open.
/// The table is read anew for each call, since another one may have changed it. docs/formats/gpt.md describes the format and the rules.
/// </remarks>
[Component("partition/gpt", "a3b1f0c2-6c3e-4a6b-9d53-1c0de4f7b201", "A partition of a device with a GUID partition table")]
[Binds(typeof(IBlockDevice))]
[GeneratedComClass]
public sealed unsafe partial class GptDevice(IHost host, GptOptions options) : BlockFilter(host), IPartitionedDevice, IPlanned
{
    private Window _window;
    private Guid _disk; // The table's UUID, while started.
    private int _opened; // Windows that OpenPartition gave out and that are not closed. Any thread.

    /// <inheritdoc/>
    public static void Plan(PlanContext plan)
    {
        var options = plan.Options<GptOptions>();
        if (plan.Bindings.Count > 0)
        {
            plan.Share(plan.Bindings[0], "gpt");
            plan.Claim($"partition {options.Partition} of {plan.Bindings[0].Name}", "partition");
        }

        foreach (var (option, message) in Problems(options)) plan.Error(option, message);
        if (options.Create && plan.IsReadOnly) plan.Warn("create", "nothing is made on a device that is read-only");
        if (options.Repair && plan.IsReadOnly) plan.Warn("repair", "nothing is repaired on a device that is read-only");
        if (plan.Below is not { } below) return;
        var blocks = options.Size.Bytes / below.BlockSize;
        if (below.BlockCount < GptWriter.MinimumBlocks(below.BlockSize))
            plan.Error("on", $"a device of {new ByteSize(below.ByteLength)} has no room for a partition table");
        else if (options.Size.Bytes % below.BlockSize != 0)
            plan.Error("size", $"{options.Size} is not a multiple of the block size, {below.BlockSize}");
        else if (blocks > below.BlockCount - GptWriter.MinimumBlocks(below.BlockSize) + 1)
            plan.Error("size", $"{options.Size} does not fit on a device of {new ByteSize(below.ByteLength)} with a partition table");
        else if (blocks != 0)
            plan.Volume = new Window(0, blocks).Describe(below, plan.IsReadOnly);
    }

    /// <inheritdoc/>
    public int GetPartitionCount() => Locked(io => Load(io).Entries().Count);

    /// <inheritdoc/>
    public void GetPartition(int index, PartitionInfo* info)
    {
        var entries = Locked(io => Load(io).Entries());
        if (index < 0 || index >= entries.Count)
            throw new ComancheException($"{Name}: partition at place {index} was asked for; there are {entries.Count}");
        var entry = entries[index];
        *info = new PartitionInfo
        {
            Number = entry.Number, FirstLba = entry.FirstLba, BlockCount = entry.BlockCount, Attributes = entry.Attributes,
            Type = entry.Type, Unique = entry.Unique,
        };

        // 36 code units are at most 108 bytes of UTF-8, so a zero always follows.
        Encoding.UTF8.GetBytes(entry.Name, new Span<byte>(info->Name, 111));
    }

    /// <inheritdoc/>
    public IBlockDevice OpenPartition(uint number)
    {
        var (disk, below) = (_disk, Below);
        return Locked<IBlockDevice>(io =>
        {
            var entry = Load(io).Find(number) ?? throw Absent(number);
            var window = WindowDevice.Open(Host, below, new Window(entry.FirstLba, entry.BlockCount), this, () =>
            {
                lock (GptSharing.Lock) GptSharing.Close(disk, number);
                Interlocked.Decrement(ref _opened);
            });
            GptSharing.Open(disk, number);
            Interlocked.Increment(ref _opened);
            return window;
        });
    }

    /// <inheritdoc/>
    public uint CreatePartition(string name, ulong firstLba, ulong blockCount, in Guid type)
    {
        RequireWritable("a partition can't be made");
        var wanted = new GptRequest(0, name, firstLba, blockCount, type);
        return Locked(io => Add(io, GptDisk.Read(io, Name), wanted).Number);
    }

    /// <inheritdoc/>
    public void DeletePartition(uint number)
    {
        RequireWritable("a partition can't be deleted");
        Locked(io =>
        {
            if (GptSharing.IsOpen(_disk, number)) throw new ComancheException($"{Name}: partition {number} is open; close it before it is deleted");
            var disk = GptDisk.Read(io, Name);
            if (disk.Table?.Find(number) is null) throw Absent(number);
            var table = Changeable(disk).Clone();
            table.Remove(number);
            Commit(io, disk, table);
            return 0;
        });
    }

    /// <inheritdoc/>
    protected override void OnStart()
    {
        foreach (var (option, message) in Problems(options)) throw new ComancheException($"{Name}: {option}: {message}");
        base.OnStart();
        Locked(io =>
        {
            var entry = FindOrMake(io);
            _window = new Window(entry.FirstLba, entry.BlockCount);
            _disk = Load(io).Header.DiskGuid;
            GptSharing.Open(_disk, options.Partition);
            return 0;
        });
    }

    /// <inheritdoc/>
    protected override void OnStop()
    {
        base.OnStop();
        if (Volatile.Read(ref _opened) is not 0 and var opened) throw new ComancheException($"{Name}: stopped with {opened} open partitions");
        lock (GptSharing.Lock) GptSharing.Close(_disk, options.Partition);
    }

    /// <inheritdoc/>
    protected override VolumeInfo DescribeVolume() => _window.Describe(base.DescribeVolume(), IsReadOnly);

    /// <inheritdoc/>
    protected override IIoQueue CreateQueue(QueueOptions queue) => WindowQueue.Open(this, Below, _window, queue);

    private static IEnumerable<(string Option, string Message)> Problems(GptOptions options)
    {
        if (options.Partition == 0) yield return ("partition", "partitions are numbered from 1");
        if (options.Name.Length > GptTable.NameUnits)
            yield return ("name", $"'{options.Name}' has {options.Name.Length} UTF-16 code units; a partition's name has at most {GptTable.NameUnits}");
        if (options.Name.Contains('\0')) yield return ("name", "a name has no zero in it");
        if (!GptTypes.TryParse(options.Type, out _)) yield return ("type", $"'{options.Type}' is neither a UUID nor one of {GptTypes.Aliases}");
    }

    // The table as it counts now; of an empty device there is none.
    private GptTable Load(SyncIo io) => GptDisk.Read(io, Name).Table ?? throw new ComancheException($"{Name}: the device has lost its partition table");

    private GptEntry FindOrMake(SyncIo io)
    {
        var disk = GptDisk.Read(io, Name);
        var mayWrite = !IsReadOnly && !io.Volume.Has(VolumeCapabilities.ReadOnly);
        if (mayWrite && (options.Repair || (options.Create && disk.Condition == GptCondition.Interrupted))) disk = Repair(io, disk);
        foreach (var warning in disk.Warnings) Host.Log(LogLevel.Warning, warning);
        var size = options.Size.Bytes;
        if (size % io.Volume.BlockSize != 0)
            throw new ComancheException($"{Name}: size: {options.Size} is not a multiple of the block size, {io.Volume.BlockSize}");
        if (disk.Table?.Find(options.Partition) is { } found)
        {
            if (size == 0 || size == found.BlockCount * io.Volume.BlockSize) return found;
            throw new ComancheException($"{Name}: partition {options.Partition} has {new ByteSize(found.BlockCount * io.Volume.BlockSize)}, "
                + $"expected {options.Size}; it is never resized");
        }

        if (!options.Create || !mayWrite)
        {
            var why = options.Create ? ", and nothing can be made since the device is read-only" : "; create: true makes what is absent";
            throw new ComancheException(disk.Table is null ? $"{Name}: LBA 1: the device is empty, expected a partition table{why}"
                : Absent(options.Partition).Message + why);
        }

        GptTypes.TryParse(options.Type, out var type);
        var name = options.Name.Length != 0 ? options.Name : Name[..Math.Min(Name.Length, GptTable.NameUnits)];
        return Add(io, disk, new GptRequest(options.Partition, name, 0, size / io.Volume.BlockSize, type));
    }

    private GptDisk Repair(SyncIo io, GptDisk disk)
    {
        if (disk.Table is null) return disk;
        foreach (var warning in disk.Warnings) Host.Log(LogLevel.Warning, warning);
        if (disk.Condition != GptCondition.Whole)
        {
            GptWriter.Restore(io, disk, Name);
            disk = Reread(io, disk.Table);
            Host.Log(LogLevel.Information, "the lost copy of the partition table is restored");
        }

        if (!disk.HasGrown || !options.Repair || !GptWriter.MoveBackup(io, disk)) return disk;
        Host.Log(LogLevel.Information, $"the backup of the partition table is moved to LBA {io.Volume.BlockCount - 1}");
        return GptDisk.Read(io, Name);
    }

    private GptEntry Add(SyncIo io, GptDisk disk, GptRequest wanted)
    {
        var table = disk.Table is null ? GptWriter.NewTable(io.Volume, RandomGuid()) : Changeable(disk).Clone();
        var entry = GptAllocation.Place(Name, table, wanted, RandomGuid(), io.Volume);
        table.Add(entry);
        Commit(io, disk, table);
        return entry;
    }

    private void Commit(SyncIo io, GptDisk disk, GptTable table)
    {
        if (disk.Table is null) GptWriter.Create(io, table);
        else GptWriter.Update(io, disk, table, Name);
        Reread(io, table);
    }

    private GptDisk Reread(SyncIo io, GptTable expected)
    {
        var disk = GptDisk.Read(io, Name);
        if (disk.Condition != GptCondition.Whole || !disk.Table!.Agrees(expected))
            throw new ComancheException($"{Name}: LBA 1: what was read back is not the partition table that was written; the device does not keep its data");
        return disk;
    }

    private GptTable Changeable(GptDisk disk) =>
        disk.Condition == GptCondition.Damaged
            ? throw new ComancheException($"{Name}: the partition table is not changed, since {disk.Warnings[0]}")
            : disk.Table!;

    private void RequireWritable(string what)
    {
        VolumeInfo info;
        GetVolumeInfo(&info);
        if (info.Has(VolumeCapabilities.ReadOnly)) throw new ComancheException($"{Name}: {what}: the device is read-only");
    }

    private ComancheException Absent(uint number) => new($"{Name}: there is no partition {number} in the table");

    private T Locked<T>(Func<SyncIo, T> work)
    {
        lock (GptSharing.Lock)
        {
            using var io = new SyncIo(Below, Host, Name);
            return work(io);
        }
    }

    private Guid RandomGuid()
    {
        // Version 4, variant 1 (RFC 9562): the version in the high nibble of byte 7 of the mixed-endian form, the variant in byte 8.
        var bytes = stackalloc byte[16];
        Host.FillRandom(bytes, 16);
        bytes[7] = (byte)(bytes[7] & 0x0F | 0x40);
        bytes[8] = (byte)(bytes[8] & 0x3F | 0x80);
        return new Guid(new ReadOnlySpan<byte>(bytes, 16));
    }
}
