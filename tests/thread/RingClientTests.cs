using System.Diagnostics;
using System.Runtime.InteropServices;
using Comanche.Block;
using Comanche.Runtime;
using Comanche.Testing;

namespace Comanche.Threading.Tests;

/// <summary>What the client's end of the rings does with descriptors and memory.</summary>
public sealed unsafe class RingClientTests
{
    [Fact]
    public void Memory_that_came_in_the_place_of_other_memory_is_known_to_all_queues()
    {
        using var stack = new SharedStack();
        var host = stack.ClientHost();
        var device = stack.Attach("", host);
        var options = new QueueOptions { Depth = 4 };
        var queues = new[] { device.OpenQueue(&options), device.OpenQueue(&options) };
        var addresses = new HashSet<nint>();
        var again = 0;
        for (var round = 0; round < 10; round++)
        {
            var buffer = device.AllocateIoBuffer(64 << 20, 4096, -1);
            IoBufferInfo info;
            device.GetBufferInfo(buffer, &info);
            if (!addresses.Add((nint)info.Address)) again++;
            foreach (var queue in queues) Assert.Equal(IoStatus.Success, Read(queue, (byte*)info.Address));
            device.FreeIoBuffer(buffer);
        }

        Assert.True(again > 0, "no address was used again");
        foreach (var queue in queues) queue.Close();
        device.Release();
    }

    [Fact]
    public void Memory_that_the_server_refuses_is_offered_once()
    {
        using var stack = new SharedStack(new ShareOptions { MaxMemory = ByteSize.MiB(16) });
        var host = stack.ClientHost();
        var device = stack.Attach("", host);
        var options = new QueueOptions { Depth = 4 };
        var queue = device.OpenQueue(&options);
        var buffer = device.AllocateIoBuffer(64 << 20, 4096, -1);
        IoBufferInfo info;
        device.GetBufferInfo(buffer, &info);
        var refused = 0;
        var thread = Environment.CurrentManagedThreadId;
        EventHandler<System.Runtime.ExceptionServices.FirstChanceExceptionEventArgs> count = (_, e) =>
        {
            if (Environment.CurrentManagedThreadId == thread && e.Exception is ComancheException) refused++;
        };
        AppDomain.CurrentDomain.FirstChanceException += count;
        for (var i = 0; i < 50; i++) Assert.Equal(IoStatus.Success, Read(queue, (byte*)info.Address));
        AppDomain.CurrentDomain.FirstChanceException -= count;
        Assert.Equal(1, refused);
        Assert.True(host.Counter("io.copied") > 0, "nothing was copied");
        device.FreeIoBuffer(buffer);
        queue.Close();
        device.Release();
    }

    [Fact]
    public void A_reactor_whose_device_is_full_sleeps_though_more_is_asked()
    {
        using var process = new ComancheProcess();
        var memory = new MemoryDevice(new TestHost("memory") { Registry = process.Memory }, new MemoryOptions { Size = ByteSize.MiB(8) });
        memory.Start();
        var delay = new DelayDevice(new TestHost("delay") { Registry = process.Memory }, new DelayOptions { Read = TimeSpan.FromMilliseconds(200) });
        delay.Bind(memory, "");
        delay.Start();
        var device = new QueueDevice(
            new TestHost("queue") { Registry = process.Memory, Reactor = process.DefaultReactor }, new QueueDeviceOptions { Depth = 1, Burst = 1 });
        device.Bind(delay, "");
        device.Start();
        var options = new QueueOptions { Depth = 4 };
        var queue = device.OpenQueue(&options);
        var buffer = device.AllocateIoBuffer(1 << 20, 4096, -1);
        IoBufferInfo info;
        device.GetBufferInfo(buffer, &info);
        using var slab = new DescriptorSlab(4);
        var batch = slab.Peek(4);
        for (var i = 0; i < 4; i++) *batch[i] = new IoDescriptor { Operation = IoOperation.Read, BlockCount = 8, Buffer = (byte*)info.Address };
        Assert.Equal(4, queue.Submit(batch, 4));
        Thread.Sleep(50);
        var before = process.DefaultReactor.Load.Sleeps;
        Thread.Sleep(100); // One is at the device, one waits for it, two are in the ring.
        var sleeps = process.DefaultReactor.Load.Sleeps - before;
        var done = stackalloc IoDescriptor*[4];
        var clock = Stopwatch.StartNew();
        for (var count = 0; count < 4; count += queue.Poll(done, 4))
        {
            Assert.True(clock.Elapsed < TimeSpan.FromSeconds(20), "it does not come back");
            Thread.Sleep(1);
        }

        Assert.InRange(sleeps, 20ul, 5000ul);
        queue.Close();
        device.FreeIoBuffer(buffer);
        device.Stop();
        device.Release();
        delay.Stop();
        delay.Release();
        memory.Stop();
        memory.Release();
    }

    private static IoStatus Read(IIoQueue queue, byte* address)
    {
        var descriptor = (IoDescriptor*)NativeMemory.AlignedAlloc(IoDescriptor.Size, 64);
        *descriptor = new IoDescriptor { Operation = IoOperation.Read, BlockCount = 8, Buffer = address };
        Assert.Equal(1, queue.Submit(&descriptor, 1));
        IoDescriptor* done;
        var clock = Stopwatch.StartNew();
        while (queue.Poll(&done, 1) == 0) Assert.True(clock.Elapsed < TimeSpan.FromSeconds(10), "it does not come back");
        var status = descriptor->Status;
        NativeMemory.AlignedFree(descriptor);
        return status;
    }
}
