using Comanche.Runtime;

namespace Comanche.Core.Tests;

/// <summary>A log that can be read.</summary>
internal sealed class ListSink : ILogSink
{
    private readonly List<(LogLevel Level, string Source, string Message)> _lines = [];

    public IReadOnlyList<(LogLevel Level, string Source, string Message)> Lines
    {
        get
        {
            lock (_lines) return [.. _lines];
        }
    }

    public void Write(LogLevel level, string source, string message)
    {
        lock (_lines) _lines.Add((level, source, message));
    }
}
