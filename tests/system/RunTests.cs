using System.Diagnostics;
using Comanche.Testing;

namespace Comanche.System.Tests;

/// <summary>A stack that is served until it is told to stop.</summary>
public sealed class RunTests : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly TempFolder _folder = new();

    public RunTests() => _folder.Write("s.yaml", "stack: ram\ndevices:\n  ram: { use: block/memory, size: 16MiB }\n  top: { use: block/pass, on: ram }\n");

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("TERM")]
    [InlineData("INT")]
    public void A_signal_ends_it_in_order_with_0(string signal)
    {
        using var run = Start();
        run.Expect("runs, process");
        run.Signal(signal);
        var result = run.Wait(Patience);
        Assert.Equal(0, result.ExitCode);
        Assert.EndsWith("ram: stopped\n", result.Error);
    }

    [Fact]
    public void A_full_disk_behind_the_log_ends_nothing()
    {
        _folder.Write("n.yaml", "devices:\n  ram: { use: block/memory, size: 16MiB }\nexports:\n  nbd: { use: network/nbd, on: ram, listen: \"unix:n.sock\" }\n");
        using var run = new CliProcess("bash", _folder.Path, "-c", $"exec {Cli.Executable} run n.yaml 2>/dev/full");
        var clock = Stopwatch.StartNew();
        while (!File.Exists(Path.Combine(_folder.Path, "n.sock"))) Assert.True(clock.Elapsed < Patience, "it does not serve");
        run.Signal("TERM");
        Assert.Equal(0, run.Wait(Patience).ExitCode);
    }

    [Fact]
    public void A_log_level_holds_for_every_line()
    {
        using var run = new CliProcess(Cli.Executable, _folder.Path, "run", "s.yaml", "--log", "error", "--interval", "1");
        var clock = Stopwatch.StartNew();
        while (clock.Elapsed < TimeSpan.FromSeconds(2)) Thread.Sleep(50);
        run.Signal("TERM");
        var result = run.Wait(Patience);
        Assert.Equal((0, ""), (result.ExitCode, result.Error));
    }

    [Fact]
    public void The_name_of_a_disk_and_of_every_folder_that_is_made_for_it_is_made_durable()
    {
        Tools.Need("strace", "strace");
        _folder.Write("f.yaml", "devices:\n  disk: { use: block/file, path: new/folder/disk.img, size: 1MiB }\n");
        var result = Cli.RunProgram("strace", _folder.Path, Patience, "-f", "-y", "-e", "trace=fsync", "-o", "trace", Cli.Executable, "bench", "f.yaml", "--runtime", "100ms");
        Assert.True(result.ExitCode == 0, result.Error);
        var trace = File.ReadAllText(Path.Combine(_folder.Path, "trace"));
        foreach (var folder in new[] { "", "/new", "/new/folder" }) Assert.Matches($@"fsync\(\d+<{_folder.Path}{folder}>\) += 0", trace);
    }

    [Fact]
    public void More_memory_than_the_machine_has_is_refused_in_one_message()
    {
        _folder.Write("m.yaml", "devices:\n  ram: { use: block/memory, size: 100TiB }\n");
        var result = Cli.Run(_folder.Path, "bench", "m.yaml", "--runtime", "100ms");
        Assert.Equal(1, result.ExitCode);
        Assert.Matches(@"^m\.yaml:2:3: error: ram: size: 100TiB is more than the .+ of memory that this machine has to spare\n$", result.Error);
    }

    [Fact]
    public void A_path_that_can_be_none_is_one_message_with_its_place()
    {
        _folder.Write("p.yaml", "devices:\n  disk: { use: block/file, path: \"a\\0b\", size: 1MiB }\n");
        var result = Cli.Run(_folder.Path, "check", "p.yaml");
        Assert.Equal((2, "p.yaml:2:34: error: path: holds a NUL character, which no path can\n"), (result.ExitCode, result.Error));
    }

    [Fact]
    public void A_second_run_of_the_same_file_is_refused_while_the_first_lives_and_not_afterwards()
    {
        using (var first = Start())
        {
            first.Expect("runs, process");
            var second = Cli.Run(_folder.Path, "run", "./s.yaml");
            Assert.Equal((1, $"comanche: ./s.yaml is in use by another process ({first.Id})\n"), (second.ExitCode, second.Error));
            first.Signal("KILL");
            first.Wait(Patience);
        }

        using var third = Start();
        third.Expect("runs, process");
    }

    [Fact]
    public void A_start_that_fails_is_one_line_with_its_place_and_1()
    {
        Assert.SkipUnless(Components.Has("block/file"), "block/file is not there");
        var result = Cli.Run(_folder.Path, "run", _folder.Write("bad.yaml", "devices:\n  disk: { use: block/file, path: /proc/nowhere/disk.img, size: 1MiB }\n"));
        Assert.Equal(1, result.ExitCode);
        Assert.StartsWith("bad.yaml:2:3: error: disk: ", result.Error);
        Assert.Single(result.Error.TrimEnd('\n').Split('\n'));
    }

    private CliProcess Start() => new(Cli.Executable, _folder.Path, "run", "s.yaml");
}
