using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using Comanche.App.Commands;
using Comanche.Runtime;
using Comanche.Runtime.Composition;
using Comanche.Runtime.Loading;

namespace Comanche.App.Control;

/// <summary>
/// What can be asked of a stack that runs, method by method (docs/guide/control.md). One request at a time, whoever asks; whatever else touches the running stack takes
/// <see cref="Gate"/> too.
/// </summary>
internal sealed class StackControl(RunningStack running, AppProcess process, ComponentCatalog catalog, string text, ILogSink log, Action stop)
{
    private static readonly string[] Changing = ["pause", "resume", "limit", "insert", "replace", "remove", "save", "stop"];

    private static readonly TimeSpan DefaultPatience = TimeSpan.FromSeconds(10);

    private readonly StackText _text = new(running.Stack.File.Path, text);
    private readonly Stopwatch _clock = Stopwatch.StartNew();
    private string _onDisk = text;
    private Dictionary<string, ReactorLoad> _loads = [];

    /// <summary>Held by whoever uses the running stack.</summary>
    public Lock Gate { get; } = new();

    /// <summary>The methods, with a line for people each.</summary>
    public static IReadOnlyDictionary<string, string> Methods { get; } = new SortedDictionary<string, string>(StringComparer.Ordinal)
    {
        ["status"] = "what runs: devices, exports, reactors and how busy they are",
        ["stats"] = "what every device did, with latencies, and all counters",
        ["components"] = "the components that can be inserted",
        ["clients"] = "who uses the exports",
        ["limit"] = "set what a client of an export may use, or every client",
        ["pause"] = "let I/O stand still; clients wait",
        ["resume"] = "let I/O go on",
        ["insert"] = "put a device between another one and what stands on it",
        ["replace"] = "put another device into a device's place",
        ["remove"] = "take a device away that stands on one other",
        ["save"] = "write the changed stack back to its file",
        ["stop"] = "drain, flush and end",
    };

    /// <summary>Does what is asked. What can't be is a <see cref="ComancheException"/>; a method that is not known, null.</summary>
    public JsonNode? Do(string method, JsonObject parameters)
    {
        lock (Gate)
        {
            var result = Choose(method, parameters);
            if (result is null || !Changing.Contains(method)) return result;
            log.Write(LogLevel.Information, "control", $"{method} {string.Join(' ', parameters.Select(p => $"{p.Key}: {p.Value}"))}".TrimEnd());

            // Checking and composing leave a few hundred KiB behind; a process that serves for months is not to grow to the collector's own idea of when that is worth a look.
            GC.Collect(0);
            return result;
        }
    }

    private JsonNode? Choose(string method, JsonObject parameters)
    {
        return method switch
        {
            "status" => Status(),
            "stats" => Stats(),
            "components" => new JsonArray([.. catalog.Kinds.Select(k => (JsonNode)DescribeCommand.ToJson(k))]),
            "clients" => Clients(),
            "limit" => Changed(() => ClientLimits.Set(running, parameters)),
            "pause" => Changed(() => running.Pause(Patience(parameters))),
            "resume" => Changed(() => running.GoOn(Patience(parameters))),
            "insert" => Insert(parameters),
            "replace" => Replace(parameters),
            "remove" => Remove(parameters),
            "save" => Save(),
            "stop" => Changed(stop),
            _ => null,
        };
    }

    private JsonObject Status() => new()
    {
        ["stack"] = running.Stack.File.Name,
        ["file"] = Path.GetFullPath(running.Stack.File.Path),
        ["process"] = Environment.ProcessId,
        ["version"] = Terminal.Version,
        ["uptime_s"] = Math.Round(_clock.Elapsed.TotalSeconds, 3),
        ["paused"] = running.IsPaused,
        ["saved"] = _text.Text == _onDisk && _text.Problem is null,
        ["reactors"] = Reactors(),
        ["devices"] = new JsonArray([.. running.Devices.Select(d => (JsonNode)Device(d))]),
    };

    // Busy since the last time that somebody asked, and in all.
    private JsonArray Reactors()
    {
        var now = process.Stack.Reactors.ToDictionary(r => r.Name, r => r.Load);
        var rows = now.Select(r =>
        {
            var before = _loads.GetValueOrDefault(r.Key);
            var (busy, idle) = (r.Value.BusyNs - before.BusyNs, r.Value.IdleNs - before.IdleNs);
            return (JsonNode)new JsonObject
            {
                ["name"] = r.Key, ["busy_percent"] = Math.Round(100.0 * busy / Math.Max(1, busy + idle), 2), ["busy_ns"] = r.Value.BusyNs, ["idle_ns"] = r.Value.IdleNs, ["sleeps"] = r.Value.Sleeps,
            };
        });
        var array = new JsonArray([.. rows]);
        _loads = now;
        return array;
    }

    private static unsafe JsonObject Device(RunningDevice device)
    {
        var definition = device.Definition.Definition;
        var row = new JsonObject
        {
            ["name"] = device.Name, ["use"] = definition.Use, ["export"] = definition.IsExport,
            ["on"] = new JsonArray([.. device.Definition.Bindings.Select(b => (JsonNode)b.Device.Name)]),
        };
        if (definition.Reactor is { } reactor) row["reactor"] = reactor;
        if (device.Device is not { } volume) return row;
        VolumeInfo info;
        volume.GetVolumeInfo(&info);
        DeviceHealth health;
        volume.GetHealth(&health);
        row["bytes"] = info.ByteLength;
        row["block_size"] = info.BlockSize;
        row["readonly"] = info.Has(VolumeCapabilities.ReadOnly);
        row["state"] = health.State.ToString().ToLowerInvariant();
        return row;
    }

    private JsonObject Stats()
    {
        var statistics = process.Statistics;
        var devices = new JsonArray();
        foreach (var device in running.Devices.Where(d => d.Device is not null))
        {
            var of = statistics.GetDevice(device.Name);
            var row = new JsonObject { ["name"] = device.Name };
            foreach (var operation in Enum.GetValues<IoOperation>())
            {
                var done = of[operation];
                if (done.Operations != 0)
                    row[operation.ToString().ToLowerInvariant()] = new JsonObject { ["operations"] = done.Operations, ["bytes"] = done.Bytes, ["errors"] = done.Errors };
            }

            foreach (var kind in Enum.GetValues<LatencyKind>())
            {
                using var latency = of.GetLatency(kind);
                if (latency.Count == 0) continue;
                row[$"{kind.ToString().ToLowerInvariant()}_latency_ns"] = new JsonObject
                {
                    ["mean"] = Math.Round(latency.Mean, 1), ["p50"] = latency.Percentile(50), ["p99"] = latency.Percentile(99), ["p99.9"] = latency.Percentile(99.9),
                };
            }

            devices.Add((JsonNode)row);
        }

        var counters = statistics.Counters.Where(c => c.Value != 0)
            .Select(c => (JsonNode)new JsonObject { ["component"] = c.Device, ["name"] = c.Name, ["unit"] = c.Unit, ["value"] = c.Value });
        return new JsonObject { ["devices"] = devices, ["counters"] = new JsonArray([.. counters]) };
    }

    private JsonArray Clients()
    {
        var rows = from export in running.Devices
                   where export.Component is IServesClients
                   from client in ((IServesClients)export.Component).GetClients()
                   select (JsonNode)ClientLimits.Describe(export.Name, client);
        return new JsonArray([.. rows]);
    }

    private JsonObject Insert(JsonObject parameters)
    {
        var (device, below) = (Text(parameters, "device"), Text(parameters, "below"));
        var change = running.Insert(device, below, Components(parameters), Patience(parameters), IsMeant(parameters));
        _text.Insert(device, below);
        return Report(change);
    }

    private JsonObject Replace(JsonObject parameters)
    {
        // A name alone means: the same, of the newer build that a folder of components has.
        var device = Text(parameters, "device");
        if (!device.Contains(':', StringComparison.Ordinal)) return Report(running.Renew(device, Components(parameters), Patience(parameters), IsMeant(parameters)));
        var change = running.Replace(device, Components(parameters), Patience(parameters), IsMeant(parameters));
        _text.Replace(device);
        return Report(change);
    }

    private JsonObject Remove(JsonObject parameters)
    {
        var name = Text(parameters, "name");
        var below = running.Find(name)?.Definition.Bindings.FirstOrDefault().Device?.Name ?? "";
        var change = running.Remove(name, Patience(parameters), IsMeant(parameters));
        _text.Remove(name, below);
        return Report(change);
    }

    private JsonObject Save()
    {
        var path = running.Stack.File.Path;
        var target = File.ResolveLinkTarget(Path.GetFullPath(path), returnFinalTarget: true)?.FullName ?? Path.GetFullPath(path);
        if (!File.Exists(target)) throw new ComancheException($"{path} is not there any more");
        if (_text.Problem is { } problem) throw new ComancheException($"the changes can't be written into {path}: {problem}");
        if (!_text.Says(running.Stack.File)) throw new ComancheException($"the changes can't be written into {path}: its text can't be kept up with them");
        if (File.ReadAllText(path) != _onDisk) throw new ComancheException($"{path} was changed by somebody else since the stack was started or saved; nothing was written");
        Overwrite(target, _text.Text);
        _onDisk = _text.Text;
        return new JsonObject { ["file"] = Path.GetFullPath(path) };
    }

    // Whole or not at all: beside the file first, then in its place.
    private static void Overwrite(string path, string text)
    {
        var mode = File.GetUnixFileMode(path);
        if ((mode & (UnixFileMode.UserWrite | UnixFileMode.GroupWrite | UnixFileMode.OtherWrite)) == 0) throw new ComancheException($"{path} is write-protected; nothing was written");
        var temporary = $"{path}.{Environment.ProcessId}.new";
        try
        {
            File.Delete(temporary);

            // From the start nobody reads it who may not read the file itself: a stack file may hold secrets.
            using (var file = new FileStream(temporary, new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = mode }))
            {
                file.Write(Encoding.UTF8.GetBytes(text));
                file.Flush(flushToDisk: true); // Before the name leads there: a power cut finds the old file or the new one, and neither of them empty.
            }

            File.SetUnixFileMode(temporary, mode);
            File.Move(temporary, path, overwrite: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            if (File.Exists(temporary)) File.Delete(temporary);
            throw new ComancheException($"{path} can't be written: its folder does not permit it, or is full; nothing was written", e);
        }
    }

    private ComponentCatalog Components(JsonObject parameters)
    {
        if (parameters["components"] is null) return catalog;
        var own = new ComponentCatalog();
        own.AddFolder(Text(parameters, "components"), Catalog.Native);
        return own;
    }

    private static bool IsMeant(JsonObject parameters) => parameters["yes_destroy"] is JsonValue value && value.TryGetValue<bool>(out var meant) && meant;

    private static JsonObject Report(StackChange change) => new() { ["pause_us"] = Math.Round(change.Pause.TotalMicroseconds, 1) };

    private static JsonObject Changed(Action action)
    {
        action();
        return [];
    }

    private static string Text(JsonObject parameters, string name) =>
        parameters[name] is JsonValue value && value.TryGetValue<string>(out var text) && text.Length != 0 ? text
        : throw new ComancheException($"the parameter '{name}' is missing, or no text");

    private static TimeSpan Patience(JsonObject parameters)
    {
        if (parameters["timeout"] is null) return DefaultPatience;
        return Durations.TryParse(Text(parameters, "timeout"), out var time) && time > TimeSpan.Zero && time <= TimeSpan.FromHours(1) ? time
            : throw new ComancheException(string.Create(CultureInfo.InvariantCulture, $"timeout: a duration like 10s was expected, up to 1h"));
    }
}
