using System.Buffers;

namespace Comanche;

/// <summary>
/// DMA memory of the process's registry as <see cref="Memory{T}"/>: what is read into it or written from it, at aligned offsets, is not copied.
/// </summary>
/// <remarks>
/// Any thread. Slices of <see cref="MemoryManager{T}.Memory"/> count as DMA memory too. <see cref="IDisposable.Dispose"/> gives the memory back and is
/// refused while an I/O uses it or somebody has it pinned; the memory must not be touched afterwards.
/// </remarks>
public sealed unsafe class DmaBuffer : MemoryManager<byte>
{
    private const int Disposed = int.MinValue;

    private readonly IZerocopyMemory _memory;
    private readonly IoBuffer _handle;
    private readonly byte* _address;
    private int _pins; // Disposed once the memory is gone.

    private DmaBuffer(IZerocopyMemory memory, IoBuffer handle, in IoBufferInfo info)
    {
        _memory = memory;
        _handle = handle;
        _address = (byte*)info.Address;
        Length = (int)info.Length;
        Region = info.Region;
    }

    /// <summary>Its length in bytes.</summary>
    public int Length { get; }

    /// <summary>The registered region that it lies in, or 0.</summary>
    public uint Region { get; }

    /// <summary>Allocates zeroed memory.</summary>
    /// <param name="memory">Any device of the process: all have the same registry.</param>
    /// <param name="length">Bytes, at least 1.</param>
    /// <param name="alignment">A power of two up to 2 MiB.</param>
    /// <param name="numaNode">The NUMA node that is preferred, or -1.</param>
    public static DmaBuffer Allocate(IZerocopyMemory memory, int length, int alignment = 4096, int numaNode = -1)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(length, 1);
        var handle = memory.AllocateIoBuffer((nuint)length, (uint)alignment, numaNode);
        IoBufferInfo info;
        memory.GetBufferInfo(handle, &info);
        info.Length = (ulong)length;
        return new DmaBuffer(memory, handle, info);
    }

    /// <inheritdoc/>
    public override Span<byte> GetSpan()
    {
        ObjectDisposedException.ThrowIf(Volatile.Read(ref _pins) < 0, this);
        return new Span<byte>(_address, Length);
    }

    /// <inheritdoc/>
    public override MemoryHandle Pin(int elementIndex = 0)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)elementIndex, (uint)Length);
        while (true)
        {
            var pins = Volatile.Read(ref _pins);
            ObjectDisposedException.ThrowIf(pins < 0, this);
            if (Interlocked.CompareExchange(ref _pins, pins + 1, pins) == pins) return new MemoryHandle(_address + elementIndex, default, this);
        }
    }

    /// <inheritdoc/>
    public override void Unpin() => Interlocked.Decrement(ref _pins);

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        var pins = Interlocked.CompareExchange(ref _pins, Disposed, 0);
        if (pins > 0) throw new InvalidOperationException($"a DMA buffer was disposed of while {pins} I/Os use it");
        if (pins == 0) _memory.FreeIoBuffer(_handle);
    }
}
