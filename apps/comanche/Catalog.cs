using System.CommandLine;
using System.Text.Json;
using Comanche.Runtime.Composition;
using Comanche.Runtime.Loading;

namespace Comanche.App;

/// <summary>Where the commands get components and stacks from.</summary>
internal static class Catalog
{
    /// <summary>More folders of components.</summary>
    public static readonly Option<string[]> Folders = new("--components")
    {
        Description = "Another folder of components (.dll, .so); may be given more than once, and COMANCHE_COMPONENTS lists more of them",
        HelpName = "DIR", Recursive = true, DefaultValueFactory = _ => [],
    };

    /// <summary>The components beside the program, and those of the folders that were asked for.</summary>
    public static ComponentCatalog Open(ParseResult result)
    {
        var catalog = new ComponentCatalog();
        var own = Path.Combine(AppContext.BaseDirectory, "components");
        if (Directory.Exists(own)) catalog.AddFolder(own, Native);
        var environment = Environment.GetEnvironmentVariable("COMANCHE_COMPONENTS")?.Split(':', StringSplitOptions.RemoveEmptyEntries) ?? [];
        foreach (var folder in environment.Concat(result.GetValue(Folders) ?? []))
        {
            if (!Directory.Exists(folder)) throw new BadInputException($"comanche: {folder}: there is no such folder of components");
            catalog.AddFolder(folder, Native);
        }

        foreach (var problem in catalog.Problems) TextLog.Say($"warning: {problem}");
        return catalog;
    }

    /// <summary>Reads and checks a stack file; its problems go to standard error. Throws where it can't be composed.</summary>
    public static CheckedStack Check(string file, ComponentCatalog catalog) => Check(file, catalog, out _);

    /// <summary>The same, and the text that was read.</summary>
    public static CheckedStack Check(string file, ComponentCatalog catalog, out string text)
    {
        StackFile stack;
        try
        {
            stack = StackFile.Load(file, out text);
        }
        catch (ComancheException e)
        {
            throw new BadInputException(e.Message);
        }

        var result = StackChecker.Check(stack, catalog);
        var lines = string.Join(Environment.NewLine, result.Problems);
        if (!result.IsGood) throw new BadInputException(lines);
        if (lines.Length != 0) TextLog.Say(lines);
        return result;
    }

    /// <summary>A stack of devices that another process shares; of the only one where none is named.</summary>
    public static CheckedStack CheckAttached(string socket, IReadOnlyList<string> devices, ComponentCatalog catalog)
    {
        var text = "devices:\n" + string.Concat((devices.Count == 0 ? [""] : devices).Select((device, i) =>
            $"  {JsonSerializer.Serialize(IsName(device) ? device : $"attached{i}")}: {{ use: thread/attach, socket: {JsonSerializer.Serialize(socket)}, device: {JsonSerializer.Serialize(device)} }}\n"));
        var result = StackChecker.Check(StackFile.Parse(socket, text), catalog);
        if (!result.IsGood) throw new BadInputException($"comanche: --attach {Printable.Line(socket)}: {result.Problems[0].Text}");
        return result;
    }

    private static bool IsName(string text) => text.Length != 0 && text.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.');

    /// <summary>How native libraries are opened.</summary>
    public static INativeLoader Native { get; } = new NativeLoader();
}
