using System.Runtime.InteropServices;

namespace Comanche.Threading;

/// <summary>
/// The server's end of one client's rings: takes submissions into private descriptors, puts completions back. Nothing of what the client can still change is
/// used but the one copy that was taken.
/// </summary>
/// <remarks>
/// <para>The server's descriptors carry the port and the client's index in their tag, and a table leads from the index to the descriptor: so a client that uses an
/// index twice, or cancels what it never submitted, is noticed, and harms itself only.</para>
/// <para>Servicing thread only, except <see cref="Client"/>'s own rules. Nothing is allocated after the constructor.</para>
/// </remarks>
internal abstract unsafe class Port : IDisposable
{
    private const ulong IndexMask = 0xFFFF;
    private const int PortShift = 16;

    private readonly Channel _channel;
    private readonly DescriptorSlab _slab;
    private readonly IoDescriptor** _byIndex; // What of the client's is in flight.
    private ulong _nextSubmission, _nextCompletion;
    private RateLimit? _limit;
    private IHost? _clock; // Where there is a limit.
    private bool _disposed;

    /// <summary>Makes the server's end over a client's rings.</summary>
    protected Port(Channel channel, int depth)
    {
        _channel = channel;
        Depth = depth;
        _slab = new DescriptorSlab(depth + 1); // One more than can be in flight: a cancellation passes through one, also where the queue is full.
        _byIndex = (IoDescriptor**)NativeMemory.AllocZeroed((nuint)depth, (nuint)sizeof(IoDescriptor*));
    }

    /// <summary>The most that the client may have in flight.</summary>
    public int Depth { get; }

    /// <summary>How many descriptors were taken and are not given back.</summary>
    public int InFlight => _slab.Capacity - _slab.Available;

    /// <summary>Its place in its lane; the lane sets it.</summary>
    public uint Index { get; set; }

    /// <summary>Whether the client does not wait for what is in flight any more. Nothing is taken from it.</summary>
    public bool HasGivenUp { get; set; }

    /// <summary>When it gave up, in nanoseconds.</summary>
    public ulong GaveUpAt { get; set; }

    /// <summary>Whether something was completed since the client was last looked after.</summary>
    public bool HasNews { get; private set; }

    /// <summary>The rings.</summary>
    protected ref readonly Channel Channel => ref _channel;

    /// <summary>Whether a submission waits. What it is may still be nonsense.</summary>
    public bool HasSubmissions => !HasGivenUp && _slab.Available != 0 && _channel.HasSubmission(_nextSubmission);

    /// <summary>Whether the next submission waits for tokens: it was looked at, and is limited.</summary>
    public bool IsHeld { get; private set; }

    /// <summary>When the submission that is held may be taken, not before <paramref name="now"/>.</summary>
    public ulong ReadyAt(ulong now) => _limit is null ? now : _limit.ReadyAt(now);

    /// <summary>Sets what limits the client, or null. Its other queues may have the same.</summary>
    public void SetLimit(RateLimit? limit, IHost clock)
    {
        _limit = limit;
        _clock = clock;
        IsHeld = false;
    }

    /// <summary>The place in its lane of the port that a descriptor is for.</summary>
    public static uint PortOf(IoDescriptor* descriptor) => (uint)(descriptor->Tag >> PortShift);

    /// <summary>
    /// Takes submissions, at most so many, and stores those that are to go down. The others were cancellations, which <see cref="OnCancel"/> was told, or were completed here.
    /// </summary>
    public int Take(IoDescriptor** batch, int most)
    {
        if (_limit is not null) return TakeLimited(batch, most, _limit);
        var count = 0;
        var position = _nextSubmission;
        for (var seen = 0; seen < most && _slab.Available != 0 && _channel.HasSubmission(position); seen++)
        {
            var descriptor = _slab.Take();
            *descriptor = *_channel.Submission(position++);
            if (descriptor->Operation == Channel.Cancel && EndTaken(batch, ref count, descriptor->Tag)) _slab.Return(descriptor);
            else if (Admit(descriptor)) batch[count++] = descriptor;
        }

        if (position == _nextSubmission) return 0;
        _nextSubmission = position;
        Volatile.Write(ref *_channel.Taken, position);
        return count;
    }

    // As Take, as far as there are tokens; what is not limited is taken without. It is the private copy that is judged, since the client could change what lies in the ring.
    private int TakeLimited(IoDescriptor** batch, int most, RateLimit limit)
    {
        var now = _clock!.GetTime();
        var count = 0;
        var position = _nextSubmission;
        IsHeld = false;
        for (var seen = 0; seen < most && _slab.Available != 0 && _channel.HasSubmission(position); seen++)
        {
            var descriptor = _slab.Take();
            *descriptor = *_channel.Submission(position);
            var isLimited = RateLimit.Covers(descriptor->Operation);
            if (isLimited && limit.ReadyAt(now) > now)
            {
                _slab.Return(descriptor);
                IsHeld = true;
                break;
            }

            position++;
            if (!Admit(descriptor)) continue;
            if (isLimited) limit.Draw(descriptor, now);
            batch[count++] = descriptor;
        }

        if (position == _nextSubmission) return 0;
        _nextSubmission = position;
        Volatile.Write(ref *_channel.Taken, position);
        return count;
    }

    /// <summary>Ends what the client submitted and was not taken yet, after it gave up.</summary>
    public void EndSubmissions()
    {
        // No more than the ring has room for: a client that writes on all the while would never let this come to its end.
        for (var left = _channel.SubmissionSlots; left != 0 && _slab.Available != 0 && _channel.HasSubmission(_nextSubmission); left--, _nextSubmission++)
        {
            var descriptor = _slab.Take();
            *descriptor = *_channel.Submission(_nextSubmission);
            if (!Admit(descriptor)) continue;
            descriptor->Status = IoStatus.Aborted;
            Complete(descriptor);
        }
    }

    /// <summary>Gives a descriptor back to its client with the status that it has.</summary>
    public void Complete(IoDescriptor* descriptor)
    {
        var index = (uint)(descriptor->Tag & IndexMask);
        _channel.Complete(_nextCompletion++, index, descriptor->Status);
        _byIndex[index] = null;
        OnCompleted(index);
        _slab.Return(descriptor);
        HasNews = true;
    }

    /// <summary>
    /// Wakes the client where it sleeps. The caller has put a full barrier between the completions and this.
    /// </summary>
    public void Notify()
    {
        HasNews = false;
        var sleeps = _channel.ClientSleeps;
        if (Volatile.Read(ref *sleeps) == 0) return;

        // Visible before the wake-up is: a store that came late would undo what the client says when it sleeps the next time.
        Interlocked.Exchange(ref *sleeps, 0);
        WakeClient();
    }

    /// <summary>Says whether the server sleeps, where the client asks for that in the channel.</summary>
    public void SetServerSleeps(bool sleeps) => Volatile.Write(ref *_channel.ServerSleeps, sleeps ? 1u : 0u);

    /// <summary>Calls an action for each descriptor that is in flight.</summary>
    public void ForEach(DescriptorAction action)
    {
        for (var i = 0; i < Depth; i++)
            if (_byIndex[i] is not null)
                action(_byIndex[i]);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_disposed) return;
        _disposed = true;
        _slab.Dispose();
        NativeMemory.Free(_byIndex);
        OnDispose();
    }

    /// <summary>Makes what the client means of what it wrote: addresses of its offsets, for one in another process. Anything but success ends the descriptor.</summary>
    /// <param name="descriptor">A private copy of it.</param>
    /// <param name="index">The client's index, which is good.</param>
    protected abstract IoStatus Translate(IoDescriptor* descriptor, uint index);

    /// <summary>Called for each descriptor that <see cref="Translate"/> saw, when it goes back.</summary>
    protected virtual void OnCompleted(uint index) { }

    /// <summary>Asks the device to end a descriptor early.</summary>
    protected abstract void OnCancel(IoDescriptor* descriptor);

    /// <summary>Says that the client broke the rules of the rings. Nothing of it goes down.</summary>
    protected abstract void OnViolation();

    /// <summary>Ends the client's sleep.</summary>
    protected abstract void WakeClient();

    /// <summary>Gives back what the deriving port holds; called once.</summary>
    protected virtual void OnDispose() { }

    // Ends what a cancellation is for where both were taken just now: the device does not know of it yet. False where it is none of these.
    private bool EndTaken(IoDescriptor** batch, ref int count, ulong index)
    {
        var known = index < (ulong)Depth ? _byIndex[index] : null;
        for (var i = 0; known is not null && i < count; i++)
        {
            if (batch[i] != known) continue;
            for (count--; i < count; i++) batch[i] = batch[i + 1];
            known->Status = IoStatus.Cancelled;
            Complete(known);
            return true;
        }

        return false;
    }

    // Judges a private copy; false where it does not go down.
    private bool Admit(IoDescriptor* descriptor)
    {
        var index = descriptor->Tag;
        var known = index < (ulong)Depth ? _byIndex[index] : null;
        if (descriptor->Operation == Channel.Cancel || index >= (ulong)Depth || known is not null)
        {
            if (descriptor->Operation != Channel.Cancel) OnViolation();
            else if (known is not null) OnCancel(known);
            _slab.Return(descriptor);
            return false;
        }

        _byIndex[index] = descriptor;
        descriptor->Tag = (ulong)Index << PortShift | index;
        descriptor->Status = Translate(descriptor, (uint)index);
        if (descriptor->Status == IoStatus.Success) return true;
        Complete(descriptor);
        return false;
    }
}

/// <summary>Does something with a descriptor.</summary>
internal unsafe delegate void DescriptorAction(IoDescriptor* descriptor);
