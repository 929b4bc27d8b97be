namespace Comanche.System.Tests;

/// <summary>Bad stack files, as a user sees them: one line each on standard error, nothing on standard output, exit code 2.</summary>
public sealed class CheckTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("unknown component", "devices:\n  a: { use: block/memry, size: 1MiB }\n", "s.yaml:2:13: error: unknown component 'block/memry'; did you mean 'block/memory'?")]
    [InlineData("unknown option", "devices:\n  a: { use: block/memory, siez: 1MiB, size: 1MiB }\n", "s.yaml:2:27: error: block/memory has no option 'siez'; did you mean 'size'?")]
    [InlineData("cycle", "devices:\n  a: { use: block/pass, on: b }\n  b: { use: block/pass, on: a }\n", "s.yaml:2:29: error: cycle: a → b → a")]
    [InlineData("missing device", "devices:\n  disk: { use: block/memory, size: 1MiB }\n  a: { use: block/pass, on: disc }\n", "s.yaml:3:29: error: there is no device 'disc'; did you mean 'disk'?")]
    [InlineData("wrong size", "devices:\n  a: { use: block/memory, size: 1000 }\n", "s.yaml:2:33: error: size: 1000 is not a multiple of the block size, 512")]
    [InlineData("overlapping use", "devices:\n  a: { use: block/memory, size: 1MiB }\n  b: { use: block/pass, on: a }\n  c: { use: block/pass, on: a }\n", "s.yaml:4:29: error: overlapping use: 'a' is already used by 'b', at line 3")]
    [InlineData("wrong interface", "devices:\n  a: { use: odd/thing }\n  b: { use: block/pass, on: a }\n", "s.yaml:3:29: error: block/pass needs a block device here; 'a' (odd/thing) is none")]
    [InlineData("missing option", "devices:\n  a: { use: block/memory }\n", "s.yaml:2:3: error: block/memory needs the option 'size': Length of the volume; all of it is allocated and locked at start")]
    public void A_bad_stack_gives_one_line_with_its_place_and_ends_with_2(string kind, string stack, string expected)
    {
        foreach (var command in new[] { "check", "run", "bench" })
        {
            var result = Cli.Run(_folder.Path, command, _folder.Write("s.yaml", stack), "--components", AppContext.BaseDirectory);
            Assert.Equal((expected + "\n", "", 2, kind), (result.Error, result.Output, result.ExitCode, kind));
        }
    }

    [Fact]
    public void A_good_stack_is_drawn_and_ends_with_0()
    {
        var result = Cli.Run(_folder.Path, "check", _folder.Write("s.yaml", "stack: two\ndevices:\n  a: { use: block/memory, size: 1MiB }\n  b: { use: block/pass, on: a }\n"));
        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        Assert.Equal("two\n└── b  block/pass  1MiB, 512 B blocks\n    └── a  block/memory  1MiB, 512 B blocks\n", result.Output);
    }

    [Fact]
    public void Layers_that_are_shared_are_drawn_once()
    {
        const int Levels = 20;
        var devices = string.Concat(Enumerable.Range(1, Levels).Select(i =>
            $"  a{i}: {{ use: block/pass, on: m{i - 1}, readonly: true }}\n  m{i}: {{ use: raid/stripe, on: [a{i}, b{i}], readonly: true }}\n  b{i}: {{ use: block/pass, on: m{i - 1}, readonly: true }}\n"));
        var result = Cli.Run(_folder.Path, "check", _folder.Write("s.yaml", $"devices:\n  m0: {{ use: block/memory, size: 64MiB, readonly: true }}\n{devices}"));
        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        var lines = result.Output.TrimEnd().Split('\n');
        Assert.Equal(2 + 4 * Levels, lines.Length); // The name, the top, and a line for each binding.
        Assert.Equal(Levels - 1, lines.Count(l => l.EndsWith("  (see above)", StringComparison.Ordinal)));
    }

    [Fact]
    public void What_is_foreign_in_a_stack_can_do_nothing_to_a_terminal()
    {
        var result = Cli.Run(_folder.Path, "check", _folder.Write("s.yaml", "stack: \"\\e[2J\\u202Ered\"\ndevices:\n  a: { use: block/null }\n"));
        Assert.StartsWith(@"\u001b[2J\u202ered", result.Output);
    }

    [Theory]
    [InlineData("quickstart")]
    [InlineData("file")]
    [InlineData("null")]
    [InlineData("layers")]
    [InlineData("memory")]
    public void The_stacks_that_come_with_it_are_good(string name)
    {
        var result = Cli.Run(_folder.Path, "check", Path.Combine(Cli.Root, "stacks", $"{name}.yaml"));
        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        Assert.Empty(Directory.EnumerateFileSystemEntries(_folder.Path)); // Checking opens and makes nothing.
    }

    [Fact]
    public void A_file_that_is_not_there_or_no_file_or_no_text_is_one_line_and_2()
    {
        Assert.Equal("gone.yaml: there is no such file\n", Bad("gone.yaml"));
        Assert.Single(Bad(".").TrimEnd('\n').Split('\n'));
        File.WriteAllBytes(Path.Combine(_folder.Path, "noise.yaml"), [.. Enumerable.Range(0, 4096).Select(i => (byte)(i * 37 % 251))]);
        Assert.StartsWith("noise.yaml:1:", Bad("noise.yaml"));

        string Bad(string file)
        {
            var result = Cli.Run(_folder.Path, "check", file);
            Assert.Equal(2, result.ExitCode);
            Assert.DoesNotContain("   at ", result.Error);
            return result.Error;
        }
    }

    [Theory]
    [InlineData("\"$0\" check /dev/zero", 2, "/dev/zero: is neither a file nor a pipe; a stack file was expected\n")]
    [InlineData("\"$0\" check /dev/null", 2, "/dev/null: is neither a file nor a pipe; a stack file was expected\n")]
    [InlineData("yes 2>/dev/null | \"$0\" check /dev/stdin", 2, "/dev/stdin: larger than 1MiB, which no stack file is\n")]
    [InlineData("\"$0\" check /dev/stdin </dev/zero", 2, "/dev/stdin: larger than 1MiB, which no stack file is\n")]
    [InlineData("\"$0\" check /dev/stdin <s.yaml", 0, "")]
    [InlineData("cat s.yaml | \"$0\" check /dev/stdin", 0, "")]
    [InlineData("\"$0\" check <(cat s.yaml)", 0, "")]
    [InlineData("\"$0\" bench <(cat s.yaml) --size 1m", 0, "")]
    public void A_stack_may_come_from_a_pipe_but_not_from_a_device(string command, int code, string error)
    {
        _folder.Write("s.yaml", "devices:\n  a: { use: block/null }\n");
        var result = Cli.RunProgram("bash", _folder.Path, TimeSpan.FromSeconds(30), "-c", command, Cli.Executable);
        Assert.Equal((code, error), (result.ExitCode, result.Error));
    }

    [Fact]
    public void Probing_opens_what_is_there()
    {
        var result = Cli.Run(_folder.Path, "check", "--probe", _folder.Write("s.yaml", "devices:\n  a: { use: block/memory, size: 1MiB }\n  b: { use: block/pass, on: a }\n"));
        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        Assert.Contains("b: 1MiB, 512 B blocks", result.Output);
    }

    [Fact]
    public void Probing_says_what_a_run_would_make_and_makes_none_of_it()
    {
        WriteProbed("create: true");
        Assert.Equal((0, "", "disk0: would be made: disk0.img is not there yet\ndisk1: would be made: disk1.img is not there yet\n"
            + "stripe: would be made, with what it stands on\nvolume: would be made, with what it stands on\n"), Probe());
        Assert.Single(Directory.EnumerateFileSystemEntries(_folder.Path));
        MakeDisk("disk0.img", null);
        MakeDisk("disk1.img", null);
        Assert.Equal((0, "", "disk0: 16MiB, 512 B blocks, read-only\ndisk1: 16MiB, 512 B blocks, read-only\n"
            + "stripe: would be made: what it stands on is blank\nvolume: would be made, with what it stands on\n"), Probe());
        Assert.All(Directory.GetFiles(_folder.Path, "*.img"), f => Assert.DoesNotContain(File.ReadAllBytes(f), b => b != 0));
    }

    [Fact]
    public void What_is_blank_and_must_not_be_made_is_a_mistake_to_a_probe()
    {
        WriteProbed("create: false");
        MakeDisk("disk0.img", null);
        MakeDisk("disk1.img", null);
        var (code, error, output) = Probe();
        Assert.Equal(2, code);
        Assert.StartsWith("s.yaml:4:3: error: stripe: ", error);
        Assert.EndsWith("volume: not probed: what it stands on is not as it should be\n", output);
    }

    [Fact]
    public void Media_that_hold_something_else_would_not_be_made()
    {
        WriteProbed("create: true");
        MakeDisk("disk0.img", null);
        MakeDisk("disk1.img", 4096);
        var (code, error, _) = Probe();
        Assert.Equal(2, code);
        Assert.StartsWith("s.yaml:4:3: error: stripe: ", error);
    }

    [Fact]
    public void A_file_that_is_too_short_would_be_extended()
    {
        _folder.Write("s.yaml", "devices:\n  disk: { use: block/file, path: disk0.img, size: 64MiB }\n  top: { use: block/pass, on: disk }\n");
        MakeDisk("disk0.img", 100);
        Assert.Equal((0, "", "disk: would be extended: disk0.img is 16MiB long, and 64MiB are asked for\ntop: not probed: what it stands on is not there yet\n"), Probe());
    }

    private void WriteProbed(string create) => _folder.Write("s.yaml", $$"""
        devices:
          disk0:  { use: block/file, path: disk0.img, size: 16MiB }
          disk1:  { use: block/file, path: disk1.img, size: 16MiB }
          stripe: { use: raid/stripe, on: [disk0, disk1], {{create}} }
          volume: { use: partition/gpt, on: stripe, partition: 1, create: true }
        """);

    private void MakeDisk(string name, int? dataAt)
    {
        using var file = File.Create(Path.Combine(_folder.Path, name));
        file.SetLength(16 << 20);
        if (dataAt is not { } at) return;
        file.Position = at;
        file.WriteByte(1);
    }

    // What comes after the drawing.
    private (int Code, string Error, string Output) Probe()
    {
        var result = Cli.Run(_folder.Path, "check", "--probe", "s.yaml");
        return (result.ExitCode, result.Error, string.Concat(result.Output.Split('\n').Where(l => l.Contains(": ")).Select(l => $"{l}\n")));
    }
}
