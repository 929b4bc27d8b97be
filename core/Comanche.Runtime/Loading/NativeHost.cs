using System.Runtime.InteropServices.Marshalling;

namespace Comanche.Runtime.Loading;

/// <summary>
/// The host of a native component: passes everything on, and keeps the text of a failure for the call that is about to return. After the component
/// is closed it holds on to nothing, whatever the component may still hold of it. Any thread.
/// </summary>
[GeneratedComClass]
internal sealed unsafe partial class NativeHost(IHost host) : IHost
{
    private IHost? _host = host;

    private IHost Host => _host ?? throw new ComancheException("a component used its host after it was closed");

    /// <summary>The component is closed.</summary>
    public void Cut() => _host = null;

    public string GetName() => Host.GetName();

    public HostFlags GetFlags() => Host.GetFlags();

    public IZerocopyMemory GetMemory() => Host.GetMemory();

    public ulong GetTime() => Host.GetTime();

    public void FillRandom(void* buffer, nuint length) => Host.FillRandom(buffer, length);

    public void Log(LogLevel level, string message) => Host.Log(level, message ?? "");

    public ulong* AddCounter(string name, string unit, string description) => Host.AddCounter(name, unit, description);

    public void Wait(WaitSet* waitSet, long timeoutNs) => Host.Wait(waitSet, timeoutNs);

    public void Fail(string message)
    {
        Host.Fail(message ?? "");
        Failure.Set(message ?? "");
    }
}
