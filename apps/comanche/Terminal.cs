using System.Globalization;
using System.Reflection;
using Comanche.Runtime.Composition;
using Spectre.Console;

namespace Comanche.App;

/// <summary>A line of a drawn stack.</summary>
/// <param name="Depth">How many lines it stands below, 0 at the top.</param>
/// <param name="Role">In which role the line above it takes it.</param>
/// <param name="Device">The device.</param>
/// <param name="IsAgain">Whether it is drawn already, with all that it stands on.</param>
internal readonly record struct StackLine(int Depth, string Role, CheckedDevice Device, bool IsAgain);

/// <summary>What people see of a stack.</summary>
internal static class Terminal
{
    /// <summary>The program's version.</summary>
    public static string Version { get; } =
        typeof(Terminal).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0] ?? "0";

    /// <summary>Whether live lines can be drawn on standard output: it is a terminal, and one that can move its cursor.</summary>
    public static bool IsInteractive => !Console.IsOutputRedirected && CanMoveCursor;

    /// <summary>The same of standard error.</summary>
    public static bool IsErrorInteractive => !Console.IsErrorRedirected && CanMoveCursor;

    private static bool CanMoveCursor => Environment.GetEnvironmentVariable("TERM") is not (null or "" or "dumb");

    /// <summary>Prints a line on standard output; what is foreign in it can't do anything to a terminal.</summary>
    public static void Print(string line) => Console.WriteLine(Printable.Line(line));

    /// <summary>Draws a stack as trees: what nothing stands on at the top, what it stands on below.</summary>
    public static void Draw(CheckedStack stack)
    {
        if (Console.IsOutputRedirected) AnsiConsole.Profile.Width = 240; // Lines of a log are not to be broken.
        var tree = new Tree(new Text(Printable.Line(stack.File.Name)));
        var above = new List<IHasTreeNodes> { tree }; // By depth, down to the line before.
        foreach (var line in TopDown(stack))
        {
            above.RemoveRange(line.Depth + 1, above.Count - line.Depth - 1);
            above.Add(above[^1].AddNode(new Text(Label(line))));
        }

        AnsiConsole.Write(tree);
    }

    /// <summary>
    /// The lines of a stack, each device with what it stands on after it. What several stand on is there once, and named afterwards: a stack of shared layers has more
    /// paths than anybody can read, but no more lines than devices and bindings.
    /// </summary>
    public static IEnumerable<StackLine> TopDown(CheckedStack stack)
    {
        var stoodOn = stack.Devices.SelectMany(d => d.Bindings.Select(b => b.Device)).ToHashSet();
        var seen = new HashSet<CheckedDevice>();
        var open = new Stack<(int Depth, string Role, CheckedDevice Device)>();
        foreach (var top in stack.Devices.Where(d => !stoodOn.Contains(d)).OrderByDescending(d => d.Definition.At)) open.Push((0, "", top));
        while (open.TryPop(out var next))
        {
            var isAgain = !seen.Add(next.Device);
            yield return new StackLine(next.Depth, next.Role, next.Device, isAgain);
            if (isAgain) continue;
            foreach (var (role, below, _) in Enumerable.Reverse(next.Device.Bindings)) open.Push((next.Depth + 1, role, below));
        }
    }

    /// <summary>A volume in a few words: <c>1GiB, 512 B blocks, read-only</c>.</summary>
    public static string Describe(VolumeInfo volume) =>
        $"{Size(volume.ByteLength)}, {volume.BlockSize} B blocks" + (volume.Has(VolumeCapabilities.ReadOnly) ? ", read-only" : "");

    /// <summary>A length for people: exact where that is short, like 64MiB or 500B, else to three digits, like 3.76MiB.</summary>
    public static string Size(ulong bytes)
    {
        var exact = new ByteSize(bytes).ToString();
        if (bytes < 1024 || (!char.IsAsciiDigit(exact[^1]) && exact.Length <= 7)) return char.IsAsciiDigit(exact[^1]) ? exact + "B" : exact;
        var (value, unit) = ((double)bytes, 0);
        while (value >= 1024 && unit < 5) (value, unit) = (value / 1024, unit + 1);
        return string.Create(CultureInfo.InvariantCulture, $"{value.ToString(value >= 100 ? "F0" : value >= 10 ? "F1" : "F2", CultureInfo.InvariantCulture)}{"KMGTP"[unit - 1]}iB");
    }

    /// <summary>Bytes a second.</summary>
    public static string Rate(double bytes) => $"{Size((ulong)bytes)}/s";

    /// <summary>A time for people.</summary>
    public static string Time(double nanoseconds) => nanoseconds switch
    {
        >= 1e9 => FormattableString.Invariant($"{nanoseconds / 1e9:F2} s"),
        >= 1e6 => FormattableString.Invariant($"{nanoseconds / 1e6:F2} ms"),
        >= 1e4 => FormattableString.Invariant($"{nanoseconds / 1e3:F1} µs"),
        _ => FormattableString.Invariant($"{nanoseconds:F0} ns"),
    };

    private static string Label(StackLine line)
    {
        var device = line.Device;
        var volume = device.Volume is { } info ? $"  {Describe(info)}" : device.Definition.IsReadOnly ? "  read-only" : "";
        var again = line.IsAgain && device.Bindings.Count != 0 ? "  (see above)" : "";
        return Printable.Line($"{(line.Role.Length == 0 ? "" : $"{line.Role}: ")}{device.Name}  {device.Definition.Use}{volume}{again}");
    }
}
