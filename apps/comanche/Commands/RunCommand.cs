using System.CommandLine;
using System.CommandLine.Parsing;
using Comanche.App.Control;
using Comanche.Runtime;
using Comanche.Runtime.Composition;
using Comanche.Runtime.Loading;

namespace Comanche.App.Commands;

/// <summary><c>comanche run FILE</c>.</summary>
internal static class RunCommand
{
    public static Command Make()
    {
        var file = Arguments.StackFile();
        var log = new Option<LogLevel>("--log")
        {
            Description = "The least that is logged: debug, info, warning, error", HelpName = "LEVEL", DefaultValueFactory = _ => LogLevel.Information, CustomParser = ParseLevel,
        };
        var every = new Option<int>("--interval")
        {
            Description = "Seconds between two lines of statistics where standard output is no terminal; 0 for none", HelpName = "N", DefaultValueFactory = _ => 60,
        };
        every.Validators.Add(r =>
        {
            if (r.Tokens.Count == 1 && int.TryParse(r.Tokens[0].Value, out var given) && given is < 0 or > MaxInterval)
                r.AddError($"--interval: {given} is out of range; it is 0 to {MaxInterval}");
        });
        var control = new Option<string?>("--control")
        {
            Description = "The path of the control socket, for 'comanche ctl'; without it there is one in the user's runtime folder, which ctl finds", HelpName = "SOCKET",
        };
        var command = new ExampleCommand(
            "run", "Composes a stack and serves it until it is told to stop (SIGTERM, SIGINT): then exports drain, everything is flushed, sockets are removed, and the exit code is 0.",
            "comanche run stacks/quickstart.yaml",
            "comanche run stacks/quickstart.yaml --log debug",
            "nbdinfo 'nbd+unix:///?socket=data/volume.sock'    # meanwhile, elsewhere")
        {
            file, log, every, control,
        };
        command.SetAction(result =>
        {
            var catalog = Catalog.Open(result);
            var stack = Catalog.Check(result.GetRequiredValue(file), catalog, out var text);
            return Serve(stack, catalog, text, result.GetValue(control), result.GetValue(log), result.GetValue(every));
        });
        return command;
    }

    // A day; also what a timer takes in milliseconds.
    private const int MaxInterval = 86_400;

    private static LogLevel ParseLevel(ArgumentResult result)
    {
        switch (result.Tokens[0].Value)
        {
            case "debug": return LogLevel.Debug;
            case "info" or "information": return LogLevel.Information;
            case "warning": return LogLevel.Warning;
            case "error": return LogLevel.Error;
            default:
                result.AddError($"--log: debug, info, warning or error was expected, not '{result.Tokens[0].Value}'");
                return default;
        }
    }

    private static int Serve(CheckedStack stack, ComponentCatalog catalog, string text, string? socket, LogLevel level, int interval)
    {
        using var stackLock = StackLock.Take(stack.File.Path);
        using var stop = new ManualResetEventSlim();
        using var signals = new StopSignals(stop.Set);
        var log = TextLog.Make(level);
        using var process = new AppProcess(log, countsEveryDevice: true, isChangeable: true);
        if (!Console.IsOutputRedirected) Terminal.Draw(stack);
        var running = RunningStack.Start(stack, process.Stack, new ComposeOptions());
        try
        {
            var control = new StackControl(running, process, catalog, text, log, stop.Set);
            using var server = new ControlServer(control, socket ?? StackLock.ControlPath(stack.File.Path), log);
            log.Write(LogLevel.Information, stack.File.Name, $"runs, process {Environment.ProcessId}; {Describe(running)}");
            new LiveView(running, process, log, control.Gate).Show(stop, interval);
            log.Write(LogLevel.Information, stack.File.Name, "stops: draining and flushing");
            server.Dispose();
            lock (control.Gate) running.Stop();

            log.Write(LogLevel.Information, stack.File.Name, "stopped");
            return ExitCode.Success;
        }
        finally
        {
            running.Dispose();
        }
    }

    private static string Describe(RunningStack running)
    {
        var exports = running.Devices.Count(d => d.Definition.Definition.IsExport);
        var devices = running.Devices.Count - exports;
        return $"{devices} device{(devices == 1 ? "" : "s")}, {exports} export{(exports == 1 ? "" : "s")}";
    }
}
