using System.Text.Json;
using System.Text.Json.Nodes;

namespace Comanche.Runtime.Loading;

/// <summary>A kind of component in a native library, described by the JSON of its factory.</summary>
internal sealed class NativeComponentKind : ComponentKind
{
    private readonly IFactory _factory;
    private readonly ComponentDescription _description;
    private readonly string _path;

    private NativeComponentKind(IFactory factory, ComponentDescription description, string path)
    {
        _factory = factory;
        _description = description;
        _path = path;
    }

    public override string Id => _description.Id;

    public override Guid Uuid => _description.Uuid;

    public override string Summary => _description.Summary;

    public override string Source => _path;

    public override ComponentDescription Description => _description;

    public override bool CanPlan => false;

    /// <summary>Whether a library mentions the factory's name: the others are not opened, since opening runs their constructors.</summary>
    public static bool ExportsFactory(string path) => File.ReadAllBytes(path).AsSpan().IndexOf("comanche_factory"u8) >= 0;

    /// <summary>Reads one kind of a factory.</summary>
    public static NativeComponentKind Read(IFactory factory, int index, string path, Func<Guid, string> nameOf)
    {
        try
        {
            var json = JsonNode.Parse(factory.Describe(index))!.AsObject();
            var description = new ComponentDescription(
                (string)json["id"]!, Guid.Parse((string)json["uuid"]!), (string?)json["summary"] ?? "",
                [.. Elements(json, "interfaces").Select(i => Interface((string)i!, nameOf))],
                [.. Elements(json, "binds").Select(b => Binding(b!.AsObject(), nameOf))],
                [.. Elements(json, "options").Select(o => Option(o!.AsObject()))]);
            return new NativeComponentKind(factory, description, path);
        }
        catch (Exception e) when (e is JsonException or FormatException or InvalidOperationException or ArgumentException or NullReferenceException)
        {
            throw new ComancheException($"{path}: the description of kind {index} is not as agreed: {e.Message}", e);
        }
    }

    public override void Plan(PlanContext plan) { }

    public override object? MakeOptions(OptionSet options) => null;

    public override IBase Create(IHost host, OptionSet options)
    {
        var json = new JsonObject();
        foreach (var (name, given) in options.Values)
        {
            var secret = _description.Options.First(o => o.Name == name).Secret;
            json[name] = secret ? Secrets.Fetch((string)given.Value, given.At) : ToJson(given.Value);
        }

        return _factory.Create(Uuid, host, json.ToJsonString());
    }

    private static IEnumerable<JsonNode?> Elements(JsonObject json, string name) => json[name]?.AsArray() ?? [];

    private static InterfaceDescription Interface(string id, Func<Guid, string> nameOf) => new(nameOf(Guid.Parse(id)), Guid.Parse(id));

    private static BindingDescription Binding(JsonObject json, Func<Guid, string> nameOf) => new(
        (string?)json["role"] ?? "", Interface((string)json["interface"]!, nameOf), (int?)json["min"] ?? 1, (int?)json["max"] ?? 1);

    private static OptionDescription Option(JsonObject json) => new((string)json["name"]!, KindOf((string)json["type"]!), (string?)json["summary"] ?? "")
    {
        Default = json["default"]?.ToString(),
        Min = json["min"]?.ToString(),
        Max = json["max"]?.ToString(),
        Required = (bool?)json["required"] ?? false,
        Secret = (bool?)json["secret"] ?? false,
    };

    private static OptionKind KindOf(string type) => type switch
    {
        "string" => OptionKind.Text,
        "bool" => OptionKind.Boolean,
        "integer" => OptionKind.Integer,
        "number" => OptionKind.Number,
        "size" => OptionKind.Size,
        "duration" => OptionKind.Duration,
        _ => throw new FormatException($"'{type}' is not a type of option"),
    };

    private static JsonNode ToJson(object value) => value switch
    {
        bool b => JsonValue.Create(b),
        double d => JsonValue.Create(d),
        Int128 i when i > long.MaxValue => JsonValue.Create((ulong)i),
        Int128 i => JsonValue.Create((long)i),
        ByteSize size => JsonValue.Create(size.Bytes),
        TimeSpan duration => JsonValue.Create(duration.Ticks * 100),
        _ => JsonValue.Create(value.ToString())!,
    };
}
