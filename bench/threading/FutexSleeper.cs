using System.Diagnostics;
using System.Runtime.InteropServices;
using Comanche.Linux;

namespace Comanche.ThreadBench;

/// <summary>A thread that does nothing but sleep on a futex and answer whoever wakes it: the least that a wake-up can take here.</summary>
internal sealed unsafe class FutexSleeper : IDisposable
{
    private const int Line = 64;
    private const uint End = uint.MaxValue;

    private readonly uint* _bell = (uint*)NativeMemory.AlignedAlloc(2 * Line, Line);
    private readonly Thread _thread;
    private uint _count;

    /// <summary>Starts it on a core.</summary>
    public FutexSleeper(int core)
    {
        *_bell = *Answer = 0;
        _thread = new Thread(() => Run(core)) { IsBackground = true };
        _thread.Start();
    }

    private uint* Answer => _bell + Line / sizeof(uint);

    /// <summary>Wakes it, and spins until it answers; in nanoseconds.</summary>
    public double Wake()
    {
        var start = Stopwatch.GetTimestamp();
        Volatile.Write(ref *_bell, ++_count);
        Threads.Wake(_bell, 1);
        while (Volatile.Read(ref *Answer) != _count) { }
        return Stopwatch.GetElapsedTime(start).TotalNanoseconds;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Volatile.Write(ref *_bell, End);
        Threads.Wake(_bell, 1);
        _thread.Join();
        NativeMemory.AlignedFree(_bell);
    }

    private void Run(int core)
    {
        PingPong.Pin(core);
        for (uint seen = 0; ;)
        {
            while (Volatile.Read(ref *_bell) == seen) Threads.Wait(_bell, seen, WaitSet.Forever);
            seen = Volatile.Read(ref *_bell);
            if (seen == End) return;
            Volatile.Write(ref *Answer, seen);
        }
    }
}
