using System.Runtime.InteropServices;
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

/// <summary>
/// The text that goes with a failing HRESULT of a component in another language: left behind by <see cref="IHost.Fail"/> for the calling thread,
/// taken by whoever made the call.
/// </summary>
public static class Failure
{
    [ThreadStatic] private static string? t_text;

    /// <summary>Leaves a text for this thread.</summary>
    public static void Set(string message) => t_text = message;

    /// <summary>Takes the text of this thread, or null.</summary>
    public static string? Take()
    {
        var text = t_text;
        t_text = null;
        return text;
    }

    /// <summary>
    /// Makes a call into a component and turns what it throws into an exception for people: a <see cref="ComancheException"/> stays as it is, a failed HRESULT gets the
    /// text that the component left behind.
    /// </summary>
    /// <param name="component">The component's name, for the message.</param>
    /// <param name="call">The call.</param>
    public static T Guard<T>(string component, Func<T> call)
    {
        t_text = null;
        try
        {
            return call();
        }
        catch (Exception e) when (e is not ComancheException)
        {
            throw Explain(component, e);
        }
    }

    /// <inheritdoc cref="Guard{T}"/>
    public static void Guard(string component, Action call) => Guard(component, () =>
    {
        call();
        return 0;
    });

    /// <summary>The exception for people that an exception of a component stands for.</summary>
    public static ComancheException Explain(string component, Exception exception)
    {
        var text = Take();
        if (exception is ComancheException known) return known;
        if (text is not null) return new ComancheException(text.StartsWith(component, StringComparison.Ordinal) ? text : $"{component}: {text}", exception);
        var what = exception is COMException ? $"failed with HRESULT 0x{(uint)exception.HResult:x8}" : exception.Message;
        return new ComancheException($"{component}: {what}", exception);
    }
}
