using System.Diagnostics;
using Comanche.Runtime.Loading;

namespace Comanche.Runtime.Composition;

/// <summary>A change of a stack that runs.</summary>
/// <param name="Pause">How long I/O stood still at the place of the change.</param>
public readonly record struct StackChange(TimeSpan Pause);

// Devices that come and go while the stack runs. A change is checked as a whole file is, then prepared without touching a medium; then the edge at its place is held, the old device stops, the
// new one starts, and everything goes on; or, where anything fails, as before.
public sealed partial class RunningStack
{
    /// <summary>
    /// Puts a device between another one and all that stands on it.
    /// </summary>
    /// <param name="device">The new device, as in a stack file: its name, a colon and what it is. Where it has no <c>on:</c> it stands on the other.</param>
    /// <param name="below">The name of the other.</param>
    /// <param name="catalog">The components.</param>
    /// <param name="patience">How long queues may take to come to rest.</param>
    /// <param name="isMeant">Whether what stands on it may see another content than before.</param>
    public StackChange Insert(string device, string below, ComponentCatalog catalog, TimeSpan patience, bool isMeant = false)
    {
        var definition = ReadDevice(device, below);
        var lower = FindLayer(below);
        if (definition.Bindings.Count(b => b.Name == below && b.Role.Length == 0) != 1) throw new ComancheException($"{definition.Name} does not stand on '{below}'");
        var devices = Stack.File.Devices.Select(d => d.With(d.Bindings.Select(b => b.Name == below ? b with { Name = definition.Name } : b))).ToList();
        devices.Insert(devices.FindIndex(d => d.Name == below) + 1, definition);
        var next = CheckChange(devices, definition.Name, catalog);
        var upper = next.Find(definition.Name)!;
        if (!isMeant && !IsTransparent(upper)) throw OtherContent(upper, "inserted");

        // The edge that everybody holds will lead to the new device; another one, for that alone, leads to the old.
        var edge = lower.Edge;
        var component = edge.Component;
        component.Retain();
        var inner = _process.Wrap(lower.Device.Name, component, FlagsOf(lower.Device.Definition), isEntry: false);
        (IBase Component, IHost Host) made = default;
        try
        {
            made = MakeAlone(upper, name => name == below ? inner : Find(name)!.Component);
            var pause = Exchange(edge, patience, upper, made.Component, stop: null, start: made.Component, before: component, lower.Device);
            component.Release(); // The edge's own count; the inner edge has another.
            var index = _devices.IndexOf(lower.Device);
            _devices[index] = new RunningDevice(lower.Device.Definition, lower.Device.Host, inner) { IsStarted = true };
            _devices.Insert(index + 1, new RunningDevice(upper, made.Host, edge) { IsStarted = true });
            Adopt(next);
            return new StackChange(pause);
        }
        catch
        {
            if (made.Component is not null) Discard(made.Component);
            inner.Release();
            throw;
        }
    }

    /// <summary>Takes a device away that stands on one other only: what stood on it stands on that.</summary>
    /// <param name="name">The device.</param>
    /// <param name="patience">How long queues may take to come to rest.</param>
    /// <param name="isMeant">Whether what stood on it may see another content than before.</param>
    public StackChange Remove(string name, TimeSpan patience, bool isMeant = false)
    {
        var upper = FindLayer(name);
        if (upper.Device.Definition.Bindings is not [("", var below, _)]) throw new ComancheException($"'{name}' can't be removed: it does not stand on one device alone");
        if (!isMeant && !IsTransparent(upper.Device.Definition)) throw OtherContent(upper.Device.Definition, "removed");
        var lower = FindLayer(below.Name);
        var others = Stack.Devices.Where(d => d.Name != name && d.Bindings.Any(b => b.Device.Name == below.Name)).Select(d => d.Name).ToList();
        if (others.Count != 0) throw new ComancheException($"'{name}' can't be removed: '{below.Name}' is used by {string.Join(", ", others)} too");
        var left = Stack.File.Devices.Where(d => d.Name != name).Select(d => d.With(d.Bindings.Select(b => b.Name == name ? b with { Name = below.Name } : b))).ToList();
        var next = CheckChange(left, null, null);

        var edge = upper.Edge;
        var component = lower.Edge.Component;
        var old = edge.Component;
        component.Retain(); // The edge's.
        TimeSpan pause;
        try
        {
            pause = Exchange(edge, patience, lower.Device.Definition, component, stop: old, start: null, before: old, upper.Device);
        }
        catch
        {
            component.Release();
            throw;
        }

        var kind = upper.Device.Definition.Kind!;
        Discard(old);
        _devices[_devices.IndexOf(lower.Device)] = new RunningDevice(lower.Device.Definition, lower.Device.Host, edge) { IsStarted = true };
        _devices.Remove(upper.Device);
        lower.Device.Component.Release(); // The inner edge.
        Adopt(next);
        kind.Retire();
        return new StackChange(pause);
    }

    /// <summary>Puts another device into a device's place, of the same name: another component, other options, or a newer build of the same.</summary>
    /// <param name="device">The new device, as in a stack file; its name is that of the old. Without <c>on:</c> it stands on the same.</param>
    /// <param name="catalog">The components, the newer build among them.</param>
    /// <param name="patience">How long queues may take to come to rest.</param>
    /// <param name="isMeant">Whether what stands on it may see another content than before.</param>
    public StackChange Replace(string device, ComponentCatalog catalog, TimeSpan patience, bool isMeant = false)
    {
        var definition = ReadDevice(device, null);
        var place = FindLayer(definition.Name);
        if (definition.Bindings.Count == 0) definition = definition.With(place.Device.Definition.Definition.Bindings);
        return Replace(definition, place, catalog, patience, isMeant);
    }

    private StackChange Replace(StackDevice definition, (RunningDevice Device, Edge Edge) place, ComponentCatalog catalog, TimeSpan patience, bool isMeant)
    {
        var next = CheckChange([.. Stack.File.Devices.Select(d => d.Name == definition.Name ? definition : d)], definition.Name, catalog);
        var upper = next.Find(definition.Name)!;
        if (!isMeant && !StaysTheSame(place.Device.Definition, upper)) throw OtherContent(upper, "put into its place");
        var old = place.Edge.Component;
        var made = MakeAlone(upper, name => Find(name)!.Component);
        TimeSpan pause;
        try
        {
            pause = Exchange(place.Edge, patience, upper, made.Component, stop: old, start: made.Component, before: old, place.Device);
        }
        catch
        {
            Discard(made.Component);
            throw;
        }

        var kind = place.Device.Definition.Kind!;
        Discard(old);
        _devices[_devices.IndexOf(place.Device)] = new RunningDevice(upper, made.Host, place.Edge) { IsStarted = true };
        Adopt(next);
        kind.Retire();
        return new StackChange(pause);
    }

    /// <summary>Puts a newer build of the same component, with the same options, into a device's place. Its code is loaded so that it can be unloaded in its turn.</summary>
    /// <param name="name">The device.</param>
    /// <param name="catalog">Where the newer build is.</param>
    /// <param name="patience">How long queues may take to come to rest.</param>
    /// <param name="isMeant">Whether what stands on it may see another content than before.</param>
    public StackChange Renew(string name, ComponentCatalog catalog, TimeSpan patience, bool isMeant = false)
    {
        var place = FindLayer(name);

        // The same component over the same medium finds there what it left; what it held in memory alone it does not.
        isMeant |= VolumeOf(place.Edge).Has(VolumeCapabilities.Persistent);
        var definition = place.Device.Definition.Definition;
        var copy = definition.With(definition.Bindings);
        copy.IsCollectible = true;
        return Replace(copy, place, catalog, patience, isMeant);
    }

    /// <summary>Lets all I/O stand still at the tops of the stack, what is in flight being done; clients wait. Throws where that does not come about in time, and all goes on.</summary>
    public void Pause(TimeSpan patience)
    {
        try
        {
            foreach (var edge in Tops()) edge.Hold(patience);
        }
        catch
        {
            EndPause([]);
            throw;
        }
    }

    /// <summary>Lets I/O go on.</summary>
    public void GoOn(TimeSpan patience)
    {
        foreach (var edge in Held()) edge.GoOn(patience);
    }

    // Before the end: what clients wait for is done, and a flush does not wait for ever. What can't go on is let go, and fails by itself.
    private void EndPause(List<string> failures)
    {
        foreach (var edge in Held().ToList())
        {
            try
            {
                edge.GoOn(EndPatience);
            }
            catch (ComancheException e)
            {
                failures.Add(e.Message);
                edge.LetGo();
            }
        }
    }

    private static readonly TimeSpan EndPatience = TimeSpan.FromSeconds(10);

    /// <summary>Whether I/O stands still.</summary>
    public bool IsPaused => Held().Any();

    private IEnumerable<Edge> Held() => _devices.Select(d => d.Component).OfType<Edge>().Where(e => e.IsHeld);

    private static bool IsTransparent(CheckedDevice device) => device.Kind is { Description.IsTransparent: true };

    // Both show what is below them, and that is the same.
    private static bool StaysTheSame(CheckedDevice before, CheckedDevice now) =>
        IsTransparent(before) && IsTransparent(now)
        && before.Bindings.Where(b => b.Role.Length == 0).Select(b => b.Device.Name).SequenceEqual(now.Bindings.Where(b => b.Role.Length == 0).Select(b => b.Device.Name));

    private static ComancheException OtherContent(CheckedDevice device, string what) =>
        new($"'{device.Name}' ({device.Definition.Use}) can't be {what} under its users just like that: they would find other data than before. --yes-destroy says that this is meant");

    private IEnumerable<Edge> Tops()
    {
        var stoodOn = Stack.Devices.Where(d => !d.Definition.IsExport).SelectMany(d => d.Bindings.Select(b => b.Device.Name)).ToHashSet();
        return _devices.Where(d => !stoodOn.Contains(d.Name)).Select(d => d.Component).OfType<Edge>();
    }

    // Holds the edge, stops the old device, starts the new one, and leads the edge there; or takes all of that back. Returns how long the edge was held.
    private static TimeSpan Exchange(Edge edge, TimeSpan patience, CheckedDevice device, IBase to, IBase? stop, IBase? start, IBase before, RunningDevice beforeDevice)
    {
        var options = edge.Options;
        var volume = VolumeOf(edge);

        // What keeps its data on a medium gives that up first, since the new one may want it. What keeps them in memory would lose them: it is stopped when nobody can need it any more.
        if (!volume.Has(VolumeCapabilities.Persistent)) stop = null;
        edge.Hold(patience);
        var clock = Stopwatch.StartNew();
        var (stopped, started, led) = (false, false, false);
        try
        {
            if (stop is not null) Guard(beforeDevice.Definition, stop.Stop);
            stopped = true;
            if (start is not null) Guard(device, start.Start);
            started = true;
            edge.LeadTo(device.Name, to, options with { ReadOnly = device.Definition.IsReadOnly });
            led = true;
            if (Edge.WhyNot(volume, VolumeOf(edge)) is { } reason) throw new ComancheException($"{device.Name} can't take the place of {beforeDevice.Name}: {reason}");
            edge.GoOn(patience);
            return clock.Elapsed;
        }
        catch (Exception e)
        {
            var failures = new List<string>();
            if (led) edge.LeadTo(beforeDevice.Name, before, options);
            if (started && start is not null) TakeBack(device, start.Stop, failures);
            if (stopped && stop is not null) TakeBack(beforeDevice.Definition, stop.Start, failures);
            TakeBack(beforeDevice.Definition, () => edge.GoOn(patience), failures);
            if (failures.Count == 0) throw;

            // Nobody is left at an edge that stands still for ever: its queues try to open now and then, and the device can be replaced.
            edge.LetGo();
            throw new ComancheException($"{e.Message}; and the change can't be taken back: {string.Join("; ", failures)}", e);
        }
    }

    // A step of the way back, which is followed by the next one whatever becomes of it.
    private static void TakeBack(CheckedDevice device, Action step, List<string> failures)
    {
        try
        {
            Guard(device, step);
        }
        catch (ComancheException e)
        {
            failures.Add(e.Message);
        }
    }

    private static unsafe VolumeInfo VolumeOf(IBlockDevice device)
    {
        VolumeInfo volume;
        device.GetVolumeInfo(&volume);
        return volume;
    }

    private (IBase Component, IHost Host) MakeAlone(CheckedDevice device, Func<string, IBase> find)
    {
        IBase? made = null;
        IHost? host = null;
        Guard(device, () =>
        {
            host = _process.CreateHost(device.Name, FlagsOf(device), device.Definition.Reactor);
            made = device.Kind!.Create(host, device.Options);
            try
            {
                foreach (var (role, below, _) in device.Bindings) made.Bind(find(below.Name), role);
            }
            catch
            {
                Discard(made);
                throw;
            }
        });
        return (made!, host!);
    }

    private static HostFlags FlagsOf(CheckedDevice device) => device.Definition.IsReadOnly ? HostFlags.ReadOnly : HostFlags.None;

    // A device of the text "name: { use: … }", read as a stack file would be.
    private static StackDevice ReadDevice(string text, string? below)
    {
        var file = StackFile.Parse("change", $"devices:\n{string.Join('\n', text.Split('\n').Select(line => $"  {line}"))}\n");
        if (file.Problems.Count != 0) throw new ComancheException(file.Problems[0].Text);
        if (file.Devices is not [var device]) throw new ComancheException("one device was expected, as 'name: { use: … }'");
        return below is null || device.Bindings.Count != 0 ? device : device.With([new StackBinding("", below, device.At)]);
    }

    private (RunningDevice Device, Edge Edge) FindLayer(string name)
    {
        var device = Find(name) ?? throw new ComancheException($"there is no device '{name}'{Spelling.Suggest(name, _devices.Select(d => d.Name))}");
        if (device.Component is not Edge { Options.Changeable: true } edge) throw new ComancheException($"'{name}' is no block device that can be changed while it runs");
        return edge.IsHeld ? throw new ComancheException("the stack is paused: 'resume' comes first") : (device, edge);
    }

    // What lives keeps its kind, but for the device that is new.
    private CheckedStack CheckChange(IReadOnlyList<StackDevice> devices, string? added, ComponentCatalog? catalog)
    {
        if (devices.GroupBy(d => d.Name).FirstOrDefault(g => g.Count() > 1) is { } twice) throw new ComancheException($"'{twice.Key}' is already the name of a device");
        var kept = Stack.Devices.Where(d => d.Name != added).ToDictionary(d => d.Name, d => d.Kind!);
        var result = StackChecker.Check(Stack.File.With(devices), catalog ?? new ComponentCatalog(), kept);
        return result.IsGood ? result : throw new ComancheException(result.Problems.First(p => !p.IsWarning).Text);
    }

    private void Adopt(CheckedStack next)
    {
        Stack = next;

        // What stands on another device comes after it, also where it did not stand on that before.
        var order = next.Devices.Select((device, index) => (device.Name, Index: index)).ToDictionary(d => d.Name, d => d.Index);
        _devices.Sort((one, other) => order[one.Name].CompareTo(order[other.Name]));
        for (var i = 0; i < _devices.Count; i++)
        {
            var device = _devices[i];
            _devices[i] = device with { Definition = next.Find(device.Name)! };
        }
    }
}
