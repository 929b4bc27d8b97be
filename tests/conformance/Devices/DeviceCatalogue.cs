using System.Reflection;

namespace Comanche.Conformance.Tests;

/// <summary>Everything that the suite runs against: found, never listed.</summary>
public static class DeviceCatalogue
{
    private static readonly SortedDictionary<string, IConformanceRecipe> Recipes = Find();

    /// <summary>The names, for theories.</summary>
    public static TheoryData<string> Names => [.. Recipes.Keys];

    /// <summary>The recipe of a name.</summary>
    public static IConformanceRecipe Get(string name) => Recipes[name];

    /// <summary>The component classes that are block devices, of all assemblies of components beside the tests.</summary>
    public static IEnumerable<(string Id, Type Type)> Components() =>
        from path in Directory.EnumerateFiles(AppContext.BaseDirectory, "Comanche.*.dll").Order(StringComparer.Ordinal)
        where !Path.GetFileName(path).Contains("Tests", StringComparison.Ordinal)
        from type in Assembly.Load(Path.GetFileNameWithoutExtension(path)).GetExportedTypes()
        where !type.IsAbstract && typeof(IBlockDevice).IsAssignableFrom(type)
        let component = type.GetCustomAttribute<ComponentAttribute>()
        where component is not null
        select (component.Id, type);

    private static SortedDictionary<string, IConformanceRecipe> Find()
    {
        var found = new SortedDictionary<string, IConformanceRecipe>(StringComparer.Ordinal);
        foreach (var type in typeof(DeviceCatalogue).Assembly.GetTypes())
        {
            if (!typeof(IConformanceRecipe).IsAssignableFrom(type) || type.IsAbstract || type.GetConstructor([]) is null) continue;
            var recipe = (IConformanceRecipe)Activator.CreateInstance(type)!;
            found.Add(recipe.Name, recipe);
        }

        // A recipe whose name is the component's id stands in for the default one; others come on top.
        foreach (var (id, type) in Components())
            if (!found.ContainsKey(id))
                found.Add(id, new DefaultRecipe(type, id));
        return found;
    }
}
