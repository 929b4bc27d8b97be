using System.Reflection;

namespace Comanche.Runtime.Composition;

/// <summary>A device or an export that lives.</summary>
/// <param name="Definition">What the stack file says of it.</param>
/// <param name="Host">What it uses of the process.</param>
/// <param name="Component">The component, or the edge in front of it.</param>
public sealed record RunningDevice(CheckedDevice Definition, IHost Host, IBase Component)
{
    /// <summary>Its name.</summary>
    public string Name => Definition.Name;

    /// <summary>It as a block device, or null where it is none.</summary>
    public IBlockDevice? Device { get; } = Component.Query<IBlockDevice>();

    /// <summary>Whether it is started. Set-up thread only.</summary>
    public bool IsStarted { get; internal set; }
}

/// <summary>What of a stack is to be started, and how.</summary>
public sealed record ComposeOptions
{
    /// <summary>Only these devices and what they stand on; null for everything.</summary>
    public IReadOnlyList<string>? Only { get; init; }

    /// <summary>Whether nothing may be changed: every component is asked to be read-only.</summary>
    public bool ReadOnly { get; init; }

    /// <summary>Whether exports are started too.</summary>
    public bool WithExports { get; init; } = true;
}

/// <summary>
/// A stack that lives: made, bound and started bottom-up, exports last; stopped top-down, exports first.
/// </summary>
/// <remarks>
/// One thread at a time, the one that composed it. Each component's count is owned here; edges and bindings hold counts of their own, so that the
/// last release closes a component after everything above it is gone.
/// </remarks>
public sealed partial class RunningStack : IDisposable
{
    private readonly IStackProcess _process;
    private readonly List<RunningDevice> _devices = []; // Bottom-up; exports last.

    private RunningStack(CheckedStack stack, IStackProcess process)
    {
        Stack = stack;
        _process = process;
    }

    /// <summary>The checked file that it was made of.</summary>
    public CheckedStack Stack { get; private set; }

    /// <summary>What lives, in the order in which it was started.</summary>
    public IReadOnlyList<RunningDevice> Devices => _devices;

    /// <summary>
    /// Composes a stack. Where anything fails, what was started is stopped again, and the <see cref="ComancheException"/> says the device's place in the file.
    /// </summary>
    public static RunningStack Start(CheckedStack stack, IStackProcess process, ComposeOptions options)
    {
        if (!stack.IsGood) throw new ComancheException($"{stack.Problems.First(p => !p.IsWarning)}");
        var running = new RunningStack(stack, process);
        try
        {
            foreach (var reactor in stack.File.Reactors) process.AddReactor(reactor);
            var chosen = Chosen(stack, options);
            var stoodOn = chosen.Where(d => !d.Definition.IsExport).SelectMany(d => d.Bindings.Select(b => b.Device)).ToHashSet();
            foreach (var device in chosen) running.Make(device, options, isEntry: !stoodOn.Contains(device));
            foreach (var device in running._devices) running.StartOne(device);
            return running;
        }
        catch
        {
            running.TearDown([]);
            throw;
        }
    }

    /// <summary>Finds what lives by its name.</summary>
    public RunningDevice? Find(string name) => _devices.FirstOrDefault(d => d.Name == name);

    /// <summary>
    /// Stops the exports, which drain what their clients have in flight, and makes everything that was written durable. The devices stay started;
    /// <see cref="Resume"/> starts the exports again.
    /// </summary>
    public void Quiesce()
    {
        var failures = new List<string>();
        StopExports(failures);
        Flush(failures);
        ThrowIf(failures);
    }

    /// <summary>Starts the exports that <see cref="Quiesce"/> stopped.</summary>
    public void Resume()
    {
        foreach (var device in _devices)
            if (device.Definition.Definition.IsExport)
                StartOne(device);
    }

    /// <summary>
    /// Ends the stack: exports stop and drain, what was written is flushed, devices stop top-down and are closed. Everything is tried; what failed is
    /// said in one <see cref="ComancheException"/> at the end.
    /// </summary>
    public void Stop()
    {
        var failures = new List<string>();
        EndPause(failures);
        StopExports(failures);
        Flush(failures);
        TearDown(failures);
        ThrowIf(failures);
    }

    /// <inheritdoc/>
    public void Dispose() => TearDown([]);

    private static List<CheckedDevice> Chosen(CheckedStack stack, ComposeOptions options)
    {
        if (options.Only is not { } only) return [.. stack.Devices.Where(d => options.WithExports || !d.Definition.IsExport)];
        var wanted = new HashSet<CheckedDevice>();
        var open = new Stack<CheckedDevice>();
        foreach (var name in only) open.Push(stack.Find(name) ?? throw new ComancheException($"{stack.File.Path}: there is no device '{name}'"));
        while (open.TryPop(out var device))
        {
            if (!wanted.Add(device)) continue;
            foreach (var (_, below, _) in device.Bindings) open.Push(below);
        }

        return [.. stack.Devices.Where(wanted.Contains)];
    }

    private void Make(CheckedDevice device, ComposeOptions options, bool isEntry)
    {
        var flags = device.Definition.IsReadOnly || options.ReadOnly ? HostFlags.ReadOnly : HostFlags.None;
        Guard(device, () =>
        {
            var host = _process.CreateHost(device.Name, flags, device.Definition.Reactor);
            var component = device.Kind!.Create(host, device.Options);
            try
            {
                foreach (var (role, below, _) in device.Bindings) component.Bind(Find(below.Name)!.Component, role);
                _devices.Add(new RunningDevice(device, host, _process.Wrap(device.Name, component, flags, isEntry)));
            }
            catch (Exception e)
            {
                // Its words are taken first: the release makes calls of its own, and may fail in its turn.
                var failure = Failure.Explain(device.Name, Cause(e));
                Discard(component);
                throw failure;
            }
        });
    }

    private static void Discard(IBase component)
    {
        try
        {
            component.Release();
            NativeObject.FinalRelease(component);
        }
        catch (Exception)
        {
            // What failed before is said.
        }
    }

    private void StartOne(RunningDevice device)
    {
        if (device.IsStarted) return;
        Guard(device.Definition, device.Component.Start);
        device.IsStarted = true;
    }

    private void StopExports(List<string> failures)
    {
        for (var i = _devices.Count - 1; i >= 0; i--)
            if (_devices[i].Definition.Definition.IsExport)
                StopOne(_devices[i], failures);
    }

    private void StopOne(RunningDevice device, List<string> failures)
    {
        if (device.IsStarted && Try(device, failures, device.Component.Stop)) device.IsStarted = false;
    }

    // A flush at the top reaches everything below; what is stood on needs none of its own.
    private void Flush(List<string> failures)
    {
        foreach (var device in _devices)
        {
            var isStoodOn = _devices.Any(user => !user.Definition.Definition.IsExport && user.Definition.Bindings.Any(b => b.Device == device.Definition));
            if (isStoodOn || !device.IsStarted || device.Device is not { } volume) continue;
            Try(device, failures, () =>
            {
                using var io = new SyncIo(volume, device.Host, device.Name);
                if (!io.Volume.Has(VolumeCapabilities.ReadOnly)) io.Flush();
            });
        }
    }

    private void TearDown(List<string> failures)
    {
        // What something stands on that would not stop is left running below it.
        var needed = new HashSet<CheckedDevice>();
        for (var i = _devices.Count - 1; i >= 0; i--)
        {
            var device = _devices[i];
            if (!needed.Contains(device.Definition)) StopOne(device, failures);
            if (device.IsStarted) needed.UnionWith(device.Definition.Bindings.Select(b => b.Device));
        }

        for (var i = _devices.Count - 1; i >= 0; i--)
        {
            // Whatever stood on it is gone by now: this count is the last, and nobody uses a native component's wrapper any more. One that would not stop has said so;
            // its release tries once more, and leaves it open with all that it stands on rather than pull memory from under its users.
            var device = _devices[i];
            uint left = 1;
            Try(device, device.IsStarted && !needed.Contains(device.Definition) ? [] : failures, () => left = device.Component.Release());
            if (left == 0) NativeObject.FinalRelease(device.Component);
        }

        _devices.Clear();
    }

    private bool Try(RunningDevice device, List<string> failures, Action action)
    {
        try
        {
            Guard(device.Definition, action);
            return true;
        }
        catch (ComancheException e)
        {
            if (!failures.Contains(e.Message)) failures.Add(e.Message);
            return false;
        }
    }

    // Whatever a component throws becomes one line that names the device and its place, and says the component's own words once.
    private static void Guard(CheckedDevice device, Action action)
    {
        Failure.Take(); // Words of an earlier call, which was got over.
        try
        {
            action();
        }
        catch (Exception e)
        {
            var text = Failure.Explain(device.Name, Cause(e)).Message.ReplaceLineEndings(" ");
            // What is wrong with an option knows a better place.
            if (text.StartsWith($"{device.Definition.At.File}:", StringComparison.Ordinal)) throw new ComancheException(text, e);
            var named = text.StartsWith($"{device.Name}: ", StringComparison.Ordinal) ? text : $"{device.Name}: {text}";
            throw new ComancheException($"{device.Definition.At}: error: {named}", e);
        }
    }

    // Some exceptions only say that there is another one.
    private static Exception Cause(Exception exception)
    {
        while (exception is TypeInitializationException or TargetInvocationException or AggregateException && exception.InnerException is { } inner) exception = inner;
        return exception;
    }

    private static void ThrowIf(List<string> failures)
    {
        if (failures.Count != 0) throw new ComancheException(string.Join(Environment.NewLine, failures));
    }
}
