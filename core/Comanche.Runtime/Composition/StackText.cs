using Comanche.Runtime.Loading;

namespace Comanche.Runtime.Composition;

/// <summary>
/// The text of a stack file, changed as the stack was: devices come, go and are replaced line by line, and what a person wrote around them stays as it is.
/// </summary>
/// <remarks>A device that is changed begins a line of its own; where it does not (all of them in one pair of braces), the text can't be kept up, and <see cref="Problem"/> says so.</remarks>
public sealed class StackText
{
    private readonly string _path;
    private string _text;

    /// <summary>Begins with the text of a file that was checked.</summary>
    public StackText(string path, string text)
    {
        _path = path;
        _text = text;
    }

    /// <summary>The text now.</summary>
    public string Text => _text;

    /// <summary>Why the text is not that of the stack any more, or null.</summary>
    public string? Problem { get; private set; }

    /// <summary>A device came between another one and what stood on it.</summary>
    public void Insert(string device, string below) => Change(file =>
    {
        var name = NameOf(device);
        var lines = Lines();
        Rename(lines, file, below, name);
        var (_, last, indent) = BlockOf(lines, file, below);
        lines.InsertRange(last + 1, Indented(StandingOn(device, [below]), indent));
        return lines;
    });

    /// <summary>A device went, and what stood on it stands on another one.</summary>
    public void Remove(string name, string below) => Change(file =>
    {
        var lines = Lines();
        Rename(lines, file, name, below);
        var (first, last, _) = BlockOf(lines, file, name);
        lines.RemoveRange(first, last - first + 1);
        return lines;
    });

    /// <summary>A device was replaced by one of the same name.</summary>
    public void Replace(string device) => Change(file =>
    {
        var lines = Lines();
        var name = NameOf(device);
        var (first, last, indent) = BlockOf(lines, file, name);
        lines.RemoveRange(first, last - first + 1);
        lines.InsertRange(first, Indented(StandingOn(device, [.. file.Find(name)!.Bindings.Select(b => b.Name)]), indent));
        return lines;
    });

    /// <summary>Whether the text says what a stack is.</summary>
    public bool Says(StackFile file)
    {
        var own = StackFile.Parse(_path, _text);
        return own.Problems.Count == 0 && own.Devices.Count == file.Devices.Count
            && own.Devices.All(d => file.Find(d.Name) is { } same && same.Use == d.Use && same.IsExport == d.IsExport);
    }

    private void Change(Func<StackFile, List<string>> change)
    {
        if (Problem is not null) return;
        try
        {
            _text = string.Join('\n', change(StackFile.Parse(_path, _text)));
            if (StackFile.Parse(_path, _text).Problems.FirstOrDefault(p => !p.IsWarning) is { } problem) throw new ComancheException(problem.Text);
        }
        catch (ComancheException e)
        {
            Problem = e.Message;
        }
    }

    private List<string> Lines() => [.. _text.Split('\n')];

    private static string NameOf(string device) => Parse(device).Name;

    private static StackDevice Parse(string device) => StackFile.Parse("", $"devices:\n{string.Join('\n', Indented(device, 2))}\n").Devices[0];

    // What was left out of a change, since it is known there, is written down in a file.
    private static string StandingOn(string device, IReadOnlyList<string> names)
    {
        if (names.Count == 0 || Parse(device).Bindings.Count != 0) return device;
        var on = names.Count == 1 ? names[0] : $"[{string.Join(", ", names)}]";
        var brace = device.LastIndexOf('}');
        return brace < 0 || !device.Contains('{', StringComparison.Ordinal) ? $"{device.TrimEnd()}\n  on: {on}" : $"{device[..brace].TrimEnd().TrimEnd(',')}, on: {on} {device[brace..]}";
    }

    private static IEnumerable<string> Indented(string device, int indent) => device.TrimEnd().Split('\n').Select(line => new string(' ', indent) + line);

    // The lines of a device: from its name to before what is indented no further.
    private static (int First, int Last, int Indent) BlockOf(List<string> lines, StackFile file, string name)
    {
        var at = file.Find(name)?.At ?? throw new ComancheException($"'{name}' is not in the file");
        var first = at.Line - 1;
        var indent = at.Column - 1;
        if (indent < 0 || !lines[first].AsSpan(0, indent).IsWhiteSpace()) throw new ComancheException($"'{name}' does not begin a line of its own");
        var last = first;
        for (var i = first + 1; i < lines.Count; i++)
        {
            var text = lines[i].AsSpan().TrimStart();
            if (text.Length == 0 || text[0] == '#') continue;
            if (lines[i].Length - text.Length <= indent) break;
            last = i;
        }

        return (first, last, indent);
    }

    // Puts another name wherever a device is stood on, the last place of a line first.
    private static void Rename(List<string> lines, StackFile file, string from, string to)
    {
        var places = file.Devices.SelectMany(d => References(d, from)).Distinct().OrderByDescending(at => at.Line).ThenByDescending(at => at.Column);
        foreach (var at in places)
        {
            var line = lines[at.Line - 1];
            var start = at.Column - 1;
            var quote = start < line.Length && line[start] is '"' or '\'' ? 1 : 0;
            if (string.CompareOrdinal(line, start + quote, from, 0, from.Length) != 0) throw new ComancheException($"{at}: '{from}' is not written there plainly");
            lines[at.Line - 1] = string.Concat(line.AsSpan(0, start + quote), to, line.AsSpan(start + quote + from.Length));
        }
    }

    // What stands under 'on:', and under keys that may be roles, which only components know: a plain name in the place of one.
    private static IEnumerable<SourceLocation> References(StackDevice device, string name)
    {
        foreach (var binding in device.Bindings)
            if (binding.Name == name)
                yield return binding.At;
    }
}
