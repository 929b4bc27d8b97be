namespace Comanche.Runtime;

/// <summary>What an edge does.</summary>
public sealed record EdgeOptions
{
    /// <summary>Whether this is the top of a stack: what an application or an export uses. There the contract is checked and I/O is counted.</summary>
    public bool Entry { get; init; }

    /// <summary>Whether every change is refused; also counts where it is not the top.</summary>
    public bool ReadOnly { get; init; }

    /// <summary>Whether it can be made to lead to another device while queues are open on it; it costs a nanosecond or two for each call.</summary>
    public bool Changeable { get; init; }

    /// <summary>At the top: whether the latency of each I/O is measured. It costs two reads of the clock a batch.</summary>
    public bool Latency { get; init; } = true;

    /// <summary>Whether the time and the descriptors that this layer takes are measured (<c>--layers</c>).</summary>
    public bool Layers { get; init; }

    /// <summary>Between layers: whether the layer above and the one below are held to the contract. On in debug builds.</summary>
    public bool Check { get; init; } = IsDebugBuild;

    /// <summary>Takes what <see cref="Check"/> finds; null for an error in the log.</summary>
    public Action<string>? OnViolation { get; init; }

    private const bool IsDebugBuild =
#if DEBUG
        true;
#else
        false;
#endif
}
