using System.Text.Json;
using System.Text.Json.Nodes;

namespace Comanche.Runtime.Loading;

/// <summary>
/// Reads how a native factory describes a kind of component (see <see cref="IFactory.Describe"/>). It is foreign text: what is wrong is said with its place.
/// </summary>
internal static class NativeDescription
{
    /// <summary>Asks a factory for one kind and reads the answer.</summary>
    public static ComponentDescription Read(IFactory factory, int index, string path)
    {
        var at = $"{path}: the description of kind {index}";
        var text = factory.Describe(index);
        try
        {
            return Read(JsonNode.Parse(text, documentOptions: new() { AllowTrailingCommas = true, AllowDuplicateProperties = false, MaxDepth = 16 }), text, path, at);
        }
        catch (JsonException e) when (e.LineNumber is not null)
        {
            throw new ComancheException($"{at} is no JSON (line {e.LineNumber + 1}, byte {e.BytePositionInLine + 1}): {Short(text)}", e);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or ArgumentException)
        {
            // JSON by its form, but of a name given twice, or with text that is none.
            throw new ComancheException($"{at}: {e.Message.ReplaceLineEndings(" ")}: {Short(text)}", e);
        }
    }

    private static ComponentDescription Read(JsonNode? json, string text, string path, string at)
    {
        if (json is not JsonObject kind) throw new ComancheException($"{at} is no JSON object: {Short(text)}");
        var id = Text(kind, "id", at);
        if (id.Split('/') is not [{ Length: > 0 }, { Length: > 0 }]) throw new ComancheException($"{at}: id: '{id}' is not of the form row/component");
        at = $"{path}: {id}";
        return new ComponentDescription(
            id, Uuid(kind, "uuid", at), Text(kind, "summary", at, ""),
            [.. List(kind, "interfaces", at).Select((i, n) => Interface(Scalar<string>(i, $"{at}: interfaces[{n}]"), $"{at}: interfaces[{n}]"))],
            [.. List(kind, "binds", at).Select((b, n) => Binding(Object(b, $"{at}: binds[{n}]"), $"{at}: binds[{n}]"))],
            [.. List(kind, "options", at).Select((o, n) => Option(Object(o, $"{at}: options[{n}]"), $"{at}: options[{n}]"))]).Checked();
    }

    private static BindingDescription Binding(JsonObject json, string at)
    {
        var (min, max) = (Number(json, "min", at, 1), Number(json, "max", at, 1));
        if (min < 0 || max < Math.Max(min, 1)) throw new ComancheException($"{at}: {min} to {max} bindings make no sense");
        return new BindingDescription(Text(json, "role", at, ""), Interface(Text(json, "interface", at), $"{at}.interface"), min, max);
    }

    private static OptionDescription Option(JsonObject json, string at)
    {
        var kind = Kind(Text(json, "type", at), $"{at}.type");
        var (lowest, highest) = LimitsOf(kind);
        return new(Text(json, "name", at), kind, Text(json, "summary", at, ""))
        {
            Default = Written(json, "default", at),
            Min = Limit(json, "min", kind, at, lowest, highest) ?? lowest,
            Max = Limit(json, "max", kind, at, lowest, highest) ?? highest,
            Required = Flag(json, "required", at),
            Secret = Flag(json, "secret", at),
        };
    }

    // A limit that can't be read, or that lies beyond what reaches the component, would let everything through.
    private static string? Limit(JsonObject json, string name, OptionKind kind, string at, string? lowest, string? highest)
    {
        if (Written(json, name, at) is not { } text) return null;
        if (!OptionText.TryParse(kind, text, out var value, out var expected)) throw new ComancheException($"{at}.{name}: {expected} was expected, not '{text}'");
        var isInside = lowest is null || highest is null
            || (OptionText.TryParse(kind, lowest, out var min, out _) && OptionText.TryParse(kind, highest, out var max, out _)
                && ((IComparable)value).CompareTo(min) >= 0 && ((IComparable)value).CompareTo(max) <= 0);
        return isInside ? text : throw new ComancheException($"{at}.{name}: {text} is out of range; it is {lowest} to {highest}");
    }

    // What fits 64 bits on the way to the component: integers as int64 or uint64, durations as int64 nanoseconds (2^63 ns are 106,751 days).
    private static (string? Min, string? Max) LimitsOf(OptionKind kind) => kind switch
    {
        OptionKind.Integer => ("-9223372036854775808", "18446744073709551615"),
        OptionKind.Duration => ("0s", "106751d"),
        _ => (null, null),
    };

    private static OptionKind Kind(string type, string at) => type switch
    {
        "string" => OptionKind.Text,
        "bool" => OptionKind.Boolean,
        "integer" => OptionKind.Integer,
        "number" => OptionKind.Number,
        "size" => OptionKind.Size,
        "duration" => OptionKind.Duration,
        _ => throw new ComancheException($"{at}: '{type}' is none of string, bool, integer, number, size, duration"),
    };

    private static InterfaceDescription Interface(string text, string at)
    {
        if (!Guid.TryParse(text, out var id)) throw new ComancheException($"{at}: '{text}' is not a UUID");
        var known = typeof(IBase).Assembly.GetExportedTypes().FirstOrDefault(t => t.IsInterface && t.GUID == id);
        return new InterfaceDescription(known?.Name ?? id.ToString(), id);
    }

    private static Guid Uuid(JsonObject json, string name, string at) =>
        Guid.TryParse(Text(json, name, at), out var uuid) ? uuid : throw new ComancheException($"{at}: {name}: '{Text(json, name, at)}' is not a UUID");

    private static string Text(JsonObject json, string name, string at, string? otherwise = null) =>
        json[name] is { } node ? Scalar<string>(node, $"{at}.{name}") : otherwise ?? throw new ComancheException($"{at}: '{name}' is missing");

    private static int Number(JsonObject json, string name, string at, int otherwise) => json[name] is { } node ? Scalar<int>(node, $"{at}.{name}") : otherwise;

    private static bool Flag(JsonObject json, string name, string at) => json[name] is { } node && Scalar<bool>(node, $"{at}.{name}");

    // A default or a limit may be written as text, number or truth value; it is kept as it would stand in a stack file.
    private static string? Written(JsonObject json, string name, string at) => json[name] switch
    {
        null => null,
        JsonValue value => value.ToString(),
        _ => throw new ComancheException($"{at}.{name}: a plain value is needed"),
    };

    private static IEnumerable<JsonNode?> List(JsonObject json, string name, string at) => json[name] switch
    {
        null => [],
        JsonArray array => array,
        _ => throw new ComancheException($"{at}.{name}: a list is needed"),
    };

    private static JsonObject Object(JsonNode? node, string at) => node as JsonObject ?? throw new ComancheException($"{at}: an object is needed");

    private static T Scalar<T>(JsonNode? node, string at) =>
        node is JsonValue value && value.TryGetValue(out T? found) && found is not null
            ? found
            : throw new ComancheException($"{at}: {(typeof(T) == typeof(string) ? "text" : typeof(T) == typeof(bool) ? "true or false" : "a whole number")} is needed");

    private static string Short(string text) => text.Length <= 60 ? $"'{text}'" : $"'{text[..60]}…'";
}
