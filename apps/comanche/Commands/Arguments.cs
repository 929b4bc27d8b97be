using System.CommandLine;
using System.CommandLine.Completions;

namespace Comanche.App.Commands;

/// <summary>Arguments that several commands take.</summary>
internal static class Arguments
{
    /// <summary>A stack file; completes the YAML files and folders under what is typed.</summary>
    public static Argument<string> StackFile(string name = "FILE", string description = "The stack file", bool isOptional = false)
    {
        var argument = new Argument<string>(name) { Description = description, HelpName = name };
        if (isOptional) argument.Arity = ArgumentArity.ZeroOrOne;
        argument.CompletionSources.Add(Files);
        return argument;
    }

    private static IEnumerable<CompletionItem> Files(CompletionContext context)
    {
        var typed = context.WordToComplete;
        var folder = Path.GetDirectoryName(typed) ?? "";
        var full = folder.Length == 0 ? "." : folder;
        if (!Directory.Exists(full)) yield break;
        foreach (var entry in Directory.EnumerateFileSystemEntries(full))
        {
            var isFolder = Directory.Exists(entry);
            if (!isFolder && Path.GetExtension(entry) is not (".yaml" or ".yml")) continue;
            var name = Path.Combine(folder, Path.GetFileName(entry));
            if (!Path.GetFileName(entry).StartsWith('.')) yield return new CompletionItem(isFolder ? name + "/" : name);
        }
    }
}
