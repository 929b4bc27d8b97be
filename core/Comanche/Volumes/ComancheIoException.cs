namespace Comanche;

/// <summary>An I/O of the application-side interface that did not succeed.</summary>
public sealed class ComancheIoException : IOException
{
    /// <summary>Makes an error of an outcome.</summary>
    /// <param name="message">What was asked, and where.</param>
    /// <param name="status">What came of it.</param>
    /// <param name="inner">What caused it, where that was no device's answer.</param>
    public ComancheIoException(string message, IoStatus status, Exception? inner = null) : base($"{message}: {status}", inner) => Status = status;

    /// <summary>What came of it. <see cref="IoStatusExtensions.IsRetryable"/> says whether the same call may succeed later.</summary>
    public IoStatus Status { get; }
}
