namespace Comanche;

/// <summary>
/// Marks a class as a component. The class has one public constructor that takes an <see cref="IHost"/> and, where it has any, its
/// options record. The loader finds it by this attribute without loading the assembly; nothing else has to be registered.
/// </summary>
/// <param name="id">Its name in stack files: the row and the component, like <c>raid/stripe</c>.</param>
/// <param name="uuid">Its identity; a component that behaves differently on the same media is another one.</param>
/// <param name="summary">What it is, in one line.</param>
[AttributeUsage(AttributeTargets.Class)]
public sealed class ComponentAttribute(string id, string uuid, string summary) : Attribute
{
    /// <summary>The name in stack files.</summary>
    public string Id { get; } = id;

    /// <summary>The identity.</summary>
    public string Uuid { get; } = uuid;

    /// <summary>One line for people.</summary>
    public string Summary { get; } = summary;
}

/// <summary>Says what a component binds to. Without it a component stands on nothing.</summary>
/// <param name="contract">The interface that is needed of what is bound.</param>
[AttributeUsage(AttributeTargets.Class, AllowMultiple = true)]
public sealed class BindsAttribute(Type contract) : Attribute
{
    /// <summary>The interface that is needed.</summary>
    public Type Contract { get; } = contract;

    /// <summary>The role: empty for <c>on:</c>, otherwise a key of its own beside it, which is then no option's name.</summary>
    public string Role { get; init; } = "";

    /// <summary>The fewest bindings of this role.</summary>
    public int Min { get; init; } = 1;

    /// <summary>The most bindings of this role.</summary>
    public int Max { get; init; } = 1;
}

/// <summary>
/// Says that a device over one other holds just what that one holds, at the same addresses: so it can come and go under those who use it. Without it a change of a running stack that touches the device has to be meant.
/// </summary>
[AttributeUsage(AttributeTargets.Class)]
public sealed class TransparentAttribute : Attribute;

/// <summary>
/// Describes a property of an options record. Its name in stack files is the property's in kebab-case (<c>BlockSize</c> →
/// <c>block-size</c>), its default is the property's initial value. Types: <c>string</c>, <c>bool</c>, integers, <c>double</c>,
/// <see cref="ByteSize"/>, <see cref="TimeSpan"/>, enums, and records or lists (<c>IReadOnlyList</c>) of these.
/// </summary>
/// <param name="summary">What it does, and what is dangerous about it.</param>
[AttributeUsage(AttributeTargets.Property)]
public sealed class OptionAttribute(string summary) : Attribute
{
    /// <summary>What it does.</summary>
    public string Summary { get; } = summary;

    /// <summary>The smallest value, written as in a stack file; null for no limit.</summary>
    public string? Min { get; init; }

    /// <summary>The largest value, written as in a stack file; null for no limit.</summary>
    public string? Max { get; init; }

    /// <summary>Whether a stack file must give it.</summary>
    public bool Required { get; init; }

    /// <summary>What stands for the default where the initial value does not say it, like <c>the rest of the device</c>.</summary>
    public string? Default { get; init; }

    /// <summary>Whether the value is a secret, given by reference only (<c>env:NAME</c>, <c>file:PATH</c>) and never printed.</summary>
    public bool Secret { get; init; }

    /// <summary>Whether the value is a path; a relative one starts at the working directory.</summary>
    public bool Path { get; init; }
}
