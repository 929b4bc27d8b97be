using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Nodes;
using Comanche.Runtime.Loading;

namespace Comanche.App.Commands;

/// <summary><c>comanche components</c>.</summary>
internal static class ComponentsCommand
{
    public static Command Make()
    {
        var row = new Argument<string?>("ROW") { Description = "Only this row, like raid", Arity = ArgumentArity.ZeroOrOne };
        var json = new Option<bool>("--json") { Description = "Everything about them, as JSON" };
        var command = new ExampleCommand(
            "components", "Lists the components that can be used: id, interfaces, one line.",
            "comanche components",
            "comanche components raid               # one row",
            "comanche components --json | jq .      # for programs")
        {
            row, json,
        };
        command.SetAction(result =>
        {
            var kinds = Catalog.Open(result).Kinds.Where(k => result.GetValue(row) is not { } only || k.Row == only).ToList();
            if (kinds.Count == 0 && result.GetValue(row) is { } missing) throw new BadInputException($"comanche: there is no component in row '{missing}'");
            if (result.GetValue(json)) Console.WriteLine(new JsonArray([.. kinds.Select(k => (JsonNode)DescribeCommand.ToJson(k))]).ToJsonString(DescribeCommand.Indented));
            else Print(kinds);
            return ExitCode.Success;
        });
        return command;
    }

    private static void Print(List<ComponentKind> kinds)
    {
        var rows = kinds.Select(k => (k.Row, k.Id, Interfaces: Interfaces(k), k.Summary)).ToList();
        var row = rows.Max(r => r.Row.Length);
        var id = rows.Max(r => r.Id.Length);
        var interfaces = rows.Max(r => r.Interfaces.Length);
        foreach (var r in rows) Terminal.Print($"{r.Row.PadRight(row)}  {r.Id.PadRight(id)}  {r.Interfaces.PadRight(interfaces)}  {r.Summary}");
    }

    // IZerocopyMemory comes with every block device and says nothing to the reader of a list.
    private static string Interfaces(ComponentKind kind)
    {
        try
        {
            var names = kind.Description.Interfaces.Select(i => i.Name).Where(n => n != nameof(IZerocopyMemory)).ToList();
            return names.Count == 0 ? "(export)" : string.Join(", ", names);
        }
        catch (ComancheException e)
        {
            TextLog.Say($"warning: {e.Message}");
            return "?";
        }
    }
}
