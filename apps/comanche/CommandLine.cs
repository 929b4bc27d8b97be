using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using System.CommandLine.Parsing;
using Comanche.App.Commands;

namespace Comanche.App;

/// <summary>How the program ends.</summary>
internal static class ExitCode
{
    /// <summary>Done.</summary>
    public const int Success = 0;

    /// <summary>It was asked rightly and failed.</summary>
    public const int Failed = 1;

    /// <summary>What was asked can't be: bad options, a bad stack file.</summary>
    public const int BadInput = 2;
}

/// <summary>What was asked can't be; ends the program with <see cref="ExitCode.BadInput"/>. The message is whole lines.</summary>
internal sealed class BadInputException(string message) : Exception(message);

/// <summary>The commands, and what all of them have in common: options, exit codes, and that nobody ever sees a stack trace unasked.</summary>
internal static class CommandLine
{
    private static readonly Option<bool> Debug = new("--debug")
    {
        Description = "Show where in the program an unexpected error came from", Recursive = true,
    };

    /// <summary>Runs one command line.</summary>
    public static int Run(string[] args)
    {
        var root = MakeRoot();
        var result = root.Parse(args);
        try
        {
            if (result.Action is ParseErrorAction) return ReportParseErrors(result);
            return result.Invoke(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
        }
        catch (BadInputException e)
        {
            Console.Error.WriteLine(e.Message);
            return ExitCode.BadInput;
        }
        catch (ComancheException e)
        {
            Console.Error.WriteLine(e.Message);
            if (result.GetValue(Debug)) Console.Error.WriteLine(e);
            return ExitCode.Failed;
        }
        catch (OperationCanceledException)
        {
            return ExitCode.Failed;
        }
        catch (IOException e) when (e.HResult == BrokenPipe)
        {
            return ExitCode.Success; // Whoever read our output has had enough of it: `comanche components | head`.
        }
        catch (Exception e)
        {
            Console.Error.WriteLine($"comanche: unexpected: {e.Message.ReplaceLineEndings(" ")} ({e.GetType().Name}); --debug shows where");
            if (result.GetValue(Debug)) Console.Error.WriteLine(e);
            return ExitCode.Failed;
        }
    }

    // errno EPIPE as .NET puts it into HResult on Linux.
    private const int BrokenPipe = 32;

    private static RootCommand MakeRoot()
    {
        var root = new RootCommand("Storage out of components: finds, checks, runs and measures stacks of block devices in user space.")
        {
            RunCommand.Make(), CheckCommand.Make(), BenchCommand.Make(), ComponentsCommand.Make(), DescribeCommand.Make(), SchemaCommand.Make(),
            DoctorCommand.Make(), CompletionCommand.Make(), Debug, Catalog.Folders,
        };
        root.HelpName = "comanche";
        AddExamples(root);
        return root;
    }

    // The help of every command ends with its examples.
    private static void AddExamples(RootCommand root)
    {
        var help = root.Options.OfType<HelpOption>().Single();
        help.Action = new HelpWithExamples((HelpAction)help.Action!);
    }

    private static int ReportParseErrors(ParseResult result)
    {
        foreach (var error in result.Errors.Select(e => e.Message).Distinct()) Console.Error.WriteLine($"comanche: {error}");
        var words = result.CommandResult.Command is RootCommand ? "" : $" {result.CommandResult.Command.Name}";
        foreach (var token in result.UnmatchedTokens)
        {
            var known = result.CommandResult.Command.Subcommands.Select(c => c.Name)
                .Concat(result.CommandResult.Command.Options.Where(o => !o.Hidden).Select(o => o.Name));
            if (Runtime.Loading.Spelling.Nearest(token, known) is { } near) Console.Error.WriteLine($"comanche: did you mean '{near}'?");
        }

        Console.Error.WriteLine($"'comanche{words} --help' says what there is");
        return ExitCode.BadInput;
    }
}
