using System.Runtime.InteropServices.Marshalling;
using Comanche.Linux;

namespace Comanche.Threading;

/// <summary>The options of <c>thread/attach</c>.</summary>
public sealed record AttachOptions
{
    /// <summary>Where.</summary>
    [Option("The path of the socket of a thread/share in another process", Required = true, Path = true)]
    public string Socket { get; init; } = "";

    /// <summary>Which.</summary>
    [Option("The name of the device there", Default = "the only one")]
    public string Device { get; init; } = "";

    /// <summary>Patience.</summary>
    [Option("How long one that waits polls on before it sleeps; the default is about what a wake-up costs", Min = "0s", Max = "1s")]
    public TimeSpan Spin { get; init; } = TimeSpan.FromMicroseconds(50);
}

/// <summary>
/// A device that a stack in another process shares (<c>thread/share</c>): the far end of the rings. Buffers from the process's own memory go across as they are; other memory is
/// copied through a buffer of the queue, which is counted.
/// </summary>
[Component("thread/attach", "e1b4d0a2-64c7-4b6f-9d0e-7f8f3f5f9c25", "A device that a stack in another process shares by thread/share")]
[GeneratedComClass]
public sealed unsafe partial class AttachDevice(IHost host, AttachOptions options) : BlockDevice(host), IPlanned
{
    private AttachLink? _link;
    private AttachMemory? _memory;
    private SharePage* _page;
    private EventDescriptor? _serverEvent;
    private VolumeInfo _volume;
    private ulong _volumeEvents;
    private bool _saidLost;

    /// <inheritdoc/>
    public static void Plan(PlanContext plan)
    {
        var bytes = System.Text.Encoding.UTF8.GetByteCount(plan.Options<AttachOptions>().Socket);
        if (bytes is 0 or > 107) plan.Error("socket", $"the path has {bytes} bytes; a Unix socket's has 1 to 107");
    }

    /// <inheritdoc/>
    public override ulong GetEventNumber()
    {
        if (_link is not { } link) return base.GetEventNumber();
        if (link.IsLost && !Interlocked.Exchange(ref _saidLost, true))
        {
            Host.Log(LogLevel.Error, $"{options.Socket} is gone: whoever shared the device ended, or cut this process off");
            RaiseEvent();
        }

        return base.GetEventNumber() + Volatile.Read(ref _page->EventNumber);
    }

    /// <inheritdoc/>
    public override void GetHealth(DeviceHealth* health)
    {
        var message = ShareMessage.Of(ShareRequest.Describe);
        try
        {
            _link!.Ask(ref message, -1, []);
            *health = message.Health;
        }
        catch (ComancheException)
        {
            *health = new DeviceHealth { State = DeviceState.Failed };
        }
    }

    /// <inheritdoc/>
    protected override void OnStart()
    {
        var link = AttachLink.Connect(options.Socket);
        try
        {
            var message = ShareMessage.Of(ShareRequest.Attach);
            message.Text = options.Device;
            var files = stackalloc int[2];
            link.Ask(ref message, -1, new Span<int>(files, 2));
            _serverEvent = EventDescriptor.Adopt(files[1]);
            void* page = null;
            var error = Memory.CheckShared(files[0], (ulong)sizeof(SharePage)); // Else an access could fail later.
            if (error == 0) error = Memory.MapAligned(files[0], (nuint)sizeof(SharePage), Memory.PageSize, out page);
            Sockets.Close(files[0]);
            if (error != 0) throw new ComancheException($"{Name}: the server's page can't be mapped: {Memory.Describe(error)}");
            _page = (SharePage*)page;
            _volumeEvents = Volatile.Read(ref _page->EventNumber);
            _volume = Limit(message.Volume);
            _link = link;
            _memory = new AttachMemory(Host, link);
        }
        catch
        {
            link.Dispose();
            CloseShared();
            throw;
        }
    }

    /// <inheritdoc/>
    protected override void OnStop()
    {
        base.OnStop();
        _link!.Dispose();
        _link = null;
        _memory = null;
        CloseShared();
    }

    /// <inheritdoc/>
    protected override VolumeInfo DescribeVolume()
    {
        var events = Volatile.Read(ref _page->EventNumber);
        if (events == Volatile.Read(ref _volumeEvents) || _link!.IsLost) return _volume;
        var message = ShareMessage.Of(ShareRequest.Describe);
        try
        {
            _link.Ask(ref message, -1, []);
        }
        catch (ComancheException)
        {
            return _volume;
        }

        _volume = Limit(message.Volume);
        Volatile.Write(ref _volumeEvents, events);
        return _volume;
    }

    /// <inheritdoc/>
    protected override IIoQueue CreateQueue(QueueOptions queue)
    {
        var message = ShareMessage.Of(ShareRequest.OpenQueue);
        message.Length = queue.Depth;
        var files = stackalloc int[2];
        _link!.Ask(ref message, -1, new Span<int>(files, 2));
        var number = message.Number;
        var wakes = EventDescriptor.Adopt(files[1]);
        var bytes = (nuint)message.Length;
        try
        {
            var segments = (int)Math.Min(message.Segments, 1024);
            if (bytes < Channel.BytesFor((int)queue.Depth, segments)) throw new ComancheException($"{Name}: the server's rings are too small");
            void* memory = null;
            var error = Memory.CheckShared(files[0], bytes);
            if (error == 0) error = Memory.MapAligned(files[0], bytes, Memory.PageSize, out memory);
            if (error != 0) throw new ComancheException($"{Name}: the rings can't be mapped: {Memory.Describe(error)}");
            var end = new AttachEnd(_link, number, new Channel((byte*)memory, (int)queue.Depth, segments), bytes, wakes, _serverEvent!, segments);
            return new AttachQueue(this, Host, end, _memory!, _volume, queue.Depth, options.Spin).Opened();
        }
        catch
        {
            wakes.Dispose();
            message = ShareMessage.Of(ShareRequest.CloseQueue);
            message.Number = number;
            _link.Ask(ref message, -1, []);
            throw;
        }
        finally
        {
            Sockets.Close(files[0]);
        }
    }

    // A copy through the queue's own buffer has to have room for the largest transfer.
    private VolumeInfo Limit(VolumeInfo volume)
    {
        var most = BounceBuffer.MaxBytes / volume.BlockSize;
        volume.MaxTransferBlocks = Math.Min(volume.MaxTransferBlocks, most);
        volume.CompareAndWriteBlocks = Math.Min(volume.CompareAndWriteBlocks, most);
        if (IsReadOnly) volume.Capabilities |= VolumeCapabilities.ReadOnly;

        // Whatever becomes of it there, the end of this process does nothing to the data.
        if (volume.Has(VolumeCapabilities.RetainsData)) volume.Capabilities |= VolumeCapabilities.Persistent;
        return volume;
    }

    private void CloseShared()
    {
        _serverEvent?.Dispose();
        _serverEvent = null;
        if (_page is not null) Memory.Unmap(_page, (nuint)sizeof(SharePage));
        _page = null;
    }
}

/// <summary>What a queue has of the server.</summary>
/// <param name="Link">The control socket.</param>
/// <param name="Number">The queue's number there.</param>
/// <param name="Channel">The rings; the memory becomes the queue's.</param>
/// <param name="Bytes">How much that is.</param>
/// <param name="Wakes">What the server signals; becomes the queue's.</param>
/// <param name="ServerEvent">What wakes the server.</param>
/// <param name="Segments">How many segments a descriptor can have in the rings' memory.</param>
internal readonly record struct AttachEnd(AttachLink Link, uint Number, Channel Channel, nuint Bytes, EventDescriptor Wakes, EventDescriptor ServerEvent, int Segments);
