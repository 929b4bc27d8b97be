using System.Runtime.InteropServices;

namespace Comanche.Threading;

/// <summary>
/// The one queue of <c>thread/mutex</c>, its lock, and who its clients are. Everything but the constructor and <see cref="Dispose"/> is called under the lock.
/// </summary>
/// <remarks>
/// <para>A client that sleeps relies on the descriptors and the deadline that the queue's <see cref="IIoQueue.Arm"/> gave it, and any other call ends their being valid. So whoever used the
/// queue while somebody sleeps arms it anew before it lets go of the lock (<see cref="Leave"/>), and wakes the sleepers where that gives another answer than they sleep on.</para>
/// </remarks>
internal sealed unsafe class MutexCore : IClients, IDisposable
{
    private const int BatchRoom = 64;
    private const int MaxDescriptors = 32;
    private const ulong GraceNs = 1_000_000_000;
    private const long ClockSlack = 2_000; // Of one deadline that is computed twice.
    private const long MaxTime = long.MaxValue - ClockSlack;

    private readonly IHost _host;
    private readonly SharedQueue _queue;
    private readonly IoDescriptor** _done;
    private readonly int* _descriptors; // Scratch for arming.
    private readonly List<MutexQueue?> _clients = []; // A client keeps its place.
    private ulong _sleptOn; // What the sleepers were told: a hash of the descriptors.
    private long _sleptUntil; // The earliest deadline of a sleeper, in the host's time.
    private int _sleepers;
    private int _givingUp;

    public MutexCore(IHost host, IBlockDevice device, uint depth)
    {
        _host = host;
        _queue = new SharedQueue(device, new QueueOptions { Depth = depth, Flags = QueueFlags.Movable }, this);
        _done = (IoDescriptor**)NativeMemory.AllocZeroed(BatchRoom, (nuint)sizeof(IoDescriptor*));
        _descriptors = (int*)NativeMemory.AllocZeroed(MaxDescriptors, sizeof(int));
    }

    /// <summary>The host's time in nanoseconds.</summary>
    public ulong Now => _host.GetTime();

    /// <summary>The lock.</summary>
    public Lock Lock { get; } = new();

    /// <summary>Takes a client in; returns its place.</summary>
    public int Add(MutexQueue client)
    {
        var place = _clients.IndexOf(null);
        if (place >= 0) _clients[place] = client;
        else
        {
            place = _clients.Count;
            _clients.Add(client);
        }

        return place;
    }

    /// <summary>Lets a client go, which has nothing in flight.</summary>
    public void Remove(MutexQueue client)
    {
        if (client.HasGivenUp) _givingUp--;
        _clients[client.Place] = null;
    }

    /// <summary>Submits a client's children.</summary>
    public int Submit(IoDescriptor** children, int count) => _queue.Submit(children, count);

    /// <summary>Asks for the end of a child.</summary>
    public int Cancel(IoDescriptor* child) => _queue.Cancel(child);

    /// <summary>Takes back what is done, and hands it to whom it is for; returns how many there were.</summary>
    public int Poll()
    {
        var count = _queue.Poll(_done, BatchRoom);
        for (var i = 0; i < count; i++)
        {
            var client = _clients[(int)_done[i]->Tag]!;
            client.TakeBack(_done[i]);
        }

        if (_givingUp != 0) EndGraces();
        return count;
    }

    /// <summary>Notes that a client gave up what it has in flight.</summary>
    public void GiveUp() => _givingUp++;

    /// <summary>Arms the queue for a client that is about to sleep.</summary>
    public long Arm(WaitSet* waitSet)
    {
        var first = waitSet->Count;
        var deadline = _queue.Arm(waitSet);
        if (deadline == 0) return 0;
        if (_givingUp != 0) deadline = Math.Min(deadline, (long)GraceNs);
        var (from, to) = (Math.Min(first, waitSet->Capacity), Math.Min(waitSet->Count, waitSet->Capacity));
        var (sleepsOn, until) = (Hash(waitSet->Descriptors + from, to - from), After(deadline));
        if (_sleepers != 0 && (sleepsOn != _sleptOn || until + ClockSlack < _sleptUntil)) WakeAll();
        (_sleptOn, _sleptUntil) = (sleepsOn, until);
        return deadline;
    }

    /// <summary>Counts a client as asleep, or as awake again.</summary>
    public void CountSleeper(bool sleeps) => _sleepers += sleeps ? 1 : -1;

    /// <summary>What is called last under the lock by everyone who used the queue.</summary>
    public void Leave()
    {
        if (_sleepers != 0) Rearm();
    }

    bool IClients.HasGivenUp(IoDescriptor* descriptor) => _clients[(int)descriptor->Tag]!.HasGivenUp;

    /// <summary>Closes the queue. There are no clients any more.</summary>
    public void Dispose()
    {
        _queue.Dispose();
        NativeMemory.Free(_done);
        NativeMemory.Free(_descriptors);
    }

    private void Rearm()
    {
        var set = new WaitSet { Descriptors = _descriptors, Capacity = MaxDescriptors };
        var deadline = _queue.Arm(&set);
        var isAsBefore = deadline != 0 && set.Count <= MaxDescriptors && Hash(_descriptors, set.Count) == _sleptOn && After(deadline) + ClockSlack >= _sleptUntil;
        if (!isAsBefore) WakeAll(); // Something is there to be polled, or would wake nobody: those who sleep look for themselves.
    }

    private void WakeAll()
    {
        foreach (var client in _clients) client?.WakeUp();
    }

    private long After(long deadline) => deadline == WaitSet.Forever ? MaxTime : (long)_host.GetTime() + deadline;

    // FNV-1a, over a few numbers.
    private static ulong Hash(int* numbers, int count)
    {
        var hash = 0xCBF2_9CE4_8422_2325;
        for (var i = 0; i < count; i++) hash = (hash ^ (uint)numbers[i]) * 0x100_0000_01B3;
        return hash;
    }

    private void EndGraces()
    {
        var now = _host.GetTime();
        foreach (var client in _clients)
            if (client is { HasGivenUp: true, HasChildren: true } && now - client.GaveUpAt > GraceNs)
                _queue.Reset();
    }
}
