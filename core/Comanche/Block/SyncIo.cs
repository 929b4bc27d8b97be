namespace Comanche;

/// <summary>
/// Does one I/O at a time and waits for it: for set-up code that reads labels and tables, and for tools. It opens a queue of its own, which lives
/// on the calling thread, and brings its own aligned buffer. Failures throw, naming the device and the LBA.
/// </summary>
public sealed unsafe class SyncIo : IDisposable
{
    // 128 KiB per transfer: labels and tables fit in one, and larger ranges go by pieces of it.
    private const uint BufferBytes = 128 * 1024;

    private readonly IBlockDevice _device;
    private readonly IHost _host;
    private readonly IIoQueue _queue;
    private readonly DescriptorSlab _slab = new(1);
    private readonly string _name;
    private readonly IoBuffer _buffer;
    private readonly IoBufferInfo _memory;
    private readonly uint _bufferBlocks;

    /// <summary>Opens a queue on a started device.</summary>
    /// <param name="device">The device.</param>
    /// <param name="host">Whoever asks; it waits by this host.</param>
    /// <param name="name">What to call the device in messages.</param>
    public SyncIo(IBlockDevice device, IHost host, string name)
    {
        _device = device;
        _host = host;
        _name = name;
        VolumeInfo info;
        device.GetVolumeInfo(&info);
        Volume = info;
        _bufferBlocks = Math.Min(info.MaxTransferBlocks, Math.Max(1, BufferBytes / info.BlockSize));
        _buffer = device.AllocateIoBuffer((nuint)_bufferBlocks * info.BlockSize, Math.Max(info.BufferAlignment, 64), -1);
        IoBufferInfo memory;
        device.GetBufferInfo(_buffer, &memory);
        _memory = memory;
        try
        {
            var options = new QueueOptions { Depth = 1 };
            _queue = device.OpenQueue(&options);
        }
        catch
        {
            device.FreeIoBuffer(_buffer);
            _slab.Dispose();
            throw;
        }
    }

    /// <summary>The device's geometry.</summary>
    public VolumeInfo Volume { get; }

    /// <summary>Reads whole blocks.</summary>
    public void Read(ulong lba, Span<byte> into) => Transfer(IoOperation.Read, lba, into, IoFlags.None);

    /// <summary>Writes whole blocks.</summary>
    public void Write(ulong lba, ReadOnlySpan<byte> data, IoFlags flags = IoFlags.None)
    {
        fixed (byte* bytes = data) Transfer(IoOperation.Write, lba, new Span<byte>(bytes, data.Length), flags);
    }

    /// <summary>Makes what was written durable.</summary>
    public void Flush() => Check(Execute(new IoDescriptor { Operation = IoOperation.Flush }), IoOperation.Flush, 0, 0);

    /// <summary>Does any one descriptor and gives its status; buffers are the caller's.</summary>
    public IoStatus Execute(in IoDescriptor request)
    {
        var descriptor = _slab[0];
        *descriptor = request;
        var done = descriptor;
        while (_queue.Submit(&done, 1) == 0)
            if (!Progress(&done, expected: 0))
                throw new ComancheException($"{_name}: the device takes no I/O");
        while (!Progress(&done, expected: 1)) { }
        return descriptor->Status;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _queue.Close();
        _device.FreeIoBuffer(_buffer);
        _slab.Dispose();
    }

    private void Transfer(IoOperation operation, ulong lba, Span<byte> data, IoFlags flags)
    {
        if ((uint)data.Length % Volume.BlockSize != 0) throw new ComancheException($"{_name}: {data.Length} bytes are not whole blocks of {Volume.BlockSize}");
        var buffer = new Span<byte>(_memory.Address, (int)(_bufferBlocks * Volume.BlockSize));
        while (data.Length != 0)
        {
            var piece = data[..Math.Min(data.Length, buffer.Length)];
            var blocks = (uint)piece.Length / Volume.BlockSize;
            if (operation == IoOperation.Write) piece.CopyTo(buffer);
            var status = Execute(new IoDescriptor
            {
                Operation = operation, Flags = flags, Lba = lba, BlockCount = blocks, Buffer = (byte*)_memory.Address, Region = _memory.Region,
            });
            Check(status, operation, lba, blocks);
            if (operation == IoOperation.Read) buffer[..piece.Length].CopyTo(piece);
            data = data[piece.Length..];
            lba += blocks;
        }
    }

    private void Check(IoStatus status, IoOperation operation, ulong lba, uint blocks)
    {
        if (status == IoStatus.Success) return;
        var where = blocks == 0 ? "" : $" of {blocks} blocks at LBA {lba}";
        throw new ComancheException($"{_name}: {operation.ToString().ToLowerInvariant()}{where} failed: {status}", status);
    }

    // Polls once more, sleeping first where there is nothing to do; true where what is expected came.
    private bool Progress(IoDescriptor** done, int expected)
    {
        if (_queue.Poll(done, 1) == 1) return expected == 1;
        const int Room = 64;
        var descriptors = stackalloc int[Room];
        var waitSet = new WaitSet { Descriptors = descriptors, Capacity = Room };
        var deadline = _queue.Arm(&waitSet);
        if (deadline != 0) _host.Wait(&waitSet, waitSet.Count > Room ? 1_000_000 : deadline);
        return expected == 0;
    }
}
