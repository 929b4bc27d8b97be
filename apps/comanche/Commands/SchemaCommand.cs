using System.CommandLine;
using Comanche.Runtime.Composition;

namespace Comanche.App.Commands;

/// <summary><c>comanche schema</c>.</summary>
internal static class SchemaCommand
{
    public static Command Make()
    {
        var command = new ExampleCommand(
            "schema", "Prints a JSON Schema of stack files, by which an editor completes and checks them.",
            "comanche schema > stack.schema.json",
            "# yaml-language-server: $schema=stack.schema.json    (first line of a stack file)");
        command.SetAction(result =>
        {
            Console.WriteLine(StackSchema.Make(Catalog.Open(result)).ToJsonString(DescribeCommand.Indented));
            return ExitCode.Success;
        });
        return command;
    }
}
