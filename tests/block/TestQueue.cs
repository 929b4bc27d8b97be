namespace Comanche.Block.Tests;

/// <summary>A queue with descriptors and buffers for tests: submits, polls, and says what came back by tag.</summary>
internal sealed unsafe class TestQueue : IDisposable
{
    private readonly IBlockDevice _device;
    private readonly DescriptorSlab _slab;
    private readonly DescriptorSlab _pointers;
    private readonly Dictionary<ulong, IoBuffer> _buffers = [];
    private ulong _made;

    public TestQueue(IBlockDevice device, uint depth = 32)
    {
        _device = device;
        var options = new QueueOptions { Depth = depth };
        Queue = device.OpenQueue(&options);
        _slab = new DescriptorSlab(1024);
        _pointers = new DescriptorSlab(1024);
        VolumeInfo info;
        device.GetVolumeInfo(&info);
        Volume = info;
    }

    public IIoQueue Queue { get; }

    public VolumeInfo Volume { get; }

    /// <summary>Makes a descriptor with a buffer of its own, whose tag is its number.</summary>
    public IoDescriptor* Make(IoOperation operation, ulong lba = 0, uint blocks = 0, byte fill = 0, IoFlags flags = IoFlags.None)
    {
        var descriptor = _slab.Take();
        *descriptor = new IoDescriptor { Operation = operation, Lba = lba, BlockCount = blocks, Tag = _made++, Flags = flags };
        if (!operation.HasBuffer()) return descriptor;
        var buffer = _device.AllocateIoBuffer(blocks * Volume.BlockSize, 0, -1);
        _buffers.Add(descriptor->Tag, buffer);
        IoBufferInfo info;
        _device.GetBufferInfo(buffer, &info);
        descriptor->Buffer = (byte*)info.Address;
        descriptor->Region = info.Region;
        new Span<byte>(info.Address, (int)info.Length).Fill(fill);
        return descriptor;
    }

    public static Span<byte> DataOf(IoDescriptor* descriptor, uint blockSize = 512) => new(descriptor->Buffer, (int)(descriptor->BlockCount * blockSize));

    public bool Submit(IoDescriptor* descriptor) => Queue.Submit(&descriptor, 1) == 1;

    /// <summary>Polls once; tags and statuses of what came back. Their descriptors stay valid.</summary>
    public List<(ulong Tag, IoStatus Status)> Poll(int capacity = 64)
    {
        var completed = _pointers.Peek(64);
        var count = Queue.Poll(completed, capacity);
        var back = new List<(ulong, IoStatus)>();
        for (var i = 0; i < count; i++) back.Add((completed[i]->Tag, completed[i]->Status));
        return back;
    }

    /// <summary>Submits one and polls until it is back.</summary>
    public IoStatus Do(IoDescriptor* descriptor)
    {
        Assert.True(Submit(descriptor), "refused");
        for (var i = 0; i < 10_000; i++)
            if (Poll().Any(b => b.Tag == descriptor->Tag)) return descriptor->Status;
        throw new InvalidOperationException($"{descriptor->Operation} does not come back");
    }

    public IoStatus Write(ulong lba, uint blocks, byte fill, IoFlags flags = IoFlags.None) =>
        Do(Make(IoOperation.Write, lba, blocks, fill, flags));

    public IoStatus Flush() => Do(Make(IoOperation.Flush));

    /// <summary>Reads one block; its first byte, which all others of it must equal unless <paramref name="mixed"/>.</summary>
    public byte ReadByte(ulong lba, bool mixed = false)
    {
        var read = Make(IoOperation.Read, lba, 1, 0xEE);
        Assert.Equal(IoStatus.Success, Do(read));
        var data = DataOf(read, Volume.BlockSize);
        if (!mixed) Assert.Equal(-1, data.IndexOfAnyExcept(data[0]));
        return data[0];
    }

    public long Arm()
    {
        var waitSet = default(WaitSet);
        return Queue.Arm(&waitSet);
    }

    public void Dispose()
    {
        Queue.Close();
        foreach (var buffer in _buffers.Values) _device.FreeIoBuffer(buffer);
        _slab.Dispose();
        _pointers.Dispose();
    }
}
