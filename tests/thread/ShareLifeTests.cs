using System.Diagnostics;
using Comanche.Block;
using Comanche.Linux;
using Comanche.Testing;

namespace Comanche.Threading.Tests;

/// <summary>Tests that count what the whole process holds run when no others do.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class Alone
{
    public const string Name = "alone";
}

/// <summary>Clients that come, go and die, and what the server has left of them.</summary>
[Collection(Alone.Name)]
public sealed unsafe class ShareLifeTests
{
    [Fact]
    public void Buffers_of_the_clients_pools_go_across_without_a_copy()
    {
        using var stack = new SharedStack();
        var host = stack.ClientHost();
        var device = stack.Attach(host: host);
        using (var io = new SyncIo(device, host, "attached"))
        {
            var data = new byte[64 << 10];
            Random.Shared.NextBytes(data);
            io.Write(7, data);
            io.Flush();
            var back = new byte[data.Length];
            io.Read(7, back);
            Assert.Equal(data, back);
        }

        Assert.Equal(0ul, host.Counter("io.copied"));
        Assert.Equal(0u, device.Release());
    }

    [Fact]
    public void A_pool_that_the_client_frees_is_given_back_by_the_server()
    {
        using var stack = new SharedStack();
        var host = stack.ClientHost();
        var device = stack.Attach(host: host);
        var before = stack.Memory.Statistics.Buffers;
        var options = new QueueOptions { Depth = 4 };
        var queue = device.OpenQueue(&options);
        for (var round = 0; round < 5; round++)
        {
            // Larger than half a pool: it gets one of its own, which goes with it.
            var buffer = device.AllocateIoBuffer(48 << 20, 4096, -1);
            Read(device, queue, buffer);
            Assert.Equal(before + 1, stack.Memory.Statistics.Buffers);
            device.FreeIoBuffer(buffer);
        }

        var small = device.AllocateIoBuffer(4096, 4096, -1);
        Read(device, queue, small);
        Assert.Equal(before + 1, stack.Memory.Statistics.Buffers);
        device.FreeIoBuffer(small);
        queue.Close();
        device.Release();
        Until(() => stack.Memory.Statistics.Buffers == before);
    }

    [Fact]
    public void A_client_that_is_gone_leaves_nothing_behind()
    {
        using var stack = new SharedStack(delay: new DelayOptions { Read = TimeSpan.FromMilliseconds(20) });
        var (buffers, files) = (stack.Memory.Statistics.Buffers, OpenFiles());
        for (var round = 0; round < 10; round++)
        {
            // Its end of everything vanishes, as with a process that is killed, with I/O in flight.
            using var link = AttachLink.Connect(stack.SocketPath);
            using var raw = new RawClient(link);
            raw.OpenQueue(16);
            raw.AddRegion(1, 2 << 20);
            for (uint i = 0; i < 16; i++) raw.Submit(new IoDescriptor { Operation = IoOperation.Read, Lba = i, BlockCount = 1, Region = 1, Buffer = (byte*)(i * 512ul), Tag = i });
            Thread.Sleep(2);
        }

        Until(() => stack.Memory.Statistics.Buffers == buffers && OpenFiles() <= files);
        Assert.Equal(10ul, stack.Host.Counter("share.lost"));
        Works(stack);
    }

    [Fact]
    public void When_the_server_stops_what_is_in_flight_comes_back_and_then_everything_fails()
    {
        var stack = new SharedStack();
        var host = stack.ClientHost();
        var device = stack.Attach(host: host);
        var options = new QueueOptions { Depth = 4 };
        var queue = device.OpenQueue(&options);
        using var slab = new DescriptorSlab(1);
        var buffer = device.AllocateIoBuffer(4096, 4096, -1);
        IoBufferInfo info;
        device.GetBufferInfo(buffer, &info);
        stack.Export.Stop();
        *slab[0] = new IoDescriptor { Operation = IoOperation.Read, BlockCount = 1, Buffer = (byte*)info.Address };
        Do(queue, slab[0]);
        Assert.Equal(IoStatus.DeviceRemoved, slab[0]->Status);
        DeviceHealth health;
        device.GetHealth(&health);
        Assert.Equal(DeviceState.Failed, health.State);
        queue.Close();
        device.FreeIoBuffer(buffer);
        Assert.Equal(0u, device.Release());
        stack.Dispose();
    }

    [Fact]
    public void A_client_is_refused_for_a_reason()
    {
        using var stack = new SharedStack(new ShareOptions { MaxClients = 2, MaxQueues = 1, MaxDepth = 32 }, devices: 2);
        Assert.Contains("no device 'nosuch' is shared here; there are device0, device1", Assert.Throws<ComancheException>(() => stack.Attach("nosuch")).Message, StringComparison.Ordinal);
        Assert.Contains("say which of device0, device1", Assert.Throws<ComancheException>(() => stack.Attach()).Message, StringComparison.Ordinal);
        Until(() => stack.Memory.Statistics.Buffers >= 0);
        var (first, second) = (stack.Attach("device0"), stack.Attach("device1"));
        Assert.Contains("2 clients are attached", Assert.Throws<ComancheException>(() => stack.Attach("device0")).Message, StringComparison.Ordinal);
        Assert.Contains("1 to 32 can be had", Assert.Throws<ComancheException>(() => Open(first, 64)).Message, StringComparison.Ordinal);
        var queue = Open(first, 32);
        Assert.Contains("1 queues are open", Assert.Throws<ComancheException>(() => Open(first, 32)).Message, StringComparison.Ordinal);
        queue.Close();
        first.Release();
        second.Release();
    }

    [Fact]
    public void A_read_only_share_refuses_every_change()
    {
        using var stack = new SharedStack(flags: HostFlags.ReadOnly);
        var host = stack.ClientHost();
        var device = stack.Attach(host: host);
        VolumeInfo volume;
        device.GetVolumeInfo(&volume);
        Assert.True(volume.Has(VolumeCapabilities.ReadOnly));
        using (var io = new SyncIo(device, host, "attached"))
            Assert.Equal(IoStatus.ReadOnly, Assert.Throws<ComancheException>(() => io.Write(0, new byte[512])).Status);
        device.Release();
    }

    [Fact]
    public void An_idle_server_and_its_client_sleep_and_wake()
    {
        using var stack = new SharedStack();
        var host = stack.ClientHost();
        var device = stack.Attach(host: host);
        using (var io = new SyncIo(device, host, "attached"))
        {
            for (var i = 0; i < 20; i++)
            {
                Thread.Sleep(5); // Longer than the reactor polls on.
                io.Write(1, new byte[512]);
            }
        }

        device.Release();
    }

    private static void Works(SharedStack stack)
    {
        var host = stack.ClientHost();
        var device = stack.Attach("device0", host);
        using (var io = new SyncIo(device, host, "attached")) io.Write(3, new byte[512]);
        device.Release();
    }

    private static void Read(IBlockDevice device, IIoQueue queue, IoBuffer buffer)
    {
        IoBufferInfo info;
        device.GetBufferInfo(buffer, &info);
        using var slab = new DescriptorSlab(1);
        *slab[0] = new IoDescriptor { Operation = IoOperation.Read, BlockCount = 8, Buffer = (byte*)info.Address, Region = info.Region };
        Do(queue, slab[0]);
        Assert.Equal(IoStatus.Success, slab[0]->Status);
    }

    private static IIoQueue Open(IBlockDevice device, uint depth)
    {
        var options = new QueueOptions { Depth = depth };
        return device.OpenQueue(&options);
    }

    private static void Do(IIoQueue queue, IoDescriptor* descriptor)
    {
        Assert.Equal(1, queue.Submit(&descriptor, 1));
        Until(() =>
        {
            IoDescriptor* done;
            return queue.Poll(&done, 1) == 1;
        });
    }

    private static int OpenFiles() => Directory.EnumerateFileSystemEntries("/proc/self/fd").Count();

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
