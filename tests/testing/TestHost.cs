using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Runtime.InteropServices.Marshalling;

namespace Comanche.Testing;

/// <summary>
/// A host for tests: ordinary memory, real or hand-driven time, seeded randomness, a log that can be read.
/// </summary>
[GeneratedComClass]
public sealed unsafe partial class TestHost(string name = "test", ulong seed = 1) : IHost, IReactorHost
{
    private readonly Random _random = new((int)seed);
    private readonly Dictionary<string, nint> _counters = [];

    /// <summary>The memory that components get; one for all hosts of a test if it is shared.</summary>
    public TestMemory Memory { get; init; } = new();

    /// <summary>The registry of a process, where components are to get that instead of <see cref="Memory"/>.</summary>
    public IZerocopyMemory? Registry { get; init; }

    /// <summary>The reactor that components get; without one they are refused.</summary>
    public IReactor? Reactor { get; init; }

    /// <summary>Makes the reactor where one is asked for and <see cref="Reactor"/> is null.</summary>
    public Func<IReactor>? ReactorSource { get; init; }

    /// <summary>What the component is asked.</summary>
    public HostFlags Flags { get; init; }

    /// <summary>Null for real time, otherwise the time in nanoseconds.</summary>
    public ulong? ManualTime { get; set; }

    /// <summary>What was logged.</summary>
    public List<(LogLevel Level, string Message)> Lines { get; } = [];

    /// <summary>The last text of <see cref="Fail"/>.</summary>
    public string? Failure { get; private set; }

    /// <summary>The value of a counter, 0 where there is none.</summary>
    public ulong Counter(string counter) => _counters.TryGetValue(counter, out var cell) ? *(ulong*)cell : 0;

    /// <inheritdoc/>
    public string GetName() => name;

    /// <inheritdoc/>
    public HostFlags GetFlags() => Flags;

    /// <inheritdoc/>
    public IReactor GetReactor() => Reactor ?? ReactorSource?.Invoke() ?? throw new ComancheException($"{name}: the test gave no reactor");

    /// <inheritdoc/>
    public IZerocopyMemory GetMemory() => Registry ?? Memory;

    /// <inheritdoc/>
    public ulong GetTime() => ManualTime ?? (ulong)(Stopwatch.GetTimestamp() * (1_000_000_000L / Stopwatch.Frequency));

    /// <inheritdoc/>
    public void FillRandom(void* buffer, nuint length)
    {
        lock (_random) _random.NextBytes(new Span<byte>(buffer, (int)length));
    }

    /// <inheritdoc/>
    public void Log(LogLevel level, string message)
    {
        lock (Lines) Lines.Add((level, message));
    }

    /// <inheritdoc/>
    public ulong* AddCounter(string counter, string unit, string description)
    {
        lock (_counters)
        {
            if (!_counters.TryGetValue(counter, out var cell))
            {
                cell = (nint)NativeMemory.AlignedAlloc(64, 64);
                NativeMemory.Clear((void*)cell, 64);
                _counters.Add(counter, cell);
            }

            return (ulong*)cell;
        }
    }

    /// <inheritdoc/>
    public void Wait(WaitSet* waitSet, long timeoutNs)
    {
        if (ManualTime is { } now && timeoutNs != WaitSet.Forever) ManualTime = now + (ulong)timeoutNs;
        else Thread.Sleep(timeoutNs < 1_000_000 ? 0 : 1);
    }

    /// <inheritdoc/>
    public void Fail(string message) => Failure = message;
}
