using Comanche.Block;
using Comanche.Testing;

namespace Comanche.Micro;

/// <summary>Which queue serves the layers that are measured.</summary>
public enum LayerKind
{
    /// <summary>One child descriptor for each parent (<see cref="SingleChildQueue"/>).</summary>
    Single,

    /// <summary>The general base with one child for each parent (<see cref="ChildQueue"/>).</summary>
    General,

    /// <summary>In place (<see cref="InPlaceQueue"/>).</summary>
    InPlace,
}

/// <summary>A <c>block/null</c> with layers over it, and one queue on top that is kept full.</summary>
public sealed unsafe class LayerStack : IDisposable
{
    private readonly List<BlockDevice> _devices = [];
    private readonly IIoQueue _queue;
    private readonly DescriptorSlab _slab;
    private readonly DescriptorSlab _batch;
    private readonly IoDescriptor** _ready;
    private int _count;

    /// <summary>Composes it.</summary>
    public LayerStack(LayerKind kind, int layers, int depth)
    {
        var host = new TestHost("bench");
        Add(new NullDevice(host, new NullOptions()));
        for (var i = 0; i < layers; i++)
        {
            BlockDevice layer = kind switch
            {
                LayerKind.Single => new PassDevice(host, new PassOptions { Child = true }),
                LayerKind.General => new GeneralDevice(host),
                _ => new InPlaceDevice(host),
            };
            layer.Bind(_devices[^1], "");
            Add(layer);
        }

        var options = new QueueOptions { Depth = (uint)depth };
        _queue = _devices[^1].OpenQueue(&options);
        _slab = new DescriptorSlab(depth);
        _batch = new DescriptorSlab(depth); // Its stack of free ones is the batch.
        for (var i = 0; i < depth; i++) *_slab[i] = new IoDescriptor { Operation = IoOperation.Read, BlockCount = 8, Lba = (ulong)i * 8 };
        _ready = _batch.Peek(depth);
        for (var i = 0; i < depth; i++) _ready[i] = _slab[i];
        _count = depth;
        Depth = depth;
    }

    /// <summary>The queue depth.</summary>
    public int Depth { get; }

    /// <summary>Does so many rounds of: submit what is ready, poll it back. Returns how many I/Os were done.</summary>
    public long Run(int rounds)
    {
        long done = 0;
        for (var i = 0; i < rounds; i++)
        {
            if (_queue.Submit(_ready, _count) != _count) throw new InvalidOperationException("refused");
            _count = _queue.Poll(_ready, Depth);
            done += _count;
        }

        return done;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _queue.Close();
        for (var i = _devices.Count - 1; i >= 0; i--)
        {
            _devices[i].Stop();
            _devices[i].Release();
        }

        _slab.Dispose();
        _batch.Dispose();
    }

    private void Add(BlockDevice device)
    {
        device.Start();
        _devices.Add(device);
    }
}
