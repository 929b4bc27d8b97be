using System.Text.Json.Nodes;
using Comanche.Runtime.Loading;

namespace Comanche.Runtime.Composition;

/// <summary>Makes a JSON Schema (draft 7, which editors know) of stack files from the descriptions of the components.</summary>
public static class StackSchema
{
    private const string SizePattern = @"^[0-9]+(\.[0-9]+)?\s*([kKmMgGT]|[KMGTP]iB|[kMGTP]B|B)?$";
    private const string DurationPattern = @"^([0-9]+(\.[0-9]+)?\s*(ns|us|µs|ms|s|m|min|h|d)|0)$";

    /// <summary>Makes the schema.</summary>
    public static JsonObject Make(ComponentCatalog catalog)
    {
        var descriptions = catalog.Kinds.Select(k => k.Description).ToList();
        return new JsonObject
        {
            ["$schema"] = "http://json-schema.org/draft-07/schema#",
            ["title"] = "A Comanche stack",
            ["type"] = "object",
            ["required"] = new JsonArray("devices"),
            ["additionalProperties"] = false,
            ["patternProperties"] = new JsonObject { ["^x-"] = new JsonObject() },
            ["properties"] = new JsonObject
            {
                ["stack"] = Typed("string", "The stack's name"),
                ["devices"] = Section("The devices, by any names", descriptions.Where(d => d.Interfaces.Count != 0)),
                ["exports"] = Section("What serves devices to others", descriptions.Where(d => !d.IsBlockDevice)),
                ["reactors"] = Reactors(),
            },
        };
    }

    private static JsonObject Section(string summary, IEnumerable<ComponentDescription> components)
    {
        var known = components.ToList();
        return new JsonObject
        {
            ["type"] = "object",
            ["description"] = summary,
            ["additionalProperties"] = new JsonObject
            {
                ["type"] = "object",
                ["required"] = new JsonArray("use"),
                ["properties"] = new JsonObject { ["use"] = new JsonObject { ["enum"] = new JsonArray([.. known.Select(d => (JsonNode)d.Id)]) } },
                ["allOf"] = new JsonArray([.. known.Select(Device)]),
            },
        };
    }

    private static JsonNode Device(ComponentDescription component)
    {
        var properties = new JsonObject
        {
            ["use"] = new JsonObject { ["const"] = component.Id, ["description"] = component.Summary },
            ["readonly"] = Typed("boolean", "Whether its media must not be changed"),
            ["reactor"] = Typed("string", "The reactor that it runs on; 'active' for one of its own"),
            ["collectible"] = Typed("boolean", "Whether its code can be unloaded again, when it is replaced by a newer build; calls of it take several times longer"),
        };
        var required = new JsonArray("use");
        foreach (var binding in component.Bindings)
        {
            properties[binding.Key] = Names(binding);
            if (binding.Min > 0) required.Add(binding.Key);
        }

        foreach (var option in component.Options)
        {
            properties[option.Name] = Option(option);
            if (option.Required) required.Add(option.Name);
        }

        return new JsonObject
        {
            ["if"] = new JsonObject { ["properties"] = new JsonObject { ["use"] = new JsonObject { ["const"] = component.Id } } },
            ["then"] = new JsonObject { ["properties"] = properties, ["required"] = required, ["additionalProperties"] = false },
        };
    }

    private static JsonObject Names(BindingDescription binding)
    {
        var name = Typed("string", $"A device with {binding.Interface.Name}");
        if (binding.Max == 1) return name;
        var list = new JsonObject { ["type"] = "array", ["items"] = name, ["minItems"] = binding.Min };
        if (binding.Max != int.MaxValue) list["maxItems"] = binding.Max;
        return binding.Min > 1 ? list : new JsonObject { ["anyOf"] = new JsonArray(name.DeepClone(), list) };
    }

    private static JsonObject Option(OptionDescription option)
    {
        var schema = One(option);
        if (option.IsList)
        {
            var list = new JsonObject { ["type"] = "array", ["items"] = schema };
            schema = new JsonObject { ["anyOf"] = new JsonArray(list, schema.DeepClone()) };
        }

        var range = option.RangeText.Length == 0 ? "" : $" ({option.RangeText})";
        schema["description"] = option.Summary + range + (option.Default is { } value ? $". Default: {value}" : "");
        return schema;
    }

    private static JsonObject One(OptionDescription option)
    {
        switch (option.Kind)
        {
            case OptionKind.Boolean:
                return new JsonObject { ["type"] = "boolean" };
            case OptionKind.Integer or OptionKind.Number:
                var number = new JsonObject { ["type"] = option.Kind == OptionKind.Integer ? "integer" : "number" };
                if (Limit(option.Min) is { } min) number["minimum"] = min;
                if (Limit(option.Max) is { } max) number["maximum"] = max;
                return number;
            case OptionKind.Size:
                return new JsonObject
                {
                    ["anyOf"] = new JsonArray(
                        new JsonObject { ["type"] = "integer", ["minimum"] = 0 }, new JsonObject { ["type"] = "string", ["pattern"] = SizePattern }),
                };
            case OptionKind.Duration:
                return new JsonObject
                {
                    ["anyOf"] = new JsonArray(new JsonObject { ["const"] = 0 }, new JsonObject { ["type"] = "string", ["pattern"] = DurationPattern }),
                };
            case OptionKind.Choice:
                return new JsonObject { ["enum"] = new JsonArray([.. option.Choices.Select(c => (JsonNode)c)]) };
            case OptionKind.Record:
                return Record(option.Options);
            default:
                return option.Secret
                    ? new JsonObject { ["type"] = "string", ["pattern"] = "^(env|file):.+" }
                    : new JsonObject { ["type"] = new JsonArray("string", "number") };
        }
    }

    private static JsonObject Record(IReadOnlyList<OptionDescription> options)
    {
        var properties = new JsonObject();
        foreach (var option in options) properties[option.Name] = Option(option);
        return new JsonObject
        {
            ["type"] = "object",
            ["properties"] = properties,
            ["required"] = new JsonArray([.. options.Where(o => o.Required).Select(o => (JsonNode)o.Name)]),
            ["additionalProperties"] = false,
        };
    }

    private static JsonObject Reactors() => new()
    {
        ["type"] = "object",
        ["description"] = "Named threads that poll",
        ["additionalProperties"] = new JsonObject
        {
            ["type"] = new JsonArray("object", "null"),
            ["additionalProperties"] = false,
            ["properties"] = new JsonObject
            {
                ["core"] = new JsonObject { ["type"] = "integer", ["minimum"] = 0, ["description"] = "The core that it is pinned to" },
                ["idle"] = new JsonObject
                {
                    ["enum"] = new JsonArray("adaptive", "spin"),
                    ["description"] = "What it does with nothing to do: spin and then sleep, or spin on. Default: adaptive",
                },
            },
        },
    };

    private static JsonObject Typed(string type, string summary) => new() { ["type"] = type, ["description"] = summary };

    private static JsonNode? Limit(string? text) =>
        text is not null && OptionText.TryParse(OptionKind.Number, text, out var value, out _) ? JsonNode.Parse(text.StartsWith('+') ? text[1..] : text) ?? (double)value : null;
}
