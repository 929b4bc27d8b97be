using System.Reflection;
using System.Runtime.Loader;
using System.Runtime.InteropServices.Marshalling;

namespace Comanche.Runtime.Loading;

/// <summary>A component class in an assembly. The assembly is loaded when more than id, UUID and summary is asked for.</summary>
internal sealed class ManagedComponentKind(string id, Guid uuid, string summary, string assemblyPath, string typeName, Func<string, Assembly> load)
    : ComponentKind
{
    private readonly Lock _lock = new();
    private Loaded? _loaded;
    private CollectibleContext? _context;

    public override string Id => id;

    public override Guid Uuid => uuid;

    public override string Summary => summary;

    public override string Source => assemblyPath;

    public override ComponentDescription Description => Load().Description;

    public override bool CanPlan => typeof(IPlanned).IsAssignableFrom(Load().Type);

    public override void Plan(PlanContext plan)
    {
        if (!CanPlan) return;
        var call = typeof(ManagedComponentKind).GetMethod(nameof(CallPlan), BindingFlags.NonPublic | BindingFlags.Static)!;
        call.MakeGenericMethod(Load().Type).CreateDelegate<Action<PlanContext>>()(plan);
    }

    /// <summary>The same component, to be loaded anew into a context of its own.</summary>
    public ManagedComponentKind Collectible()
    {
        var context = new CollectibleContext(assemblyPath);
        return new ManagedComponentKind(id, uuid, summary, assemblyPath, typeName, context.LoadFromAssemblyPath) { _context = context };
    }

    public override void Retire() => _context?.Unload();

    public override object? MakeOptions(OptionSet options) =>
        Load().Options is { } record ? ManagedOptions.Make(record, options, fetchSecrets: false) : null;

    public override IBase Create(IHost host, OptionSet options)
    {
        var loaded = Load();
        object[] arguments = loaded.Options is { } record ? [host, ManagedOptions.Make(record, options, fetchSecrets: true)] : [host];
        return (IBase)loaded.Constructor.Invoke(BindingFlags.DoNotWrapExceptions, null, arguments, null);
    }

    private static void CallPlan<T>(PlanContext plan) where T : IPlanned => T.Plan(plan);

    private Loaded Load()
    {
        lock (_lock) return _loaded ??= LoadNow();
    }

    private Loaded LoadNow()
    {
        try
        {
            var type = load(assemblyPath).GetType(typeName, throwOnError: true)!;
            if (!typeof(IBase).IsAssignableFrom(type)) throw new ComancheException($"{typeName} carries [Component] but is no component: it does not implement IBase");
            var constructor = FindConstructor(type);
            var parameters = constructor.GetParameters();
            var options = parameters.Length == 2 ? parameters[1].ParameterType : null;
            var description = new ComponentDescription(
                id, uuid, summary, InterfacesOf(type), BindingsOf(type), options is null ? [] : ManagedOptions.Describe(options))
            {
                IsTransparent = type.IsDefined(typeof(TransparentAttribute), inherit: true),
            };
            return new Loaded(type, constructor, options, description.Checked());
        }
        catch (Exception e) when (e is BadImageFormatException or IOException or TypeLoadException or ReflectionTypeLoadException or MissingMethodException)
        {
            throw new ComancheException($"{id} can't be loaded from {assemblyPath}: {e.Message}", e);
        }
    }

    private static ConstructorInfo FindConstructor(Type type)
    {
        var constructors = type.GetConstructors();
        if (constructors.Length == 1 && constructors[0].GetParameters() is { Length: 1 or 2 } parameters && parameters[0].ParameterType == typeof(IHost))
            return constructors[0];
        throw new ComancheException($"{type} needs one public constructor, of an IHost and, where it has any, its options");
    }

    private static List<InterfaceDescription> InterfacesOf(Type type) =>
    [
        .. type.GetInterfaces()
            .Where(i => i != typeof(IBase) && i.IsDefined(typeof(GeneratedComInterfaceAttribute), false))
            .Select(i => new InterfaceDescription(i.Name, i.GUID))
            .OrderBy(i => i.Name, StringComparer.Ordinal),
    ];

    private static List<BindingDescription> BindingsOf(Type type) =>
    [
        .. type.GetCustomAttributes<BindsAttribute>(inherit: true)
            .Select(b => new BindingDescription(b.Role, new InterfaceDescription(b.Contract.Name, b.Contract.GUID), b.Min, b.Max))
            .OrderBy(b => b.Role, StringComparer.Ordinal),
    ];

    // The contracts, and all that the process has already, are those of the process; what lies beside the assembly is loaded with it.
    private sealed class CollectibleContext(string path) : AssemblyLoadContext(Path.GetFileNameWithoutExtension(path), isCollectible: true)
    {
        protected override Assembly? Load(AssemblyName name)
        {
            if (name.Name is "Comanche" or "Comanche.Linux") return null;
            var beside = Path.Combine(Path.GetDirectoryName(path)!, $"{name.Name}.dll");
            return File.Exists(beside) ? LoadFromAssemblyPath(beside) : null;
        }
    }

    private sealed record Loaded(Type Type, ConstructorInfo Constructor, Type? Options, ComponentDescription Description);
}
