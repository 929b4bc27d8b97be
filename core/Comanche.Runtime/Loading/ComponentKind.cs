namespace Comanche.Runtime.Loading;

/// <summary>A kind of component that can be made, whichever language it is written in.</summary>
public abstract class ComponentKind
{
    /// <summary>Its name in stack files.</summary>
    public abstract string Id { get; }

    /// <summary>Its identity.</summary>
    public abstract Guid Uuid { get; }

    /// <summary>One line for people.</summary>
    public abstract string Summary { get; }

    /// <summary>The file that it comes from.</summary>
    public abstract string Source { get; }

    /// <summary>The row of the table: the first half of the id.</summary>
    public string Row => Id.IndexOf('/') is > 0 and var slash ? Id[..slash] : Id;

    /// <summary>Everything about it. Loads its code on first use; throws <see cref="ComancheException"/> where that fails.</summary>
    public abstract ComponentDescription Description { get; }

    /// <summary>Whether it can say beforehand what volume it will be.</summary>
    public abstract bool CanPlan { get; }

    /// <summary>Lets the component check its options against what it is bound to. Does nothing where it can't.</summary>
    public abstract void Plan(PlanContext plan);

    /// <summary>Makes the options object that <see cref="PlanContext.Options{T}"/> answers; null where there is none. Secrets are left as references.</summary>
    public abstract object? MakeOptions(OptionSet options);

    /// <summary>Makes a component; the caller owns its one count. Secrets are fetched now.</summary>
    public abstract IBase Create(IHost host, OptionSet options);

    /// <summary>Says that no component of this kind will be made any more: code of a context of its own goes as soon as nothing holds it.</summary>
    public virtual void Retire() { }
}
