namespace Comanche.Runtime;

/// <summary>Where log lines go. Any thread calls it.</summary>
public interface ILogSink
{
    /// <summary>Takes one line.</summary>
    /// <param name="level">How much it matters.</param>
    /// <param name="source">The component or part of the runtime that speaks.</param>
    /// <param name="message">The line, without a line end.</param>
    void Write(LogLevel level, string source, string message);
}

/// <summary>Log sinks from functions.</summary>
/// <param name="write">What takes a line; called from any thread.</param>
/// <param name="minimum">Lines below this level are dropped.</param>
public sealed class LogSink(Action<LogLevel, string, string> write, LogLevel minimum = LogLevel.Debug) : ILogSink
{
    /// <summary>Drops everything.</summary>
    public static ILogSink None { get; } = new LogSink((_, _, _) => { });

    /// <inheritdoc/>
    public void Write(LogLevel level, string source, string message)
    {
        if (level < minimum) return;
        try
        {
            write(level, source, message);
        }
        catch (Exception)
        {
            // There is nobody left to tell, and whoever logs (a reactor, a component that fails) must go on.
        }
    }
}
