using System.Globalization;
using Comanche.Runtime.Loading;

namespace Comanche.Runtime.Composition;

/// <summary>Reads the form of a stack file: its sections, and of each device the keys that all have.</summary>
internal sealed class StackReader(string path)
{
    private static readonly string[] Sections = ["stack", "devices", "exports", "reactors"];
    private static readonly string[] ReactorKeys = ["core", "idle"];
    private static readonly string[] IdlePolicies = ["adaptive", "spin"];

    private readonly List<StackProblem> _problems = [];
    private readonly List<StackDevice> _devices = [];
    private readonly List<StackReactor> _reactors = [];
    private readonly Dictionary<string, StackDevice> _byName = new(StringComparer.Ordinal);

    public StackFile Read(string text)
    {
        var name = Path.GetFileNameWithoutExtension(path);
        switch (StackYaml.Read(path, text, _problems))
        {
            case MappingNode root:
                name = ReadSections(root) ?? name;
                break;
            case null when _problems.Count == 0:
                Problem(new SourceLocation(path, 1, 1), "the file is empty; a stack file has at least 'devices:'");
                break;
            case { } other:
                Problem(other.At, $"a stack file is a mapping with 'devices:', not {other.What}");
                break;
        }

        return new StackFile { Path = path, Name = name, Devices = _devices, Reactors = _reactors, Problems = _problems };
    }

    private string? ReadSections(MappingNode root)
    {
        string? name = null;
        foreach (var (key, value) in root.Entries)
        {
            switch (key.Text)
            {
                case "stack":
                    name = Word(value, "the stack's name");
                    break;
                case "devices":
                    ReadDevices(value, isExport: false);
                    break;
                case "exports":
                    ReadDevices(value, isExport: true);
                    break;
                case "reactors":
                    ReadReactors(value);
                    break;
                case var extension when extension.StartsWith("x-", StringComparison.Ordinal):
                    break; // Free for anchors and other programs.
                default:
                    Problem(key.At, $"unknown section '{key.Text}'{Spelling.Suggest(key.Text, Sections)}; a stack file has {string.Join(", ", Sections)}");
                    break;
            }
        }

        var isMisspelt = root.Entries.Any(e => !Sections.Contains(e.Key.Text) && Spelling.Nearest(e.Key.Text, Sections) == "devices");
        if (root.Find("devices") is null && !isMisspelt) Problem(root.At, "'devices:' is missing");
        return name;
    }

    private void ReadDevices(StackNode section, bool isExport)
    {
        var what = isExport ? "export" : "device";
        if (section is ScalarNode { IsEmpty: true } && isExport) return;
        if (section is not MappingNode { Entries: var entries })
        {
            Problem(section.At, $"'{what}s:' is a mapping of names to {what}s, not {section.What}");
            return;
        }

        foreach (var (key, value) in entries)
        {
            if (!IsName(key.Text))
            {
                Problem(key.At, $"'{key.Text}' can't be a name: a name has letters, digits, '-', '_' and '.'");
                continue;
            }

            if (_byName.TryGetValue(key.Text, out var first))
            {
                Problem(key.At, $"'{key.Text}' is already the name of a device, at line {first.At.Line}");
                continue;
            }

            if (value is not MappingNode mapping)
            {
                Problem(value.At, $"{what} '{key.Text}' is a mapping with 'use:', not {value.What}");
                continue;
            }

            var device = ReadDevice(key, mapping, isExport);
            _devices.Add(device);
            _byName.Add(device.Name, device);
        }
    }

    private StackDevice ReadDevice(ScalarNode name, MappingNode mapping, bool isExport)
    {
        var device = new StackDevice { Name = name.Text, At = name.At, IsExport = isExport, UseAt = name.At, OnAt = name.At };
        foreach (var (key, value) in mapping.Entries)
        {
            switch (key.Text)
            {
                case "use":
                    device.Use = Word(value, "the id of a component") ?? "";
                    device.UseAt = value.At;
                    if (device.Use.Length == 0) device.Use = "?";
                    break;
                case "on":
                    device.OnAt = key.At;
                    ReadNames(device, "", value, _problems);
                    break;
                case "readonly":
                    device.IsReadOnly = ReadBoolean(key.Text, value);
                    break;
                case "collectible":
                    device.IsCollectible = ReadBoolean(key.Text, value);
                    break;
                case "reactor":
                    device.Reactor = Word(value, "the name of a reactor");
                    device.ReactorAt = value.At;
                    break;
                default:
                    device.Options.Add((key, value));
                    break;
            }
        }

        if (device.Use.Length == 0) Problem(name.At, $"'{name.Text}' has no 'use:', which names its component");
        return device;
    }

    /// <summary>Reads what a device stands on in a role: a name or a list of names.</summary>
    public static void ReadNames(StackDevice device, string role, StackNode node, List<StackProblem> problems)
    {
        foreach (var item in node is ListNode list ? list.Items : [node])
        {
            if (item is ScalarNode { IsEmpty: false, Text.Length: > 0 } name)
            {
                device.Bindings.Add(new StackBinding(role, name.Text, item.At));
                continue;
            }

            device.HasBadBindings = true;
            problems.Add(new StackProblem(item.At, $"the name of a device was expected, not {item.What}"));
        }
    }

    private void ReadReactors(StackNode section)
    {
        if (section is not MappingNode mapping)
        {
            Problem(section.At, $"'reactors:' is a mapping of names to reactors, not {section.What}");
            return;
        }

        foreach (var (name, value) in mapping.Entries)
        {
            if (value is MappingNode reactor) ReadReactor(name, reactor);
            else if (value is ScalarNode { IsEmpty: true }) _reactors.Add(new StackReactor(name.Text, name.At, null, IdlePolicies[0]));
            else Problem(value.At, $"reactor '{name.Text}' is a mapping with 'core:' and 'idle:', not {value.What}");
        }
    }

    private void ReadReactor(ScalarNode name, MappingNode mapping)
    {
        int? core = null;
        var idle = IdlePolicies[0];
        foreach (var (key, value) in mapping.Entries)
        {
            switch (key.Text)
            {
                case "core":
                    if (value is ScalarNode text && int.TryParse(text.Text, NumberStyles.None, CultureInfo.InvariantCulture, out var number)) core = number;
                    else Problem(value.At, $"core: the number of a core was expected, not {value.What}");
                    break;
                case "idle":
                    idle = Word(value, "a policy") ?? idle;
                    if (!IdlePolicies.Contains(idle))
                        Problem(value.At, $"idle: '{idle}' is not {string.Join(" or ", IdlePolicies)}{Spelling.Suggest(idle, IdlePolicies)}");
                    break;
                default:
                    Problem(key.At, $"a reactor has no '{key.Text}'{Spelling.Suggest(key.Text, ReactorKeys)}; it has {string.Join(" and ", ReactorKeys)}");
                    break;
            }
        }

        _reactors.Add(new StackReactor(name.Text, name.At, core, idle));
    }

    private bool ReadBoolean(string key, StackNode node)
    {
        if (node is ScalarNode { Text: "true" or "false" } scalar) return scalar.Text == "true";
        Problem(node.At, $"{key}: true or false was expected, not {node.What}");
        return false;
    }

    private string? Word(StackNode node, string what)
    {
        if (node is ScalarNode { IsEmpty: false, Text.Length: > 0 } scalar) return scalar.Text;
        Problem(node.At, $"{what} was expected, not {node.What}");
        return null;
    }

    private static bool IsName(string text) =>
        text.Length is > 0 and <= 128 && text.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.') && text[0] is not ('.' or '-');

    private void Problem(SourceLocation at, string text) => _problems.Add(new StackProblem(at, text));
}
