namespace Comanche;

/// <summary>
/// A component that can say beforehand what volume it will be, from its options and what it stands on: this is what <c>comanche check</c> asks,
/// and the composer before it opens anything.
/// </summary>
public interface IPlanned
{
    /// <summary>
    /// Checks the options against what is bound and says what will come of them. Opens nothing.
    /// </summary>
    static abstract void Plan(PlanContext plan);
}

/// <summary>What is known beforehand of something that is bound.</summary>
/// <param name="Name">Its name in the stack.</param>
/// <param name="Role">The role that it is bound in.</param>
/// <param name="Volume">The volume that it will be, or null where that shows only when it is opened.</param>
public sealed record PlannedBinding(string Name, string Role, VolumeInfo? Volume);

/// <summary>
/// What a component is told, and answers, while a stack is checked. What it says is collected; the check goes on.
/// </summary>
public abstract class PlanContext
{
    /// <summary>The component's name in the stack.</summary>
    public abstract string Name { get; }

    /// <summary>Whether the component is asked not to change its media.</summary>
    public abstract bool IsReadOnly { get; }

    /// <summary>What it is bound to, in the order of the stack file.</summary>
    public abstract IReadOnlyList<PlannedBinding> Bindings { get; }

    /// <summary>The volume that the component will be; null while it is not known.</summary>
    public VolumeInfo? Volume { get; set; }

    /// <summary>The component's options, checked for type and range.</summary>
    public abstract T Options<T>() where T : class;

    /// <summary>The volume that is bound as the only one of the role <c>on:</c>, or null where it is not known.</summary>
    public VolumeInfo? Below => Bindings.FirstOrDefault(b => b.Role.Length == 0)?.Volume;

    /// <summary>Says that an option can't be so, at that option's line in the file.</summary>
    /// <param name="option">The option's name in the file, or empty for the whole device.</param>
    /// <param name="message">What is wrong and what was expected.</param>
    public abstract void Error(string option, string message);

    /// <summary>Says what works but is not wise, at that option's line.</summary>
    public abstract void Warn(string option, string message);

    /// <summary>
    /// Claims something that only one device of the stack may use, like a file: a second claim of the same text is an error.
    /// </summary>
    /// <param name="resource">What, like <c>file /data/disk0.img</c>; it appears in the message.</param>
    /// <param name="option">The option that names it.</param>
    public abstract void Claim(string resource, string option);

    /// <summary>
    /// Lets other devices stand on the same binding, as long as they share it in the same group; without this a device that is bound is
    /// used by one only.
    /// </summary>
    /// <param name="binding">What is shared.</param>
    /// <param name="group">The group, like <c>gpt</c>: its members keep out of each other's way by a means of their own.</param>
    public abstract void Share(PlannedBinding binding, string group);
}
