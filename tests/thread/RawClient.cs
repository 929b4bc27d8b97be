using Comanche.Linux;

namespace Comanche.Threading.Tests;

/// <summary>A client that writes into the rings whatever a test wants there.</summary>
internal sealed unsafe class RawClient : IDisposable
{
    private readonly AttachLink _link;
    private readonly List<(nint Address, nuint Length)> _mapped = [];
    private readonly List<int> _files = [];
    private ulong _submitted, _completed;

    public RawClient(AttachLink link, string device = "")
    {
        _link = link;
        var message = ShareMessage.Of(ShareRequest.Attach);
        message.Text = device;
        var files = stackalloc int[2];
        link.Ask(ref message, -1, new Span<int>(files, 2));
        _files.AddRange([files[0], files[1]]);
        Volume = message.Volume;
    }

    public VolumeInfo Volume { get; }

    public Channel Channel { get; private set; }

    public int Depth { get; private set; }

    /// <summary>What wakes the server.</summary>
    public int ServerEvent => _files[1];

    /// <summary>What wakes the client, of the queue that was opened last.</summary>
    public int ClientEvent { get; private set; }

    public int Segments { get; private set; }

    /// <summary>The first byte of a region that was added.</summary>
    public byte* this[int region] => (byte*)_mapped[region].Address;

    public uint OpenQueue(int depth)
    {
        var message = ShareMessage.Of(ShareRequest.OpenQueue);
        message.Length = (ulong)depth;
        var files = stackalloc int[2];
        _link.Ask(ref message, -1, new Span<int>(files, 2));
        _files.AddRange([files[0], files[1]]);
        ClientEvent = files[1];
        Channel = new Channel(Map(files[0], (nuint)message.Length), depth, (int)message.Segments);
        (Depth, Segments) = (depth, (int)message.Segments);
        return message.Number;
    }

    public byte* AddRegion(uint number, ulong length)
    {
        Assert.Equal(0, Memory.CreateShared("test", (nuint)length, huge: false, out var file));
        _files.Add(file);
        var message = ShareMessage.Of(ShareRequest.AddRegion);
        message.Number = number;
        message.Length = length;
        _link.Ask(ref message, file, []);
        return Map(file, (nuint)length);
    }

    /// <summary>Puts an entry into the submission ring, as it is, and rings the bell.</summary>
    public void Submit(in IoDescriptor entry)
    {
        var slot = Channel.Submission(_submitted);
        var stamp = slot->Scratch;
        *slot = entry;
        slot->Scratch = stamp;
        Channel.Publish(_submitted++);
        Interlocked.MemoryBarrier();
        if (Volatile.Read(ref *Channel.ServerSleeps) == 1) Threads.SignalEvent(_files[1]);
    }

    /// <summary>Takes a completion where there is one.</summary>
    public bool TryComplete(out uint index, out IoStatus status)
    {
        var found = Channel.TryReadCompletion(_completed, out index, out status);
        if (found) _completed++;
        return found;
    }

    /// <summary>Does one descriptor and waits for it.</summary>
    public IoStatus Do(IoDescriptor entry, TimeSpan patience)
    {
        Submit(entry);
        var clock = System.Diagnostics.Stopwatch.StartNew();
        while (clock.Elapsed < patience)
        {
            if (TryComplete(out var index, out var status))
            {
                Assert.Equal((ulong)index, entry.Tag);
                return status;
            }

            Thread.Yield();
        }

        throw new TimeoutException($"no answer to {entry.Operation}");
    }

    public void Dispose()
    {
        foreach (var (address, length) in _mapped) Memory.Unmap((void*)address, length);
        foreach (var file in _files) Sockets.Close(file);
    }

    private byte* Map(int file, nuint length)
    {
        Assert.Equal(0, Memory.MapAligned(file, length, Memory.PageSize, out var address));
        _mapped.Add(((nint)address, length));
        return (byte*)address;
    }
}
