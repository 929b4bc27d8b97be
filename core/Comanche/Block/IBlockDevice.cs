using System.Runtime.InteropServices;
using System.Runtime.InteropServices.Marshalling;

namespace Comanche;

/// <summary>
/// A volume of blocks. Its work is done through queues, one for each thread that uses it; any number of queues may be open, on any threads.
/// Buffers come from the memory interface that it inherits.
/// </summary>
[GeneratedComInterface(StringMarshalling = StringMarshalling.Utf8, ExceptionToUnmanagedMarshaller = typeof(FailureMarshaller))]
[Guid("c0a4c4e0-0012-4b1e-9a51-6d6f6e746501")]
public unsafe partial interface IBlockDevice : IZerocopyMemory
{
    /// <summary>Gives geometry and limits. The device must be started. Any thread.</summary>
    void GetVolumeInfo(VolumeInfo* info);

    /// <summary>
    /// Opens a queue, owned by the calling thread. All memory that the queue will ever need is allocated here. The device must be started.
    /// </summary>
    /// <exception cref="ComancheException">The depth is not allowed, or the device has no queue left.</exception>
    [return: MarshalUsing(typeof(OwnedMarshaller<IIoQueue>))]
    IIoQueue OpenQueue(QueueOptions* options);

    /// <summary>
    /// A number that grows with every notice of this device or one below it: resized, degraded, restored, removed. A parent that finds it changed reads
    /// <see cref="GetVolumeInfo"/> and <see cref="GetHealth"/> anew. Any thread; cheap enough for once a batch.
    /// </summary>
    [PreserveSig]
    ulong GetEventNumber();

    /// <summary>Says how the device fares. Any thread.</summary>
    void GetHealth(DeviceHealth* health);
}
