using System.Runtime.InteropServices;
using System.Runtime.InteropServices.Marshalling;

namespace Comanche.Block;

/// <summary>How a write log fares.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct WriteLogInfo
{
    /// <summary>What its super block would say if it stopped now.</summary>
    public LogState State;

    /// <summary>Filler.</summary>
    public uint Reserved;

    /// <summary>Bytes that entries take, with those that are reserved for completions to come.</summary>
    public ulong UsedBytes;

    /// <summary>Bytes that entries can take.</summary>
    public ulong CapacityBytes;

    /// <summary>The number of the last event.</summary>
    public ulong LastSequence;
}

/// <summary>
/// What can be asked of a device that logs writes. Any thread, while I/O is in flight.
/// </summary>
/// <remarks>It derives from nothing, as every interface outside of the contracts' own assembly: query it on the component.</remarks>
[GeneratedComInterface(StringMarshalling = StringMarshalling.Utf8)]
[Guid("4f6f2a51-54c1-4b0a-8f4e-0d6c1f6b1b02")]
public unsafe partial interface IWriteLog
{
    /// <summary>
    /// Puts a named mark between the events that are logged by now and those that come, and returns its number. Waits for the log device. Throws where the log is
    /// full or the name is longer than 384 bytes.
    /// </summary>
    ulong Mark(string name);

    /// <summary>Says how the log fares.</summary>
    void GetLogInfo(WriteLogInfo* info);
}
