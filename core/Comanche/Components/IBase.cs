using System.Runtime.InteropServices;
using System.Runtime.InteropServices.Marshalling;

namespace Comanche;

/// <summary>
/// The root of every component: interface query, reference count, bindings, life cycle.
/// </summary>
/// <remarks>
/// <para><b>Life.</b> A component is born with a count of one, owned by whoever asked the factory for it. It is then
/// bound (<see cref="Bind"/>), started, used, stopped and released. The last <see cref="Release"/> closes it there and
/// then: its bindings are released and its resources are given back before the call returns. This count is the
/// component's own; COM's <c>IUnknown</c> count only keeps the memory of a wrapper alive and closes nothing.</para>
/// <para><b>Threads.</b> The methods of this interface belong to set-up: one thread at a time calls them, except
/// <see cref="Retain"/>, <see cref="Release"/>, <see cref="Query"/> and <see cref="GetVersion"/>, which any thread may call.</para>
/// <para><b>Errors.</b> Mistakes in set-up throw <see cref="ComancheException"/>; across a language border that is an HRESULT,
/// and the text travels by <see cref="IHost.Fail"/>.</para>
/// </remarks>
[GeneratedComInterface(StringMarshalling = StringMarshalling.Utf8, ExceptionToUnmanagedMarshaller = typeof(FailureMarshaller))]
[Guid("c0a4c4e0-0001-4b1e-9a51-6d6f6e746501")]
public partial interface IBase
{
    /// <summary>
    /// Answers the object that implements an interface for this component: the component itself, or, by aggregation, one
    /// that it owns. Returns null where there is none. The caller does not own a count for the answer: it lives as long as this component.
    /// </summary>
    /// <param name="interfaceId">The UUID of the interface, which fixes syntax and semantics.</param>
    IBase? Query(in Guid interfaceId);

    /// <summary>Adds one to the component's count and returns the new count. One that is closed can't be retained: that throws, or returns 0.</summary>
    [PreserveSig]
    uint Retain();

    /// <summary>
    /// Takes one from the component's count and returns what is left; at zero the component is closed before the call returns. A component that can't be stopped, since a
    /// queue is open on it for example, stays open with the count that the last release was to take: that throws, or returns 1 with the text of <see cref="IHost.Fail"/>.
    /// </summary>
    [PreserveSig]
    uint Release();

    /// <summary>
    /// Binds this component to another one below it. The component retains what it is given until <see cref="Unbind"/> or its close.
    /// </summary>
    /// <param name="component">What to bind to. Bindings point downwards only; cycles are refused by the composer.</param>
    /// <param name="role">The part that it plays: empty for the ordinary <c>on:</c> binding, otherwise a name that the component documents.</param>
    /// <exception cref="ComancheException">The component is started, takes no more bindings, or needs another interface.</exception>
    void Bind(IBase component, string role);

    /// <summary>Releases every binding. The component must not be started.</summary>
    void Unbind();

    /// <summary>
    /// Makes the component ready: opens what it stands on, reads and checks labels. What it binds to is started already.
    /// A failed start leaves the component as it was before.
    /// </summary>
    void Start();

    /// <summary>
    /// Ends the component's work and makes its state durable. Every queue that was opened on it is closed already.
    /// Stopping a component that is not started does nothing.
    /// </summary>
    void Stop();

    /// <summary>The version of the component: major in the upper 16 bits, minor in the lower ones.</summary>
    [PreserveSig]
    uint GetVersion();
}
