using System.Runtime.InteropServices;
using System.Runtime.InteropServices.Marshalling;

namespace Comanche.Runtime.Loading;

/// <summary>
/// A queue in native code, called by its vtable: the generated wrapper looks the interface up on every call, this does not. Owner thread only.
/// The close lets go of the native object.
/// </summary>
/// <remarks>
/// How many descriptors it says that it took or gave is held to what it may: above, rings move their ends by that, so that an errno in its place would submit again what is in flight.
/// </remarks>
[GeneratedComClass]
internal sealed unsafe partial class NativeQueue : IIoQueue
{
    // Slots of IIoQueue, held by the conformance tests (contracts.txt).
    private const int SubmitSlot = 3, PollSlot = 4, CancelSlot = 5, ArmSlot = 6, AbandonSlot = 7, CloseSlot = 8;

    private readonly string _name;
    private readonly IHost? _host;
    private void* _queue;
    private bool _reported;

    /// <summary>Takes over a queue that a native device opened.</summary>
    public NativeQueue(string name, IIoQueue native, IHost? host)
    {
        _name = name;
        _host = host;
        _queue = ComInterfaceMarshaller<IIoQueue>.ConvertToUnmanaged(native);
        NativeObject.FinalRelease(native);
    }

    private void** Vtable => *(void***)_queue;

    public int Submit(IoDescriptor** batch, int count)
    {
        if (_queue is null) return 0;
        var taken = ((delegate* unmanaged<void*, IoDescriptor**, int, int>)Vtable[SubmitSlot])(_queue, batch, count);
        return (uint)taken <= (uint)count ? taken : Hold(taken, count, "Submit");
    }

    public int Poll(IoDescriptor** completed, int capacity)
    {
        if (_queue is null) return 0;
        var count = ((delegate* unmanaged<void*, IoDescriptor**, int, int>)Vtable[PollSlot])(_queue, completed, capacity);
        return (uint)count <= (uint)capacity ? count : Hold(count, capacity, "Poll");
    }

    public int Cancel(IoDescriptor* descriptor) =>
        _queue is null ? 0 : ((delegate* unmanaged<void*, IoDescriptor*, int>)Vtable[CancelSlot])(_queue, descriptor);

    public long Arm(WaitSet* waitSet) =>
        _queue is null ? WaitSet.Forever : ((delegate* unmanaged<void*, WaitSet*, long>)Vtable[ArmSlot])(_queue, waitSet);

    public void Abandon()
    {
        if (_queue is not null) ((delegate* unmanaged<void*, void>)Vtable[AbandonSlot])(_queue);
    }

    public void Close()
    {
        if (_queue is null) return;
        var result = ((delegate* unmanaged<void*, int>)Vtable[CloseSlot])(_queue);
        if (result < 0) throw Failure.Explain(_name, Marshal.GetExceptionForHR(result)!);
        Marshal.Release((nint)_queue);
        _queue = null;
    }

    private int Hold(int answer, int most, string call)
    {
        if (!_reported) _host?.Log(LogLevel.Error, $"contract broken: {call} of its queue answered {answer} where 0 to {most} make sense; this is said once");
        _reported = true;
        return Math.Clamp(answer, 0, most);
    }
}
