using System.Diagnostics;

namespace Comanche.Runtime;

/// <summary>How a process is set up. Everything has a default that fits.</summary>
public sealed record ComancheProcessOptions
{
    /// <summary>Where log lines go.</summary>
    public ILogSink Log { get; init; } = LogSink.None;

    /// <summary>How DMA memory is had.</summary>
    public MemoryRegistryOptions Memory { get; init; } = new();

    /// <summary>The reactor on which components run that name none.</summary>
    public ReactorOptions Reactor { get; init; } = new();

    /// <summary>Gives monotonic nanoseconds; null for the machine's clock. A simulated run brings its own.</summary>
    public Func<ulong>? Clock { get; init; }

    /// <summary>Seeds what components get as randomness, for a run that can be replayed; null for real randomness.</summary>
    public ulong? Seed { get; init; }
}

/// <summary>
/// What components share in a process: one memory registry, one default reactor, log, clock, randomness and statistics. Any thread.
/// </summary>
public sealed class ComancheProcess : IDisposable
{
    private readonly Lock _lock = new();
    private readonly ReactorOptions _reactorOptions;
    private readonly Func<ulong>? _clock;
    private readonly Random? _random;
    private Reactor? _reactor;
    private bool _disposed;

    /// <summary>Sets a process up. Nothing is allocated and no thread is started before somebody needs it.</summary>
    public ComancheProcess(ComancheProcessOptions? options = null)
    {
        options ??= new ComancheProcessOptions();
        Log = options.Log;
        _clock = options.Clock;
        _reactorOptions = options.Reactor;
        _random = options.Seed is { } seed ? new Random((int)(seed ^ seed >> 32)) : null;
        Memory = new MemoryRegistry(options.Memory with { Log = options.Memory.Log ?? options.Log });
        Statistics = new ProcessStatistics();
    }

    /// <summary>The one memory registry.</summary>
    public MemoryRegistry Memory { get; }

    /// <summary>Where log lines go.</summary>
    public ILogSink Log { get; }

    /// <summary>The statistics of all devices, and the counters of all hosts, published as instruments of the meter <c>Comanche</c>.</summary>
    public ProcessStatistics Statistics { get; }

    /// <summary>The reactor on which components run that name none; it is started by the first who asks.</summary>
    public Reactor DefaultReactor
    {
        get
        {
            lock (_lock)
            {
                ObjectDisposedException.ThrowIf(_disposed, this);
                return _reactor ??= new Reactor(_reactorOptions, Log);
            }
        }
    }

    /// <summary>The default reactor, where somebody asked for it.</summary>
    public Reactor? StartedReactor
    {
        get
        {
            lock (_lock) return _reactor;
        }
    }

    /// <summary>Monotonic nanoseconds.</summary>
    public ulong GetTime() => _clock is null ? MonotonicClock.Now : _clock();

    /// <summary>Makes the host of one component.</summary>
    /// <param name="name">The component's name in the stack.</param>
    /// <param name="flags">What the stack asks of it.</param>
    /// <param name="reactor">The reactor that the stack file names for it; null for the default one.</param>
    public ComponentHost CreateHost(string name, HostFlags flags = HostFlags.None, IReactor? reactor = null) => new(this, name, flags, reactor);

    /// <summary>Puts an edge around a device: what is handed to a parent or to the application instead of the device itself.</summary>
    /// <param name="name">The device's name, the tag of its statistics.</param>
    /// <param name="component">The device, or a component that has one as a part. The edge retains it.</param>
    /// <param name="options">What the edge does.</param>
    public Edge CreateEdge(string name, IBase component, EdgeOptions options) => new(this, name, component, options);

    /// <summary>Stops the default reactor and gives the memory back. Every component is closed by then.</summary>
    public void Dispose()
    {
        Reactor? reactor;
        lock (_lock)
        {
            if (_disposed) return;
            _disposed = true;
            reactor = _reactor;
        }

        reactor?.Dispose();
        Statistics.Dispose();
        Memory.Dispose();
    }

    internal Func<ulong>? Clock => _clock;

    internal void FillRandom(Span<byte> buffer)
    {
        if (_random is null)
        {
            System.Security.Cryptography.RandomNumberGenerator.Fill(buffer);
            return;
        }

        lock (_random) _random.NextBytes(buffer);
    }
}

/// <summary>The machine's monotonic clock.</summary>
internal static class MonotonicClock
{
    // On Linux a tick of Stopwatch is a nanosecond (CLOCK_MONOTONIC); the other branch keeps us honest elsewhere.
    private static readonly bool TicksAreNanoseconds = Stopwatch.Frequency == 1_000_000_000;

    /// <summary>Nanoseconds since an arbitrary moment.</summary>
    public static ulong Now => TicksAreNanoseconds
        ? (ulong)Stopwatch.GetTimestamp()
        : (ulong)((UInt128)(ulong)Stopwatch.GetTimestamp() * 1_000_000_000 / (ulong)Stopwatch.Frequency);
}
