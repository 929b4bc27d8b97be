using System.Text.RegularExpressions;
using Comanche.Testing;

namespace Comanche.System.Tests;

/// <summary>A log that can't be written costs its lines, and nothing else.</summary>
public sealed partial class LogTests : IDisposable
{
    private const string Stack = """
        devices:
          ram: { use: block/memory, size: 16MiB }
        exports:
          nbd:  { use: network/nbd, on: ram, listen: "unix:s.sock" }
          chat: { use: odd/chatterbox }
        """;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly TempFolder _folder = new();

    public LogTests() => _folder.Write("s.yaml", Stack);

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_log_on_a_full_disk_does_not_end_what_is_served()
    {
        Tools.Need("nbdinfo", "libnbd-bin");
        using var run = Start("/dev/full");
        WaitForSocket();
        Thread.Sleep(200); // Dozens of lines that nobody takes.
        Assert.Equal(0, Cli.RunProgram("nbdinfo", _folder.Path, Patience, "nbd+unix:///?socket=s.sock").ExitCode);
        run.Signal("TERM");
        Assert.Equal(0, run.Wait(Patience).ExitCode);
    }

    [Fact]
    public async Task What_was_lost_is_counted_and_said_when_writing_works_again()
    {
        MakePipe();
        using var run = Start("log");
        var last = 0;
        using (var first = new StreamReader(OpenPipe()))
            while (last < 10)
                last = Math.Max(last, Number(await ReadLine(first)));
        await Task.Delay(200, TestContext.Current.CancellationToken);
        using var second = new StreamReader(OpenPipe());
        var lines = new List<string>();
        while (lines.Count == 0 || Number(lines[^1]) == 0) lines.Add(await ReadLine(second));
        var notice = Assert.Single(lines, l => l.Contains("lost", StringComparison.Ordinal));
        Assert.Matches(@"^\d\d:\d\d:\d\d\.\d{3} warning log: \d+ lines were lost: Broken pipe \(32\)$", notice);
        var lost = int.Parse(LostLines().Match(notice).Groups[1].Value, global::System.Globalization.CultureInfo.InvariantCulture);
        Assert.InRange(lost, 5, 1000);
        Assert.InRange(Number(lines[^1]), last + lost, last + lost + 100); // What lay in the pipe when its reader went was taken, and nobody knows.
        run.Signal("TERM");
        while (await second.ReadLineAsync(TestContext.Current.CancellationToken) is not null) { }
        Assert.Equal(0, run.Wait(Patience).ExitCode);
    }

    [Fact]
    public void A_reader_that_does_not_read_holds_nobody()
    {
        MakePipe();
        _folder.Write("s.yaml", Stack.Replace("odd/chatterbox", "odd/chatterbox, lines: 100", StringComparison.Ordinal));
        using var run = Start("log");
        using var pipe = OpenPipe();
        WaitForSocket();
        Thread.Sleep(500); // Ten thousand lines: more than the pipe holds, and the queue.
        run.Signal("TERM");
        Assert.Equal(0, run.Wait(Patience).ExitCode);
    }

    [Fact]
    public void A_line_of_the_log_is_one_line_and_obeyed_by_no_terminal()
    {
        using var run = new CliProcess(Cli.Executable, _folder.Path, "run", "s.yaml", "--components", AppContext.BaseDirectory);
        run.Expect("line 3");
        run.Signal("TERM");
        Assert.Contains(@" warning chat: line 1\u001b[31m\u000a" + '\n', run.Wait(Patience).Error);
    }

    private CliProcess Start(string log) =>
        new("bash", _folder.Path, "-c", "exec \"$0\" run s.yaml --components \"$1\" 2>\"$2\"", Cli.Executable, AppContext.BaseDirectory, log);

    private void MakePipe() => Assert.Equal(0, Cli.RunProgram("mkfifo", _folder.Path, Patience, "log").ExitCode);

    private FileStream OpenPipe() => new(Path.Combine(_folder.Path, "log"), FileMode.Open, FileAccess.Read, FileShare.ReadWrite, 1);

    private void WaitForSocket() => Assert.True(SpinWait.SpinUntil(() => File.Exists(Path.Combine(_folder.Path, "s.sock")), Patience));

    private static async Task<string> ReadLine(StreamReader from)
    {
        var line = await from.ReadLineAsync(TestContext.Current.CancellationToken).AsTask().WaitAsync(Patience, TestContext.Current.CancellationToken);
        Assert.NotNull(line);
        return line;
    }

    private static int Number(string line) =>
        ChatLine().Match(line) is { Success: true } match ? int.Parse(match.Groups[1].Value, global::System.Globalization.CultureInfo.InvariantCulture) : 0;

    [GeneratedRegex(@"chat: line (\d+)")]
    private static partial Regex ChatLine();

    [GeneratedRegex(@"(\d+) lines were lost")]
    private static partial Regex LostLines();
}
