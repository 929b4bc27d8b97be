using System.Runtime.InteropServices;
using System.Runtime.InteropServices.Marshalling;

namespace Comanche.Runtime.Loading;

/// <summary>
/// A library of components in native code, opened with <c>dlopen</c>: what its factory makes is handed out as managed objects, behind which failures are
/// <see cref="ComancheException"/>s with the library's own words, and native memory goes when the component closes rather than when the collector comes by.
/// </summary>
/// <remarks>Set-up: one thread at a time. The library stays mapped as long as the process, since nobody can know who still holds its code.</remarks>
public sealed unsafe class NativeComponentLibrary : IDisposable
{
    /// <summary>The one function that a component library exports.</summary>
    public const string EntryPoint = "comanche_factory";

    private readonly List<ComponentDescription> _descriptions = [];
    private NativeFactory? _factory;

    private NativeComponentLibrary(string path, NativeFactory factory)
    {
        Path = path;
        _factory = factory;
    }

    /// <summary>Where it lies.</summary>
    public string Path { get; }

    /// <summary>The kinds of component that it makes.</summary>
    public IReadOnlyList<ComponentDescription> Descriptions => _descriptions;

    /// <summary>Its factory.</summary>
    public IFactory Factory => _factory ?? throw new ObjectDisposedException(Path);

    /// <summary>Opens a library, asks it for its factory and reads what it makes.</summary>
    /// <exception cref="ComancheException">It can't be loaded, is no component library, or describes itself as nobody can understand.</exception>
    public static NativeComponentLibrary Open(string path)
    {
        path = System.IO.Path.GetFullPath(path);
        var library = new NativeComponentLibrary(path, OpenFactory(path));
        try
        {
            var count = library.Factory.GetCount();
            if (count < 0) throw new ComancheException($"{path}: its factory says that it makes {count} kinds of component");
            for (var i = 0; i < count; i++) library._descriptions.Add(NativeDescription.Read(library.Factory, i, path));
            var twice = library._descriptions.GroupBy(d => d.Uuid).FirstOrDefault(g => g.Count() > 1);
            if (twice is not null) throw new ComancheException($"{path}: {string.Join(" and ", twice.Select(d => d.Id))} have one UUID, {twice.Key}");
            return library;
        }
        catch
        {
            library.Dispose();
            throw;
        }
    }

    /// <summary>Makes a component; the caller owns its one count, and its native memory goes with the last <see cref="IBase.Release"/>.</summary>
    /// <param name="uuid">The kind.</param>
    /// <param name="host">What the component may use; it must outlive it.</param>
    /// <param name="optionsJson">Options as <see cref="IFactory.Create"/> wants them.</param>
    public IBase Create(Guid uuid, IHost host, string optionsJson)
    {
        if (_descriptions.All(d => d.Uuid != uuid)) throw new ComancheException($"{Path}: it makes no component with the UUID {uuid}");
        return Factory.Create(uuid, host, optionsJson);
    }

    /// <summary>Lets go of the factory. Components that it made live on.</summary>
    public void Dispose()
    {
        _factory?.Dispose();
        _factory = null;
    }

    /// <summary>Opens a library and asks for its factory only.</summary>
    internal static NativeFactory OpenFactory(string path)
    {
        nint handle;
        try
        {
            handle = NativeLibrary.Load(path);
        }
        catch (Exception e) when (e is DllNotFoundException or BadImageFormatException)
        {
            throw new ComancheException($"{path}: it can't be loaded: {FirstLine(e.Message)}", e);
        }

        if (!NativeLibrary.TryGetExport(handle, EntryPoint, out var entry))
        {
            NativeLibrary.Free(handle);
            throw new ComancheException($"{path}: it is no component library: it does not export {EntryPoint}");
        }

        void* factory = null;
        var result = ((delegate* unmanaged<void**, int>)entry)(&factory);
        if (result < 0) throw new ComancheException($"{path}: {EntryPoint} failed with HRESULT 0x{(uint)result:x8}");
        if (factory is null) throw new ComancheException($"{path}: {EntryPoint} succeeded but gave no factory");
        try
        {
            // The wrapper takes a reference of its own; it is asked for IFactory here, so that a stranger shows at once.
            return new NativeFactory(path, OwnedMarshaller<IFactory>.ConvertToManaged(factory)!);
        }
        catch (InvalidCastException e)
        {
            throw new ComancheException($"{path}: what {EntryPoint} gave does not implement IFactory ({typeof(IFactory).GUID})", e);
        }
        finally
        {
            OwnedMarshaller<IFactory>.Free(factory);
        }
    }

    private static string FirstLine(string text) => text.Split('\n', 2)[0].TrimEnd();
}

/// <summary>Opens native libraries for the catalogue.</summary>
public sealed class NativeLoader : INativeLoader
{
    /// <inheritdoc/>
    public IFactory Load(string path) => NativeComponentLibrary.OpenFactory(System.IO.Path.GetFullPath(path));
}

/// <summary>A native factory whose failures are exceptions for people.</summary>
[GeneratedComClass]
internal sealed partial class NativeFactory(string path, IFactory factory) : IFactory, IDisposable
{
    public int GetCount() => factory.GetCount();

    public string Describe(int index) => Failure.Guard(path, () => factory.Describe(index)) ?? throw new ComancheException($"{path}: kind {index} has no description");

    public IBase Create(in Guid componentId, IHost host, string optionsJson)
    {
        var id = componentId;
        var inner = new NativeHost(host);
        var name = host.GetName();
        var made = Failure.Guard(name, () => factory.Create(id, inner, optionsJson)) ?? throw new ComancheException($"{name}: {path} succeeded but made nothing");

        // A factory may answer a managed component: it needs no cover.
        if (!NativeObject.IsNative(made)) return made;
        return made is IBlockDevice device ? new NativeBlockDevice(name, device, inner) : new NativeComponent(name, made, inner);
    }

    public void Dispose() => NativeObject.FinalRelease(factory);
}
