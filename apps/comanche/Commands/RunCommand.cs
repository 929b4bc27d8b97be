using System.CommandLine;
using System.CommandLine.Parsing;
using Comanche.Runtime;
using Comanche.Runtime.Composition;

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
        var command = new ExampleCommand(
            "run", "Composes a stack and serves it until it is told to stop (SIGTERM, SIGINT): then exports drain, everything is flushed, sockets are removed, and the exit code is 0.",
            "comanche run stacks/quickstart.yaml",
            "comanche run stacks/quickstart.yaml --log debug",
            "nbdinfo 'nbd+unix:///?socket=data/volume.sock'    # meanwhile, elsewhere")
        {
            file, log, every,
        };
        command.SetAction(result =>
        {
            var stack = Catalog.Check(result.GetRequiredValue(file), Catalog.Open(result));
            return Serve(stack, result.GetValue(log), result.GetValue(every));
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

    private static int Serve(CheckedStack stack, LogLevel level, int interval)
    {
        using var stackLock = StackLock.Take(stack.File.Path);
        using var stop = new ManualResetEventSlim();
        using var signals = new StopSignals(stop.Set);
        var log = TextLog.Make(level);
        using var process = new AppProcess(log, countsEveryDevice: true);
        if (!Console.IsOutputRedirected) Terminal.Draw(stack);
        var running = RunningStack.Start(stack, process.Stack, new ComposeOptions());
        try
        {
            log.Write(LogLevel.Information, stack.File.Name, $"runs, process {Environment.ProcessId}; {Describe(running)}");
            new LiveView(running, process, log).Show(stop, interval);
            log.Write(LogLevel.Information, stack.File.Name, "stops: draining and flushing");
            running.Stop();
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
