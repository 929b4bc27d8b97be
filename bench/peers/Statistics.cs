namespace Comanche.Peers;

/// <summary>What is said of repeated measurements.</summary>
internal static class Statistics
{
    private const int Resamples = 10_000;

    /// <summary>The middle value.</summary>
    public static double Median(ReadOnlySpan<double> values)
    {
        Span<double> sorted = [.. values];
        sorted.Sort();
        return sorted.Length % 2 != 0 ? sorted[sorted.Length / 2] : (sorted[sorted.Length / 2 - 1] + sorted[sorted.Length / 2]) / 2;
    }

    /// <summary>
    /// The ratio of the medians of two samples taken in alternation, with its 95 % interval by the percentile bootstrap over
    /// pairs: a pair shares the machine's mood of its moment.
    /// </summary>
    public static (double Ratio, double Low, double High) RatioOfMedians(double[] ours, double[] theirs)
    {
        var random = new Random(20); // A fixed seed: the same samples always give the same interval.
        var ratios = new double[Resamples];
        var a = new double[ours.Length];
        var b = new double[ours.Length];
        for (var r = 0; r < Resamples; r++)
        {
            for (var i = 0; i < a.Length; i++)
            {
                var pick = random.Next(a.Length);
                a[i] = ours[pick];
                b[i] = theirs[pick];
            }

            ratios[r] = Median(a) / Median(b);
        }

        Array.Sort(ratios);
        return (Median(ours) / Median(theirs), ratios[(int)(Resamples * 0.025)], ratios[(int)(Resamples * 0.975)]);
    }

    /// <summary>Median, least and greatest, for people.</summary>
    public static string Spread(double[] values, string format = "N0") =>
        $"{Median(values).ToString(format)} ({values.Min().ToString(format)}–{values.Max().ToString(format)})";
}
