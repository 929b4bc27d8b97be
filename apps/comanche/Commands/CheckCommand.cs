using System.CommandLine;

namespace Comanche.App.Commands;

/// <summary><c>comanche check FILE</c>.</summary>
internal static class CheckCommand
{
    public static Command Make()
    {
        var file = Arguments.StackFile();
        var probe = new Option<bool>("--probe")
        {
            Description = "Also open what exists, read-only, check its sizes and labels, and say what a run would make",
        };
        var command = new ExampleCommand(
            "check", "Checks a stack file without opening anything: names, options, types, sizes, cycles, contracts. Each mistake is one line with file, line and column; then the exit code is 2.",
            "comanche check stacks/quickstart.yaml",
            "comanche check --probe stacks/quickstart.yaml    # also looks at the disks, changing nothing")
        {
            file, probe,
        };
        command.SetAction(result =>
        {
            var stack = Catalog.Check(result.GetRequiredValue(file), Catalog.Open(result));
            Terminal.Draw(stack);
            return result.GetValue(probe) ? Probe.Run(stack) : ExitCode.Success;
        });
        return command;
    }
}
