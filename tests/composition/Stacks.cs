using Comanche.Runtime.Composition;
using Comanche.Runtime.Loading;

namespace Comanche.Composition.Tests;

/// <summary>Checks texts against the components of these tests.</summary>
internal static class Stacks
{
    public static ComponentCatalog Catalog { get; } = MakeCatalog();

    public static CheckedStack Check(string text) => StackChecker.Check(StackFile.Parse("s.yaml", text), Catalog);

    /// <summary>The problems, one line each.</summary>
    public static string[] Problems(string text) => [.. Check(text).Problems.Select(p => p.ToString())];

    private static ComponentCatalog MakeCatalog()
    {
        var catalog = new ComponentCatalog();
        catalog.AddAssembly(typeof(Stacks).Assembly.Location);
        Assert.Empty(catalog.Problems);
        return catalog;
    }
}
