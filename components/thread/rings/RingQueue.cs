using System.Runtime.InteropServices;

namespace Comanche.Threading;

/// <summary>
/// The client's end of a pair of rings, as a queue: what is submitted is written into the submission ring, what the server gives back is found in the completion ring.
/// </summary>
/// <remarks>
/// The client's index of a descriptor is its place in a table; it stands in the descriptor's scratch meanwhile, for <see cref="Cancel"/>. Invariant: indices free + in flight =
/// depth. Owner thread only; nothing is allocated after the constructor, but for an eventfd by the first <see cref="Arm"/>.
/// </remarks>
internal abstract unsafe class RingQueue : IoQueue
{
    private readonly Channel _channel;
    private readonly IoDescriptor** _table;
    private readonly ushort* _free;
    private int _freeCount;
    private ulong _nextSubmission, _nextCompletion;
    private ulong _taken; // What the server had taken when it was last asked.
    private readonly IHost _host;
    private readonly ulong _spinNs;
    private ulong _idleSince; // When it was first asked to sleep since something came back; 0 for not yet.
    private bool _armed;
    private bool _isOver; // The server is gone, and all that it wrote was read: the rings are not looked at any more.

    /// <summary>Makes the client's end.</summary>
    /// <param name="device">The device.</param>
    /// <param name="channel">The rings.</param>
    /// <param name="depth">The depth that was asked for.</param>
    /// <param name="host">Whose clock is used.</param>
    /// <param name="spin">How long it is polled on before it lets its owner sleep.</param>
    protected RingQueue(BlockDevice device, Channel channel, uint depth, IHost host, TimeSpan spin) : base(device, depth)
    {
        _host = host;
        _spinNs = (ulong)spin.TotalNanoseconds;
        _channel = channel;
        _table = (IoDescriptor**)NativeMemory.AllocZeroed(depth, (nuint)sizeof(IoDescriptor*));
        _free = (ushort*)NativeMemory.Alloc(depth, sizeof(ushort));
        while (_freeCount < Depth)
        {
            _free[_freeCount] = (ushort)(Depth - 1 - _freeCount);
            _freeCount++;
        }
    }

    /// <summary>The rings.</summary>
    protected ref readonly Channel Channel => ref _channel;

    /// <summary>The eventfd that the server signals; -1 while the client never slept. Set before the client says that it sleeps.</summary>
    protected abstract int Event { get; }

    /// <inheritdoc/>
    public sealed override int Submit(IoDescriptor** batch, int count)
    {
        if (IsAbandoned) return 0;
        count = Math.Min(count, _freeCount);
        if (_isOver) return Keep(batch, count);
        count = Math.Min(count, Room(count));
        if (count <= 0) return 0;
        var taken = 0;
        for (; taken < count; taken++)
        {
            var descriptor = batch[taken];
            var index = _free[_freeCount - 1];
            var slot = _channel.Submission(_nextSubmission);
            if (!Write(slot, descriptor, index)) break;
            _freeCount--;
            _table[index] = descriptor;
            slot->Tag = index;
            if (slot->Operation == Channel.Cancel) slot->Operation = NoOperation; // In the ring it would mean something.
            descriptor->Scratch = index;
            _channel.Publish(_nextSubmission++);
        }

        InFlight += taken;
        if (taken != 0) WakeServer();
        return taken;
    }

    /// <inheritdoc/>
    public sealed override int Poll(IoDescriptor** completed, int capacity)
    {
        if (_armed) Disarm();
        Help();
        var count = _isOver ? 0 : TakeCompletions(completed, capacity);
        if (count == 0 && capacity > 0 && InFlight != 0 && IsLost)
        {
            // What the ring holds now is all that it ever will: it is read to its end before indices are used again, lest an old entry be taken for a new descriptor's.
            if (!_isOver) count = TakeCompletions(completed, capacity);
            _isOver = count == 0;
            if (_isOver) count = GiveBack(completed, capacity);
        }

        if (count != 0) _idleSince = 0;
        InFlight -= count;
        return count;
    }

    /// <inheritdoc/>
    public sealed override int Cancel(IoDescriptor* descriptor)
    {
        var index = descriptor->Scratch;
        if (_isOver || index >= (ulong)Depth || _table[index] != descriptor || Room(1) == 0) return 0;
        var slot = _channel.Submission(_nextSubmission);
        var cancel = new IoDescriptor { Operation = Channel.Cancel, Tag = index };
        Channel.CopyContent(slot, &cancel);
        _channel.Publish(_nextSubmission++);
        WakeServer();
        return 1;
    }

    /// <inheritdoc/>
    public sealed override long Arm(WaitSet* waitSet)
    {
        if (InFlight == 0) return WaitSet.Forever;
        if (IsLost || IsToSpin()) return 0;
        if (!PrepareSleep()) return RetryNs;
        _armed = true;
        Volatile.Write(ref *_channel.ClientSleeps, 1);

        // Orders the word before the look at the ring; pairs with the barrier in Lane.Notify.
        Interlocked.MemoryBarrier();
        if (_channel.TryReadCompletion(_nextCompletion, out _, out _)) return 0;
        waitSet->Add(Event);
        return AddToSleep(waitSet);
    }

    /// <summary>How long to sleep where there is no eventfd to be had.</summary>
    protected const long RetryNs = 1_000_000;

    /// <summary>Writes what is asked into a slot, all but the tag, and not the scratch; false where there is no room for it now, and then the slot may hold anything else.</summary>
    protected abstract bool Write(IoDescriptor* slot, IoDescriptor* descriptor, uint index);

    /// <summary>Called for a descriptor that is back, before its owner has it.</summary>
    protected virtual void Finish(IoDescriptor* descriptor, uint index) { }

    /// <summary>Tells the server of new submissions where it sleeps; puts a full barrier before it looks.</summary>
    protected abstract void WakeServer();

    /// <summary>Makes sure that <see cref="Event"/> can be waited on; false where it can't be had.</summary>
    protected abstract bool PrepareSleep();

    /// <summary>Adds what else ends a sleep; returns the time to the next deadline.</summary>
    protected virtual long AddToSleep(WaitSet* waitSet) => WaitSet.Forever;

    /// <summary>Lets the server work where it has no thread of its own at the moment.</summary>
    protected virtual void Help() { }

    /// <summary>Whether the server is gone for good: what is in flight ends as <see cref="IoStatus.DeviceRemoved"/>.</summary>
    protected virtual bool IsLost => false;

    /// <summary>Gives back memory; called once by the deriving queue, when the server does not use the rings any more.</summary>
    protected void Free()
    {
        NativeMemory.Free(_table);
        NativeMemory.Free(_free);
    }

    // An operation that there is not.
    private const IoOperation NoOperation = (IoOperation)0xFE;

    // Takes descriptors that nobody will see any more: they come back with the next poll.
    private int Keep(IoDescriptor** batch, int count)
    {
        for (var i = 0; i < count; i++)
        {
            var index = _free[--_freeCount];
            _table[index] = batch[i];
            batch[i]->Scratch = index;
        }

        InFlight += Math.Max(count, 0);
        return Math.Max(count, 0);
    }

    private int TakeCompletions(IoDescriptor** completed, int capacity)
    {
        var count = 0;
        while (count < capacity && _channel.TryReadCompletion(_nextCompletion, out var index, out var status))
        {
            _nextCompletion++;
            var descriptor = index < (uint)Depth ? _table[index] : null;
            if (descriptor is null) continue; // The server is in another process, and what it writes is not believed.
            _table[index] = null;
            _free[_freeCount++] = (ushort)index;
            descriptor->Status = status;
            Finish(descriptor, index);
            completed[count++] = descriptor;
        }

        return count;
    }

    // How many more submissions the ring takes, at most as many as asked for.
    private int Room(int wanted)
    {
        var room = _channel.SubmissionSlots - (_nextSubmission - _taken);
        if (room >= (ulong)wanted) return wanted;
        _taken = Math.Min(Volatile.Read(ref *_channel.Taken), _nextSubmission);
        return (int)Math.Min((ulong)wanted, _channel.SubmissionSlots - Math.Min(_nextSubmission - _taken, _channel.SubmissionSlots));
    }

    private bool IsToSpin()
    {
        if (_spinNs == 0) return false;
        var now = _host.GetTime();
        if (_idleSince == 0) _idleSince = now;
        return now - _idleSince < _spinNs;
    }

    private void Disarm()
    {
        _armed = false;
        Volatile.Write(ref *_channel.ClientSleeps, 0);
        Linux.Threads.DrainEvent(Event);
    }

    private int GiveBack(IoDescriptor** completed, int capacity)
    {
        var count = 0;
        for (var i = 0; i < Depth && count < capacity; i++)
        {
            var descriptor = _table[i];
            if (descriptor is null) continue;
            _table[i] = null;
            _free[_freeCount++] = (ushort)i;
            descriptor->Status = IoStatus.DeviceRemoved;
            Finish(descriptor, (uint)i);
            completed[count++] = descriptor;
        }

        return count;
    }
}
