using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;
using Comanche.Block;
using Comanche.Runtime.Composition;
using Comanche.Runtime.Loading;

namespace Comanche.Network.Tests;

public sealed partial class GuideTests
{
    [Fact]
    public void The_stacks_of_the_guide_pass_the_check()
    {
        var catalog = new ComponentCatalog();
        catalog.AddAssembly(typeof(MemoryDevice).Assembly.Location);
        catalog.AddAssembly(typeof(NbdExport).Assembly.Location);
        var stacks = Yaml().Matches(File.ReadAllText(Guide()));
        Assert.Equal(3, stacks.Count);
        foreach (Match match in stacks)
        {
            var problems = StackChecker.Check(StackFile.Parse("guide.yaml", match.Groups[1].Value), catalog).Problems;
            Assert.Equal([], problems.Select(p => p.ToString()).Where(p => !p.Contains("pki/"))); // Certificates are the reader's.
        }
    }

    private static string Guide([CallerFilePath] string here = "") => Path.Combine(Path.GetDirectoryName(here)!, "..", "..", "docs", "guide", "nbd.md");

    [GeneratedRegex("```yaml\n(.*?)```", RegexOptions.Singleline)]
    private static partial Regex Yaml();
}
