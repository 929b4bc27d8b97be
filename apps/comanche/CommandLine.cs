using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using System.CommandLine.Parsing;
using System.Text.RegularExpressions;
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
internal static partial class CommandLine
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
            if (args.Length == 0)
            {
                root.Parse("--help").Invoke();
                return ExitCode.BadInput;
            }

            if (UnknownOption(result) is { } unknown) return ReportUnknown(result, unknown, isOption: true);
            if (result.Action is ParseErrorAction) return ReportParseErrors(result);
            return result.Invoke(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
        }
        catch (BadInputException e)
        {
            TextLog.Say(e.Message);
            return ExitCode.BadInput;
        }
        catch (ComancheException e)
        {
            TextLog.Say(e.Message);
            if (result.GetValue(Debug)) TextLog.Say(e.ToString());
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
            TextLog.Say($"comanche: unexpected: {e.Message.ReplaceLineEndings(" ")} ({e.GetType().Name}); --debug shows where");
            if (result.GetValue(Debug)) TextLog.Say(e.ToString());
            return ExitCode.Failed;
        }
        finally
        {
            TextLog.Drain();
        }
    }

    // errno EPIPE as .NET puts it into HResult on Linux.
    private const int BrokenPipe = 32;

    private static RootCommand MakeRoot()
    {
        var root = new RootCommand("Storage out of components: finds, checks, runs and measures stacks of block devices in user space.")
        {
            RunCommand.Make(), CtlCommand.Make(), CheckCommand.Make(), BenchCommand.Make(), ComponentsCommand.Make(), DescribeCommand.Make(), SchemaCommand.Make(),
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

    // The parser takes an option that it does not know for an argument, and blames whatever comes behind it.
    private static string? UnknownOption(ParseResult result) =>
        result.Tokens.TakeWhile(t => t.Type != TokenType.DoubleDash)
            .FirstOrDefault(t => t.Type == TokenType.Argument && OptionLike().IsMatch(t.Value) && !File.Exists(t.Value))?.Value;

    private static int ReportParseErrors(ParseResult result)
    {
        // One mistake, one message: what is wrong with a word comes before what is missing because of it.
        if (result.CommandResult.Command is RootCommand && result.UnmatchedTokens is [var word, ..]) return ReportUnknown(result, word, isOption: false);
        foreach (var error in result.Errors.Select(e => InWords(e.Message)).Distinct()) TextLog.Say($"comanche: {error}");
        return PointToHelp(result);
    }

    private static int ReportUnknown(ParseResult result, string word, bool isOption)
    {
        var name = word.Split('=')[0];
        var known = isOption
            ? result.CommandResult.AllOptions().Where(o => !o.Hidden).SelectMany(o => o.Aliases.Append(o.Name)).ToList()
            : [.. result.CommandResult.Command.Subcommands.Select(c => c.Name)];
        if (known.Contains(name)) TextLog.Say($"comanche: '{name}' stands where a value was expected");
        else TextLog.Say($"comanche: there is no {(isOption ? "option" : "command")} '{name}'{Runtime.Loading.Spelling.Suggest(name, known)}");
        return PointToHelp(result);
    }

    private static int PointToHelp(ParseResult result)
    {
        var words = "";
        for (CommandResult? at = result.CommandResult; at is { Command: not RootCommand }; at = at.Parent as CommandResult) words = $" {at.Command.Name}{words}";
        TextLog.Say($"'comanche{words} --help' says what there is");
        return ExitCode.BadInput;
    }

    // The command's options, and those of the commands above it.
    private static IEnumerable<Option> AllOptions(this CommandResult result)
    {
        for (CommandResult? at = result; at is not null; at = at.Parent as CommandResult)
            foreach (var option in at.Command.Options)
                if (at == result || option.Recursive)
                    yield return option;
    }

    // The parser speaks of types; people know numbers and words.
    private static string InWords(string message)
    {
        if (CannotParse().Match(message) is not { Success: true } match) return message.ReplaceLineEndings("").Replace("\t", " ", StringComparison.Ordinal);
        var (text, option, type) = (match.Groups[1].Value, match.Groups[2].Value, match.Groups[3].Value);
        var expected = type is "System.Int32" or "System.UInt64" ? "a whole number" : "another value";
        return $"{option}: {expected} was expected, not '{text}'";
    }

    [GeneratedRegex("^-[-a-zA-Z?]")]
    private static partial Regex OptionLike();

    [GeneratedRegex("^Cannot parse argument '(.*)' for option '(.*)' as expected type '(.*?)'")]
    private static partial Regex CannotParse();
}
