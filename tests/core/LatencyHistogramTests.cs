using System.Reflection;
using Comanche.Runtime;

namespace Comanche.Core.Tests;

public sealed class LatencyHistogramTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Percentiles_are_within_one_percent_of_sorted_samples(int seed)
    {
        var random = new Random(seed);
        var samples = Enumerable.Range(0, 50_000).Select(_ => (ulong)Math.Exp(random.NextDouble() * 24)).ToArray();
        using var histogram = new LatencyHistogram();
        foreach (var sample in samples) histogram.Record(sample);
        Array.Sort(samples);
        foreach (var percent in new[] { 0.1, 1, 10, 50, 90, 99, 99.9, 99.99, 100 })
        {
            var exact = samples[Math.Max(0, (int)Math.Ceiling(samples.Length * percent / 100) - 1)];
            Assert.InRange(histogram.Percentile(percent), exact * 0.99, exact * 1.01);
        }

        Assert.InRange(histogram.Mean, samples.Average(s => (double)s) * 0.99, samples.Average(s => (double)s) * 1.01);
        Assert.Equal((ulong)samples.Length, histogram.Count);
        Assert.True(histogram.Min <= samples[0] && histogram.Max >= samples[^1]);
    }

    [Fact]
    public void Small_values_are_exact_and_huge_ones_are_kept()
    {
        using var histogram = new LatencyHistogram();
        for (ulong value = 0; value < 128; value++)
        {
            histogram.Clear();
            histogram.Record(value);
            Assert.Equal(value, histogram.Percentile(50));
            Assert.Equal((value, value), (histogram.Min, histogram.Max));
        }

        histogram.Record(ulong.MaxValue);
        Assert.Equal(2ul, histogram.Count);
        Assert.True(histogram.Max >= (1UL << 42) - 1);
    }

    [Fact]
    public void Merging_gives_what_one_histogram_would_hold()
    {
        using LatencyHistogram a = new(), b = new(), both = new();
        var random = new Random(9);
        for (var i = 0; i < 10_000; i++)
        {
            var value = (ulong)random.NextInt64(1, 10_000_000);
            (i % 3 == 0 ? a : b).Record(value);
            both.Record(value);
        }

        a.Add(b);
        Assert.Equal(both.Count, a.Count);
        foreach (var percent in new[] { 1, 50, 99.9 }) Assert.Equal(both.Percentile(percent), a.Percentile(percent));
        Assert.Equal(both.StandardDeviation, a.StandardDeviation);
    }

    [Fact]
    public void The_collector_takes_no_histogram_while_one_of_its_methods_runs()
    {
        // A finalizer that runs in the middle of a read can't be provoked at will: the code is looked at instead.
        var keepAlive = typeof(GC).GetMethod(nameof(GC.KeepAlive))!;
        const BindingFlags Declared = BindingFlags.DeclaredOnly | BindingFlags.Instance | BindingFlags.Public;
        var careless = typeof(LatencyHistogram).GetMethods(Declared).Where(m => m.Name != nameof(IDisposable.Dispose))
            .Where(m => Calls(m, keepAlive) < 1 + m.GetParameters().Count(p => p.ParameterType == typeof(LatencyHistogram)));
        Assert.Equal([], careless.Select(m => m.Name));
    }

    // How often a method's code holds a call (0x28) of another one.
    private static int Calls(MethodInfo method, MethodInfo called)
    {
        var code = method.GetMethodBody()!.GetILAsByteArray()!;
        var count = 0;
        for (var i = 0; i + 5 <= code.Length; i++)
        {
            if (code[i] != 0x28) continue;
            try
            {
                if (method.Module.ResolveMethod(BitConverter.ToInt32(code, i + 1)) == called) count++;
            }
            catch (ArgumentException)
            {
                // No call, but another instruction's data.
            }
        }

        return count;
    }

    [Fact]
    public void An_empty_histogram_gives_zero()
    {
        using var histogram = new LatencyHistogram();
        Assert.Equal((0ul, 0ul, 0ul, 0.0), (histogram.Percentile(99), histogram.Min, histogram.Max, histogram.Mean));
    }
}
