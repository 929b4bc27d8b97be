namespace Comanche.Block.Tests;

/// <summary>A check of one component, as <c>comanche check</c> makes it.</summary>
internal sealed class TestPlan(object options, params PlannedBinding[] bindings) : PlanContext
{
    public List<(string Option, string Message)> Errors { get; } = [];

    public List<(string Option, string Message)> Warnings { get; } = [];

    public override string Name => "planned";

    public override bool IsReadOnly => false;

    public override IReadOnlyList<PlannedBinding> Bindings { get; } = bindings;

    public static TestPlan Of<T>(object options, params PlannedBinding[] bindings) where T : IPlanned
    {
        var plan = new TestPlan(options, bindings);
        T.Plan(plan);
        return plan;
    }

    public override T Options<T>() => (T)options;

    public override void Error(string option, string message) => Errors.Add((option, message));

    public override void Warn(string option, string message) => Warnings.Add((option, message));

    public override void Claim(string resource, string option) { }

    public override void Share(PlannedBinding binding, string group) { }
}
