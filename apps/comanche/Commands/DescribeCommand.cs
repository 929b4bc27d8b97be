using System.CommandLine;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Comanche.Runtime.Loading;

namespace Comanche.App.Commands;

/// <summary><c>comanche describe ID</c>.</summary>
internal static class DescribeCommand
{
    /// <summary>JSON for people's eyes, too.</summary>
    public static readonly JsonSerializerOptions Indented = new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static Command Make()
    {
        var id = new Argument<string>("ID") { HelpName = "ID", Description = "The component, like raid/stripe" };
        id.CompletionSources.Add(context => Catalog.Open(context.ParseResult).Ids);
        var json = new Option<bool>("--json") { Description = "As JSON" };
        var command = new ExampleCommand(
            "describe", "Says everything about a component: what it stands on, and every option with type, default and range.",
            "comanche describe raid/stripe",
            "comanche describe block/file --json")
        {
            id, json,
        };
        command.SetAction(result =>
        {
            var catalog = Catalog.Open(result);
            var name = result.GetRequiredValue(id);
            var kind = catalog.Find(name) ?? throw new BadInputException($"comanche: unknown component '{name}'{Spelling.Suggest(name, catalog.Ids)}");
            if (result.GetValue(json)) Console.WriteLine(ToJson(kind).ToJsonString(Indented));
            else Print(kind.Description, kind.Source);
            return ExitCode.Success;
        });
        return command;
    }

    /// <summary>A component's description as JSON.</summary>
    public static JsonObject ToJson(ComponentKind kind)
    {
        var d = kind.Description;
        return new JsonObject
        {
            ["id"] = d.Id,
            ["row"] = d.Row,
            ["uuid"] = d.Uuid.ToString(),
            ["summary"] = d.Summary,
            ["source"] = kind.Source,
            ["interfaces"] = new JsonArray([.. d.Interfaces.Select(i => (JsonNode)new JsonObject { ["name"] = i.Name, ["uuid"] = i.Id.ToString() })]),
            ["binds"] = new JsonArray([.. d.Bindings.Select(b => (JsonNode)new JsonObject
            {
                ["role"] = b.Role, ["interface"] = b.Interface.Name, ["min"] = b.Min, ["max"] = b.Max == int.MaxValue ? null : b.Max,
            })]),
            ["transparent"] = d.IsTransparent,
            ["options"] = new JsonArray([.. d.Options.Select(o => (JsonNode)ToJson(o))]),
        };
    }

    private static JsonObject ToJson(OptionDescription option)
    {
        var json = new JsonObject
        {
            ["name"] = option.Name, ["type"] = option.TypeName, ["summary"] = option.Summary, ["default"] = option.Default,
            ["min"] = option.Min, ["max"] = option.Max, ["required"] = option.Required, ["secret"] = option.Secret,
        };
        if (option.Options.Count != 0) json["options"] = new JsonArray([.. option.Options.Select(o => (JsonNode)ToJson(o))]);
        return json;
    }

    private static void Print(ComponentDescription component, string source)
    {
        Terminal.Print($"{component.Id}: {component.Summary}");
        Terminal.Print("");
        Terminal.Print($"  row         {component.Row}");
        Terminal.Print($"  uuid        {component.Uuid}");
        Terminal.Print($"  interfaces  {(component.Interfaces.Count == 0 ? "none: it is an export" : string.Join(", ", component.Interfaces.Select(i => i.Name)))}");
        if (component.Bindings.Count == 0) Terminal.Print("  stands on   nothing");
        foreach (var binding in component.Bindings)
            Terminal.Print($"  stands on   {binding.Key}: {binding.CountText} × {binding.Interface.Name}");
        if (component.IsTransparent) Terminal.Print("  transparent it holds what the device below holds, and can come and go under its users");
        Terminal.Print($"  from        {source}");
        Terminal.Print("");
        if (component.Options.Count == 0) Terminal.Print("It has no options of its own.");
        else PrintOptions(component.Options, "");
    }

    private static void PrintOptions(IReadOnlyList<OptionDescription> options, string indent)
    {
        foreach (var option in options)
        {
            var facts = new List<string> { option.TypeName };
            if (option.RangeText.Length != 0) facts.Add(option.RangeText);
            facts.Add(option.Required ? "required" : option.Default is { } value ? $"default: {value}" : "optional");
            Terminal.Print($"{indent}{option.Name}  ({string.Join("; ", facts)})");
            Terminal.Print($"{indent}    {option.Summary}");
            PrintOptions(option.Options, indent + "    ");
        }
    }
}
