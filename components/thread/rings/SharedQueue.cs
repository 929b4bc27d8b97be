namespace Comanche.Threading;

/// <summary>
/// One queue of a device that serves several clients: each descriptor on it carries who it is for in its tag. It can be taken from under one client that gives up without the
/// others noticing more than a pause.
/// </summary>
/// <remarks>
/// <para>A client that gives up has its descriptors cancelled; where the device has not given them back after a grace, the queue below is abandoned, closed once it is
/// empty, and opened anew. What comes back aborted then and is still wanted is submitted again: everything that is in flight is unordered and may be done twice,
/// except compare-and-write, whose client is told that it was aborted.</para>
/// <para>Invariant: waiting + below = in flight here. One thread at a time: the owner's lock, or its one thread.</para>
/// </remarks>
internal sealed unsafe class SharedQueue : IDisposable
{
    private const long RetryNs = 100_000;

    private readonly IBlockDevice _device;
    private readonly QueueOptions _options;
    private readonly IClients _clients;
    private readonly DescriptorRing _again; // What a reset brought back.
    private IIoQueue _queue;
    private int _below;
    private bool _resetting;
    private bool _failed; // It could not be opened again: everything fails from then on, by a queue that does only that.

    /// <summary>Opens the queue.</summary>
    /// <param name="device">The device; started.</param>
    /// <param name="options">Its depth, and whether it is movable.</param>
    /// <param name="clients">Who knows what is given up.</param>
    public SharedQueue(IBlockDevice device, QueueOptions options, IClients clients)
    {
        _device = device;
        _clients = clients;
        _options = options;
        _queue = device.OpenQueue(&options);
        _again = new DescriptorRing((int)options.Depth);
    }

    /// <summary>How many descriptors are in flight here.</summary>
    public int InFlight => _below + _again.Count;

    /// <summary>The most that can be in flight.</summary>
    public int Depth => (int)_options.Depth;

    /// <summary>Takes descriptors from the front of a batch.</summary>
    public int Submit(IoDescriptor** batch, int count)
    {
        if (_resetting || _again.Count != 0) return 0;
        if (count > Depth - _below) count = Depth - _below;
        var taken = count <= 0 ? 0 : _queue.Submit(batch, count);
        _below += taken;
        return taken;
    }

    /// <summary>Gives back what is done.</summary>
    public int Poll(IoDescriptor** completed, int capacity)
    {
        var count = _queue.Poll(completed, capacity);
        _below -= count;
        return _resetting || _again.Count != 0 ? GoOn(completed, count, capacity) : count;
    }

    /// <summary>Asks the device to end a descriptor early.</summary>
    public int Cancel(IoDescriptor* descriptor)
    {
        if (!_again.Remove(descriptor)) return _queue.Cancel(descriptor);

        // It waits for the end of a reset: it keeps its place, and is not submitted any more.
        descriptor->Status = IoStatus.Cancelled;
        _again.Push(descriptor);
        return 1;
    }

    /// <summary>As <see cref="IIoQueue.Arm"/>.</summary>
    public long Arm(WaitSet* waitSet)
    {
        var deadline = _queue.Arm(waitSet);
        return _resetting || _again.Count != 0 ? Math.Min(deadline, RetryNs) : deadline;
    }

    /// <summary>Takes the queue below away from what hangs in it.</summary>
    public void Reset()
    {
        if (_resetting || _failed) return;
        _resetting = true;
        _queue.Abandon();
    }

    /// <summary>
    /// Gives up on the device: what is in flight is the owner's to end, everything else fails. The queue below is left open, since what it would do is not known any more; so
    /// its device won't stop.
    /// </summary>
    public void Fail()
    {
        if (_failed) return;
        while (_again.Count != 0) _again.Pop();
        _below = 0;
        _resetting = false;
        _failed = true;
        _queue = new NoQueue(_options.Depth);
    }

    /// <summary>Closes the queue; nothing is in flight.</summary>
    public void Dispose()
    {
        _queue.Close();
        NativeObject.FinalRelease(_queue);
        _again.Dispose();
    }

    private int GoOn(IoDescriptor** completed, int count, int capacity)
    {
        var kept = 0;
        for (var i = 0; i < count; i++)
        {
            if (_resetting && IsToBeDoneAgain(completed[i])) _again.Push(completed[i]);
            else completed[kept++] = completed[i];
        }

        if (_resetting && _below == 0) Reopen();
        if (!_resetting) kept += Resubmit(completed + kept, capacity - kept);
        return kept;
    }

    private bool IsToBeDoneAgain(IoDescriptor* descriptor) =>
        descriptor->Status == IoStatus.Aborted && descriptor->Operation != IoOperation.CompareAndWrite && !_clients.HasGivenUp(descriptor);

    private void Reopen()
    {
        _queue.Close();
        NativeObject.FinalRelease(_queue);
        _resetting = false;
        try
        {
            var options = _options;
            _queue = _device.OpenQueue(&options);
        }
        catch (Exception)
        {
            _failed = true;
            _queue = new NoQueue(_options.Depth);
        }
    }

    private int Resubmit(IoDescriptor** ended, int capacity)
    {
        var count = 0;
        while (_again.Count != 0)
        {
            var descriptor = _again.Pop();
            var isWanted = descriptor->Status != IoStatus.Cancelled && !_clients.HasGivenUp(descriptor);
            if (isWanted && _queue.Submit(&descriptor, 1) == 1)
            {
                _below++;
                continue;
            }

            if (isWanted || count == capacity)
            {
                _again.Push(descriptor);
                break;
            }

            ended[count++] = descriptor;
        }

        return count;
    }
}

/// <summary>Who shares a queue.</summary>
internal unsafe interface IClients
{
    /// <summary>Whether the client of a descriptor on the shared queue does not wait for it any more.</summary>
    bool HasGivenUp(IoDescriptor* descriptor);
}
