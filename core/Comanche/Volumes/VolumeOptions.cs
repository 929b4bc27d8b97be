namespace Comanche;

/// <summary>How a <see cref="Volume"/> is opened.</summary>
public sealed record VolumeOptions
{
    /// <summary>The depth of its queue, 1 to <see cref="QueueOptions.MaxDepth"/>.</summary>
    public int Depth { get; init; } = 128;

    /// <summary>The most calls in progress, 1 to 65536; further ones wait, without blocking a thread.</summary>
    public int MaxRequests { get; init; } = 256;

    /// <summary>
    /// Bytes of a bounce buffer, rounded up to whole blocks. Memory that is not in a <see cref="DmaBuffer"/>, and blocks that are not
    /// read or written whole, go through these; with the default, one is as long as what most devices transfer at once.
    /// </summary>
    public int BounceBytes { get; init; } = 128 * 1024;

    /// <summary>How many bounce buffers there are, at least 1. The default makes 4 MiB of DMA memory a volume.</summary>
    public int BounceBuffers { get; init; } = 32;

    /// <summary>
    /// Whether continuations run on the reactor's thread rather than on the thread pool. Saves the way between threads; what they do delays every I/O of that reactor,
    /// and one that blocks stops it. What one throws is reported by the reactor, as of posted work.
    /// </summary>
    public bool InlineContinuations { get; init; }

    /// <summary>The host that counts copied bytes under <c>volume.copied</c>; null for none.</summary>
    public IHost? Host { get; init; }
}
