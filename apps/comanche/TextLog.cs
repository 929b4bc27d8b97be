using System.Diagnostics;
using Comanche.Linux;
using Comanche.Runtime;
using Comanche.Runtime.Composition;

namespace Comanche.App;

/// <summary>The log as lines on standard error: time, level, component, text.</summary>
/// <remarks>
/// Whoever logs may be a thread that does I/O for others. So a line is only queued, and a thread of the log writes it, which may wait for a terminal that is held or a pipe that
/// nobody empties. What finds the queue full, or is not taken (the disk is full, the reader has gone), is lost and counted; the first line that goes through again
/// comes after one that says so.
/// </remarks>
internal static class TextLog
{
    // Some 100 KB of lines: seconds of a log that is read slowly.
    private const int MaxWaiting = 1024;

    private static readonly TimeSpan DrainPatience = TimeSpan.FromSeconds(1);

    private static readonly Queue<string> Waiting = new(); // Locked, as are the next four.
    private static bool s_isWriting;
    private static Thread? s_writer;
    private static ulong s_lost;
    private static string s_why = "";

    private static bool s_isTorn; // Writer's thread only: the line before was cut off.

    /// <summary>A sink for lines of at least a level.</summary>
    public static ILogSink Make(LogLevel minimum) => new LogSink(Write, minimum);

    /// <summary>Queues a line. Any thread; never waits, never throws.</summary>
    public static void Write(LogLevel level, string source, string message)
    {
        var line = Format(level, source, message);
        lock (Waiting)
        {
            if (Waiting.Count == MaxWaiting)
            {
                Lose("they came faster than they could be written");
                return;
            }

            Waiting.Enqueue(line);
            if (s_writer is null)
            {
                s_writer = new Thread(WriteAll) { Name = "log", IsBackground = true };
                s_writer.Start();
            }

            Monitor.PulseAll(Waiting);
        }
    }

    /// <summary>Writes whole lines that are no part of the log, after what was logged before. What can't be written is let go.</summary>
    public static void Say(string lines)
    {
        Drain();
        LiveLines.Above($"{Printable.Lines(lines)}\n", out _);
    }

    /// <summary>Waits until what is queued is written, or a second is over.</summary>
    public static void Drain()
    {
        var clock = Stopwatch.StartNew();
        lock (Waiting)
            while ((Waiting.Count != 0 || s_isWriting) && DrainPatience - clock.Elapsed is var left && left > TimeSpan.Zero)
                Monitor.Wait(Waiting, left);
    }

    private static void WriteAll()
    {
        while (true)
        {
            string line;
            ulong lost;
            string why;
            lock (Waiting)
            {
                s_isWriting = false;
                Monitor.PulseAll(Waiting);
                while (Waiting.Count == 0) Monitor.Wait(Waiting);
                line = Waiting.Dequeue();
                (lost, why) = (s_lost, s_why);
                s_isWriting = true;
            }

            if (lost != 0 && Put(Format(LogLevel.Warning, "log", $"{lost} line{(lost == 1 ? " was" : "s were")} lost: {why}")) == 0)
                lock (Waiting)
                    s_lost -= lost;
            var error = Put(line);
            if (error == 0) continue;
            lock (Waiting) Lose(Errno.Describe(error));
        }
    }

    private static int Put(string line)
    {
        var error = LiveLines.Above(s_isTorn ? $"\n{line}" : line, out var isTorn);
        if (error == 0 || isTorn) s_isTorn = isTorn;
        return error;
    }

    private static void Lose(string why)
    {
        s_lost++;
        s_why = why;
    }

    private static string Format(LogLevel level, string source, string message)
    {
        var word = level switch { LogLevel.Debug => "debug", LogLevel.Information => "info", LogLevel.Warning => "warning", _ => "error" };
        return $"{DateTime.Now:HH:mm:ss.fff} {word,-7} {Printable.Line(source)}: {Printable.Line(message)}\n";
    }
}
