using System.Globalization;
using System.Text.Json.Nodes;
using Comanche.Runtime.Composition;
using Comanche.Runtime.Loading;

namespace Comanche.App.Control;

/// <summary>The clients of a stack's exports, and what they may use.</summary>
internal static class ClientLimits
{
    /// <summary>A client as <c>clients</c> says it; bandwidth is in bytes per second.</summary>
    public static JsonObject Describe(string export, ClientInfo client)
    {
        var row = new JsonObject
        {
            ["export"] = export, ["id"] = client.Id, ["peer"] = client.Peer, ["device"] = client.Device, ["queues"] = client.Queues, ["in_flight"] = client.InFlight,
            ["memory_bytes"] = client.MemoryBytes,
        };
        if (client.Limit is not { IsNone: false } limit) return row;
        row["iops"] = limit.Iops;
        row["bandwidth"] = limit.Bandwidth.Bytes;
        row["burst_us"] = limit.Burst.TotalMicroseconds;
        return row;
    }

    /// <summary>
    /// Sets what is given and leaves the rest: <c>export</c>, <c>client</c> (its id, or "*" for all there are and those to come), <c>iops</c>, <c>bandwidth</c>, <c>burst</c>.
    /// </summary>
    public static void Set(RunningStack running, JsonObject parameters)
    {
        var name = Text(parameters, "export") ?? throw new ComancheException("the parameter 'export' is missing");
        var export = running.Find(name)
            ?? throw new ComancheException($"there is no export '{name}'{Spelling.Suggest(name, running.Devices.Where(d => d.Component is ILimitsClients).Select(d => d.Name))}");
        if (export.Component is not ILimitsClients limits) throw new ComancheException($"'{name}' does not limit its clients: it is {export.Definition.Definition.Use}");
        var (iops, bandwidth, burst) = (Iops(parameters), Bandwidth(parameters), Burst(parameters));
        if (iops is null && bandwidth is null && burst is null) throw new ComancheException("at least one of iops, bandwidth and burst is needed");
        limits.SetLimit(Client(parameters), old => new ClientLimit(iops ?? old.Iops, bandwidth ?? old.Bandwidth, burst ?? old.Burst));
    }

    private static ulong? Client(JsonObject parameters)
    {
        var text = Text(parameters, "client") ?? throw new ComancheException("the parameter 'client' is missing");
        if (text == "*") return null;
        return ulong.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var id) ? id : throw new ComancheException($"client: '{text}' is neither the id of a client nor *");
    }

    private static long? Iops(JsonObject parameters)
    {
        if (Text(parameters, "iops") is not { } text) return null;
        return long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var iops) ? iops : throw new ComancheException($"iops: '{text}' is no number of I/Os per second");
    }

    private static ByteSize? Bandwidth(JsonObject parameters)
    {
        if (Text(parameters, "bandwidth") is not { } text) return null;
        return ByteSize.TryParse(text, out var size) ? size : throw new ComancheException($"bandwidth: '{text}' is no size like 100MiB");
    }

    private static TimeSpan? Burst(JsonObject parameters)
    {
        if (Text(parameters, "burst") is not { } text) return null;
        return Durations.TryParse(text, out var time) ? time : throw new ComancheException($"burst: '{text}' is no duration like 100ms");
    }

    // A text, or a number as its text: both are natural in JSON.
    private static string? Text(JsonObject parameters, string name) => parameters[name] switch
    {
        null => null,
        JsonValue value when value.GetValueKind() is System.Text.Json.JsonValueKind.String or System.Text.Json.JsonValueKind.Number => value.ToString(),
        _ => throw new ComancheException($"the parameter '{name}' is neither text nor number"),
    };
}
