using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;

namespace Comanche.App;

/// <summary>A command whose help ends with examples.</summary>
internal sealed class ExampleCommand(string name, string description, params string[] examples) : Command(name, description)
{
    /// <summary>Whole command lines, each with a word on what it does after <c>#</c>.</summary>
    public IReadOnlyList<string> Examples { get; } = examples;
}

/// <summary>The library's help with the examples of the command after it.</summary>
internal sealed class HelpWithExamples(HelpAction help) : SynchronousCommandLineAction
{
    private static readonly string[] RootExamples =
    [
        "comanche run stacks/quickstart.yaml          # compose a stack and serve it",
        "comanche check stacks/quickstart.yaml        # find its mistakes without opening anything",
        "comanche bench stacks/null.yaml --rw randread --bs 4k --iodepth 32 --runtime 3",
        "comanche describe raid/stripe                # every option of a component",
        "source <(comanche completion bash)           # complete names as you type",
    ];

    public override int Invoke(ParseResult parseResult)
    {
        var code = help.Invoke(parseResult);
        var command = parseResult.CommandResult.Command;
        var examples = command is ExampleCommand own ? own.Examples : command is RootCommand ? RootExamples : [];
        if (examples.Count == 0) return code;
        var output = parseResult.InvocationConfiguration.Output;
        output.WriteLine("Examples:");
        foreach (var example in examples) output.WriteLine($"  {example}");
        output.WriteLine();
        return code;
    }
}
