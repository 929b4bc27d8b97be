using System.Diagnostics;
using System.Runtime.InteropServices;

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
