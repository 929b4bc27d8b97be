namespace Comanche;

/// <summary>
/// A mistake in set-up, or media that are not as expected: the message says what, where and what was expected, in words for
/// the person who runs the stack. What happens to an I/O is never an exception but a status.
/// </summary>
public sealed class ComancheException : Exception
{
    /// <summary>Makes an error of this text.</summary>
    public ComancheException(string message) : base(message) { }

    /// <summary>Makes an error of this text with what caused it.</summary>
    public ComancheException(string message, Exception? inner) : base(message, inner) { }

    /// <summary>Makes an error of this text that comes of an I/O's outcome.</summary>
    public ComancheException(string message, IoStatus status) : base(message) => Status = status;

    /// <summary>The status of the I/O that failed, or <see cref="IoStatus.Success"/> where no I/O was at fault.</summary>
    public IoStatus Status { get; }
}
