using System.Diagnostics;
using Comanche.Linux;

namespace Comanche.App.Bench;

/// <summary>Rates that were taken at equal intervals.</summary>
internal sealed class RateSamples
{
    private readonly List<double> _perSecond = [];

    public int Count => _perSecond.Count;

    public double Min => Count == 0 ? 0 : _perSecond.Min();

    public double Max => Count == 0 ? 0 : _perSecond.Max();

    public double Mean => Count == 0 ? 0 : _perSecond.Average();

    /// <summary>The standard deviation of the sample.</summary>
    public double Deviation => Count < 2 ? 0 : Math.Sqrt(_perSecond.Sum(r => (r - Mean) * (r - Mean)) / (Count - 1));

    public void Add(double perSecond) => _perSecond.Add(perSecond);
}

/// <summary>
/// Looks on while jobs are at work, from the end of the ramp: how many bytes a second they move, in every half second as fio samples it, and what the process uses of the machine.
/// </summary>
/// <remarks>The reporter's thread. The processor's time is that of the whole process, since reactors and helpers of devices work for the jobs too.</remarks>
internal sealed class BenchMeter(BenchPlan plan, AppProcess process, Func<IReadOnlyList<LayerCost>> layers, Func<(ulong Read, ulong Written)> progress)
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(500);

    private readonly Stopwatch _clock = Stopwatch.StartNew();
    private Moment _first = Moment.Take(process, layers, progress, TimeSpan.Zero);
    private (ulong Read, ulong Written, TimeSpan At) _before;
    private Moment? _last;
    private bool _isRamping = plan.Ramp > TimeSpan.Zero;

    /// <summary>Bytes a second that were read.</summary>
    public RateSamples Reads { get; } = new();

    /// <summary>Bytes a second that were written.</summary>
    public RateSamples Writes { get; } = new();

    /// <summary>How long it is since the jobs began.</summary>
    public TimeSpan Elapsed => _clock.Elapsed;

    /// <summary>User time, in per cent of the time that was measured.</summary>
    public double UserPercent => Percent(Last.Usage.UserTime - _first.Usage.UserTime);

    /// <summary>System time, likewise.</summary>
    public double SystemPercent => Percent(Last.Usage.SystemTime - _first.Usage.SystemTime);

    /// <summary>All of the processor's time that was used.</summary>
    public TimeSpan ProcessorTime => Last.Usage.UserTime - _first.Usage.UserTime + Last.Usage.SystemTime - _first.Usage.SystemTime;

    /// <summary>How often a thread gave its core up, or lost it.</summary>
    public long ContextSwitches => Last.Usage.ru_nvcsw + Last.Usage.ru_nivcsw - _first.Usage.ru_nvcsw - _first.Usage.ru_nivcsw;

    public long MajorFaults => Last.Usage.ru_majflt - _first.Usage.ru_majflt;

    public long MinorFaults => Last.Usage.ru_minflt - _first.Usage.ru_minflt;

    public ulong CopiedBytes => Last.Copied - _first.Copied;

    /// <summary>What each layer took; empty where that is not measured.</summary>
    public IReadOnlyList<LayerCost> Layers =>
        [.. Last.Layers.Zip(_first.Layers, (l, f) => new LayerCost(l.Name, l.Descriptors - f.Descriptors, l.OwnNanoseconds - f.OwnNanoseconds))];

    /// <summary>How long until there is something to look at; never negative.</summary>
    public TimeSpan Due
    {
        get
        {
            var left = (_isRamping ? plan.Ramp : _before.At + Interval) - _clock.Elapsed;
            return left > TimeSpan.Zero ? left : TimeSpan.Zero;
        }
    }

    private Moment Last => _last ?? throw new InvalidOperationException("the meter has not ended");

    /// <summary>Looks whether something is due.</summary>
    public void Look()
    {
        if (Due > TimeSpan.Zero) return;
        var now = Moment.Take(process, layers, progress, _clock.Elapsed);
        if (_isRamping)
        {
            _isRamping = false;
            _first = now;
        }
        else
        {
            var seconds = (now.At - _before.At).TotalSeconds;
            Reads.Add((now.Read - _before.Read) / seconds);
            Writes.Add((now.Written - _before.Written) / seconds);
        }

        _before = (now.Read, now.Written, now.At);
    }

    /// <summary>The jobs have ended.</summary>
    public void End() => _last = Moment.Take(process, layers, progress, _clock.Elapsed);

    private double Percent(TimeSpan used) => used / (Last.At - _first.At) * 100;

    private sealed record Moment(TimeSpan At, rusage Usage, ulong Copied, IReadOnlyList<LayerCost> Layers, ulong Read, ulong Written)
    {
        public static Moment Take(AppProcess process, Func<IReadOnlyList<LayerCost>> layers, Func<(ulong Read, ulong Written)> progress, TimeSpan at)
        {
            var (read, written) = progress();
            return new Moment(at, ResourceUsage.Now, process.BytesCopied, layers(), read, written);
        }
    }
}
