using System.Text.RegularExpressions;

namespace Comanche.Tidy.Tests;

/// <summary>The shape of the house: who may stand on whom, and where things are.</summary>
public sealed partial class LayoutTests
{
    private const int MaxLines = 600;

    [Fact]
    public void The_solution_lists_every_project()
    {
        var solution = Tree.Read("Comanche.slnx");
        var projects = Tree.Files("", "*.csproj").Where(p => !p.Contains("/templates/")).ToList();
        Assert.NotEmpty(projects);
        Assert.Equal([], projects.Where(p => !solution.Contains($"\"{p}\"")));
    }

    [Fact]
    public void Dependencies_run_one_way()
    {
        // What the projects of a folder may reference, by folder.
        (string Folder, string[] May)[] rules =
        [
            ("core/Comanche/", []),
            ("core/Comanche.Linux/", ["core/Comanche/"]),
            ("core/Comanche.Runtime/", ["core/Comanche/", "core/Comanche.Linux/"]),
            ("components/", ["core/Comanche/", "core/Comanche.Linux/"]),
            ("apps/", ["core/", "components/*"]),
        ];
        var wrong = new List<string>();
        foreach (var project in Tree.Files("", "*.csproj"))
        {
            var rule = rules.FirstOrDefault(r => project.StartsWith(r.Folder, StringComparison.Ordinal));
            if (rule.Folder is null) continue;
            foreach (Match match in Reference().Matches(Tree.Read(project)))
            {
                var target = Resolve(project, match.Groups[1].Value);
                var wildcard = rule.May.Contains("components/*") && target.StartsWith("components/*", StringComparison.Ordinal);
                if (!wildcard && !rule.May.Any(m => target.StartsWith(m, StringComparison.Ordinal))) wrong.Add($"{project} references {target}");
            }
        }

        Assert.Equal([], wrong);
    }

    [Fact]
    public void System_calls_stand_in_Comanche_Linux_only()
    {
        var wrong = Tree.Files("core", "*.cs").Concat(Tree.Files("components", "*.cs")).Concat(Tree.Files("apps", "*.cs"))
            .Where(f => !f.StartsWith("core/Comanche.Linux/", StringComparison.Ordinal))
            .Where(f => Tree.Read(f) is var text && (text.Contains("[LibraryImport(") || text.Contains("[DllImport(")))
            // The one function that a native component library exports.
            .Where(f => !f.StartsWith("core/Comanche.Runtime/Loading/", StringComparison.Ordinal));
        Assert.Equal([], wrong);
    }

    [Fact]
    public void No_source_file_is_longer_than_600_lines() =>
        Assert.Equal([], Sources().Select(f => (File: f, Tree.Lines(f).Length)).Where(f => f.Length > MaxLines).Select(f => $"{f.File}: {f.Length} lines"));

    [Fact]
    public void Nothing_is_left_unfinished()
    {
        string[] words = ["NotImplemented" + "Exception", "TO" + "DO", "FIX" + "ME", "HA" + "CK", "#reg" + "ion"];
        var found = from file in Sources()
                    from line in Tree.Lines(file).Index()
                    from word in words
                    where Regex.IsMatch(line.Item, $@"(?<!\w){Regex.Escape(word)}(?!\w)")
                    select $"{file}:{line.Index + 1}: {word}";
        Assert.Equal([], found);
    }

    [Fact]
    public void Links_in_the_documentation_lead_somewhere()
    {
        var dead = new List<string>();
        foreach (var page in Tree.Files("", "*.md"))
        {
            foreach (Match match in Link().Matches(Tree.Read(page)))
            {
                var target = match.Groups[1].Value.Split('#')[0];
                if (target.Length == 0 || target.Contains("://", StringComparison.Ordinal)) continue;
                var path = Path.Combine(Tree.Root, Path.GetDirectoryName(page)!, target);
                if (!File.Exists(path) && !Directory.Exists(path)) dead.Add($"{page}: {target}");
            }
        }

        Assert.Equal([], dead);
    }

    [Fact]
    public void The_data_path_makes_none_of_the_banned_calls()
    {
        // A file that holds a queue is data path: no async, no LINQ, no clock but the host's, no sleeping.
        string[] banned = ["await ", "Task.Run", "using System.Linq", ".ToList()", ".ToArray()", "DateTime.", "Random.Shared", "Thread.Sleep", "stackalloc"];
        var found = from file in Tree.Files("core/Comanche/Block", "*Queue.cs").Concat(Tree.Files("components", "*Queue*.cs"))
                    from line in Tree.Lines(file).Index()
                    from call in banned
                    where line.Item.Contains(call, StringComparison.Ordinal)
                    select $"{file}:{line.Index + 1}: {call}";
        Assert.Equal([], found);
    }

    [Fact]
    public void Component_ids_and_identities_are_given_once()
    {
        var components = (from file in Tree.Files("components", "*.cs").Concat(Tree.Files("examples", "*.cs"))
                          from Match match in ComponentId().Matches(Tree.Read(file))
                          select (File: file, Id: match.Groups[1].Value, Uuid: match.Groups[2].Value)).ToList();
        Assert.NotEmpty(components);
        Assert.Equal(components.Count, components.Select(c => c.Id).Distinct().Count());
        Assert.Equal(components.Count, components.Select(c => Guid.Parse(c.Uuid)).Distinct().Count());

        // One word is the folder and the first half of the id; the second half is the component's own folder.
        var lost = components.Where(c => c.File.StartsWith("components/", StringComparison.Ordinal))
            .Where(c => !c.File.StartsWith($"components/{c.Id}/", StringComparison.Ordinal));
        Assert.Equal([], lost.Select(c => $"{c.Id} is in {c.File}"));
    }

    private static IEnumerable<string> Sources() =>
        new[] { "core", "components", "apps", "tests", "bench", "examples", "eng", "native" }
            .SelectMany(f => new[] { "*.cs", "*.c", "*.cpp", "*.hpp" }.SelectMany(p => Tree.Files(f, p)));

    private static string Resolve(string project, string reference)
    {
        var path = Path.Combine("/", Path.GetDirectoryName(project)!, reference.Replace('\\', '/'));
        return Path.GetFullPath(path)[1..];
    }

    [GeneratedRegex("""<ProjectReference\s+Include="([^"]+)"(?![^>]*ReferenceOutputAssembly="false")""")]
    private static partial Regex Reference();

    [GeneratedRegex(@"\]\(([^)\s]+)\)")]
    private static partial Regex Link();

    [GeneratedRegex("\\[Component\\(\\s*\"([^\"]+)\",\\s*\"([^\"]+)\"")]
    private static partial Regex ComponentId();
}
