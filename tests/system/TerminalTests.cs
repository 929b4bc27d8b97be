using System.Text.RegularExpressions;
using Comanche.Testing;

namespace Comanche.System.Tests;

/// <summary>What a person sees at a terminal: lines that stand still and fit, and a terminal that is as it was when all is over.</summary>
public sealed partial class TerminalTests : IDisposable
{
    private const string CtrlC = "\x03";

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly TempFolder _folder = new();

    public TerminalTests()
    {
        Tools.Need("script", "bsdutils");
        _folder.Write("s.yaml", """
            devices:
              a-disk-with-a-name-that-is-longer-than-anybody-would-choose-0: { use: block/memory, size: 16MiB }
              a-disk-with-a-name-that-is-longer-than-anybody-would-choose-1: { use: block/pass, on: a-disk-with-a-name-that-is-longer-than-anybody-would-choose-0 }
              short: { use: block/null, size: 1TiB }
            """);
    }

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(40)]
    [InlineData(80)]
    [InlineData(120)]
    public void The_table_of_a_run_fits_is_aligned_and_is_gone_afterwards(int columns)
    {
        using var run = new TerminalProcess(columns, 24, _folder.Path, "run", "s.yaml");
        run.Expect(l => l.StartsWith("short ", StringComparison.Ordinal));
        Thread.Sleep(2500); // Two more frames.
        var lines = run.Screen.Lines;
        var heading = Array.FindIndex(lines, l => l.StartsWith("device ", StringComparison.Ordinal));
        var table = lines[heading..];
        Assert.Equal(5, table.Length); // Heading, three devices, the line of the cursor.
        Assert.Equal("", table[4]);
        if (columns >= 80)
        {
            // Each figure ends where its heading does.
            foreach (var word in new[] { "IOPS", "throughput", "latency", "errors" })
                Assert.All(table[1..4], l => Assert.Matches(@"[^ ] $", $"{l[..(table[0].IndexOf(word, StringComparison.Ordinal) + word.Length)]} "));
            Assert.All(table[1..4], l => Assert.EndsWith("  healthy", l));
            Assert.Equal(["0", "1"], table[1..3].Select(l => l.Split(' ')[0][^1..]).Order()); // Long names can be told apart.
        }

        run.Type(CtrlC);
        Assert.Equal(0, run.Wait());
        Assert.True(run.Screen.IsClean && run.Screen.IsCursorVisible);
        Assert.DoesNotContain(run.Screen.Lines, l => l.Contains("IOPS", StringComparison.Ordinal));
        Assert.EndsWith("stopped", run.Screen.Lines.Last(l => l.Length != 0));
    }

    [Fact]
    public void A_table_that_is_too_long_says_how_much_is_left_out()
    {
        _folder.Write("many.yaml", $"devices:\n{string.Concat(Enumerable.Range(1, 40).Select(i => $"  d{i}: {{ use: block/null, size: 1GiB }}\n"))}");
        using var run = new TerminalProcess(80, 12, _folder.Path, "run", "many.yaml");
        run.Expect(l => l == "… and 31 more");
        Thread.Sleep(1500);
        Assert.Single(run.Screen.Lines, l => l.StartsWith("device ", StringComparison.Ordinal));
        run.Type(CtrlC);
        Assert.Equal(0, run.Wait());
    }

    [Fact]
    public void What_is_logged_meanwhile_stands_above_the_table()
    {
        _folder.Write("chat.yaml", "devices:\n  ram: { use: block/memory, size: 16MiB }\nexports:\n  chat: { use: odd/chatterbox }\n");
        using var run = new TerminalProcess(80, 24, _folder.Path, "run", "chat.yaml", "--components", AppContext.BaseDirectory);
        var lines = run.Expect(l => l.Contains("chat: line 300", StringComparison.Ordinal));
        run.Type(CtrlC);
        Assert.Equal(0, run.Wait());
        var chat = lines.Select(l => ChatLine().Match(l)).Where(m => m.Success).Select(m => int.Parse(m.Groups[1].Value, global::System.Globalization.CultureInfo.InvariantCulture)).ToList();
        Assert.Equal(Enumerable.Range(chat[0], chat.Count), chat);
        Assert.Single(lines, l => l.StartsWith("device ", StringComparison.Ordinal));
        Assert.True(Array.FindIndex(lines, l => l.StartsWith("device ", StringComparison.Ordinal)) > Array.FindLastIndex(lines, l => l.Contains("chat: line", StringComparison.Ordinal)));
    }

    [Theory]
    [InlineData("TERM", "INT")]
    [InlineData("INT", "INT")]
    [InlineData("KILL", "")]
    public void Whatever_ends_it_the_cursor_can_be_seen(string first, string second)
    {
        using var run = new TerminalProcess(80, 24, _folder.Path, "run", "s.yaml");
        run.Expect(l => l.StartsWith("short ", StringComparison.Ordinal));
        var process = run.Screen.Lines.Select(l => Process().Match(l)).First(m => m.Success).Groups[1].Value;
        Cli.RunProgram("bash", _folder.Path, Patience, "-c", $"kill -s {first} {process}; {(second.Length == 0 ? "" : $"kill -s {second} {process}")}");
        run.Wait();
        Assert.True(run.Screen.IsCursorVisible);
    }

    [Theory]
    [InlineData(30)]
    [InlineData(80)]
    public void The_progress_of_a_bench_is_one_line_and_is_gone_afterwards(int columns)
    {
        using var bench = new TerminalProcess(columns, 24, _folder.Path, "bench", "s.yaml:short", "--runtime", "60");
        bench.Expect(l => l.StartsWith("short read ", StringComparison.Ordinal));
        Thread.Sleep(1000);
        Assert.Equal(2, bench.Screen.Lines.Length); // And the line of the cursor.
        Assert.Equal(0, bench.Screen.Wraps);
        bench.Type(CtrlC);
        Assert.Equal(0, bench.Wait());
        Assert.StartsWith("short: read, bs 4KiB", bench.Screen.Lines[0]);
        Assert.True(bench.Screen.IsClean && bench.Screen.IsCursorVisible);
        if (columns == 80) Assert.Equal(0, bench.Screen.Wraps); // Nor do the results.
    }

    [GeneratedRegex(@"chat: line (\d+)")]
    private static partial Regex ChatLine();

    [GeneratedRegex(@"runs, process (\d+)")]
    private static partial Regex Process();
}
