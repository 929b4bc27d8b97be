using System.Diagnostics;
using System.Globalization;

namespace Comanche.Micro;

/// <summary>
/// The layer benchmark in seconds instead of minutes: every stack in turn, over and over, and the median of its rounds, so that what
/// disturbs the machine disturbs all of them alike.
/// </summary>
internal static class Quick
{
    // Rounds shorter than a time slice, and many of them: on a busy machine most of them still run undisturbed.
    private const int Rounds = 401;
    private const double WarmUpSeconds = 0.3;
    private const long RoundIos = 20_000;

    public static void Run(int[] depths)
    {
        foreach (var depth in depths)
        {
            var cases = new List<(string Name, int Layers, LayerStack Stack, List<double> Nanoseconds)>();
            foreach (var kind in Enum.GetValues<LayerKind>())
            {
                foreach (var layers in (int[])[0, 1, 4, 8])
                {
                    if (layers == 0 && kind != LayerKind.Single) continue;
                    var name = layers == 0 ? "null" : $"{kind.ToString().ToLowerInvariant()} x{layers}";
                    cases.Add((name, layers, new LayerStack(kind, layers, depth), new(Rounds)));
                }
            }

            foreach (var one in cases) WarmUp(one.Stack);
            var before = GC.GetAllocatedBytesForCurrentThread();
            long done = 0;
            for (var round = 0; round < Rounds; round++)
            {
                foreach (var (_, _, stack, nanoseconds) in cases)
                {
                    var start = Stopwatch.GetTimestamp();
                    var ios = stack.Run((int)(RoundIos / depth));
                    nanoseconds.Add(Stopwatch.GetElapsedTime(start).TotalNanoseconds / ios);
                    done += ios;
                }
            }

            var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            Print(depth, cases);
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"  allocated: {allocated} bytes in {done} I/Os"));
            foreach (var one in cases) one.Stack.Dispose();
        }
    }

    private static void WarmUp(LayerStack stack)
    {
        var start = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(start).TotalSeconds < WarmUpSeconds) stack.Run(2000);
    }

    private static void Print(int depth, List<(string Name, int Layers, LayerStack Stack, List<double> Nanoseconds)> cases)
    {
        Console.WriteLine($"depth {depth,-10} ns/I/O (min … max)        per layer (of the minima)");
        var (bottom, lowest) = (0.0, 0.0);
        foreach (var (name, layers, _, nanoseconds) in cases)
        {
            nanoseconds.Sort();
            var median = nanoseconds[nanoseconds.Count / 2];
            if (layers == 0) (bottom, lowest) = (median, nanoseconds[0]);
            var perLayer = layers == 0 ? "" : string.Create(CultureInfo.InvariantCulture, $"{(median - bottom) / layers,8:F2} ({(nanoseconds[0] - lowest) / layers:F2})");
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"  {name,-12} {median,8:F2} ({nanoseconds[0]:F2} … {nanoseconds[^1]:F2})   {perLayer}"));
        }
    }
}
