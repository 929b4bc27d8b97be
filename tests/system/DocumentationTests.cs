using System.Net;
using System.Net.Sockets;
using System.Text.RegularExpressions;
using Comanche.Testing;

namespace Comanche.System.Tests;

/// <summary>
/// What README and guides tell a reader to type works as it stands there, from top to bottom, in a folder that looks like a clone in which the program was built.
/// </summary>
/// <remarks>
/// A yaml block that begins with a comment naming a file is that file. A sh block runs whole and must end with 0; one that holds <c>./comanche run</c> holds nothing else, and
/// serves until the page ends or runs another. Ports of the pages are replaced by free ones.
/// </remarks>
public sealed partial class DocumentationTests : IDisposable
{
    private const string Run = "./comanche run ";

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(120);

    private readonly TempFolder _folder = new();
    private CliProcess? _server;

    public DocumentationTests()
    {
        Directory.CreateDirectory(Path.Combine(_folder.Path, "run"));
        File.CreateSymbolicLink(Path.Combine(_folder.Path, "comanche"), Cli.Executable);
        foreach (var name in new[] { "stacks", "examples", "native", "core" }) Directory.CreateSymbolicLink(Path.Combine(_folder.Path, name), Path.Combine(Cli.Root, name));
        foreach (var name in new[] { "Directory.Build.props", "Directory.Packages.props", "global.json", ".editorconfig" }) File.CreateSymbolicLink(Path.Combine(_folder.Path, name), Path.Combine(Cli.Root, name));
    }

    // A reader has one stack running; so has each page, which finds only its own.
    private string Alone => $"export XDG_RUNTIME_DIR='{_folder.Path}/run'\n";

    public static TheoryData<string> Pages =>
        [.. Directory.GetFiles(Path.Combine(Cli.Root, "docs", "guide"), "*.md").Select(f => Path.GetRelativePath(Cli.Root, f)).Append("README.md").Order(StringComparer.Ordinal)];

    public void Dispose()
    {
        _server?.Dispose();
        _folder.Dispose();
    }

    [Theory]
    [MemberData(nameof(Pages))]
    public void What_a_page_says_can_be_typed(string page)
    {
        foreach (var (tool, package) in new[] { ("nbdinfo", "libnbd-bin"), ("qemu-img", "qemu-utils"), ("fio", "fio"), ("c++", "g++"), ("openssl", "openssl") }) Tools.Need(tool, package);
        foreach (var (language, text) in Blocks(page))
        {
            if (language == "yaml") Save(page, text);
            else if (language == "sh") Execute(page, text);
        }

        StopServer(page);
    }

    [Fact]
    public void The_README_shows_the_quickstart_stack_as_it_is()
    {
        var stack = File.ReadAllLines(Path.Combine(Cli.Root, "stacks", "quickstart.yaml")).Where(l => !l.StartsWith('#'));
        Assert.Contains($"```yaml\n{string.Join('\n', stack)}\n```", File.ReadAllText(Path.Combine(Cli.Root, "README.md")), StringComparison.Ordinal);
    }

    private static IEnumerable<(string Language, string Text)> Blocks(string page)
    {
        var text = File.ReadAllText(Path.Combine(Cli.Root, page));
        var ports = Port().Matches(text).Select(m => m.Value).Distinct().ToDictionary(p => p, _ => FreePort());
        foreach (Match block in Block().Matches(text)) yield return (block.Groups[1].Value, Port().Replace(block.Groups[2].Value, m => ports[m.Value]));
    }

    private void Save(string page, string text)
    {
        if (FileName().Match(text) is { Success: true } name) _folder.Write(name.Groups[1].Value, text);
        else Assert.True(page == "README.md", $"{page}: a yaml block begins with the name of its file:\n{text}");
    }

    private void Execute(string page, string text)
    {
        // The one command that would run this very test.
        var lines = text.Split('\n').Where(l => l.Length != 0 && !l.StartsWith("./test ", StringComparison.Ordinal)).ToList();
        if (!text.Contains(Run, StringComparison.Ordinal))
        {
            var result = Cli.RunProgram("bash", _folder.Path, Patience, "-euo", "pipefail", "-c", Alone + text);
            Assert.True(result.ExitCode == 0, $"{page}: {text}\nended with {result.ExitCode}:\n{result.Output}{result.Error}");
            return;
        }

        Assert.True(lines.Count == 1 && lines[0].StartsWith(Run, StringComparison.Ordinal), $"{page}: a block that serves a stack does nothing else:\n{text}");
        StopServer(page);
        _server = new CliProcess("bash", _folder.Path, "-c", $"{Alone}exec {lines[0]}");
        _server.Expect("runs, process");
    }

    private void StopServer(string page)
    {
        if (_server is null) return;
        _server.Signal("TERM");
        var result = _server.Wait(Patience);
        Assert.True(result.ExitCode == 0, $"{page}: the served stack ended with {result.ExitCode}:\n{result.Error}");
        _server.Dispose();
        _server = null;
    }

    private static string FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port.ToString(global::System.Globalization.CultureInfo.InvariantCulture);
    }

    [GeneratedRegex("^```(\\w+)\n(.*?)^```", RegexOptions.Singleline | RegexOptions.Multiline)]
    private static partial Regex Block();

    [GeneratedRegex(@"\A# (\S+\.yaml)\n")]
    private static partial Regex FileName();

    [GeneratedRegex(@"\b108\d\d\b")]
    private static partial Regex Port();
}
