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

    [Fact]
    public void Probing_opens_what_is_there()
    {
        var result = Cli.Run(_folder.Path, "check", "--probe", _folder.Write("s.yaml", "devices:\n  a: { use: block/memory, size: 1MiB }\n  b: { use: block/pass, on: a }\n"));
        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        Assert.Contains("b: 1MiB, 512 B blocks", result.Output);
    }
}
