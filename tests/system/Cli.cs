using System.Diagnostics;
using System.Reflection;
using System.Text;

namespace Comanche.System.Tests;

/// <summary>What a command line left behind.</summary>
internal sealed record CliResult(int ExitCode, string Output, string Error);

/// <summary>Runs the command line as its users do: as a process.</summary>
internal static class Cli
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    /// <summary>The executable that was built with these tests.</summary>
    public static string Executable { get; } = Metadata("ComancheExecutable");

    /// <summary>The root of the repository.</summary>
    public static string Root { get; } = Metadata("RepositoryRoot");

    /// <summary>Runs a command to its end.</summary>
    public static CliResult Run(string folder, params string[] arguments) => RunProgram(Executable, folder, Patience, arguments);

    /// <summary>Runs a program to its end; one that takes too long is killed, and the test fails.</summary>
    public static CliResult RunProgram(string program, string folder, TimeSpan patience, params string[] arguments)
    {
        using var running = new CliProcess(program, folder, arguments);
        return running.Wait(patience);
    }

    private static string Metadata(string key) =>
        typeof(Cli).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(a => a.Key == key).Value!;
}

/// <summary>A program that runs; it is killed when the test is over.</summary>
internal sealed class CliProcess : IDisposable
{
    private readonly Process _process;
    private readonly StringBuilder _output = new();
    private readonly StringBuilder _error = new();

    public CliProcess(string program, string folder, params string[] arguments)
    {
        var start = new ProcessStartInfo(program)
        {
            WorkingDirectory = folder, RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true,
        };
        foreach (var argument in arguments) start.ArgumentList.Add(argument);
        start.Environment["TERM"] = "dumb";
        _process = Process.Start(start)!;
        _process.OutputDataReceived += (_, e) => Append(_output, e.Data);
        _process.ErrorDataReceived += (_, e) => Append(_error, e.Data);
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
    }

    public int Id => _process.Id;

    public string Error
    {
        get
        {
            lock (_error) return _error.ToString();
        }
    }

    /// <summary>Waits until standard error holds a text.</summary>
    public void Expect(string text)
    {
        var clock = Stopwatch.StartNew();
        while (!Error.Contains(text, StringComparison.Ordinal))
        {
            Assert.False(_process.HasExited, $"ended with {(_process.HasExited ? _process.ExitCode : 0)} before it said '{text}': {Error}");
            Assert.True(clock.Elapsed < TimeSpan.FromSeconds(30), $"did not say '{text}': {Error}");
            Thread.Sleep(10);
        }
    }

    /// <summary>Sends a signal by its name, like TERM.</summary>
    public void Signal(string name)
    {
        using var kill = Process.Start("kill", ["-s", name, Id.ToString(global::System.Globalization.CultureInfo.InvariantCulture)]);
        kill.WaitForExit();
    }

    /// <summary>Waits for its end.</summary>
    public CliResult Wait(TimeSpan patience)
    {
        _process.StandardInput.Close();
        if (!_process.WaitForExit(patience))
        {
            _process.Kill(entireProcessTree: true);
            Assert.Fail($"took longer than {patience.TotalSeconds} s; standard error: {Error}");
        }

        _process.WaitForExit(); // Also for the last lines.
        lock (_output) return new CliResult(_process.ExitCode, _output.ToString(), Error);
    }

    public void Dispose()
    {
        if (!_process.HasExited) _process.Kill(entireProcessTree: true);
        _process.Dispose();
    }

    private static void Append(StringBuilder to, string? line)
    {
        if (line is null) return;
        lock (to) to.Append(line).Append('\n');
    }
}

/// <summary>A folder of its own for a test, deleted afterwards.</summary>
internal sealed class TempFolder : IDisposable
{
    public TempFolder() => Path = Directory.CreateTempSubdirectory("comanche-test-").FullName;

    public string Path { get; }

    /// <summary>Writes a file in it and gives its name.</summary>
    public string Write(string name, string text)
    {
        File.WriteAllText(global::System.IO.Path.Combine(Path, name), text);
        return name;
    }

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
