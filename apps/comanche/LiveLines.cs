using System.Runtime.InteropServices;

namespace Comanche.App;

/// <summary>
/// Lines at the end of a terminal that are drawn anew where they stand; what is said meanwhile on standard error goes above them. Any thread.
/// </summary>
/// <remarks>
/// A frame is one write: every line over the old one and the rest of it erased, so that nothing flickers. The cursor rests, visible, on the line below:
/// whatever ends the process, or stops it for a while, the terminal is as it should be.
/// </remarks>
internal sealed class LiveLines : IDisposable
{
    private static readonly Lock Gate = new();
    private static LiveLines? s_shown; // Under the gate.

    private readonly int _descriptor;
    private readonly PosixSignalRegistration _continued;
    private List<string> _lines = []; // Under the gate; as they were drawn.

    /// <summary>Takes the end of a terminal.</summary>
    /// <param name="descriptor">Standard output or standard error, which is one.</param>
    public LiveLines(int descriptor)
    {
        _descriptor = descriptor;
        _continued = PosixSignalRegistration.Create(PosixSignal.SIGCONT, _ => Forget());
        lock (Gate) s_shown = this;
    }

    /// <summary>How many columns a line has. The last one is left free: what follows a full line is one thing on this terminal and another on that.</summary>
    public static int Columns => Math.Max(1, Console.WindowWidth - 1);

    /// <summary>How many lines there can be. One is the cursor's.</summary>
    public static int Rows => Math.Max(0, Console.WindowHeight - 1);

    private string Frame => string.Concat(_lines.Select(l => $"{l}\e[K\n"));

    /// <summary>Writes text on standard error, above the lines where both are on a terminal; answers as <see cref="RawOutput.Write"/>.</summary>
    public static int Above(string text, out bool isTorn)
    {
        lock (Gate)
        {
            var over = s_shown is { _lines.Count: > 0 } shown && !Console.IsErrorRedirected ? shown : null;
            return RawOutput.Write(RawOutput.StandardError, over is null ? text : $"{over.Back()}\e[J{text}{over.Frame}", out isTorn);
        }
    }

    /// <summary>Draws these lines instead of those before. What is too wide is cut, what is too many is left out.</summary>
    public void Draw(IEnumerable<string> lines)
    {
        lock (Gate)
        {
            var back = Back();
            _lines = [.. lines.Take(Rows).Select(l => l[..Math.Min(l.Length, Columns)])];
            RawOutput.Write(_descriptor, $"{back}{Frame}\e[J", out _);
        }
    }

    /// <summary>Erases the lines.</summary>
    public void Dispose()
    {
        _continued.Dispose();
        lock (Gate)
        {
            s_shown = null;
            if (_lines.Count != 0) RawOutput.Write(_descriptor, $"{Back()}\e[J", out _);
            _lines = [];
        }
    }

    // While the process was stopped (Ctrl+Z) a shell wrote below them: they are left to it.
    private void Forget()
    {
        lock (Gate) _lines = [];
    }

    // To the start of the first line. On a terminal that became narrower since, each takes as many rows as it needs now.
    private string Back()
    {
        var width = Math.Max(1, Console.WindowWidth);
        var rows = _lines.Sum(l => Math.Max(1, (l.Length + width - 1) / width));
        return rows == 0 ? "\r" : $"\r\e[{rows}A";
    }
}
