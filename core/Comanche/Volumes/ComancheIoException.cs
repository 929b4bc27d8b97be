namespace Comanche;

/// <summary>An I/O of the application-side interface that did not succeed.</summary>
public sealed class ComancheIoException : IOException
{
    /// <summary>Makes an error of an outcome.</summary>
    /// <param name="message">What was asked, and where.</param>
    /// <param name="status">What came of it.</param>
    public ComancheIoException(string message, IoStatus status) : base($"{message}: {status}") => Status = status;

    /// <summary>What came of it. <see cref="IoStatusExtensions.IsRetryable"/> says whether the same call may succeed later.</summary>
    public IoStatus Status { get; }
}
