using System.Runtime.InteropServices;
using System.Runtime.InteropServices.Marshalling;

namespace Comanche;

/// <summary>
/// Makes one or more kinds of component. A native library exports one C function, <c>int32_t comanche_factory(void** factory)</c>, which
/// answers an object with this interface; a managed assembly needs none, since its classes carry <see cref="ComponentAttribute"/>.
/// </summary>
[GeneratedComInterface(StringMarshalling = StringMarshalling.Utf8, ExceptionToUnmanagedMarshaller = typeof(FailureMarshaller))]
[Guid("c0a4c4e0-0002-4b1e-9a51-6d6f6e746501")]
public partial interface IFactory
{
    /// <summary>The number of kinds that this factory makes.</summary>
    [PreserveSig]
    int GetCount();

    /// <summary>
    /// Describes one kind as a JSON object: <c>id</c>, <c>uuid</c>, <c>summary</c>, <c>interfaces</c> (UUIDs), <c>binds</c>
    /// (<c>[{"role":"","interface":"uuid","min":1,"max":1}]</c>) and <c>options</c>
    /// (<c>[{"name","type","default","min","max","summary","required"}]</c>, where type is one of
    /// <c>string</c>, <c>bool</c>, <c>integer</c>, <c>number</c>, <c>size</c>, <c>duration</c>).
    /// </summary>
    /// <param name="index">0 up to, not including, <see cref="GetCount"/>.</param>
    string Describe(int index);

    /// <summary>Makes a component. The caller owns its one count.</summary>
    /// <param name="componentId">The UUID of the kind, as described.</param>
    /// <param name="host">What the component may use of the process that it lives in. Valid until the component is closed.</param>
    /// <param name="optionsJson">
    /// The options as a JSON object, by the names in the description, checked against it; sizes in bytes, durations in nanoseconds.
    /// </param>
    [return: MarshalUsing(typeof(OwnedMarshaller<IBase>))]
    IBase Create(in Guid componentId, IHost host, string optionsJson);
}
