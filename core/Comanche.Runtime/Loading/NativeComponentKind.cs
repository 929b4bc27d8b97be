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
    public static NativeComponentKind Read(IFactory factory, int index, string path) => new(factory, NativeDescription.Read(factory, index, path), path);

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

    private static JsonNode ToJson(object value) => value switch
    {
        bool b => JsonValue.Create(b),
        double d => JsonValue.Create(d),
        Int128 i when i > long.MaxValue => JsonValue.Create(checked((ulong)i)),
        Int128 i => JsonValue.Create(checked((long)i)),
        ByteSize size => JsonValue.Create(size.Bytes),
        TimeSpan duration => JsonValue.Create(checked(duration.Ticks * 100)),
        _ => JsonValue.Create(value.ToString())!,
    };
}
