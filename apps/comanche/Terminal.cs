using System.Globalization;
using System.Reflection;
using Comanche.Runtime.Composition;
using Spectre.Console;

namespace Comanche.App;

/// <summary>What people see of a stack.</summary>
internal static class Terminal
{
    /// <summary>The program's version.</summary>
    public static string Version { get; } =
        typeof(Terminal).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0] ?? "0";

    /// <summary>Whether live lines can be drawn: standard output is a terminal, and one that can move its cursor.</summary>
    public static bool IsInteractive => !Console.IsOutputRedirected && Environment.GetEnvironmentVariable("TERM") is not (null or "" or "dumb");

    /// <summary>Draws a stack as trees: what nothing stands on at the top, what it stands on below.</summary>
    public static void Draw(CheckedStack stack)
    {
        if (Console.IsOutputRedirected) AnsiConsole.Profile.Width = 240; // Lines of a log are not to be broken.
        var stoodOn = stack.Devices.SelectMany(d => d.Bindings.Select(b => b.Device)).ToHashSet();
        var tree = new Tree(new Text(stack.File.Name));
        var drawn = new HashSet<CheckedDevice>();
        foreach (var top in stack.Devices.Where(d => !stoodOn.Contains(d)).OrderBy(d => d.Definition.At)) Add(tree, "", top, drawn);
        AnsiConsole.Write(tree);
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

    // What several stand on is drawn once, and named afterwards: a stack of shared layers has more paths than anybody can read.
    private static void Add(IHasTreeNodes above, string role, CheckedDevice device, HashSet<CheckedDevice> drawn)
    {
        var volume = device.Volume is { } info ? $"  {Describe(info)}" : device.Definition.IsReadOnly ? "  read-only" : "";
        var label = $"{(role.Length == 0 ? "" : $"{role}: ")}{device.Name}  {device.Definition.Use}{volume}";
        var isNew = drawn.Add(device);
        var node = above.AddNode(new Text(isNew || device.Bindings.Count == 0 ? label : $"{label}  (see above)"));
        if (!isNew) return;
        foreach (var (below, next, _) in device.Bindings) Add(node, below, next, drawn);
    }
}
