using System.CommandLine;
using System.Text.Json.Nodes;
using Comanche.App.Control;

namespace Comanche.App.Commands;

/// <summary><c>comanche ctl METHOD</c>: speaks to a stack that runs.</summary>
internal static class CtlCommand
{
    private static readonly Option<string?> Socket = new("--socket", "-s") { Description = "The control socket", HelpName = "SOCKET", Recursive = true };

    private static readonly Option<string?> Stack = new("--stack") { Description = "The file of the stack; needed where several run", HelpName = "FILE", Recursive = true };

    private static readonly Option<bool> Json = new("--json") { Description = "Print the answer as JSON", Recursive = true };

    private static readonly Option<string?> Timeout = new("--timeout") { Description = "How long I/O may take to come to rest before everything goes on as before, like 10s", HelpName = "TIME", Recursive = true };

    public static Command Make()
    {
        var device = new Argument<string>("DEVICE") { Description = "The new device, as in a stack file: 'slow: { use: block/delay, read: 5ms }'" };
        var below = new Option<string>("--below") { Description = "The device that it is put on top of", HelpName = "NAME", Required = true };
        var name = new Argument<string>("NAME") { Description = "The device that goes" };
        var other = new Argument<string>("DEVICE") { Description = "The new device, as in a stack file, with the name of the old; or the name alone: the same anew, of the newer build that --from has" };
        var export = new Argument<string>("EXPORT") { Description = "The export, a thread/share" };
        var client = new Argument<string>("CLIENT") { Description = "The client's id, as 'clients' says it; '*' for all there are and those to come" };
        var iops = new Option<string?>("--iops") { Description = "I/Os per second; 0 is no limit", HelpName = "NUMBER" };
        var bandwidth = new Option<string?>("--bandwidth") { Description = "Bytes per second, like 100MiB; 0 is no limit", HelpName = "SIZE" };
        var burst = new Option<string?>("--burst") { Description = "For how long an idle client saves up, like 100ms", HelpName = "TIME" };
        var folder = new Option<string?>("--from") { Description = "The folder of components that has it, or the newer build of it", HelpName = "DIR" };
        var destroy = new Option<bool>("--yes-destroy") { Description = "Change it although its users will find other data than before" };
        var command = new ExampleCommand(
            "ctl", "Speaks to a stack that runs: looks at it, and changes it under running I/O.",
            "comanche ctl status",
            "comanche ctl --stack stacks/share.yaml clients",
            "comanche ctl insert 'slow: { use: block/delay, read: 5ms }' --below memory0",
            "comanche ctl replace 'slow: { use: block/delay, read: 1ms }'",
            "comanche ctl remove slow",
            "comanche ctl limit share 3 --iops 1000 --bandwidth 50MiB",
            "comanche ctl save")
        {
            Socket, Stack, Json, Timeout,
        };
        Add(command, "status", (_, _) => { }, PrintStatus);
        Add(command, "stats", (_, _) => { }, PrintStats);
        Add(command, "components", (_, _) => { }, answer => Rows(answer, "id", "summary"));
        Add(command, "clients", (_, _) => { }, answer => Rows(answer, "export", "id", "peer", "device", "queues", "in_flight", "memory_bytes", "iops", "bandwidth"));
        Add(command, "pause", (_, _) => { }, _ => Terminal.Print("done; clients wait until 'comanche ctl resume'"));
        Add(command, "resume", (_, _) => { }, _ => Terminal.Print("done"));
        Add(command, "stop", (_, _) => { }, _ => Terminal.Print("it stops"));
        Add(command, "save", (_, _) => { }, answer => Terminal.Print($"written: {answer["file"]}"));
        Add(command, "limit", (result, parameters) =>
        {
            parameters["export"] = result.GetRequiredValue(export);
            parameters["client"] = result.GetRequiredValue(client);
            foreach (var option in (Option<string?>[])[iops, bandwidth, burst])
                if (result.GetValue(option) is { } value)
                    parameters[option.Name.TrimStart('-')] = value;
        }, _ => Terminal.Print("done"), export, client, iops, bandwidth, burst);
        Add(command, "insert", (result, parameters) =>
        {
            parameters["device"] = result.GetRequiredValue(device);
            parameters["below"] = result.GetRequiredValue(below);
            AddFolder(parameters, result.GetValue(folder));
            parameters["yes_destroy"] = result.GetValue(destroy);
        }, PrintPause, device, below, folder, destroy);
        Add(command, "replace", (result, parameters) =>
        {
            parameters["device"] = result.GetRequiredValue(other);
            AddFolder(parameters, result.GetValue(folder));
            parameters["yes_destroy"] = result.GetValue(destroy);
        }, PrintPause, other, folder, destroy);
        Add(command, "remove", (result, parameters) =>
        {
            parameters["name"] = result.GetRequiredValue(name);
            parameters["yes_destroy"] = result.GetValue(destroy);
        }, PrintPause, name, destroy);
        return command;
    }

    private static void Add(Command parent, string method, Action<ParseResult, JsonObject> fill, Action<JsonNode> print, params Symbol[] symbols)
    {
        var command = new Command(method, char.ToUpperInvariant(StackControl.Methods[method][0]) + StackControl.Methods[method][1..]);
        foreach (var symbol in symbols)
        {
            if (symbol is Argument argument) command.Arguments.Add(argument);
            else if (symbol is Option option) command.Options.Add(option);
        }

        command.SetAction(result =>
        {
            var parameters = new JsonObject();
            fill(result, parameters);
            if (result.GetValue(Timeout) is { } timeout) parameters["timeout"] = timeout;
            using var client = new ControlClient(Find(result));
            JsonNode answer;
            try
            {
                answer = client.Ask(method, parameters);
            }
            catch (ComancheException e) when (!e.Message.StartsWith("comanche:", StringComparison.Ordinal))
            {
                throw new ComancheException($"comanche: {e.Message}", e);
            }

            if (result.GetValue(Json)) Console.WriteLine(answer.ToJsonString(DescribeCommand.Indented));
            else print(answer);
            return ExitCode.Success;
        });
        parent.Subcommands.Add(command);
    }

    private static void AddFolder(JsonObject parameters, string? folder)
    {
        if (folder is not null) parameters["components"] = Path.GetFullPath(folder);
    }

    // The socket that was named; or that of the stack file; or of the only stack of this user that answers.
    private static string Find(ParseResult result)
    {
        if (result.GetValue(Socket) is { } socket) return socket;
        if (result.GetValue(Stack) is { } file)
        {
            if (!File.Exists(file)) throw new BadInputException($"comanche: {file}: there is no such file");
            var path = StackLock.ControlPath(file);
            return File.Exists(path) ? path : throw new ComancheException($"comanche: {file} is not run by this user, or was given another control socket by --control, which --socket names");
        }

        var alive = StackLock.ControlPaths().Where(Linux.Sockets.IsAlive).ToList();
        return alive switch
        {
            [var only] => only,
            [] => throw new ComancheException("comanche: no stack of this user runs; see --socket"),
            _ => throw new BadInputException($"comanche: {alive.Count} stacks run: say which one by --stack FILE ({string.Join(", ", alive.Select(FileOf))})"),
        };
    }

    private static string FileOf(string socket)
    {
        try
        {
            using var client = new ControlClient(socket);
            return client.Ask("status", [])["file"]?.GetValue<string>() ?? socket;
        }
        catch (ComancheException)
        {
            return socket;
        }
    }

    private static void PrintPause(JsonNode answer) => Terminal.Print($"done; I/O stood still for {Terminal.Time(answer["pause_us"]!.GetValue<double>() * 1000)}");

    private static void PrintStatus(JsonNode answer)
    {
        var paused = answer["paused"]!.GetValue<bool>() ? ", paused" : "";
        var saved = answer["saved"]!.GetValue<bool>() ? "" : ", with changes that are not saved";
        Terminal.Print($"{answer["stack"]}: process {answer["process"]}, {answer["uptime_s"]} s{paused}{saved}");
        Terminal.Print($"{answer["file"]}");
        foreach (var reactor in answer["reactors"]!.AsArray())
            Terminal.Print($"reactor {reactor!["name"]}: {reactor["busy_percent"]} % busy, {reactor["sleeps"]} sleeps");
        Rows(answer["devices"]!, "name", "use", "on", "reactor", "bytes", "state");
    }

    private static void PrintStats(JsonNode answer)
    {
        foreach (var device in answer["devices"]!.AsArray())
        {
            var done = device!.AsObject().Where(p => p.Value is JsonObject o && o.ContainsKey("operations")).Select(p => $"{p.Key} {p.Value!["operations"]} ({Terminal.Size(p.Value["bytes"]!.GetValue<ulong>())}, {p.Value["errors"]} errors)");
            var latencies = device.AsObject().Where(p => p.Value is JsonObject o && o.ContainsKey("p50"))
                .Select(p => $"{p.Key.Split('_')[0]} p50 {Terminal.Time(p.Value!["p50"]!.GetValue<ulong>())} p99 {Terminal.Time(p.Value["p99"]!.GetValue<ulong>())}");
            Terminal.Print($"{device["name"]}: {string.Join(", ", done.Concat(latencies).DefaultIfEmpty("nothing yet"))}");
        }

        Rows(answer["counters"]!, "component", "name", "value", "unit");
    }

    // A table of what the rows have under these keys.
    private static void Rows(JsonNode rows, params string[] keys)
    {
        var cells = rows.AsArray().Select(r => keys.Select(k => Cell(r![k])).ToArray()).ToList();
        if (cells.Count == 0)
        {
            Terminal.Print("none");
            return;
        }

        var widths = keys.Select((k, i) => Math.Max(k.Length, cells.Max(c => c[i].Length))).ToArray();
        foreach (var row in cells.Prepend([.. keys.Select(k => k.Replace('_', ' '))]))
            Terminal.Print(string.Join("  ", row.Select((cell, i) => cell.PadRight(widths[i]))).TrimEnd());
    }

    private static string Cell(JsonNode? value) => value is JsonArray list ? string.Join(",", list.Select(v => v!.ToString())) : value?.ToString() ?? "";
}
