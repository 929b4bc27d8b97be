using System.Runtime.InteropServices.Marshalling;
using Comanche.Linux;

namespace Comanche.Runtime;

/// <summary>What one component may use of its process. Any thread.</summary>
[GeneratedComClass]
public sealed unsafe partial class ComponentHost : IHost, IReactorHost
{
    private readonly ComancheProcess _process;
    private readonly IReactor? _reactor;

    internal ComponentHost(ComancheProcess process, string name, HostFlags flags, IReactor? reactor)
    {
        _process = process;
        Name = name;
        Flags = flags;
        _reactor = reactor;
    }

    /// <summary>The component's name in its stack.</summary>
    public string Name { get; }

    /// <summary>What the stack asks of the component.</summary>
    public HostFlags Flags { get; }

    /// <inheritdoc/>
    public IReactor GetReactor() => _reactor ?? _process.DefaultReactor;

    /// <inheritdoc/>
    public string GetName() => Name;

    /// <inheritdoc/>
    public HostFlags GetFlags() => Flags;

    /// <inheritdoc/>
    public IZerocopyMemory GetMemory() => _process.Memory;

    /// <inheritdoc/>
    public ulong GetTime() => _process.GetTime();

    /// <inheritdoc/>
    public void FillRandom(void* buffer, nuint length)
    {
        for (nuint done = 0; done < length; done += int.MaxValue)
            _process.FillRandom(new Span<byte>((byte*)buffer + done, (int)nuint.Min(length - done, int.MaxValue)));
    }

    /// <inheritdoc/>
    public void Log(LogLevel level, string message) => _process.Log.Write(level, Name, message);

    /// <inheritdoc/>
    public ulong* AddCounter(string name, string unit, string description) => _process.Statistics.AddCounter(Name, name, unit, description);

    /// <inheritdoc/>
    public void Wait(WaitSet* waitSet, long timeoutNs)
    {
        // Nothing that could end an endless sleep: look again in a millisecond rather than hang.
        if (waitSet->Count == 0 && timeoutNs == WaitSet.Forever) timeoutNs = 1_000_000;
        Poll.Wait(waitSet, timeoutNs);
    }

    /// <inheritdoc/>
    public void Fail(string message) => Failure.Set(message);
}
