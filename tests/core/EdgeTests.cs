using Comanche.Block;
using Comanche.Runtime;
using Comanche.Testing;

namespace Comanche.Core.Tests;

public sealed unsafe class EdgeTests
{
    [Fact]
    public void Between_layers_a_release_edge_gives_the_devices_own_queue()
    {
        using var bench = new EdgeBench(new EdgeOptions { Check = false });
        Assert.IsType<ScriptedDevice.Queue>(bench.Queue);
    }

    [Fact]
    public void An_edge_closes_its_device_with_its_last_release()
    {
        using var process = new ComancheProcess();
        var device = ScriptedDevice.Make();
        var edge = process.CreateEdge("disk", device, new EdgeOptions { Entry = true });
        Assert.Equal(1u, device.Release());
        var options = new QueueOptions { Depth = 4 };
        var queue = edge.OpenQueue(&options);
        Assert.Contains("1 open queue", Assert.Throws<ComancheException>(edge.Stop).Message, StringComparison.Ordinal);
        queue.Close();
        queue.Close();
        Assert.Equal(1, device.Closed);
        edge.Stop();
        Assert.Equal(2u, edge.Retain());
        Assert.Equal(1u, edge.Release());
        Assert.Equal(0u, edge.Release());
        Assert.Throws<ComancheException>(() => device.Release());
    }

    [Fact]
    public void An_edge_that_is_released_under_an_open_queue_keeps_its_device()
    {
        using var process = new ComancheProcess();
        var device = new Transparent(new TestHost("filter")); // It does not know of the queues that are opened through it.
        device.Bind(ScriptedDevice.Make(), "");
        device.Start();
        var edge = process.CreateEdge("top", device, new EdgeOptions { Entry = true });
        device.Release();
        var options = new QueueOptions { Depth = 4 };
        var queue = edge.OpenQueue(&options);
        Assert.Contains("1 open queue", Assert.Throws<ComancheException>(() => edge.Release()).Message, StringComparison.Ordinal);
        Assert.Equal(0, device.Closes);
        queue.Close();
        Assert.Equal(0u, edge.Release());
        Assert.Equal(1, device.Closes);
        Assert.Throws<ComancheException>(() => edge.Retain());
        Assert.Throws<ComancheException>(() => edge.Release());
    }

    private sealed class Transparent(IHost host) : BlockFilter(host)
    {
        public int Closes { get; private set; }

        protected override void OnClose() => Closes++;
    }

    [Fact]
    public void Other_interfaces_of_the_device_are_reached_through_the_edge()
    {
        using var process = new ComancheProcess();
        var device = new Partitioned(new TestHost());
        var edge = process.CreateEdge("disk", device, new EdgeOptions());
        Assert.Same(edge, edge.Query<IBlockDevice>());
        Assert.Same(edge, edge.Query(typeof(IZerocopyMemory).GUID));
        Assert.Same(device, edge.Query(typeof(IMarker).GUID));
        Assert.Null(edge.Query(Guid.NewGuid()));
    }

    [System.Runtime.InteropServices.Guid("7d1dbb0c-6f0a-4f2e-9c7c-111111111111")]
    private interface IMarker;

    private sealed unsafe class Partitioned(IHost host) : BlockDevice(host), IMarker
    {
        protected override VolumeInfo DescribeVolume() => default;

        protected override IIoQueue CreateQueue(QueueOptions options) => throw new NotSupportedException();
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(QueueOptions.MaxDepth + 1)]
    public void An_impossible_depth_is_refused(uint depth)
    {
        using var process = new ComancheProcess();
        var edge = process.CreateEdge("disk", ScriptedDevice.Make(), new EdgeOptions { Entry = true });
        Assert.Throws<ComancheException>(() =>
        {
            var options = new QueueOptions { Depth = depth };
            edge.OpenQueue(&options);
        });
        Assert.Equal(0, edge.Statistics.OpenQueues);
    }

    [Fact]
    public void A_probe_measures_a_layer_without_those_below_it()
    {
        ulong now = 1;
        using var process = new ComancheProcess(new ComancheProcessOptions { Clock = () => now });
        var disk = ScriptedDevice.Make();
        disk.Accepting = _ => now += 20;
        disk.Finishing = _ => now += 3;
        var lower = process.CreateEdge("disk", disk, new EdgeOptions { Layers = true, Check = false });
        var filter = new Slow(new TestHost("filter"), () => now += 400);
        filter.Bind(lower, "");
        filter.Start();
        var upper = process.CreateEdge("filter", filter, new EdgeOptions { Layers = true, Entry = true, Check = false });
        var options = new QueueOptions { Depth = 4 };
        var queue = upper.OpenQueue(&options);
        using var slab = new DescriptorSlab(1);
        var one = slab[0];
        *one = new IoDescriptor { Operation = IoOperation.Read, BlockCount = 1, Buffer = (byte*)4096 };
        for (var i = 0; i < 3; i++)
        {
            Assert.Equal(1, queue.Submit(&one, 1));
            Assert.Equal(1, queue.Poll(&one, 1));
        }

        queue.Close();
        LayerCounter inner = lower.Statistics.Layer, outer = upper.Statistics.Layer;
        Assert.Equal((3ul, 3ul), (inner.Descriptors, outer.Descriptors));
        Assert.Equal(6ul, inner.Calls);
        Assert.Equal((3 * 23ul, 3 * 400ul), (inner.ExclusiveNs, outer.ExclusiveNs));
        Assert.Equal(3ul, lower.Statistics[IoOperation.Read].Operations);
        Assert.Equal(3ul, upper.Statistics[IoOperation.Read].Operations);
    }

    private sealed unsafe class Slow(IHost host, Action work) : BlockFilter(host)
    {
        protected override IIoQueue CreateQueue(QueueOptions options) => new Queue(this, OpenBelow(options), options.Depth, work).Opened();

        private sealed class Queue(BlockDevice device, IIoQueue below, uint depth, Action work) : InPlaceQueue(device, below, depth)
        {
            protected override void Down(IoDescriptor* descriptor) => work();

            protected override void Up(IoDescriptor* descriptor, bool refused) { }
        }
    }

    private static EdgeBench Watched(List<string> found, Action<ScriptedDevice>? script = null) =>
        new(new EdgeOptions { Check = true, OnViolation = found.Add }, script);

    [Fact]
    public void A_layer_that_keeps_the_contract_is_not_reported()
    {
        var found = new List<string>();
        using (var bench = Watched(found, d => d.MostTaken = 5))
        {
            var random = new Random(3);
            for (var round = 0; round < 500; round++)
            {
                var count = random.Next(1, EdgeBench.Depth + 1);
                for (var i = 0; i < count; i++) bench.Read(i)->Lba = (ulong)random.Next(900);
                for (var done = 0; done < count;) done += bench.Queue.Submit(bench.Batch + done, count - done);
                Assert.Equal(count, bench.Drain().Distinct().Count());
            }
        }

        Assert.Empty(found);
    }

    [Fact]
    public void A_descriptor_that_comes_back_twice_is_reported_and_kept_down()
    {
        var found = new List<string>();
        using (var bench = Watched(found))
        {
            var descriptor = bench.Read(0);
            bench.Submit(1);
            bench.Device.Extra = (nint)descriptor;
            Assert.Single(bench.Drain());
        }

        Assert.Contains("without being in flight", Assert.Single(found), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("lba")]
    [InlineData("tag")]
    [InlineData("operation")]
    [InlineData("status")]
    public void A_descriptor_that_comes_back_changed_is_reported(string field)
    {
        var found = new List<string>();
        using (var bench = Watched(found, d => d.Finishing = p => Spoil((IoDescriptor*)p)))
        {
            bench.Read(0);
            bench.Submit(1);
            bench.Drain();
        }

        Assert.Contains(field == "status" ? "unknown status" : "is not as it was", Assert.Single(found), StringComparison.Ordinal);

        void Spoil(IoDescriptor* descriptor)
        {
            if (field == "lba") descriptor->Lba++;
            else if (field == "tag") descriptor->Tag = 0;
            else if (field == "operation") descriptor->Operation = IoOperation.Flush;
            else descriptor->Status = (IoStatus)999;
        }
    }

    [Fact]
    public void A_refused_descriptor_that_was_changed_is_reported()
    {
        var found = new List<string>();
        using (var bench = Watched(found, d =>
        {
            d.MostTaken = 1;
            d.Refusing = p => ((IoDescriptor*)p)->Lba += 100;
        }))
        {
            bench.Read(0);
            bench.Read(1);
            Assert.Equal(1, bench.Submit(2));
            bench.Drain();
        }

        Assert.Contains("was refused and is not as it was", Assert.Single(found), StringComparison.Ordinal);
    }

    [Fact]
    public void A_layer_above_that_breaks_the_contract_is_reported()
    {
        var found = new List<string>();
        using (var bench = Watched(found))
        {
            bench.Read(0)->Lba = 999;
            bench.Submit(1);
            Assert.Equal(0, bench.Submit(1)); // In flight already.
            var thread = new Thread(() => bench.Queue.Arm(null));
            thread.Start();
            thread.Join();
            bench.Drain();
        }

        Assert.Contains(found, f => f.Contains("OutOfRange", StringComparison.Ordinal));
        Assert.Contains(found, f => f.Contains("submitted while it is in flight", StringComparison.Ordinal));
        Assert.Contains(found, f => f.Contains("does not own the queue", StringComparison.Ordinal));
    }

    [Fact]
    public void Without_a_listener_violations_are_errors_in_the_log_but_not_endless()
    {
        using var bench = new EdgeBench(new EdgeOptions { Check = true });
        for (var i = 0; i < 100; i++)
        {
            bench.Read(0)->Lba = 999;
            bench.Submit(1);
            bench.Drain();
        }

        Assert.InRange(bench.Log.Lines.Count, 1, 20);
        Assert.All(bench.Log.Lines, l => Assert.Equal((LogLevel.Error, "top"), (l.Level, l.Source)));
    }
}
