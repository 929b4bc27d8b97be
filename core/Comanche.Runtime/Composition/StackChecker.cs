using Comanche.Runtime.Loading;

namespace Comanche.Runtime.Composition;

/// <summary>
/// Checks a stack file against the components, without opening anything. Each mistake gives one message; what only follows from it gives none.
/// </summary>
public sealed partial class StackChecker
{
    // Every layer is a call in every call of the data path, and of this program's own walks. Real stacks have ten.
    private const int MostLayers = 64;

    // A name is compared with every other to find what was meant: in a file that is all mistakes the first hundred do, or minutes go by.
    private const int MostSuggestions = 100;

    private readonly ComponentCatalog _catalog;
    private readonly IReadOnlyDictionary<string, ComponentKind> _kept; // Of devices that live, by name.
    private readonly StackFile _file;
    private readonly List<StackProblem> _problems;
    private readonly Dictionary<string, CheckedDevice> _byName = new(StringComparer.Ordinal);
    private readonly Dictionary<string, (CheckedDevice By, SourceLocation At)> _claims = new(StringComparer.Ordinal);
    private readonly Dictionary<(CheckedDevice User, CheckedDevice Used), string> _shares = [];
    private int _suggestions;

    private StackChecker(StackFile file, ComponentCatalog catalog, IReadOnlyDictionary<string, ComponentKind> kept)
    {
        _kept = kept;
        _file = file;
        _catalog = catalog;
        _problems = [.. file.Problems];
    }

    /// <summary>Checks a file.</summary>
    public static CheckedStack Check(StackFile file, ComponentCatalog catalog) => Check(file, catalog, new Dictionary<string, ComponentKind>());

    /// <summary>Checks a file of which some devices live: those stay of the kinds that they are.</summary>
    internal static CheckedStack Check(StackFile file, ComponentCatalog catalog, IReadOnlyDictionary<string, ComponentKind> kept) => new StackChecker(file, catalog, kept).Check();

    private CheckedStack Check()
    {
        foreach (var device in _file.Devices) _byName.Add(device.Name, Resolve(device));
        foreach (var device in _byName.Values) ResolveBindings(device);
        var order = Order();
        foreach (var device in order) Plan(device);
        var users = order.SelectMany(user => user.Bindings.Select(b => (b.Device, User: user, b.At))).ToLookup(u => u.Device, u => (u.User, u.At));
        foreach (var device in order) CheckUsers(device, [.. users[device].OrderBy(u => u.At)]);
        CheckReactors();
        return new CheckedStack(_file, order, [.. _problems.Distinct().OrderBy(p => p.At)]);
    }

    private CheckedDevice Resolve(StackDevice device)
    {
        var kind = _kept.GetValueOrDefault(device.Name) ?? (device.IsCollectible ? _catalog.FindCollectible(device.Use) : _catalog.Find(device.Use));
        var known = TryDescribe(device, kind, out var description);
        if (known) TakeRoles(device, description!);
        var options = new OptionSet(device.At);
        var good = known && new OptionBinder(_problems).TryBind(device, description!, out options);
        if (known) good &= CheckSection(device, description!) && !device.HasBadBindings;
        return new CheckedDevice { Definition = device, Kind = known ? kind : null, Options = options, IsBad = !good };
    }

    private bool TryDescribe(StackDevice device, ComponentKind? kind, out ComponentDescription? description)
    {
        description = null;
        if (kind is null)
        {
            // Where 'use:' is missing or no word, that is said already.
            if (device.Use is not ("" or "?")) Error(device.UseAt, $"unknown component '{device.Use}'{Spelling.Suggest(device.Use, _catalog.Ids)}");
            return false;
        }

        try
        {
            description = kind.Description;
            return true;
        }
        catch (ComancheException e)
        {
            Error(device.UseAt, e.Message);
            return false;
        }
    }

    // A role is a key beside 'on:', which only the component tells from its options.
    private void TakeRoles(StackDevice device, ComponentDescription description)
    {
        foreach (var binding in description.Bindings)
        {
            var index = binding.Role.Length == 0 ? -1 : device.Options.FindIndex(o => o.Key.Text == binding.Role);
            if (index < 0) continue;
            StackReader.ReadNames(device, binding.Role, device.Options[index].Value, _problems);
            device.Options.RemoveAt(index);
        }
    }

    private bool CheckSection(StackDevice device, ComponentDescription description)
    {
        if (device.IsExport && description.IsBlockDevice)
        {
            Error(device.UseAt, $"{description.Id} is a block device: it stands under 'devices:', not under 'exports:'");
            return false;
        }

        if (!device.IsExport && description.Interfaces.Count == 0)
        {
            Error(device.UseAt, $"{description.Id} is not a device that others can stand on: it stands under 'exports:'");
            return false;
        }

        return true;
    }

    private void ResolveBindings(CheckedDevice device)
    {
        var counts = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var binding in device.Definition.Bindings)
        {
            counts[binding.Role] = counts.GetValueOrDefault(binding.Role) + 1;
            if (!TryResolve(device, binding, out var below)) device.IsBad = true;
            else device.Bindings.Add((binding.Role, below!, binding.At));
        }

        if (device.Kind is { } kind) CheckBindings(device, kind.Description, counts);
    }

    private bool TryResolve(CheckedDevice device, StackBinding binding, out CheckedDevice? below)
    {
        if (!_byName.TryGetValue(binding.Name, out below))
        {
            var names = _byName.Values.Where(d => !d.Definition.IsExport && d != device).Select(d => d.Name);
            Error(binding.At, $"there is no device '{binding.Name}'{Suggest(binding.Name, names)}");
            return false;
        }

        if (below.Definition.IsExport)
        {
            Error(binding.At, $"'{binding.Name}' is an export; nothing can stand on it");
            return false;
        }

        if (below == device)
        {
            Error(binding.At, $"cycle: '{device.Name}' stands on itself");
            return false;
        }

        return true;
    }

    private void CheckBindings(CheckedDevice device, ComponentDescription component, Dictionary<string, int> counts)
    {
        var definition = device.Definition;
        var before = _problems.Count;
        if (counts.ContainsKey("") && component.Bindings.All(b => b.Role.Length != 0))
        {
            var keys = component.Bindings.Count == 0 ? "" : $", but {string.Join(" and ", component.Bindings.Select(b => $"'{b.Role}:'"))}";
            Error(definition.OnAt, $"{component.Id} takes no 'on:'{(component.Bindings.Count == 0 ? "; it stands on nothing" : keys)}");
        }

        if (_problems.Count == before && !definition.HasBadBindings)
            foreach (var role in component.Bindings)
            {
                // A role that is missing may stand there misspelt, as an option that is unknown, which is said already.
                var count = counts.GetValueOrDefault(role.Role);
                if (count != 0 || role.Role.Length == 0 || !device.IsBad) CheckCount(definition, component, role, count);
            }

        foreach (var (role, below, at) in device.Bindings)
        {
            if (component.Bindings.FirstOrDefault(b => b.Role == role) is not { } needed || below.Kind is not { } kind) continue;
            if (!kind.Description.Has(needed.Interface.Id))
                Error(at, $"{component.Id} needs {Article(needed.Interface)} here; '{below.Name}' ({kind.Id}) is none");
        }

        if (_problems.Count != before) device.IsBad = true;
    }

    private void CheckCount(StackDevice device, ComponentDescription component, BindingDescription role, int count)
    {
        if (count >= role.Min && count <= role.Max) return;
        var key = $"'{role.Key}:'";
        if (count == 0) Error(device.At, $"{component.Id} needs {key}: {role.CountText} of {Article(role.Interface)}");
        else Error(role.Role.Length == 0 ? device.OnAt : device.Bindings.First(b => b.Role == role.Role).At, $"{component.Id} takes {role.CountText} device{(role.CountText == "1" ? "" : "s")} in {key}, not {count}");
    }

    // In the order of the file, each after what it stands on; nothing stands on exports, and they come last.
    private List<CheckedDevice> Order()
    {
        var order = new List<CheckedDevice>(_byName.Count);
        var devices = _byName.Values.Where(d => !d.Definition.IsExport).ToList();
        var heights = new Dictionary<CheckedDevice, int>(); // Layers, from the bottom up to this one; 0 while it is looked at, and for what has no height.
        var isTooHigh = false;
        foreach (var device in devices) HeightOf(device, 1);
        var waiting = devices.Where(d => heights[d] == 0).ToList();
        if (isTooHigh) waiting.ForEach(d => d.IsBad = true);
        else if (waiting.Count != 0) ReportCycles([.. waiting]);
        order.AddRange(waiting);
        order.AddRange(_byName.Values.Where(d => d.Definition.IsExport));
        return order;

        int HeightOf(CheckedDevice device, int depth)
        {
            if (isTooHigh) return heights.TryAdd(device, 0) ? 0 : heights[device];
            if (!heights.TryAdd(device, 0)) return heights[device];
            var height = 1;
            foreach (var (_, below, _) in device.Bindings)
            {
                var under = depth < MostLayers ? HeightOf(below, depth + 1) : MostLayers;
                height = under == 0 || height == 0 ? 0 : Math.Max(height, under + 1);
            }

            if (height > MostLayers && !isTooHigh)
            {
                isTooHigh = true;
                Error(device.Definition.At, $"'{device.Name}' is the top of more than {MostLayers} layers, which is more than a stack can have");
            }

            if (isTooHigh || height == 0) return 0;
            order.Add(device);
            return heights[device] = height;
        }
    }

    private void ReportCycles(HashSet<CheckedDevice> waiting)
    {
        var seen = new HashSet<CheckedDevice>();
        foreach (var start in waiting)
        {
            // What waits stands on something that waits: this walk ends in a cycle, or in one that is reported.
            var path = new List<CheckedDevice>();
            var current = start;
            while (seen.Add(current))
            {
                current.IsBad = true;
                path.Add(current);
                current = current.Bindings.First(b => waiting.Contains(b.Device)).Device;
            }

            var first = path.IndexOf(current);
            if (first < 0) continue;
            var cycle = path[first..];
            var top = cycle.MinBy(d => d.Definition.At)!;
            var turned = cycle.SkipWhile(d => d != top).Concat(cycle.TakeWhile(d => d != top)).Append(top);
            Error(top.Bindings.First(b => waiting.Contains(b.Device)).At, $"cycle: {string.Join(" → ", turned.Select(d => d.Name))}");
        }
    }

    private void Plan(CheckedDevice device)
    {
        if (device.IsBad || device.Kind is not { } kind) return;
        var plan = new Planner(this, device);
        try
        {
            kind.Plan(plan);
        }
        catch (ComancheException e)
        {
            plan.Error("", e.Message);
        }

        device.Volume = plan.Volume;
        if (device.Volume is not { } volume) return;
        if (device.Definition.IsReadOnly) volume.Capabilities |= VolumeCapabilities.ReadOnly;
        device.Volume = volume;
    }

    // A device has one user, unless its users share it by a means of their own, or none of them can change it.
    private void CheckUsers(CheckedDevice used, List<(CheckedDevice User, SourceLocation At)> users)
    {
        if (users.Count < 2 || users.Any(u => u.User.IsBad)) return;
        var first = users[0];
        var group = _shares.GetValueOrDefault((first.User, used));
        var isUnchanging = used.Definition.IsReadOnly || users.All(u => u.User.Definition.IsReadOnly);
        foreach (var (user, at) in users.Skip(1))
        {
            if (user == first.User) Error(at, $"'{used.Name}' is named twice");
            else if (!isUnchanging && (group is null || _shares.GetValueOrDefault((user, used)) != group))
                Error(at, $"overlapping use: '{used.Name}' is already used by '{first.User.Name}', at line {first.At.Line}");
        }
    }

    private void CheckReactors()
    {
        var reactors = _file.Reactors.Select(r => r.Name).ToHashSet();
        foreach (var device in _file.Devices)
        {
            if (device.Reactor is not { } name || name == StackReactor.Active || reactors.Contains(name)) continue;
            Error(device.ReactorAt, $"there is no reactor '{name}'{Suggest(name, reactors)}; reactors are defined under 'reactors:'");
        }

        foreach (var reactor in _file.Reactors.Where(r => r.Name == StackReactor.Active))
            Error(reactor.At, $"'{StackReactor.Active}' can't be the name of a reactor: a device that names it has a reactor of its own");
        foreach (var reactor in _file.Reactors)
            if (reactor.Core >= Environment.ProcessorCount)
                _problems.Add(new StackProblem(reactor.At, $"core {reactor.Core} is not there: this machine has 0 to {Environment.ProcessorCount - 1}", IsWarning: true));
    }

    private string Suggest(string written, IEnumerable<string> known) => _suggestions++ < MostSuggestions ? Spelling.Suggest(written, known) : "";

    private static string Article(InterfaceDescription contract) => contract.Id == typeof(IBlockDevice).GUID ? "a block device" : $"an {contract.Name}";

    private void Error(SourceLocation at, string text) => _problems.Add(new StackProblem(at, text));
}
