using System.Runtime.InteropServices;
using System.Runtime.InteropServices.Marshalling;

namespace Comanche.Runtime.Loading;

/// <summary>
/// A component in native code as the rest of the process sees it: its failures are <see cref="ComancheException"/>s, and its last release lets go of the native
/// object there and then. Threads as for <see cref="IBase"/>.
/// </summary>
[GeneratedComClass]
internal partial class NativeComponent(string name, IBase native, NativeHost? host) : IBase
{
    private readonly Dictionary<Guid, IBase> _facets = []; // Locked; what Query answered, kept until the close.

    /// <summary>The component's name in its stack.</summary>
    protected string Name { get; } = name;

    /// <summary>What it uses of its process; null where it is none of the runtime's.</summary>
    protected NativeHost? Host => host;

    public virtual IBase? Query(in Guid interfaceId)
    {
        if (interfaceId == typeof(IBase).GUID) return this;
        lock (_facets)
        {
            if (_facets.TryGetValue(interfaceId, out var known)) return known;
            if (Ask(interfaceId) is not { } answer) return null;
            if (!NativeObject.IsNative(answer)) return answer; // What lies below may be managed: it is itself.
            var facet = interfaceId == typeof(IBlockDevice).GUID ? new NativeBlockDevice(Name, (IBlockDevice)answer, host) : answer;
            _facets.Add(interfaceId, facet);
            return facet;
        }
    }

    public uint Retain() => native.Retain();

    public uint Release()
    {
        Failure.Take();
        var left = native.Release();
        if (left == 0)
        {
            LetGo();
            host?.Cut();
        }
        else if (Failure.Take() is { } text) throw new ComancheException($"{Name}: {text}; it is not closed, and keeps what it holds");

        return left;
    }

    public void Bind(IBase component, string role) => Failure.Guard(Name, () => native.Bind(component, role));

    public void Unbind() => Failure.Guard(Name, native.Unbind);

    public void Start() => Failure.Guard(Name, native.Start);

    public void Stop() => Failure.Guard(Name, native.Stop);

    public uint GetVersion() => native.GetVersion();

    /// <summary>Ends the wrappers of the native object.</summary>
    protected virtual void LetGo()
    {
        lock (_facets)
        {
            foreach (var facet in _facets.Values)
            {
                if (facet is NativeComponent component) component.LetGo();
                else NativeObject.FinalRelease(facet);
            }

            _facets.Clear();
        }

        NativeObject.FinalRelease(native);
    }

    // By the vtable, since the generated call would make a shared wrapper that only the collector ends. IBase::Query is slot 3.
    private unsafe IBase? Ask(Guid interfaceId)
    {
        void* self = OwnedMarshaller<IBase>.ConvertToUnmanaged(native);
        void* answer = null;
        try
        {
            var result = ((delegate* unmanaged<void*, Guid*, void**, int>)(*(void***)self)[3])(self, &interfaceId, &answer);
            if (result < 0) throw Failure.Explain(Name, Marshal.GetExceptionForHR(result)!);
            return OwnedMarshaller<IBase>.ConvertToManaged(answer);
        }
        finally
        {
            OwnedMarshaller<IBase>.Free(self);
            if (answer is not null) OwnedMarshaller<IBase>.Free(answer);
        }
    }
}

/// <summary>A block device in native code.</summary>
[GeneratedComClass]
internal sealed unsafe partial class NativeBlockDevice(string name, IBlockDevice native, NativeHost? host) : NativeComponent(name, native, host), IBlockDevice
{
    public override IBase? Query(in Guid interfaceId) =>
        interfaceId == typeof(IBlockDevice).GUID || interfaceId == typeof(IZerocopyMemory).GUID ? this : base.Query(interfaceId);

    public void GetVolumeInfo(VolumeInfo* info)
    {
        Failure.Guard(Name, () => native.GetVolumeInfo(info));
        NativeGeometry.Check(Name, *info);
    }

    public IIoQueue OpenQueue(QueueOptions* options)
    {
        var queue = Failure.Guard(Name, () => native.OpenQueue(options)) ?? throw new ComancheException($"{Name}: opening a queue succeeded but gave none");
        return NativeObject.IsNative(queue) ? new NativeQueue(Name, queue, Host) : queue;
    }

    public ulong GetEventNumber() => native.GetEventNumber();

    public void GetHealth(DeviceHealth* health) => Failure.Guard(Name, () => native.GetHealth(health));

    public IoBuffer AllocateIoBuffer(nuint size, uint alignment, int numaNode) => Failure.Guard(Name, () => native.AllocateIoBuffer(size, alignment, numaNode));

    public void ReallocateIoBuffer(IoBuffer buffer, nuint size, uint alignment) =>
        Failure.Guard(Name, () => native.ReallocateIoBuffer(buffer, size, alignment));

    public void FreeIoBuffer(IoBuffer buffer) => Failure.Guard(Name, () => native.FreeIoBuffer(buffer));

    public IoBuffer RegisterMemory(void* address, nuint length) => Failure.Guard(Name, () => native.RegisterMemory(address, length));

    public void UnregisterMemory(IoBuffer buffer) => Failure.Guard(Name, () => native.UnregisterMemory(buffer));

    public void GetBufferInfo(IoBuffer buffer, IoBufferInfo* info) => Failure.Guard(Name, () => native.GetBufferInfo(buffer, info));

    public int Translate(void* address, nuint length, MemoryRun* runs, int capacity) =>
        Failure.Guard(Name, () => native.Translate(address, length, runs, capacity));

    public int GetRegions(MemoryRegion* regions, int capacity) => Failure.Guard(Name, () => native.GetRegions(regions, capacity));

    public ulong* GetGeneration() => native.GetGeneration();
}
