using Comanche.Runtime.Loading;

namespace Comanche.Runtime.Composition;

/// <summary>Checks what a stack file gives a component against the component's description: names, types, ranges, what is required.</summary>
internal sealed class OptionBinder(List<StackProblem> problems)
{
    /// <summary>Binds a device's options. What is wrong is left out and said; the return is whether all was right.</summary>
    public bool TryBind(StackDevice device, ComponentDescription component, out OptionSet options)
    {
        options = new OptionSet(device.At);
        var before = problems.Count;
        var extra = component.Options.Select(o => o.Name).Concat(component.Bindings.Select(b => b.Key)).Concat(StackFile.DeviceKeys);
        BindInto(options, device.Options, component.Options, component.Id, extra, device.At);
        return problems.Count == before;
    }

    private void BindInto(
        OptionSet into, IEnumerable<(ScalarNode Key, StackNode Value)> entries, IReadOnlyList<OptionDescription> known, string owner,
        IEnumerable<string> suggestions, SourceLocation at)
    {
        var named = new HashSet<string>(StringComparer.Ordinal);
        foreach (var (key, node) in entries)
        {
            named.Add(key.Text);
            if (known.FirstOrDefault(o => o.Name == key.Text) is not { } option)
            {
                problems.Add(new StackProblem(key.At, $"{owner} has no option '{key.Text}'{Spelling.Suggest(key.Text, suggestions)}"));
                if (Spelling.Nearest(key.Text, suggestions) is { } meant) named.Add(meant); // What is misspelt is not missing as well.
                continue;
            }

            if (Read(option, node) is { } value) into.Set(option.Name, new OptionValue(value, node.At));
        }

        foreach (var option in known)
            if (option.Required && !named.Contains(option.Name))
                problems.Add(new StackProblem(at, $"{owner} needs the option '{option.Name}': {option.Summary}"));
    }

    private object? Read(OptionDescription option, StackNode node)
    {
        if (!option.IsList) return ReadOne(option, node);

        // One value is a list of one.
        var items = node is ListNode list ? list.Items : [node];
        var values = new List<object>(items.Count);
        foreach (var item in items)
        {
            if (ReadOne(option, item) is not { } value) return null;
            values.Add(value);
        }

        return values;
    }

    private object? ReadOne(OptionDescription option, StackNode node)
    {
        if (option.Kind == OptionKind.Record) return ReadRecord(option, node);
        if (node is not ScalarNode { IsEmpty: false } scalar) return Wrong(node.At, $"{option.Name}: {Expected(option)} was expected, not {node.What}");
        if (option.Secret && !Secrets.IsReference(scalar.Text))
            return Wrong(node.At, $"{option.Name}: a secret is given by reference only: env:NAME or file:PATH");
        if (option.Kind == OptionKind.Choice && !option.Choices.Contains(scalar.Text))
            return Wrong(node.At, $"{option.Name}: '{scalar.Text}' is not one of {string.Join(", ", option.Choices)}{Spelling.Suggest(scalar.Text, option.Choices)}");
        if (!OptionText.TryParse(option.Kind, scalar.Text, out var value, out var expected))
            return Wrong(node.At, $"{option.Name}: {expected} was expected, not '{scalar.Text}'");
        return InRange(option, value) ? value : Wrong(node.At, $"{option.Name}: {scalar.Text} is out of range; it is {option.RangeText}");
    }

    private OptionSet? ReadRecord(OptionDescription option, StackNode node)
    {
        if (node is not MappingNode mapping)
        {
            Wrong(node.At, $"{option.Name}: a mapping was expected, not {node.What}");
            return null;
        }

        var nested = new OptionSet(mapping.At);
        BindInto(nested, mapping.Entries, option.Options, $"'{option.Name}'", option.Options.Select(o => o.Name), mapping.At);
        return nested;
    }

    private static string Expected(OptionDescription option) => option.Kind switch
    {
        OptionKind.Choice => $"one of {string.Join(", ", option.Choices)}",
        OptionKind.Text => "text",
        _ => OptionText.TryParse(option.Kind, "?", out _, out var expected) ? "text" : expected,
    };

    private static bool InRange(OptionDescription option, object value) =>
        (Limit(option, option.Min) is not { } min || Compare(value, min) >= 0) && (Limit(option, option.Max) is not { } max || Compare(value, max) <= 0);

    private static int Compare(object value, object limit) => value switch
    {
        ByteSize size => size.CompareTo((ByteSize)limit),
        Int128 or double or TimeSpan => ((IComparable)value).CompareTo(limit),
        _ => 0,
    };

    private static object? Limit(OptionDescription option, string? text) =>
        text is not null && OptionText.TryParse(option.Kind, text, out var value, out _) ? value : null;

    private object? Wrong(SourceLocation at, string text)
    {
        problems.Add(new StackProblem(at, text));
        return null;
    }
}
