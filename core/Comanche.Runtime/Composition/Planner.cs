using Comanche.Runtime.Loading;

namespace Comanche.Runtime.Composition;

public sealed partial class StackChecker
{
    /// <summary>What a component sees and says while its stack is checked.</summary>
    private sealed class Planner(StackChecker checker, CheckedDevice device) : PlanContext
    {
        private readonly List<PlannedBinding> _bindings = [.. device.Bindings.Select(b => new PlannedBinding(b.Device.Name, b.Role, b.Device.Volume))];
        private object? _options;

        public override string Name => device.Name;

        public override bool IsReadOnly => device.Definition.IsReadOnly;

        public override IReadOnlyList<PlannedBinding> Bindings => _bindings;

        public override T Options<T>() => (T)(_options ??= device.Kind!.MakeOptions(device.Options) ?? throw new ComancheException($"{Name}: has no options"));

        public override void Error(string option, string message)
        {
            device.IsBad = true;
            checker.Error(device.Options.Locate(option), Text(option, message));
        }

        public override void Warn(string option, string message) =>
            checker._problems.Add(new StackProblem(device.Options.Locate(option), Text(option, message), IsWarning: true));

        public override void Claim(string resource, string option)
        {
            var at = device.Options.Locate(option);
            if (checker._claims.TryGetValue(resource, out var claim))
                Error(option, $"overlapping use: {resource} is already used by '{claim.By.Name}', at line {claim.At.Line}");
            else checker._claims.Add(resource, (device, at));
        }

        public override void Share(PlannedBinding binding, string group)
        {
            var index = _bindings.FindIndex(b => ReferenceEquals(b, binding));
            if (index < 0) index = _bindings.IndexOf(binding);
            if (index >= 0) checker._shares[(device, device.Bindings[index].Device)] = group;
        }

        private static string Text(string option, string message) => option.Length == 0 ? message : $"{option}: {message}";
    }
}
