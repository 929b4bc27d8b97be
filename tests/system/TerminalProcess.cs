using System.Diagnostics;
using System.Text;

namespace Comanche.System.Tests;

/// <summary>A program on a terminal of its own; it is killed when the test is over.</summary>
internal sealed class TerminalProcess : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly Process _script;
    private readonly Task _reading;

    public TerminalProcess(int columns, int rows, string folder, params string[] arguments)
    {
        Screen = new Screen(columns, rows);
        var command = string.Join(' ', arguments.Prepend(Cli.Executable).Select(a => $"'{a}'"));
        var start = new ProcessStartInfo("script", ["-qefc", $"stty cols {columns} rows {rows}; exec {command}", "/dev/null"])
        {
            WorkingDirectory = folder, RedirectStandardOutput = true, RedirectStandardInput = true, StandardOutputEncoding = Encoding.UTF8,
        };
        start.Environment["TERM"] = "xterm";
        _script = Process.Start(start)!;
        _reading = Task.Run(Read);
    }

    /// <summary>What it shows.</summary>
    public Screen Screen { get; }

    /// <summary>Waits until a line is shown that a test is true of, and gives the lines of that moment.</summary>
    public string[] Expect(Func<string, bool> test)
    {
        var clock = Stopwatch.StartNew();
        while (true)
        {
            var lines = Screen.Lines;
            if (lines.Any(test)) return lines;
            Assert.True(clock.Elapsed < Patience && !_script.HasExited, $"is not shown:\n{string.Join('\n', lines)}");
            Thread.Sleep(10);
        }
    }

    /// <summary>Presses keys.</summary>
    public void Type(string keys)
    {
        _script.StandardInput.Write(keys);
        _script.StandardInput.Flush();
    }

    /// <summary>Waits for its end, and gives its exit code.</summary>
    public int Wait()
    {
        Assert.True(_script.WaitForExit(Patience), $"does not end:\n{string.Join('\n', Screen.Lines)}");
        _reading.Wait(TestContext.Current.CancellationToken);
        return _script.ExitCode;
    }

    public void Dispose()
    {
        if (!_script.HasExited) _script.Kill(entireProcessTree: true);
        _script.Dispose();
    }

    private void Read()
    {
        var buffer = new char[4096];
        for (int count; (count = _script.StandardOutput.Read(buffer, 0, buffer.Length)) != 0;) Screen.Write(new string(buffer, 0, count));
    }
}
