using System.CommandLine;

namespace Comanche.App.Commands;

/// <summary><c>comanche completion SHELL</c>: a script that asks the program itself, by its <c>[suggest]</c> directive, what may come next.</summary>
internal static class CompletionCommand
{
    private const string Bash = """
        _comanche() {
            local word="${COMP_WORDS[COMP_CWORD]}" IFS=$'\n'
            COMPREPLY=($(compgen -W "$("${COMP_WORDS[0]}" "[suggest:$COMP_POINT]" "$COMP_LINE" 2>/dev/null)" -- "$word"))
            [[ ${COMPREPLY[0]-} == */ ]] && compopt -o nospace
        }
        complete -o default -F _comanche comanche ./comanche
        """;

    private const string Zsh = """
        #compdef comanche
        _comanche() {
            local -a found
            found=("${(@f)$("${words[1]}" "[suggest:$CURSOR]" "$BUFFER" 2>/dev/null)}")
            compadd -S '' -- "${(@)found:#}"
        }
        compdef _comanche comanche ./comanche
        """;

    private const string Fish = """
        function __comanche_complete
            set -l line (commandline -cp)
            set -l words (commandline -opc)
            $words[1] "[suggest:"(string length -- $line)"]" "$line" 2>/dev/null
        end
        complete -c comanche -a '(__comanche_complete)'
        """;

    public static Command Make()
    {
        var shell = new Argument<string>("SHELL") { HelpName = "SHELL", Description = "bash, zsh or fish" };
        shell.AcceptOnlyFromAmong("bash", "zsh", "fish");
        var command = new ExampleCommand(
            "completion", "Prints a script by which a shell completes commands, options, files and components.",
            "source <(comanche completion bash)",
            "comanche completion zsh > ~/.zfunc/_comanche",
            "comanche completion fish > ~/.config/fish/completions/comanche.fish")
        {
            shell,
        };
        command.SetAction(result =>
        {
            Console.WriteLine(result.GetRequiredValue(shell) switch { "zsh" => Zsh, "fish" => Fish, _ => Bash });
            return ExitCode.Success;
        });
        return command;
    }
}
