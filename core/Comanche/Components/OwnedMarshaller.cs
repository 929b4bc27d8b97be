using System.Runtime.InteropServices;
using System.Runtime.InteropServices.Marshalling;

namespace Comanche;

/// <summary>
/// Brings an interface across a language border so that its owner can end it at a known moment: a native object gets a wrapper of its
/// own, which <see cref="NativeObject.FinalRelease"/> ends; a managed object that comes back is itself again, and calls to it stay plain calls.
/// </summary>
/// <remarks>Used for what a call makes and hands to its caller (factories, queues). The shared wrappers of the runtime end only when they are finalised.</remarks>
[CustomMarshaller(typeof(CustomMarshallerAttribute.GenericPlaceholder), MarshalMode.Default, typeof(OwnedMarshaller<>))]
public static unsafe class OwnedMarshaller<T> where T : class
{
    private static readonly StrategyBasedComWrappers Wrappers = new();

    /// <summary>Managed to native.</summary>
    public static void* ConvertToUnmanaged(T? managed) => ComInterfaceMarshaller<T>.ConvertToUnmanaged(managed);

    /// <summary>Native to managed: the managed object behind the pointer, or a new wrapper that nobody shares.</summary>
    public static T? ConvertToManaged(void* unmanaged)
    {
        if (unmanaged is null) return null;
        if (ComWrappers.TryGetObject((nint)unmanaged, out var managed)) return (T)managed;
        return (T)Wrappers.GetOrCreateObjectForComInstance((nint)unmanaged, CreateObjectFlags.UniqueInstance);
    }

    /// <summary>Gives back the reference that came with the pointer.</summary>
    public static void Free(void* unmanaged) => ComInterfaceMarshaller<T>.Free(unmanaged);
}

/// <summary>What can be asked of objects that may live in native code.</summary>
public static class NativeObject
{
    /// <summary>Whether an object is a wrapper of a native one.</summary>
    public static bool IsNative(object component) => component is ComObject;

    /// <summary>
    /// Lets go of a native object now rather than when the garbage collector comes by. Does nothing for managed objects and shared wrappers.
    /// The caller knows that nobody uses the wrapper any more.
    /// </summary>
    public static void FinalRelease(object? component)
    {
        if (component is ComObject native) native.FinalRelease();
    }
}
