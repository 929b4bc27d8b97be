using System.Diagnostics;
using System.Runtime.InteropServices;
using Comanche.Linux;

namespace Comanche.ThreadBench;

/// <summary>What the machine itself takes for what the threading models do.</summary>
internal static unsafe class PingPong
{
    private const int Line = 64;

    /// <summary>How long a cache line takes from one core to another and back, in nanoseconds: where the host has put the cores shows in this.</summary>
    public static double Measure(int first, int second, int rounds = 100_000)
    {
        var word = (long*)NativeMemory.AlignedAlloc(Line, Line);
        *word = 0;
        var echo = new Thread(() =>
        {
            Pin(second);
            for (long i = 1; i <= rounds; i++)
            {
                while (Volatile.Read(ref *word) != 2 * i - 1) { }
                Volatile.Write(ref *word, 2 * i);
            }
        }) { IsBackground = true };
        var nanoseconds = 0.0;
        var ping = new Thread(() =>
        {
            Pin(first);
            var start = Stopwatch.GetTimestamp();
            for (long i = 1; i <= rounds; i++)
            {
                Volatile.Write(ref *word, 2 * i - 1);
                while (Volatile.Read(ref *word) != 2 * i) { }
            }

            nanoseconds = Stopwatch.GetElapsedTime(start).TotalNanoseconds / rounds;
        });
        echo.Start();
        ping.Start();
        ping.Join();
        echo.Join();
        NativeMemory.AlignedFree(word);
        return nanoseconds;
    }

    /// <summary>Pins the calling thread.</summary>
    public static void Pin(int core)
    {
        var error = Threads.PinToCore(core);
        if (error != 0) throw new ComancheException($"core {core}: {Memory.Describe(error)}");
    }
}
