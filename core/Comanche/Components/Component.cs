using System.Runtime.ExceptionServices;

namespace Comanche;

/// <summary>
/// The base of managed components: count, bindings, life cycle. A component overrides <see cref="OnStart"/>, <see cref="OnStop"/> and
/// <see cref="OnClose"/>, and nothing else of this.
/// </summary>
public abstract class Component : IBase, INamed
{
    private readonly List<(string Role, IBase Component)> _bindings = []; // Set-up thread only.
    private readonly List<IBase> _parts = [];                           // Set-up thread only; aggregated components, owned.
    private ComponentCount _count = new();
    private bool _started;

    /// <summary>Makes a component that lives in a host.</summary>
    protected Component(IHost host)
    {
        Host = host;
        Name = host.GetName();
    }

    /// <summary>What this component may use of its process.</summary>
    protected IHost Host { get; }

    /// <inheritdoc/>
    public string Name { get; }

    /// <summary>Whether it is started.</summary>
    protected bool IsStarted => Volatile.Read(ref _started);

    /// <summary>Whether the stack asks it not to change its media.</summary>
    protected bool IsReadOnly => (Host.GetFlags() & HostFlags.ReadOnly) != 0;

    /// <inheritdoc/>
    public virtual IBase? Query(in Guid interfaceId)
    {
        if (ComponentModel.Implements(this, interfaceId)) return this;
        foreach (var part in _parts)
            if (part.Query(interfaceId) is { } found)
                return found;
        return null;
    }

    /// <inheritdoc/>
    public uint Retain() => _count.Retain(Name);

    /// <inheritdoc/>
    public uint Release()
    {
        var left = _count.Release(Name);
        if (left == 0) CloseNow();
        return left;
    }

    /// <inheritdoc/>
    public void Bind(IBase component, string role)
    {
        if (_started) throw new ComancheException($"{Name}: bound while it is started");
        if (ReferenceEquals(component, this)) throw new ComancheException($"{Name}: bound to itself");
        OnBind(component, role);
        component.Retain();
        _bindings.Add((role, component));
    }

    /// <inheritdoc/>
    public void Unbind()
    {
        if (_started) throw new ComancheException($"{Name}: unbound while it is started");
        ReleaseBindings();
    }

    /// <inheritdoc/>
    public void Start()
    {
        if (_started) return;
        OnStart();
        Volatile.Write(ref _started, true);
    }

    /// <inheritdoc/>
    public void Stop()
    {
        if (!_started) return;
        OnStop();
        Volatile.Write(ref _started, false);
    }

    /// <inheritdoc/>
    public virtual uint GetVersion() => 1 << 16;

    /// <summary>Checks a binding before it is made; throws to refuse it.</summary>
    protected virtual void OnBind(IBase component, string role) { }

    /// <summary>Opens what the component stands on. What it binds to is started. When it throws, nothing may be left open.</summary>
    protected virtual void OnStart() { }

    /// <summary>Ends its work, durably. No queue is open on it. When it throws, the component stays started.</summary>
    protected virtual void OnStop() { }

    /// <summary>Gives back everything; called once, by the last release. It is stopped by then; where it can't be stopped it stays open and this is not called.</summary>
    protected virtual void OnClose() { }

    /// <summary>Takes a component in as a part (aggregation): <see cref="Query"/> answers for it, its count is released on close.</summary>
    protected void Aggregate(IBase part) => _parts.Add(part);

    /// <summary>What is bound in a role, in order of binding.</summary>
    protected IEnumerable<IBase> Bound(string role = "") => _bindings.Where(b => b.Role == role).Select(b => b.Component);

    /// <summary>What is bound in a role, as the interface that is needed.</summary>
    protected IEnumerable<T> Bound<T>(string role = "") where T : class => Bound(role).Select(c => Need<T>(c, role));

    /// <summary>The one thing bound in a role, as the interface that is needed.</summary>
    protected T BoundOne<T>(string role = "") where T : class =>
        Bound<T>(role).FirstOrDefault() ?? throw new ComancheException($"{Name}: nothing is bound{(role.Length == 0 ? "" : $" as {role}")}");

    private T Need<T>(IBase component, string role) where T : class =>
        component.Query<T>() ?? throw new ComancheException(
            $"{Name}: what is bound{(role.Length == 0 ? "" : $" as {role}")} does not implement {typeof(T).Name}");

    private void CloseNow()
    {
        StopOrStay();
        try
        {
            OnClose();
        }
        finally
        {
            IBase[] held = [.. _parts, .. _bindings.Select(b => b.Component)];
            _parts.Clear();
            _bindings.Clear();
            ReleaseAll(held);
        }
    }

    // What can't be stopped is still used, by an open queue for example: a leak is better than a use after free.
    private void StopOrStay()
    {
        try
        {
            Stop();
        }
        catch (Exception e)
        {
            _count.Restore();
            var why = e is ComancheException ? e.Message : $"{Name}: {e.Message}";
            throw new ComancheException($"{why}; it is not closed, and keeps what it holds", e);
        }
    }

    private void ReleaseBindings()
    {
        IBase[] held = [.. _bindings.Select(b => b.Component)];
        _bindings.Clear();
        ReleaseAll(held);
    }

    // From the last to the first, whatever one of them throws; the first failure is thrown at the end.
    private static void ReleaseAll(IBase[] components)
    {
        ExceptionDispatchInfo? failure = null;
        for (var i = components.Length - 1; i >= 0; i--)
        {
            try
            {
                components[i].Release();
            }
            catch (Exception e)
            {
                failure ??= ExceptionDispatchInfo.Capture(e);
            }
        }

        failure?.Throw();
    }
}
