using System.CommandLine;
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
            Description = "The least that is logged: debug, information, warning, error", HelpName = "LEVEL", DefaultValueFactory = _ => LogLevel.Information,
        };
        var every = new Option<int>("--interval")
        {
            Description = "Seconds between two lines of statistics where standard output is no terminal; 0 for none", HelpName = "N", DefaultValueFactory = _ => 60,
        };
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

    private static int Serve(CheckedStack stack, LogLevel level, int interval)
    {
        using var stackLock = StackLock.Take(stack.File.Path);
        using var stop = new ManualResetEventSlim();
        using var signals = new StopSignals(stop.Set);
        using var process = new AppProcess(TextLog.Make(level), countsEveryDevice: true);
        if (!Console.IsOutputRedirected) Terminal.Draw(stack);
        var running = RunningStack.Start(stack, process.Stack, new ComposeOptions());
        try
        {
            TextLog.Write(LogLevel.Information, stack.File.Name, $"runs, process {Environment.ProcessId}; {Describe(running)}");
            new LiveView(running, process).Show(stop, interval);
            TextLog.Write(LogLevel.Information, stack.File.Name, "stops: draining and flushing");
            running.Stop();
            TextLog.Write(LogLevel.Information, stack.File.Name, "stopped");
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
