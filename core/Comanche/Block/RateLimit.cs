using System.Runtime.InteropServices;

namespace Comanche;

/// <summary>
/// How many I/Os and how many bytes may pass per second: two token buckets that any number of threads draw from.
/// </summary>
/// <remarks>
/// <para><b>Idea.</b> A bucket is one word, the time at which everything drawn so far is paid for (the generic cell rate algorithm, ITU-T I.371): drawing moves it on by what the I/O
/// costs, never from further back than the burst. An I/O may pass when the word, as it found it, is not in the future. So tokens fall due without anybody adding them, a draw is one
/// compare-and-swap, and an I/O that costs more than was saved up passes all the same: its debt is the next one's wait.</para>
/// <para><b>What counts.</b> Whatever names a range counts as one I/O and as its bytes; a discard moves none. A flush passes freely: it would hold up what waits for it, and moves nothing.</para>
/// <para><b>Arithmetic.</b> The word counts in 1/256 ns, since one I/O at 3 million per second takes 333.3 ns: it is then off by a part in 100 000 at most. It wraps after 2^56 ns, 2.3 years, and is
/// compared by its difference; a bucket that nobody touches for more than a year could keep somebody waiting.</para>
/// </remarks>
public sealed unsafe class RateLimit
{
    private const int Fraction = 8;
    private const double UnitsPerSecond = 1e9 * (1 << Fraction);

    // The most that one I/O costs: 3 days. So those that wait at a time (queues x lanes) can't come near MaxAhead.
    private const ulong MaxCost = 1UL << 56;

    // A word further ahead than that was left behind long ago.
    private const ulong MaxAhead = 1UL << 62;

    private readonly double _unitsPerIo;
    private readonly double _unitsPerByte;
    private readonly ulong _burst;
    private readonly uint _blockSize;
    private Cells _cells; // Any thread, by compare-and-swap.

    /// <summary>Makes full buckets.</summary>
    /// <param name="iops">I/Os per second; 0 for no limit.</param>
    /// <param name="bytesPerSecond">Bytes per second; 0 for no limit.</param>
    /// <param name="burst">For how long tokens are saved up while nobody draws; an hour at most.</param>
    /// <param name="blockSize">Bytes of a block.</param>
    /// <param name="now">The host's time, in nanoseconds.</param>
    public RateLimit(ulong iops, ulong bytesPerSecond, TimeSpan burst, uint blockSize, ulong now)
    {
        if (burst < TimeSpan.Zero || burst > TimeSpan.FromHours(1)) throw new ArgumentOutOfRangeException(nameof(burst), burst, "0s to 1h");
        _unitsPerIo = iops == 0 ? 0 : UnitsPerSecond / iops;
        _unitsPerByte = bytesPerSecond == 0 ? 0 : UnitsPerSecond / bytesPerSecond;
        _burst = ((ulong)burst.Ticks * TimeSpan.NanosecondsPerTick) << Fraction;
        _blockSize = blockSize;
        _cells.Ios = _cells.Bytes = (now << Fraction) - _burst;
    }

    /// <summary>Whether an operation is limited at all.</summary>
    public static bool Covers(IoOperation operation) => operation.HasRange();

    /// <summary>When the next I/O may pass, whatever it is; not before <paramref name="now"/>. Nothing is drawn.</summary>
    public ulong ReadyAt(ulong now)
    {
        var units = now << Fraction;
        long wait = 0;
        if (_unitsPerIo != 0) wait = Math.Max(wait, (long)(Start(Volatile.Read(ref _cells.Ios), units - _burst) - units));
        if (_unitsPerByte != 0) wait = Math.Max(wait, (long)(Start(Volatile.Read(ref _cells.Bytes), units - _burst) - units));
        return now + ToNanoseconds(wait);
    }

    /// <summary>
    /// Draws what an I/O costs and returns when it may pass, not before <paramref name="now"/>. Its place is kept: what draws later comes later, on whatever thread.
    /// </summary>
    /// <param name="descriptor">The I/O, of an operation that <see cref="Covers"/> says yes to; it is only read.</param>
    /// <param name="now">The host's time, in nanoseconds.</param>
    public ulong Draw(IoDescriptor* descriptor, ulong now)
    {
        var units = now << Fraction;
        long wait = 0;
        if (_unitsPerIo != 0) wait = Math.Max(wait, (long)(Draw(ref _cells.Ios, CostOfIo, units - _burst) - units));
        if (_unitsPerByte != 0) wait = Math.Max(wait, (long)(Draw(ref _cells.Bytes, CostOfBytes(descriptor), units - _burst) - units));
        return now + ToNanoseconds(wait);
    }

    /// <summary>Puts back what an I/O drew that does not pass after all; those that drew after it keep their times.</summary>
    public void PutBack(IoDescriptor* descriptor)
    {
        if (_unitsPerIo != 0) Interlocked.Add(ref _cells.Ios, 0 - CostOfIo);
        if (_unitsPerByte != 0) Interlocked.Add(ref _cells.Bytes, 0 - CostOfBytes(descriptor));
    }

    private ulong CostOfIo => (ulong)Math.Min(_unitsPerIo, MaxCost);

    private ulong CostOfBytes(IoDescriptor* descriptor) =>
        descriptor->Operation == IoOperation.Discard ? 0 : (ulong)Math.Min((double)descriptor->BlockCount * _blockSize * _unitsPerByte, MaxCost);

    // From where a draw counts: what was drawn before, or as much as is saved up.
    private static ulong Start(ulong cell, ulong floor) => cell - floor < MaxAhead ? cell : floor;

    private static ulong Draw(ref ulong cell, ulong cost, ulong floor)
    {
        var seen = Volatile.Read(ref cell);
        for (;;)
        {
            var start = Start(seen, floor);
            var found = Interlocked.CompareExchange(ref cell, start + cost, seen);
            if (found == seen) return start;
            seen = found;
        }
    }

    private static ulong ToNanoseconds(long units) => units <= 0 ? 0 : ((ulong)units + (1UL << Fraction) - 1) >> Fraction;

    // On cache lines of their own: several threads write them.
    [StructLayout(LayoutKind.Explicit, Size = 256)]
    private struct Cells
    {
        [FieldOffset(64)] public ulong Ios;
        [FieldOffset(128)] public ulong Bytes;
    }
}
