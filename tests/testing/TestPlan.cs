namespace Comanche.Testing;

/// <summary>A check of one component, as <c>comanche check</c> makes it.</summary>
public sealed class TestPlan(object options, bool readOnly, PlannedBinding[] bindings) : PlanContext
{
    /// <summary>The errors that it reported, with the option.</summary>
    public List<(string Option, string Message)> Errors { get; } = [];

    /// <summary>The warnings.</summary>
    public List<(string Option, string Message)> Warnings { get; } = [];

    /// <summary>What it claimed.</summary>
    public List<string> Claims { get; } = [];

    /// <summary>What it shares, as <c>name:group</c>.</summary>
    public List<string> Shares { get; } = [];

    /// <inheritdoc/>
    public override string Name => "planned";

    /// <inheritdoc/>
    public override bool IsReadOnly => readOnly;

    /// <inheritdoc/>
    public override IReadOnlyList<PlannedBinding> Bindings => bindings;

    /// <summary>Plans a component on volumes called <c>disk0</c>, <c>disk1</c> and so on; null where a volume is not known.</summary>
    public static TestPlan Of<T>(object options, params VolumeInfo?[] below) where T : IPlanned => Of<T>(options, false, below);

    /// <summary>Plans a component on bindings with names and roles of the caller's choice.</summary>
    public static TestPlan OfBound<T>(object options, params PlannedBinding[] bindings) where T : IPlanned
    {
        var plan = new TestPlan(options, false, bindings);
        T.Plan(plan);
        return plan;
    }

    /// <summary>Plans a component that may be read-only.</summary>
    public static TestPlan Of<T>(object options, bool readOnly, VolumeInfo?[] below) where T : IPlanned
    {
        var plan = new TestPlan(options, readOnly, [.. below.Select((volume, i) => new PlannedBinding($"disk{i}", "", volume))]);
        T.Plan(plan);
        return plan;
    }

    /// <inheritdoc/>
    public override T Options<T>() => (T)options;

    /// <inheritdoc/>
    public override void Error(string option, string message) => Errors.Add((option, message));

    /// <inheritdoc/>
    public override void Warn(string option, string message) => Warnings.Add((option, message));

    /// <inheritdoc/>
    public override void Claim(string resource, string option) => Claims.Add(resource);

    /// <inheritdoc/>
    public override void Share(PlannedBinding binding, string group) => Shares.Add($"{binding.Name}:{group}");
}
