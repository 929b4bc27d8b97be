using Comanche.Runtime;

namespace Comanche.App;

/// <summary>The log as lines on standard error: time, level, component, text.</summary>
internal static class TextLog
{
    private static readonly Lock Gate = new();

    /// <summary>A sink for lines of at least a level.</summary>
    public static ILogSink Make(LogLevel minimum) => new LogSink(Write, minimum);

    /// <summary>Writes a line.</summary>
    public static void Write(LogLevel level, string source, string message)
    {
        var word = level switch { LogLevel.Debug => "debug", LogLevel.Information => "info", LogLevel.Warning => "warning", _ => "error" };
        lock (Gate) Console.Error.WriteLine($"{DateTime.Now:HH:mm:ss.fff} {word,-7} {source}: {message}");
    }
}
