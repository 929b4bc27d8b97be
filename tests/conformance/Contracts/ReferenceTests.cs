using Comanche.Reference;
using Comanche.Testing;

namespace Comanche.Conformance.Tests.Contracts;

/// <summary>The pages of docs/reference are what the components say of themselves.</summary>
public sealed class ReferenceTests
{
    [Fact]
    public void The_reference_is_what_the_components_say()
    {
        var folder = Source.Path("docs/reference");
        var fresh = ReferenceWriter.Write(ReferenceWriter.OpenCatalog(AppContext.BaseDirectory));
        Assert.Contains("block.md", fresh.Keys);
        Assert.True(fresh.Keys.SequenceEqual(Directory.GetFiles(folder, "*.md").Select(f => Path.GetFileName(f)!).Order(StringComparer.Ordinal))
            && fresh.All(page => File.ReadAllText(Path.Combine(folder, page.Key)) == page.Value),
            "docs/reference is stale. Write it anew: dotnet run --project eng/reference -- docs/reference");
    }
}
