using Comanche.Block;
using Comanche.Runtime;
using Comanche.Testing;

namespace Comanche.Threading.Tests;

/// <summary>What the two ends of the rings owe each other where something goes wrong.</summary>
public sealed unsafe class RingTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("comanche-rings-").FullName;
    private readonly ComancheProcess _process = new();
    private readonly Stack<IBase> _components = new();
    private readonly IHost _host;
    private byte* _buffer;

    public RingTests() => _host = _process.CreateHost("test");

    public void Dispose()
    {
        try
        {
            while (_components.TryPop(out var component))
            {
                component.Stop();
                component.Release();
            }

            _process.Dispose();
        }
        finally
        {
            Directory.Delete(_folder, recursive: true);
        }
    }

    [Fact]
    public void A_full_queue_can_be_cancelled()
    {
        // Only a cancellation ends the reads in time.
        var device = Share(delay: TimeSpan.FromSeconds(5));
        using var slab = new DescriptorSlab(4);
        var queue = Open(device, 4);
        for (var i = 0; i < 4; i++) Submit(queue, slab[i], IoOperation.Read);
        System.Threading.Thread.Sleep(100); // So that they are taken before the cancellations come.
        for (var i = 0; i < 4; i++) Assert.Equal(1, queue.Cancel(slab[i]));
        var watch = System.Diagnostics.Stopwatch.StartNew();
        Drain(queue, 4);
        Assert.True(watch.Elapsed < TimeSpan.FromSeconds(3), $"took {watch.Elapsed}");
        Assert.Equal(IoStatus.Cancelled, slab[0]->Status);
        queue.Close();
    }

    [Fact]
    public void An_operation_that_there_is_not_comes_back()
    {
        var device = Share(delay: TimeSpan.Zero);
        using var slab = new DescriptorSlab(1);
        var queue = Open(device, 1);
        Submit(queue, slab[0], (IoOperation)0xFF);
        Drain(queue, 1);
        Assert.Equal(IoStatus.InvalidArgument, slab[0]->Status);
        queue.Close();
    }

    [Fact]
    public void A_queue_is_closed_behind_a_cancellation()
    {
        var device = Share(delay: TimeSpan.Zero, maxQueues: 2);
        using var slab = new DescriptorSlab(8);
        for (var round = 0; round < 300; round++)
        {
            var queue = Open(device, 8);
            for (var i = 0; i < 8; i++) Submit(queue, slab[i], IoOperation.Read);
            for (var i = 0; i < 8; i++) queue.Cancel(slab[i]);
            Drain(queue, 8);
            queue.Close();
        }
    }

    [Fact]
    public void After_the_end_of_the_server_every_request_comes_back_as_removed()
    {
        var device = Share(delay: TimeSpan.Zero);
        using var slab = new DescriptorSlab(4);
        var queue = Open(device, 4);
        var attached = _components.Pop();
        var share = _components.Pop();
        share.Stop();
        share.Release();
        _components.Push(attached);

        // More than the ring has room for.
        for (var round = 0; round < 50; round++)
        {
            for (var i = 0; i < 4; i++) Submit(queue, slab[i], IoOperation.Read);
            Drain(queue, 4);
            for (var i = 0; i < 4; i++) Assert.Equal(IoStatus.DeviceRemoved, slab[i]->Status);
        }

        queue.Close();
    }

    [Fact]
    public void A_refusal_has_its_reason()
    {
        Share(delay: TimeSpan.Zero);
        for (var i = 0; i < 300; i++)
        {
            var e = Assert.Throws<ComancheException>(() => ComancheClient.Connect(_host, Path.Combine(_folder, "s")));
            Assert.Contains("which is the most", e.Message, StringComparison.Ordinal);
        }
    }

    private IBlockDevice Share(TimeSpan delay, int maxQueues = 64)
    {
        var memory = new MemoryDevice(_process.CreateHost("memory"), new MemoryOptions { Size = ByteSize.MiB(1) });
        Start(memory);
        var slow = new DelayDevice(_process.CreateHost("slow"), new DelayOptions { Read = delay });
        Start(slow, memory);
        var socket = Path.Combine(_folder, "s");
        Start(new ShareExport(_process.CreateHost("share"), new ShareOptions { Socket = socket, MaxQueues = maxQueues, MaxClients = 1 }), slow);
        var device = ComancheClient.Connect(_host, socket);
        _components.Push(device);
        var buffer = device.AllocateIoBuffer(4096, 4096, -1);
        IoBufferInfo info;
        device.GetBufferInfo(buffer, &info);
        _buffer = (byte*)info.Address;
        return device;
    }

    private void Start(IBase component, IBase? below = null)
    {
        _components.Push(component);
        if (below is not null) component.Bind(below, "");
        component.Start();
    }

    private static IIoQueue Open(IBlockDevice device, uint depth)
    {
        var options = new QueueOptions { Depth = depth };
        return device.OpenQueue(&options);
    }

    private void Submit(IIoQueue queue, IoDescriptor* descriptor, IoOperation operation)
    {
        *descriptor = new IoDescriptor { Operation = operation, BlockCount = 1, Buffer = _buffer };
        Assert.Equal(1, queue.Submit(&descriptor, 1));
    }

    private static void Drain(IIoQueue queue, int count)
    {
        var watch = System.Diagnostics.Stopwatch.StartNew();
        IoDescriptor* done;
        while (count > 0)
        {
            count -= queue.Poll(&done, 1);
            Assert.True(watch.Elapsed < TimeSpan.FromSeconds(8), $"{count} did not come back");
        }
    }
}
