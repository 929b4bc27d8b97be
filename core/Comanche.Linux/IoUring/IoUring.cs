using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using static Comanche.Linux.IoUringAbi;

namespace Comanche.Linux;

/// <summary>
/// An io_uring by raw system calls: entries are prepared by <see cref="NextEntry"/>, handed over by <see cref="Enter"/>, and completions are
/// read by <see cref="Completions"/>, <see cref="Completion"/> and <see cref="Advance"/>.
/// </summary>
/// <remarks>
/// <para><b>Thread.</b> One at a time; with <see cref="IoUringOptions.SingleIssuer"/> the one that opened it.</para>
/// <para><b>Flags.</b> The ring asks for the newest set-up flags and gives them up one by one where the kernel does not know them
/// (<see cref="SetupFlags"/> says what is left). With DEFER_TASKRUN finished work waits in the kernel until the owner calls
/// <see cref="Enter"/> for events; the kernel says so in shared memory (<see cref="HasKernelWork"/>), so that polling costs no calls.</para>
/// <para><b>Sleeping.</b> <see cref="Arm"/> gives the descriptor that becomes readable. It is the ring's own, except with DEFER_TASKRUN: there
/// a poll of the ring is not woken by finished work (tried on 6.18; it wakes only a thread that waits in the ring), so an eventfd is registered,
/// silent while nobody sleeps.</para>
/// </remarks>
public sealed unsafe partial class IoUring : IDisposable
{
    // Given up in this order when set-up answers EINVAL: newest first, so that each kernel ends with all that it knows.
    private static readonly uint[] Optional =
    [
        IORING_SETUP_NO_SQARRAY, // 6.6
        IORING_SETUP_DEFER_TASKRUN, // 6.1
        IORING_SETUP_SINGLE_ISSUER, // 6.0
        IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_COOP_TASKRUN, // 5.19
        IORING_SETUP_SUBMIT_ALL, // 5.18
    ];

    private readonly uint* _sqHead;
    private readonly uint* _sqTail;
    private readonly uint* _sqFlags;
    private readonly uint* _cqHead;
    private readonly uint* _cqTail;
    private readonly io_uring_sqe* _sqes;
    private readonly io_uring_cqe* _cqes;
    private readonly uint _sqMask;
    private readonly uint _cqMask;
    private readonly uint _sqEntries;
    private readonly bool _polled;
    private readonly nuint _ringBytes;
    private readonly nuint _sqesBytes;
    private readonly byte* _ring;
    private uint _tail; // What was prepared; the kernel sees it by _sqTail at the next Enter.
    private readonly uint* _cqFlags;
    private int _enterDescriptor;
    private uint _enterFlags;
    private int _wake = -1; // DEFER_TASKRUN only: the eventfd that ends a sleep.
    private bool _armed;
    private bool _disposed;

    private IoUring(int descriptor, in io_uring_params parameters)
    {
        Descriptor = _enterDescriptor = descriptor;
        SetupFlags = parameters.flags;
        Features = parameters.features;
        _polled = (parameters.flags & IORING_SETUP_SQPOLL) != 0;
        ref readonly var sq = ref parameters.sq_off;
        ref readonly var cq = ref parameters.cq_off;
        var hasArray = (parameters.flags & IORING_SETUP_NO_SQARRAY) == 0;
        var sqBytes = hasArray ? sq.array + parameters.sq_entries * sizeof(uint) : 0;
        _ringBytes = nuint.Max(sqBytes, cq.cqes + parameters.cq_entries * (nuint)sizeof(io_uring_cqe));
        _sqesBytes = parameters.sq_entries * (nuint)sizeof(io_uring_sqe);
        _ring = Map(descriptor, _ringBytes, IORING_OFF_SQ_RING);
        try
        {
            _sqes = (io_uring_sqe*)Map(descriptor, _sqesBytes, IORING_OFF_SQES);
        }
        catch
        {
            Native.munmap(_ring, _ringBytes);
            throw;
        }

        _sqHead = (uint*)(_ring + sq.head);
        _sqTail = (uint*)(_ring + sq.tail);
        _sqFlags = (uint*)(_ring + sq.flags);
        _sqMask = *(uint*)(_ring + sq.ring_mask);
        _sqEntries = parameters.sq_entries;
        _cqHead = (uint*)(_ring + cq.head);
        _cqTail = (uint*)(_ring + cq.tail);
        _cqMask = *(uint*)(_ring + cq.ring_mask);
        _cqFlags = (uint*)(_ring + cq.flags);
        _cqes = (io_uring_cqe*)(_ring + cq.cqes);
        _tail = *_sqTail;
        if (!hasArray) return;
        var array = (uint*)(_ring + sq.array);
        for (uint i = 0; i < parameters.sq_entries; i++) array[i] = i;
    }

    /// <summary>The ring's file descriptor. What to sleep on is said by <see cref="Arm"/>.</summary>
    public int Descriptor { get; }

    /// <summary>The set-up flags that the kernel took.</summary>
    public uint SetupFlags { get; }

    /// <summary>The features that the kernel told.</summary>
    public uint Features { get; }

    /// <summary>How many times the kernel was called for submission or events.</summary>
    public ulong Calls { get; private set; }

    /// <summary>How many entries were prepared, or published, that the kernel has not taken.</summary>
    public uint Unsubmitted
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => _tail - Volatile.Read(ref *_sqHead);
    }

    /// <summary>Whether <see cref="Enter"/> has something to hand over. What a kernel thread (SQPOLL) was shown already it takes by itself.</summary>
    public bool HasPrepared
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => _polled ? _tail != *_sqTail : Unsubmitted != 0;
    }

    /// <summary>Whether the kernel holds finished work that becomes completions by <see cref="Enter"/> with events.</summary>
    public bool HasKernelWork
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => (Volatile.Read(ref *_sqFlags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
    }

    /// <summary>How many completions can be read.</summary>
    public uint Completions
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Volatile.Read(ref *_cqTail) - *_cqHead;
    }

    /// <summary>Whether notices are on: <see cref="Arm"/> was called and <see cref="Disarm"/> was not. Always false without DEFER_TASKRUN.</summary>
    public bool IsArmed => _armed;

    /// <summary>Opens a ring. Throws with the reason in words where that fails.</summary>
    public static IoUring Open(in IoUringOptions options)
    {
        var descriptor = TryOpen(options, out var parameters);
        if (descriptor < 0) throw new ComancheException($"io_uring can't be had: {Explain(-descriptor)}");
        if ((parameters.features & IORING_FEAT_SINGLE_MMAP) == 0 || (parameters.features & IORING_FEAT_SUBMIT_STABLE) == 0)
        {
            PosixFile.Close(descriptor);
            throw new ComancheException("io_uring can't be had: the kernel is older than 5.6");
        }

        try
        {
            return new IoUring(descriptor, parameters);
        }
        catch
        {
            PosixFile.Close(descriptor);
            throw;
        }
    }

    /// <summary>The next free submission entry, zeroed, or null where the ring is full: enter, and try again.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public io_uring_sqe* NextEntry()
    {
        if (_tail - Volatile.Read(ref *_sqHead) >= _sqEntries) return null;
        var entry = _sqes + (_tail++ & _sqMask);
        *entry = default;
        return entry;
    }

    /// <summary>
    /// Hands what was prepared to the kernel and, if asked, turns finished work into completions; does not wait. Returns 0, or a negative error number:
    /// EAGAIN and EBUSY mean that the rest can be handed over later.
    /// </summary>
    public int Enter(bool events)
    {
        Volatile.Write(ref *_sqTail, _tail);
        var flags = _enterFlags;
        uint submit = 0;
        if (_polled)
        {
            Interlocked.MemoryBarrier(); // The tail must be seen before the kernel thread's flag is read: the kernel does it the other way round.
            if ((Volatile.Read(ref *_sqFlags) & IORING_SQ_NEED_WAKEUP) != 0) flags |= IORING_ENTER_SQ_WAKEUP;
            else if (!events || !HasKernelWork) return 0;
        }
        else
        {
            submit = _tail - Volatile.Read(ref *_sqHead);
        }

        if (events) flags |= IORING_ENTER_GETEVENTS;
        Calls++;
        var result = Native.syscall(SYS_io_uring_enter, _enterDescriptor, (nint)submit, 0, (nint)flags, 0, 0);
        return result >= 0 ? 0 : -Errno.Last;
    }

    /// <summary>
    /// Sleeps in the ring until so many completions can be read, or the time is up; what was prepared is handed over before. Cheaper than a sleep on <see cref="Arm"/>'s
    /// descriptor. Returns 0, or a negative error number: ETIME for the time, EINTR for a signal, EOPNOTSUPP where the kernel (before 5.11) can't.
    /// </summary>
    /// <param name="completions">At least 1.</param>
    /// <param name="timeoutNs">Nanoseconds, or <see cref="WaitSet.Forever"/>.</param>
    public int Wait(uint completions, long timeoutNs)
    {
        if ((Features & IORING_FEAT_EXT_ARG) == 0) return -Errno.EOPNOTSUPP;
        Volatile.Write(ref *_sqTail, _tail);
        var submit = _polled ? 0 : _tail - Volatile.Read(ref *_sqHead);
        var flags = _enterFlags | IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG;
        if (_polled) flags |= IORING_ENTER_SQ_WAKEUP;
        var time = new kernel_timespec { tv_sec = timeoutNs / 1_000_000_000, tv_nsec = timeoutNs % 1_000_000_000 };
        var argument = new io_uring_getevents_arg { ts = timeoutNs == WaitSet.Forever ? 0 : (ulong)&time };
        Calls++;
        var result = Native.syscall(
            SYS_io_uring_enter, _enterDescriptor, (nint)submit, (nint)completions, (nint)flags, (nint)(&argument), sizeof(io_uring_getevents_arg));
        return result >= 0 ? 0 : -Errno.Last;
    }

    /// <summary>
    /// The descriptor that becomes readable when there is something to reap, or -1 where none can be had. The caller looks at <see cref="Completions"/> and
    /// <see cref="HasKernelWork"/> once more before it sleeps, and calls <see cref="Disarm"/> when it finds something.
    /// </summary>
    public int Arm()
    {
        if ((SetupFlags & IORING_SETUP_DEFER_TASKRUN) == 0) return Descriptor;
        if (_wake < 0 && !OpenWake()) return -1;
        if (!_armed)
        {
            _armed = true;
            Volatile.Write(ref *_cqFlags, 0);
            Interlocked.MemoryBarrier(); // Notices are on before the caller looks for work a last time.
        }

        return _wake;
    }

    /// <summary>Ends what <see cref="Arm"/> began: no more notices, and those that came are taken back. Costs nothing where nothing is armed.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Disarm()
    {
        if (_armed) DisarmWake();
    }

    /// <summary>The completion that comes after the first <paramref name="index"/> unread ones.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public io_uring_cqe* Completion(uint index) => _cqes + ((*_cqHead + index) & _cqMask);

    /// <summary>Gives so many of the oldest completions back to the kernel.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Advance(uint count) => Volatile.Write(ref *_cqHead, *_cqHead + count);

    /// <summary>Registers files, to be named by their index with IOSQE_FIXED_FILE. Returns 0 or a negative error number.</summary>
    public int RegisterFiles(ReadOnlySpan<int> descriptors)
    {
        fixed (int* fds = descriptors) return Register(IORING_REGISTER_FILES, fds, (uint)descriptors.Length);
    }

    /// <summary>Makes the ring itself cheaper to name in calls of the opening thread. Returns 0 or a negative error number.</summary>
    public int RegisterRing()
    {
        var update = new io_uring_rsrc_update { offset = uint.MaxValue, data = (ulong)Descriptor };
        var result = Register(IORING_REGISTER_RING_FDS, &update, 1);
        if (result < 0) return result;
        _enterDescriptor = (int)update.offset;
        _enterFlags = IORING_ENTER_REGISTERED_RING;
        return 0;
    }

    /// <summary>Makes room for registered buffers, all empty. Returns 0 or a negative error number (kernels before 5.19).</summary>
    public int RegisterSparseBuffers(uint count)
    {
        var register = new io_uring_rsrc_register { nr = count, flags = IORING_RSRC_REGISTER_SPARSE };
        return Register(IORING_REGISTER_BUFFERS2, &register, (uint)sizeof(io_uring_rsrc_register));
    }

    /// <summary>Puts memory into a place for registered buffers, or empties it (null, 0). I/O in flight keeps what it began with.</summary>
    /// <returns>0 or a negative error number: ENOMEM where too little memory may be locked.</returns>
    public int UpdateBuffer(uint index, void* address, ulong length)
    {
        var vector = new iovec { iov_base = address, iov_len = (nuint)length };
        var update = new io_uring_rsrc_update2 { offset = index, data = (ulong)&vector, nr = 1 };
        var result = Register(IORING_REGISTER_BUFFERS_UPDATE, &update, (uint)sizeof(io_uring_rsrc_update2));
        return result < 0 ? result : 0;
    }

    /// <summary>
    /// Closes the ring. The kernel ends it in the background, so that what was registered is let go of first: a file's lock
    /// does not outlive this call.
    /// </summary>
    public void Dispose()
    {
        if (_disposed) return;
        _disposed = true;
        Register(IORING_UNREGISTER_FILES, null, 0);
        if (_enterFlags != 0)
        {
            var update = new io_uring_rsrc_update { offset = (uint)_enterDescriptor };
            Register(IORING_UNREGISTER_RING_FDS, &update, 1);
        }

        Native.munmap(_sqes, _sqesBytes);
        Native.munmap(_ring, _ringBytes);
        PosixFile.Close(Descriptor);
        if (_wake >= 0) PosixFile.Close(_wake);
    }

    // The eventfd is made at the first sleep: a queue that is always polled needs none.
    private bool OpenWake()
    {
        const int CloseOnExecNonBlocking = 0x80800;
        _wake = Native.eventfd(0, CloseOnExecNonBlocking);
        if (_wake < 0) return false;
        var wake = _wake;
        Volatile.Write(ref *_cqFlags, IORING_CQ_EVENTFD_DISABLED);
        if (Register(IORING_REGISTER_EVENTFD, &wake, 1) >= 0) return true;
        PosixFile.Close(wake);
        _wake = -1;
        return false;
    }

    private void DisarmWake()
    {
        _armed = false;
        Volatile.Write(ref *_cqFlags, IORING_CQ_EVENTFD_DISABLED);
        ulong notices;
        Native.read(_wake, &notices, sizeof(ulong));
        Calls++;
    }

    internal int Register(uint operation, void* argument, uint count)
    {
        var result = Native.syscall(SYS_io_uring_register, Descriptor, (nint)operation, (nint)argument, (nint)count, 0, 0);
        return result >= 0 ? (int)result : -Errno.Last;
    }

    private static int TryOpen(in IoUringOptions options, out io_uring_params parameters)
    {
        var flags = IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_NO_SQARRAY;
        if (options.SingleIssuer) flags |= IORING_SETUP_SINGLE_ISSUER;
        if (options.SubmissionPolling) flags |= IORING_SETUP_SQPOLL;
        else if (options.SingleIssuer) flags |= IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
        flags &= ~options.WithoutFlags;
        var entries = Math.Clamp(options.Entries, 1, 32768);
        for (var next = 0; ;)
        {
            flags = Consistent(flags, options);
            parameters = new io_uring_params { flags = flags, cq_entries = entries * 2, sq_thread_idle = options.SubmissionPollingIdleMs };
            int error;
            fixed (io_uring_params* p = &parameters)
            {
                var result = Native.syscall(SYS_io_uring_setup, (nint)entries, (nint)p, 0, 0, 0, 0);
                if (result >= 0) return (int)result;
                error = Errno.Last;
            }

            if (error != Errno.EINVAL) return -error;
            while (next < Optional.Length && (flags & Optional[next]) == 0) next++;
            if (next == Optional.Length) return -error;
            flags &= ~Optional[next++];
        }
    }

    // DEFER_TASKRUN needs SINGLE_ISSUER. A ring of one thread without DEFER_TASKRUN is content to finish work at that thread's next call (COOP_TASKRUN);
    // one that moves between threads is not, since the thread that submitted may not call again. TASKRUN_FLAG goes with either.
    private static uint Consistent(uint flags, in IoUringOptions options)
    {
        if ((flags & IORING_SETUP_SINGLE_ISSUER) == 0) flags &= ~IORING_SETUP_DEFER_TASKRUN;
        if (!options.SingleIssuer || options.SubmissionPolling || (flags & IORING_SETUP_TASKRUN_FLAG) == 0)
            return flags & ~(IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_DEFER_TASKRUN);
        return (flags & IORING_SETUP_DEFER_TASKRUN) != 0 ? flags & ~IORING_SETUP_COOP_TASKRUN : flags | IORING_SETUP_COOP_TASKRUN;
    }

    private static byte* Map(int descriptor, nuint length, ulong offset)
    {
        const int ReadWrite = 3, SharedPopulate = 0x8001;
        var address = Native.mmap(null, length, ReadWrite, SharedPopulate, descriptor, (long)offset);
        if ((nint)address == -1) throw new ComancheException($"io_uring can't be had: mapping its rings failed: {Errno.Describe(Errno.Last)}");
        return (byte*)address;
    }

    // Private to the ring: one function each, errors by errno.
    private static partial class Native
    {
        [LibraryImport("libc")]
        internal static partial nint syscall(nint number, nint a, nint b, nint c, nint d, nint e, nint f);

        [LibraryImport("libc")]
        internal static partial void* mmap(void* address, nuint length, int protection, int flags, int descriptor, long offset);

        [LibraryImport("libc")]
        internal static partial int munmap(void* address, nuint length);

        [LibraryImport("libc")]
        internal static partial int eventfd(uint value, int flags);

        [LibraryImport("libc")]
        internal static partial nint read(int descriptor, void* buffer, nuint length);
    }
}
