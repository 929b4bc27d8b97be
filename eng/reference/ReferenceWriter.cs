using System.Text;
using Comanche.Runtime.Loading;

namespace Comanche.Reference;

/// <summary>Makes the pages of docs/reference from what the components say of themselves: the same words that <c>comanche describe</c> prints.</summary>
public static class ReferenceWriter
{
    /// <summary>The components of the rows' assemblies in a folder; others that lie there (tests, examples) are left out.</summary>
    public static ComponentCatalog OpenCatalog(string folder)
    {
        var catalog = new ComponentCatalog();
        foreach (var path in Directory.EnumerateFiles(folder, "Comanche.*.dll").Order(StringComparer.Ordinal))
        {
            // Row "block" is the assembly Comanche.Block: one word.
            var row = Path.GetFileNameWithoutExtension(path)["Comanche.".Length..].ToLowerInvariant();
            var found = new ComponentCatalog();
            found.AddAssembly(path);
            if (found.Kinds.Any(k => k.Row == row)) catalog.AddAssembly(path);
        }

        return catalog;
    }

    /// <summary>The pages: file name to text.</summary>
    public static IReadOnlyDictionary<string, string> Write(ComponentCatalog catalog)
    {
        var rows = catalog.Kinds.Select(k => k.Description).GroupBy(d => d.Row).ToList();
        var pages = new SortedDictionary<string, string>(StringComparer.Ordinal) { ["README.md"] = Index(rows) };
        foreach (var row in rows) pages.Add($"{row.Key}.md", Page(row.Key, row));
        return pages;
    }

    private static string Index(IEnumerable<IGrouping<string, ComponentDescription>> rows)
    {
        var text = new StringBuilder("""
            # Reference

            Written by `dotnet run --project eng/reference -- docs/reference` from what the components say of themselves, as `comanche describe` prints it.

            | component | what it is |
            |---|---|

            """);
        foreach (var component in rows.SelectMany(r => r))
            text.Append($"| [{component.Id}]({component.Row}.md#{Anchor(component.Id)}) | {Cell(component.Summary)} |\n");
        text.Append("""

            ## What every device takes

            | key | value | what it does |
            |---|---|---|
            | `use` | id; required | The component |
            | `on` | name or list of names | What it stands on, where it stands on something |
            | `readonly` | bool; default `false` | Its media are opened read-only, nothing is created or repaired, and every change is refused |
            | `reactor` | name | The thread, of those under `reactors:`, on which its own work runs |

            Sizes are written `4KiB`, `1GiB`; durations `250us`, `10s`; secrets only by reference, `env:NAME` or `file:PATH`.

            """);
        return text.ToString();
    }

    private static string Page(string row, IEnumerable<ComponentDescription> components)
    {
        var text = new StringBuilder($"# {row}\n");
        foreach (var component in components)
        {
            text.Append($"\n## {component.Id}\n\n{component.Summary}.\n\n");
            text.Append($"* interfaces: {(component.Interfaces.Count == 0 ? "none, it is an export" : string.Join(", ", component.Interfaces.Select(i => $"`{i.Name}`")))}\n");
            foreach (var binding in component.Bindings) text.Append($"* `{binding.Key}:` {binding.CountText} × `{binding.Interface.Name}`\n");
            text.Append($"* UUID: `{component.Uuid}`\n");
            AppendOptions(text, component.Options);
        }

        return text.ToString();
    }

    private static void AppendOptions(StringBuilder text, IReadOnlyList<OptionDescription> options)
    {
        if (options.Count == 0)
        {
            text.Append("\nIt has no options of its own.\n");
            return;
        }

        text.Append("\n| option | value | what it does |\n|---|---|---|\n");
        AppendRows(text, options, "");
    }

    private static void AppendRows(StringBuilder text, IReadOnlyList<OptionDescription> options, string prefix)
    {
        foreach (var option in options)
        {
            var facts = new List<string> { Cell(option.TypeName) };
            if (option.RangeText.Length != 0) facts.Add(Cell(option.RangeText));
            facts.Add(option.Required ? "required" : option.Default is { } value ? $"default: {Cell(value)}" : "optional");
            text.Append($"| `{prefix}{option.Name}` | {string.Join("; ", facts)} | {Cell(option.Summary)} |\n");
            AppendRows(text, option.Options, $"{prefix}{option.Name}.");
        }
    }

    private static string Cell(string text) => text.Replace("|", "\\|", StringComparison.Ordinal);

    // How a heading becomes an anchor: lower case, without what is no letter, digit or hyphen.
    private static string Anchor(string heading) => string.Concat(heading.ToLowerInvariant().Where(c => char.IsAsciiLetterOrDigit(c) || c == '-'));
}
