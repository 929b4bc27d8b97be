namespace Comanche.Runtime.Loading;

/// <summary>What kind of value an option takes.</summary>
public enum OptionKind
{
    /// <summary>Text.</summary>
    Text,

    /// <summary><c>true</c> or <c>false</c>.</summary>
    Boolean,

    /// <summary>A whole number.</summary>
    Integer,

    /// <summary>A number.</summary>
    Number,

    /// <summary>A number of bytes: <c>512</c>, <c>4KiB</c>.</summary>
    Size,

    /// <summary>A duration: <c>250ms</c>, <c>10s</c>.</summary>
    Duration,

    /// <summary>One of a few words.</summary>
    Choice,

    /// <summary>A mapping of options of its own.</summary>
    Record,
}

/// <summary>An option of a component, as people and editors are told of it.</summary>
/// <param name="Name">Its name in stack files, in kebab-case.</param>
/// <param name="Kind">What it takes; with <see cref="IsList"/>, what each element is.</param>
/// <param name="Summary">What it does.</param>
public sealed record OptionDescription(string Name, OptionKind Kind, string Summary)
{
    /// <summary>Whether it takes a list.</summary>
    public bool IsList { get; init; }

    /// <summary>The default as a stack file would write it, or words for it; null where there is none.</summary>
    public string? Default { get; init; }

    /// <summary>The smallest value as written, or null.</summary>
    public string? Min { get; init; }

    /// <summary>The largest value as written, or null.</summary>
    public string? Max { get; init; }

    /// <summary>Whether a stack file must give it.</summary>
    public bool Required { get; init; }

    /// <summary>Whether it is a secret, given by reference only.</summary>
    public bool Secret { get; init; }

    /// <summary>Whether it is a path.</summary>
    public bool IsPath { get; init; }

    /// <summary>The words of a <see cref="OptionKind.Choice"/>.</summary>
    public IReadOnlyList<string> Choices { get; init; } = [];

    /// <summary>The options of a <see cref="OptionKind.Record"/>.</summary>
    public IReadOnlyList<OptionDescription> Options { get; init; } = [];

    /// <summary>The kind in one word, like <c>size</c> or <c>list of size</c>.</summary>
    public string TypeName => (IsList ? "list of " : "") + Kind switch
    {
        OptionKind.Text => IsPath ? "path" : Secret ? "secret" : "string",
        OptionKind.Boolean => "bool",
        OptionKind.Integer => "integer",
        OptionKind.Number => "number",
        OptionKind.Size => "size",
        OptionKind.Duration => "duration",
        OptionKind.Choice => string.Join(" | ", Choices),
        _ => "mapping",
    };

    /// <summary>The range in words, or nothing.</summary>
    public string RangeText => (Min, Max) switch
    {
        (null, null) => "",
        ({ } min, null) => $"{min} or more",
        (null, { } max) => $"up to {max}",
        var (min, max) => $"{min} to {max}",
    };
}

/// <summary>An interface that a component has or needs.</summary>
/// <param name="Name">Its name, or its UUID where the name is not known here.</param>
/// <param name="Id">Its UUID.</param>
public sealed record InterfaceDescription(string Name, Guid Id);

/// <summary>What a component binds to.</summary>
/// <param name="Role">The role: empty for a plain <c>on:</c>.</param>
/// <param name="Interface">What is needed of it.</param>
/// <param name="Min">The fewest of this role.</param>
/// <param name="Max">The most of this role.</param>
public sealed record BindingDescription(string Role, InterfaceDescription Interface, int Min, int Max)
{
    /// <summary>The key in stack files that names what is bound: the role, or <c>on</c>.</summary>
    public string Key => Role.Length == 0 ? "on" : Role;

    /// <summary>The number in words, like <c>1</c> or <c>2 or more</c>.</summary>
    public string CountText => Max == int.MaxValue ? $"{Min} or more" : Min == Max ? $"{Min}" : $"{Min} to {Max}";
}

/// <summary>Everything that is to be known of a component before it is made.</summary>
/// <param name="Id">Its name in stack files, like <c>raid/stripe</c>.</param>
/// <param name="Uuid">Its identity.</param>
/// <param name="Summary">What it is, in one line.</param>
/// <param name="Interfaces">What it can be used as, <see cref="IBase"/> left out.</param>
/// <param name="Bindings">What it stands on.</param>
/// <param name="Options">Its options.</param>
public sealed record ComponentDescription(
    string Id,
    Guid Uuid,
    string Summary,
    IReadOnlyList<InterfaceDescription> Interfaces,
    IReadOnlyList<BindingDescription> Bindings,
    IReadOnlyList<OptionDescription> Options)
{
    /// <summary>The row of the table: the first half of the id.</summary>
    public string Row => Id.IndexOf('/') is > 0 and var slash ? Id[..slash] : Id;

    /// <summary>Whether it holds just what the one device below it holds, at the same addresses (<see cref="TransparentAttribute"/>).</summary>
    public bool IsTransparent { get; init; }

    /// <summary>Whether it is a block device.</summary>
    public bool IsBlockDevice => Has(typeof(IBlockDevice).GUID);

    /// <summary>
    /// Throws where a key in a stack file would mean two things: roles and options stand side by side there, beside the keys that every device has.
    /// </summary>
    public ComponentDescription Checked()
    {
        var keys = new HashSet<string>(Composition.StackFile.DeviceKeys, StringComparer.Ordinal);
        foreach (var key in Bindings.Where(b => b.Role.Length != 0).Select(b => b.Role).Concat(Options.Select(o => o.Name)))
            if (!keys.Add(key))
                throw new ComancheException($"{Id}: the key '{key}' would have two meanings in a stack file");
        return this;
    }

    /// <summary>Whether it has an interface.</summary>
    public bool Has(Guid interfaceId) => Interfaces.Any(i => i.Id == interfaceId);
}
