namespace Comanche.Block.Tests;

/// <summary>Reads the thread's allocation counter around work that must not allocate.</summary>
internal static class Allocation
{
    /// <summary>Bytes allocated by so many repetitions, after a warm-up.</summary>
    public static long Measure(int repetitions, Action work)
    {
        for (var i = 0; i < 100; i++) work();
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < repetitions; i++) work();
        return GC.GetAllocatedBytesForCurrentThread() - before;
    }
}
