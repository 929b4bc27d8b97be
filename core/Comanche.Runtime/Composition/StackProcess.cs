namespace Comanche.Runtime.Composition;

/// <summary>The real process of a stack: hosts, reactors and edges of a <see cref="ComancheProcess"/>. Set-up thread only.</summary>
/// <param name="process">The process; the owner disposes it after this.</param>
public sealed class StackProcess(ComancheProcess process) : IStackProcess, IDisposable
{
    private readonly Dictionary<string, Reactor> _reactors = new(StringComparer.Ordinal);

    /// <summary>Whether the time and the descriptors that each layer takes are measured, which costs some time itself.</summary>
    public bool MeasuresLayers { get; init; }

    /// <summary>Whether the latency of each I/O is measured at the top of the stack.</summary>
    public bool MeasuresLatency { get; init; } = true;

    /// <summary>
    /// Whether every device is counted and checked as if it were the top, so that each has figures of its own; it costs a few nanoseconds per I/O and device.
    /// </summary>
    public bool CountsEveryDevice { get; init; }

    /// <summary>Whether devices can be inserted, replaced and removed while the stack runs.</summary>
    public bool IsChangeable { get; init; }

    /// <summary>The process.</summary>
    public ComancheProcess Process => process;

    /// <summary>The reactors that run, the default one first where it does.</summary>
    public IReadOnlyList<Reactor> Reactors => process.StartedReactor is { } first ? [first, .. _reactors.Values] : [.. _reactors.Values];

    /// <inheritdoc/>
    public void AddReactor(StackReactor reactor)
    {
        if (_reactors.ContainsKey(reactor.Name)) return;
        var idle = reactor.Idle == "spin" ? IdlePolicy.Spin : IdlePolicy.Adaptive;
        try
        {
            _reactors.Add(reactor.Name, new Reactor(new ReactorOptions { Name = reactor.Name, Core = reactor.Core, Idle = idle }, process.Log));
        }
        catch (ComancheException e)
        {
            throw new ComancheException($"{reactor.At}: error: {e.Message}", e);
        }
    }

    /// <inheritdoc/>
    public IHost CreateHost(string name, HostFlags flags, string? reactor) => process.CreateHost(name, flags, reactor switch
    {
        null => null,
        StackReactor.Active => OwnReactor(name),
        _ => _reactors[reactor],
    });

    /// <inheritdoc/>
    public IBase Wrap(string name, IBase component, HostFlags flags, bool isEntry)
    {
        if (component.Query<IBlockDevice>() is null) return component;
        var edge = process.CreateEdge(name, component, new EdgeOptions
        {
            Entry = isEntry || CountsEveryDevice, ReadOnly = (flags & HostFlags.ReadOnly) != 0, Layers = MeasuresLayers, Latency = MeasuresLatency,
            Changeable = IsChangeable,
        });
        component.Release(); // The edge holds one of its own.
        return edge;
    }

    // One that takes its place later has the same.
    private Reactor OwnReactor(string name)
    {
        var key = $"{name} ({StackReactor.Active})";
        if (!_reactors.TryGetValue(key, out var own)) _reactors.Add(key, own = new Reactor(new ReactorOptions { Name = name }, process.Log));
        return own;
    }

    /// <summary>Ends the stack's reactors. Every component is closed by then.</summary>
    public void Dispose()
    {
        foreach (var reactor in _reactors.Values) reactor.Dispose();
        _reactors.Clear();
    }
}
