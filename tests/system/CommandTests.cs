using System.Text.Json.Nodes;
using Comanche.Testing;

namespace Comanche.System.Tests;

/// <summary>What the commands print, and how they end.</summary>
public sealed class CommandTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Components_lists_row_id_interfaces_and_summary()
    {
        var lines = Good("components").Split('\n');
        Assert.Contains(lines, l => l.StartsWith("block ", StringComparison.Ordinal) && l.Contains("block/memory") && l.Contains("IBlockDevice") && l.EndsWith("gone when the process ends", StringComparison.Ordinal));
        Assert.All(Good("components", "block").TrimEnd('\n').Split('\n'), l => Assert.StartsWith("block ", l));
        var json = JsonNode.Parse(Good("components", "--json"))!.AsArray();
        Assert.Contains(json, c => (string?)c!["id"] == "block/null");
        Assert.Equal(json.Count, json.Select(c => (string?)c!["uuid"]).Distinct().Count());
    }

    [Fact]
    public void Components_of_another_folder_are_found()
    {
        Assert.DoesNotContain("odd/thing", Good("components"));
        Assert.Contains("odd/thing", Good("components", "--components", AppContext.BaseDirectory));
    }

    [Fact]
    public void Describe_says_every_option_with_type_default_and_range()
    {
        var text = Good("describe", "block/memory");
        Assert.Contains("size  (size; 512 or more; required)", text);
        Assert.Contains("block-size  (size; 512 to 64KiB; default: 512)", text);
        var result = Cli.Run(_folder.Path, "describe", "block/memroy");
        Assert.Equal((2, "comanche: unknown component 'block/memroy'; did you mean 'block/memory'?\n"), (result.ExitCode, result.Error));
    }

    [Fact]
    public void Every_component_that_is_listed_can_be_described()
    {
        foreach (var component in JsonNode.Parse(Good("components", "--json"))!.AsArray())
            Assert.Contains((string)component!["summary"]!, Good("describe", (string)component["id"]!));
    }

    [Fact]
    public void The_schema_is_JSON_and_knows_every_component()
    {
        var schema = Good("schema");
        Assert.NotNull(JsonNode.Parse(schema)!["properties"]!["devices"]);
        foreach (var component in JsonNode.Parse(Good("components", "--json"))!.AsArray()) Assert.Contains($"\"{component!["id"]}\"", schema);
    }

    [Fact]
    public void Every_command_has_help_with_examples()
    {
        foreach (var command in new[] { "run", "check", "bench", "components", "describe", "schema", "doctor", "completion" })
        {
            var help = Good(command, "--help");
            Assert.Contains("Examples:\n  ", help);
            Assert.Contains($"comanche {command}", help);
        }

        Assert.Contains("Examples:", Good("--help"));
        Assert.Matches(@"^\d+\.\d+\.\d+", Good("--version"));
    }

    [Fact]
    public void A_mistyped_command_or_option_is_2_with_the_nearest_name()
    {
        var command = Cli.Run(_folder.Path, "chekc", "x");
        Assert.Equal(2, command.ExitCode);
        Assert.Contains("did you mean 'check'?", command.Error);
        var option = Cli.Run(_folder.Path, "bench", "x.yaml", "--iodpeth", "3");
        Assert.Equal(2, option.ExitCode);
        Assert.Contains("did you mean '--iodepth'?", option.Error);
        Assert.Equal(2, Cli.Run(_folder.Path, "bench", "x.yaml", "--iodepth", "0").ExitCode);
        Assert.Equal(2, Cli.Run(_folder.Path, "bench", "x.yaml", "--bs", "4q").ExitCode);
        Assert.Equal(2, Cli.Run(_folder.Path).ExitCode);
    }

    [Fact]
    public void Doctor_names_every_facility_and_ends_with_0()
    {
        var text = Good("doctor");
        foreach (var facility in new[] { "io_uring", "huge pages", "lockable memory", "FUSE", "IOMMU", "VFIO" }) Assert.Contains(facility, text);
    }

    [Fact]
    public void Bash_completes_commands_files_and_components()
    {
        Tools.Need("bash", "bash");
        Assert.Contains("COMPREPLY", Good("completion", "bash"));
        _folder.Write("stack.yaml", "");
        Assert.Equal("check", Complete("comanche che"));
        Assert.Equal("stack.yaml", Complete("comanche check st"));
        Assert.Equal("block/memory", Complete("comanche describe block/mem"));
        Assert.Equal("--iodepth", Complete("comanche bench stack.yaml --iod"));

        string Complete(string line)
        {
            var words = line.Split(' ');
            var script = $"""
                source <({Cli.Executable} completion bash)
                COMP_WORDS=({Cli.Executable} {string.Join(' ', words[1..])}); COMP_CWORD={words.Length - 1}; COMP_LINE='{line}'; COMP_POINT={line.Length}
                _comanche; echo "$COMPREPLY"
                """;
            return Cli.RunProgram("bash", _folder.Path, TimeSpan.FromSeconds(30), "--norc", "-c", script).Output.TrimEnd('\n');
        }
    }

    [Theory]
    [InlineData("zsh", "#compdef comanche")]
    [InlineData("fish", "complete -c comanche")]
    public void Other_shells_have_a_script(string shell, string expected) => Assert.Contains(expected, Good("completion", shell));

    [Fact]
    public void The_script_works_from_any_folder_and_passes_arguments_on_unharmed()
    {
        var name = _folder.Write("my stack's $file.yaml", "devices:\n  a: { use: block/null }\n");
        var result = Cli.RunProgram(Path.Combine(Cli.Root, "comanche"), _folder.Path, TimeSpan.FromMinutes(5), "check", name);
        Assert.Equal(0, result.ExitCode);
        Assert.Contains("a  block/null", result.Output);
    }

    [Theory]
    [InlineData("runn", "comanche: there is no command 'runn'; did you mean 'run'?")]
    [InlineData("run --nosuch x.yaml", "comanche: there is no option '--nosuch'")]
    [InlineData("components --jsn", "comanche: there is no option '--jsn'; did you mean '--json'?")]
    [InlineData("check --version", "comanche: there is no option '--version'")]
    [InlineData("bench x.yaml --verify --runtime 1", "comanche: '--runtime' stands where a value was expected")]
    [InlineData("bench x.yaml --iodepth x", "comanche: --iodepth: a whole number was expected, not 'x'")]
    [InlineData("bench x.yaml --runtime 0", "comanche: --runtime: more than 0 was expected")]
    public void A_mistake_on_the_command_line_is_one_message(string line, string message)
    {
        using var folder = new TempFolder();
        var result = Cli.Run(folder.Path, line.Split(' '));
        Assert.Equal((2, message), (result.ExitCode, result.Error.Split('\n')[0]));
        Assert.Equal(2, result.Error.TrimEnd().Split('\n').Length); // The other line points to the help.
    }

    private string Good(params string[] arguments)
    {
        var result = Cli.Run(_folder.Path, arguments);
        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        return result.Output;
    }
}
