using System.Runtime.InteropServices.Marshalling;

namespace Comanche.Block;

/// <summary>The options of <c>block/log-writes</c>.</summary>
public sealed record LogWritesOptions
{
    /// <summary>Make the log.</summary>
    [Option("Make a write log where the log device is blank; a log that was closed in order is continued, one that was not, or is full, is refused, and anything else is never overwritten. When the log is full every change fails with NoSpace")]
    public bool Create { get; init; }

    /// <summary>Largest transfer.</summary>
    [Option("Largest transfer that the volume takes; a buffer for it lies ready in every queue", Min = "4KiB", Max = "16MiB")]
    public ByteSize MaxTransfer { get; init; } = ByteSize.MiB(1);

    /// <summary>Buffer.</summary>
    [Option("Bytes of each queue's buffer for what is on its way to the log; made larger where two of the largest transfers would not fit", Min = "64KiB", Max = "1GiB")]
    public ByteSize Buffer { get; init; } = ByteSize.MiB(4);
}

/// <summary>
/// Records every change and every flush, with its payload and the order of submissions and of completions, in a log on a second device, from which the first
/// one can be made again as it was at any moment (<see cref="LogReader"/>, <see cref="LogReplay"/>).
/// </summary>
/// <remarks>
/// An operation is back only when its entry is in the log. Once the log is full or fails, changes and flushes are refused with the status of that,
/// before they are done; the device then says that it has failed, and reads go on. A flush also flushes the log.
/// </remarks>
[Component("block/log-writes", "4f6f2a51-54c1-4b0a-8f4e-0d6c1f6b1a06", "A filter that records every write and flush in a log that can be replayed to any point")]
[Binds(typeof(IBlockDevice))]
[Transparent]
[Binds(typeof(IBlockDevice), Role = "log")]
[GeneratedComClass]
public sealed unsafe partial class LogWritesDevice(IHost host, LogWritesOptions options) : BlockFilter(host), IPlanned, IWriteLog
{
    private IBlockDevice? _logDevice;
    private WriteLog? _log;
    private VolumeInfo _volume;
    private int _queuesOpened;

    /// <inheritdoc/>
    public static void Plan(PlanContext plan)
    {
        var options = plan.Options<LogWritesOptions>();
        if (plan.Below is not { } data || plan.Bindings.FirstOrDefault(b => b.Role == "log")?.Volume is not { } log) return;
        if (log.Has(VolumeCapabilities.ReadOnly) && !plan.IsReadOnly) plan.Error("on", "the log device may not be changed");
        if (!log.Has(VolumeCapabilities.RetainsData)) plan.Error("on", "the log device does not keep what is written to it");
        if (Limit(data, log, options) is { } volume) plan.Volume = volume;
        else plan.Error("max-transfer", $"not one block of {data.BlockSize} bytes can be moved at once with the log device's limits");
    }

    /// <inheritdoc/>
    public override ulong GetEventNumber() => base.GetEventNumber() + (_logDevice?.GetEventNumber() ?? 0);

    /// <inheritdoc/>
    public override void GetHealth(DeviceHealth* health)
    {
        base.GetHealth(health);
        if (_log is { } log && log.Failure != IoStatus.Success) health->State = DeviceState.Failed;
    }

    /// <inheritdoc/>
    public ulong Mark(string name) => Log.Mark(name);

    /// <inheritdoc/>
    public void GetLogInfo(WriteLogInfo* info) => *info = Log.Info;

    /// <inheritdoc/>
    protected override void OnStart()
    {
        base.OnStart();
        _logDevice = BoundOne<IBlockDevice>("log");
        VolumeInfo log;
        _logDevice.GetVolumeInfo(&log);
        var data = base.DescribeVolume();
        _volume = Limit(data, log, options) ?? throw new ComancheException(
            $"{Name}: max-transfer: not one block of {data.BlockSize} bytes can be moved at once with the log device's limits");
        if (IsReadOnly)
        {
            _volume.Capabilities |= VolumeCapabilities.ReadOnly;
            return;
        }

        var opened = new WriteLog(_logDevice, Host, $"{Name} (log)", LogFailed);
        opened.Open(data, options.Create);
        _log = opened;
    }

    /// <inheritdoc/>
    protected override void OnStop()
    {
        base.OnStop();
        _log?.Close();
        _log = null;
    }

    /// <inheritdoc/>
    protected override VolumeInfo DescribeVolume() => _volume;

    /// <inheritdoc/>
    protected override IIoQueue CreateQueue(QueueOptions queue)
    {
        if (_log is null) return OpenBelow(queue);
        var shape = LogWritesQueue.ShapeFor(queue.Depth, _volume, LogVolume(), (ulong)options.Buffer.Bytes);
        var data = OpenBelow(queue);
        try
        {
            var below = queue;
            below.Depth = (uint)Math.Min(shape.LogDepth, (int)QueueOptions.MaxDepth);
            var log = _logDevice!.OpenQueue(&below);
            var copied = Host.AddCounter("io.copied", "By", "Bytes that were copied on the data path.");
            var number = (uint)Interlocked.Increment(ref _queuesOpened);
            return new LogWritesQueue(this, data, log, queue.Depth, _log, shape, number, copied).Opened();
        }
        catch
        {
            data.Close();
            throw;
        }
    }

    // One entry is written at once: its header's block and its payload have to fit a transfer of the log device.
    private static VolumeInfo? Limit(VolumeInfo data, VolumeInfo log, LogWritesOptions options)
    {
        var unit = Math.Max(log.BlockSize, log.BufferAlignment);
        var logBytes = (ulong)log.MaxTransferBlocks * log.BlockSize;
        var bytes = Math.Min(options.MaxTransfer.Bytes, logBytes > 2 * unit ? logBytes - 2 * unit : 0);
        var blocks = Math.Min(data.MaxTransferBlocks, bytes / data.BlockSize);
        if (blocks == 0) return null;
        data.MaxTransferBlocks = (uint)blocks;
        data.CompareAndWriteBlocks = Math.Min(data.CompareAndWriteBlocks, (uint)blocks);
        return data;
    }

    private VolumeInfo LogVolume()
    {
        VolumeInfo log;
        _logDevice!.GetVolumeInfo(&log);
        return log;
    }

    private WriteLog Log => _log ?? throw new ComancheException($"{Name}: no log is being written");

    private void LogFailed(LogState state, IoStatus status)
    {
        Host.Log(LogLevel.Error, state == LogState.Full
            ? "the log is full: changes and flushes are refused from now on"
            : $"a write to the log failed ({status}): the log is incomplete, and changes and flushes are refused from now on");
        RaiseEvent();
    }
}
