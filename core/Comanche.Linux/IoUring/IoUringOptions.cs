namespace Comanche.Linux;

/// <summary>How a ring is opened.</summary>
public readonly record struct IoUringOptions
{
    /// <summary>Submission entries, 1 to 32768; rounded up to a power of two. There are twice as many completion entries.</summary>
    public required uint Entries { get; init; }

    /// <summary>
    /// Whether only the opening thread will ever use it; then the kernel may leave completion work to that thread's own calls, which saves
    /// interrupts and locks.
    /// </summary>
    public bool SingleIssuer { get; init; }

    /// <summary>Whether a kernel thread fetches submissions (SQPOLL): no calls while it is awake, at the price of a core.</summary>
    public bool SubmissionPolling { get; init; }

    /// <summary>Milliseconds without work after which that kernel thread sleeps.</summary>
    public uint SubmissionPollingIdleMs { get; init; }

    /// <summary>Set-up flags that are not even tried, as if the kernel did not know them. For tests of the fall-backs.</summary>
    public uint WithoutFlags { get; init; }
}
