using System.Runtime.CompilerServices;

namespace Comanche;

/// <summary>Properties of the operations, as bit tests: bit n speaks of operation n.</summary>
public static class IoOperations
{
    private const uint WithBuffer = 1u << (int)IoOperation.Read | 1u << (int)IoOperation.Write
        | 1u << (int)IoOperation.Compare | 1u << (int)IoOperation.CompareAndWrite;

    private const uint WithRange = WithBuffer | 1u << (int)IoOperation.Discard | 1u << (int)IoOperation.WriteZeroes
        | 1u << (int)IoOperation.Fill | 1u << (int)IoOperation.Copy;

    private const uint Changing = WithRange & ~(1u << (int)IoOperation.Read | 1u << (int)IoOperation.Compare);

    /// <summary>The number of operations.</summary>
    public const int Count = 10;

    /// <summary>Whether it moves data between a buffer and the volume.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool HasBuffer(this IoOperation operation) => (WithBuffer >> (int)operation & 1) != 0;

    /// <summary>Whether it names a range of blocks.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool HasRange(this IoOperation operation) => (WithRange >> (int)operation & 1) != 0;

    /// <summary>Whether it changes the volume.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsChange(this IoOperation operation) => (Changing >> (int)operation & 1) != 0;

    /// <summary>The capability that a volume needs for it; none for what every volume does (read, write, flush).</summary>
    public static VolumeCapabilities Needs(this IoOperation operation) => operation switch
    {
        IoOperation.Discard => VolumeCapabilities.Discard,
        IoOperation.WriteZeroes => VolumeCapabilities.WriteZeroes,
        IoOperation.Fill => VolumeCapabilities.Fill,
        IoOperation.Compare => VolumeCapabilities.Compare,
        IoOperation.CompareAndWrite => VolumeCapabilities.CompareAndWrite,
        IoOperation.Copy => VolumeCapabilities.Copy,
        _ => VolumeCapabilities.None,
    };
}
