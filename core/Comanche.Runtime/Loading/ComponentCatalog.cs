using System.Reflection;
using System.Runtime.Loader;

namespace Comanche.Runtime.Loading;

/// <summary>Loads native component libraries. A seam, so that the catalogue knows nothing of <c>dlopen</c>.</summary>
public interface INativeLoader
{
    /// <summary>Opens a library and answers its factory, which lives as long as the process; null where it is no component library.</summary>
    IFactory? Load(string path);
}

/// <summary>
/// The components that can be used: found by metadata in folders of assemblies, and in native libraries beside them. Their code is loaded when it is first needed,
/// into the default load context; the contracts are always those of the process.
/// </summary>
/// <remarks>Built by one thread; reading is free for all.</remarks>
public sealed class ComponentCatalog
{
    private const int MostKinds = 1000; // Of one library; all of this project's are fewer than a hundred.

    private readonly SortedDictionary<string, ComponentKind> _kinds = new(StringComparer.Ordinal);
    private readonly Dictionary<Guid, ComponentKind> _byUuid = [];
    private readonly List<string> _folders = [];
    private readonly List<string> _problems = [];

    /// <summary>Makes an empty catalogue.</summary>
    public ComponentCatalog() => AssemblyLoadContext.Default.Resolving += Resolve;

    /// <summary>The components, by id.</summary>
    public IReadOnlyCollection<ComponentKind> Kinds => _kinds.Values;

    /// <summary>The ids.</summary>
    public IReadOnlyCollection<string> Ids => _kinds.Keys;

    /// <summary>What was wrong with what was found, one line each; the components concerned are left out.</summary>
    public IReadOnlyList<string> Problems => _problems;

    /// <summary>Finds a component by its id.</summary>
    public ComponentKind? Find(string id) => _kinds.GetValueOrDefault(id);

    /// <summary>
    /// Finds a component by its id, to be loaded into a context of its own that goes when nothing holds it any more; null where there is none. A component in another language is
    /// what it is otherwise.
    /// </summary>
    public ComponentKind? FindCollectible(string id) => Find(id) is ManagedComponentKind kind ? kind.Collectible() : Find(id);

    /// <summary>Adds what a folder holds. Managed assemblies are only read, not loaded.</summary>
    /// <param name="folder">The folder; what lies deeper is not looked at.</param>
    /// <param name="native">How to open native libraries; without it they are left alone.</param>
    public void AddFolder(string folder, INativeLoader? native = null)
    {
        folder = Path.GetFullPath(folder);
        if (!Directory.Exists(folder)) throw new ComancheException($"{folder}: there is no such folder of components");
        _folders.Add(folder);
        foreach (var path in Directory.EnumerateFiles(folder, "*.dll").Order(StringComparer.Ordinal)) AddAssembly(path);
        if (native is null) return;
        foreach (var path in Directory.EnumerateFiles(folder, "*.so").Order(StringComparer.Ordinal)) AddNative(path, native);
    }

    /// <summary>Adds the components of one assembly.</summary>
    public void AddAssembly(string path)
    {
        foreach (var found in ComponentAssembly.Scan(path))
        {
            if (!Guid.TryParse(found.Uuid, out var uuid)) _problems.Add($"{path}: {found.Id}: '{found.Uuid}' is not a UUID");
            else Add(new ManagedComponentKind(found.Id, uuid, found.Summary, path, found.TypeName, LoadAssembly));
        }
    }

    /// <summary>Adds the components of one native library.</summary>
    public void AddNative(string path, INativeLoader native)
    {
        IFactory? factory = null;
        var count = 0;
        Try(path, () =>
        {
            if (!NativeComponentKind.ExportsFactory(path) || (factory = native.Load(path)) is null) return;
            count = factory.GetCount();
            if (count is >= 0 and <= MostKinds) return;
            (var said, count) = (count, 0);
            throw new ComancheException($"{path}: its factory says that it makes {said} kinds of component");
        });
        for (var i = 0; i < count; i++) Try(path, () => Add(NativeComponentKind.Read(factory!, i, path)));
    }

    // Foreign code and foreign text: whatever comes of it is one problem, and the others can be used.
    private void Try(string path, Action action)
    {
        try
        {
            action();
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            _problems.Add(e is ComancheException ? e.Message : $"{path}: {e.Message.ReplaceLineEndings(" ")}");
        }
    }

    /// <summary>Adds a kind of component. A second one of the same id or UUID is a problem, and left out.</summary>
    public void Add(ComponentKind kind)
    {
        if (_kinds.TryGetValue(kind.Id, out var same))
        {
            // The same file reached by two folders is no second component.
            if (same.Uuid != kind.Uuid || Path.GetFileName(same.Source) != Path.GetFileName(kind.Source))
                _problems.Add($"{kind.Source}: {kind.Id} is already defined by {same.Source}");
            return;
        }

        if (_byUuid.TryGetValue(kind.Uuid, out var other))
        {
            _problems.Add($"{kind.Source}: {kind.Id} has the UUID {kind.Uuid}, which is that of {other.Id} in {other.Source}");
            return;
        }

        _kinds.Add(kind.Id, kind);
        _byUuid.Add(kind.Uuid, kind);
    }

    // By name first: an assembly that the process has already (a test references components) is not loaded a second time.
    private static Assembly LoadAssembly(string path)
    {
        var name = AssemblyName.GetAssemblyName(path);
        try
        {
            return AssemblyLoadContext.Default.LoadFromAssemblyName(name);
        }
        catch (FileNotFoundException)
        {
            return AssemblyLoadContext.Default.LoadFromAssemblyPath(path);
        }
    }

    // What components need and the process does not have lies beside them.
    private Assembly? Resolve(AssemblyLoadContext context, AssemblyName name)
    {
        foreach (var folder in _folders)
        {
            var path = Path.Combine(folder, $"{name.Name}.dll");
            if (File.Exists(path)) return context.LoadFromAssemblyPath(path);
        }

        return null;
    }
}
