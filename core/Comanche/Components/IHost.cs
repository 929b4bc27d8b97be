using System.Runtime.InteropServices;
using System.Runtime.InteropServices.Marshalling;

namespace Comanche;

/// <summary>How much a log line matters.</summary>
public enum LogLevel
{
    /// <summary>For whoever looks into a problem.</summary>
    Debug = 0,

    /// <summary>What happened.</summary>
    Information = 1,

    /// <summary>Works, but not as asked, or not for long.</summary>
    Warning = 2,

    /// <summary>Something failed.</summary>
    Error = 3,
}

/// <summary>What the stack file and the command line ask of every component.</summary>
[Flags]
public enum HostFlags : uint
{
    /// <summary>Nothing special.</summary>
    None = 0,

    /// <summary>The component must not change its media: it opens them read-only, creates nothing, repairs nothing.</summary>
    ReadOnly = 1,
}

/// <summary>
/// What a component may use of the process around it: memory, clock, randomness, log, counters, and a way to wait.
/// One host is made for each component and is valid until that component is closed.
/// </summary>
/// <remarks>All methods may be called from any thread, and none of them on the data path except <see cref="GetTime"/>.</remarks>
[GeneratedComInterface(StringMarshalling = StringMarshalling.Utf8)]
[Guid("c0a4c4e0-0003-4b1e-9a51-6d6f6e746501")]
public unsafe partial interface IHost
{
    /// <summary>The component's name in its stack, for messages.</summary>
    string GetName();

    /// <summary>What the stack asks of the component.</summary>
    [PreserveSig]
    HostFlags GetFlags();

    /// <summary>The one memory registry of the process.</summary>
    IZerocopyMemory GetMemory();

    /// <summary>Monotonic time in nanoseconds since an arbitrary moment. A simulated run gives simulated time.</summary>
    [PreserveSig]
    ulong GetTime();

    /// <summary>Fills memory with random bytes, good enough for identifiers; seeded in a simulated run.</summary>
    [PreserveSig]
    void FillRandom(void* buffer, nuint length);

    /// <summary>Writes one line to the log. The component's name is added.</summary>
    void Log(LogLevel level, string message);

    /// <summary>
    /// Gives a counter: one 8-byte cell in native memory, alone on its cache line, that one thread at a time adds to with plain
    /// stores, and that the host reads and publishes. It lives as long as the process.
    /// </summary>
    /// <param name="name">Its name, like <c>io.retries</c>; asking twice for one name gives two cells that are added up.</param>
    /// <param name="unit">Its unit in UCUM spelling, like <c>By</c> or <c>{request}</c>.</param>
    /// <param name="description">What it counts, in a sentence.</param>
    [PreserveSig]
    ulong* AddCounter(string name, string unit, string description);

    /// <summary>
    /// Sleeps until one of the descriptors is readable or the time is up. For set-up code that drives a queue by itself;
    /// reactors have their own.
    /// </summary>
    /// <param name="waitSet">What a queue's <see cref="IIoQueue.Arm"/> put there.</param>
    /// <param name="timeoutNs">The longest time to sleep, in nanoseconds; 0 returns at once.</param>
    [PreserveSig]
    void Wait(WaitSet* waitSet, long timeoutNs);

    /// <summary>
    /// Leaves the text of an error behind for the calling thread, so that the failing HRESULT which the component returns next
    /// reaches people with that text. For components in other languages; managed ones throw.
    /// </summary>
    void Fail(string message);
}
