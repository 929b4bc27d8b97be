using System.Diagnostics;
using System.Runtime.InteropServices.Marshalling;
using Comanche.Block;
using Comanche.Runtime;
using Comanche.Testing;

namespace Comanche.Threading.Tests;

/// <summary>A device that hangs, under clients of which one gives up: he gets back what is his, and the others notice a pause.</summary>
public sealed unsafe class HangTests
{
    [Theory]
    [InlineData("thread/queue")]
    [InlineData("thread/mutex")]
    public void A_client_that_gives_up_on_a_device_that_hangs_harms_no_other(string component)
    {
        using var process = new ComancheProcess();
        TestHost Host(string name) => new(name) { Registry = process.Memory, Reactor = process.DefaultReactor };
        var memory = new MemoryDevice(Host("memory"), new MemoryOptions { Size = ByteSize.MiB(1) });
        var hang = new HangDevice(Host("hang"));
        BlockDevice top = component == "thread/queue" ? new QueueDevice(Host("top"), new QueueDeviceOptions()) : new MutexDevice(Host("top"), new MutexDeviceOptions());
        hang.Bind(memory, "");
        top.Bind(hang, "");
        foreach (var device in (BlockDevice[])[memory, hang, top]) device.Start();
        var buffer = top.AllocateIoBuffer(4 * 512, 4096, -1);
        IoBufferInfo info;
        top.GetBufferInfo(buffer, &info);
        using var slab = new DescriptorSlab(4);
        var (first, second) = (Open(top), Open(top));
        for (var i = 0; i < 4; i++)
        {
            *slab[i] = new IoDescriptor { Operation = IoOperation.Write, Lba = (ulong)i, BlockCount = 1, Buffer = (byte*)info.Address + i * 512, Region = info.Region };
            var descriptor = slab[i];
            Assert.Equal(1, (i < 2 ? first : second).Submit(&descriptor, 1));
        }

        Until(() => Done(first) + Done(second) == 0 && hang.Held == 4);
        first.Abandon();
        var (left, right) = (0, 0);
        Until(() =>
        {
            left += Done(first);
            right += Done(second);
            return left == 2 && right == 2;
        });
        for (var i = 0; i < 2; i++) Assert.Equal(IoStatus.Aborted, slab[i]->Status);
        for (var i = 2; i < 4; i++) Assert.Equal(IoStatus.Success, slab[i]->Status);
        first.Close();
        second.Close();
        top.FreeIoBuffer(buffer);
        foreach (var device in (BlockDevice[])[top, hang, memory])
        {
            device.Stop();
            Assert.Equal(0u, device.Release());
        }
    }

    private static IIoQueue Open(BlockDevice device)
    {
        var options = new QueueOptions { Depth = 4 };
        return device.OpenQueue(&options);
    }

    private static int Done(IIoQueue queue)
    {
        var done = stackalloc IoDescriptor*[4];
        return queue.Poll(done, 4);
    }

    private static void Until(Func<bool> condition)
    {
        var clock = Stopwatch.StartNew();
        while (!condition())
        {
            Assert.True(clock.Elapsed < TimeSpan.FromSeconds(20), "it does not come true");
            Thread.Sleep(1);
        }
    }
}

/// <summary>A filter whose first queue takes everything, gives nothing back and can't be cancelled, until it is abandoned; its later ones pass everything on.</summary>
[GeneratedComClass]
internal sealed unsafe partial class HangDevice(IHost host) : BlockFilter(host)
{
    private int _queues;
    private int _held;

    /// <summary>How much the first queue holds.</summary>
    public int Held => Volatile.Read(ref _held);

    protected override IIoQueue CreateQueue(QueueOptions queue) => _queues++ == 0 ? new HangQueue(this, queue.Depth).Opened() : OpenBelow(queue);

    [GeneratedComClass]
    private sealed partial class HangQueue(HangDevice device, uint depth) : IoQueue(device, depth)
    {
        private readonly DescriptorRing _taken = new((int)depth);

        public override int Submit(IoDescriptor** batch, int count)
        {
            count = Math.Min(count, Depth - InFlight);
            _taken.Push(batch, count);
            InFlight += count;
            Volatile.Write(ref device._held, InFlight);
            return count;
        }

        public override int Poll(IoDescriptor** completed, int capacity)
        {
            if (!IsAbandoned) return 0;
            var count = _taken.Pop(completed, capacity);
            for (var i = 0; i < count; i++) completed[i]->Status = IoStatus.Aborted;
            InFlight -= count;
            return count;
        }

        public override long Arm(WaitSet* waitSet) => IsAbandoned && _taken.Count != 0 ? 0 : WaitSet.Forever;

        protected override void OnAbandon() { }

        protected override void OnClose() => _taken.Dispose();
    }
}
