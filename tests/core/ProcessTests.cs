using System.Diagnostics.Metrics;
using System.Runtime.InteropServices;
using System.Runtime.InteropServices.Marshalling;
using Comanche.Runtime;

namespace Comanche.Core.Tests;

public sealed unsafe partial class ProcessTests
{
    [Fact]
    public void A_host_gives_name_flags_memory_time_and_log()
    {
        var log = new ListSink();
        ulong now = 5;
        using var process = new ComancheProcess(new ComancheProcessOptions { Log = log, Clock = () => now });
        var host = process.CreateHost("disk0", HostFlags.ReadOnly);
        Assert.Equal(("disk0", HostFlags.ReadOnly, 5ul), (host.GetName(), host.GetFlags(), host.GetTime()));
        Assert.Same(process.Memory, host.GetMemory());
        host.Log(LogLevel.Warning, "careful");
        Assert.Equal((LogLevel.Warning, "disk0", "careful"), Assert.Single(log.Lines));
    }

    [Fact]
    public void A_component_runs_on_the_reactor_that_is_named_or_on_the_default_one()
    {
        using var process = new ComancheProcess();
        using var named = new Reactor(new ReactorOptions { Name = "io0" });
        Assert.Same(named, process.CreateHost("a", reactor: named).GetReactor());
        Assert.Same(process.DefaultReactor, process.CreateHost("b").GetReactor());
        Assert.Same(process.CreateHost("c").GetReactor(), process.CreateHost("d").GetReactor());
    }

    [Fact]
    public void A_seed_gives_the_same_randomness_and_none_gives_another()
    {
        static ulong Draw(ulong? seed)
        {
            using var process = new ComancheProcess(new ComancheProcessOptions { Seed = seed });
            ulong value;
            process.CreateHost("x").FillRandom(&value, sizeof(ulong));
            return value;
        }

        Assert.Equal(Draw(7), Draw(7));
        Assert.NotEqual(Draw(7), Draw(8));
        Assert.NotEqual(Draw(null), Draw(null));
    }

    [Fact]
    public void Counters_of_one_name_are_added_up()
    {
        using var process = new ComancheProcess();
        var first = process.CreateHost("a").AddCounter(ProcessStatistics.CopiedCounter, "By", "Bytes copied.");
        var second = process.CreateHost("a").AddCounter(ProcessStatistics.CopiedCounter, "By", "Bytes copied.");
        var third = process.CreateHost("b").AddCounter(ProcessStatistics.CopiedCounter, "By", "Bytes copied.");
        Assert.Equal(0u, ((ulong)first | (ulong)second | (ulong)third) % 64);
        *first += 10;
        *second += 20;
        *third += 3;
        Assert.Equal(33ul, process.Statistics.BytesCopied);
        Assert.Contains(new HostCounter("a", "io.copied", "By", 30), process.Statistics.Counters);
        Assert.Contains(new HostCounter("b", "io.copied", "By", 3), process.Statistics.Counters);
    }

    [Fact]
    public void Statistics_are_published_as_instruments_with_the_device_as_a_tag()
    {
        var seen = new Dictionary<(string Instrument, string Device, string Operation), double>();
        var device = $"disk-{Guid.NewGuid():n}";
        using var process = new ComancheProcess();
        var scripted = ScriptedDevice.Make();
        var edge = process.CreateEdge(device, scripted, new EdgeOptions { Entry = true });
        *process.CreateHost(device).AddCounter("io.retries", "{retry}", "Retries.") = 4;
        var options = new QueueOptions { Depth = 4 };
        var queue = edge.OpenQueue(&options);
        using var slab = new DescriptorSlab(1);
        var one = slab[0];
        *one = new IoDescriptor { Operation = IoOperation.Read, BlockCount = 2, Buffer = (byte*)4096 };
        queue.Submit(&one, 1);
        queue.Poll(&one, 1);
        using var listener = new MeterListener();
        listener.InstrumentPublished = (instrument, l) =>
        {
            if (instrument.Meter.Name == ProcessStatistics.MeterName) l.EnableMeasurementEvents(instrument);
        };
        listener.SetMeasurementEventCallback<long>((i, v, tags, _) => Take(i, v, tags));
        listener.SetMeasurementEventCallback<double>((i, v, tags, _) => Take(i, v, tags));
        listener.Start();
        listener.RecordObservableInstruments();
        queue.Close();
        Assert.Equal(1, seen[("comanche.device.operations", device, "read")]);
        Assert.Equal(1024, seen[("comanche.device.io", device, "read")]);
        Assert.Equal(0, seen[("comanche.device.errors", device, "read")]);
        Assert.True(seen[("comanche.device.latency", device, "read")] < 1);
        Assert.Equal(4, seen[("comanche.io.retries", device, "")]);

        void Take(Instrument instrument, double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
        {
            string name = "", operation = "";
            foreach (var tag in tags)
            {
                if (tag.Key == "comanche.device.name") name = (string)tag.Value!;
                if (tag.Key == "comanche.operation.name") operation = (string)tag.Value!;
            }

            lock (seen) seen[(instrument.Name, name, operation)] = value;
        }
    }

    [Fact]
    public void The_text_of_a_failed_call_reaches_people_and_is_taken_once()
    {
        using var process = new ComancheProcess();
        var host = process.CreateHost("xor");
        var error = Assert.Throws<ComancheException>(() => Failure.Guard("xor", () =>
        {
            host.Fail("the key is missing");
            Marshal.ThrowExceptionForHR(unchecked((int)0x80004005));
        }));
        Assert.Equal("xor: the key is missing", error.Message);
        Assert.Null(Failure.Take());
        var bare = Assert.Throws<ComancheException>(() => Failure.Guard("xor", () => Marshal.ThrowExceptionForHR(unchecked((int)0x80004005))));
        Assert.Contains("0x80004005", bare.Message, StringComparison.Ordinal);
        var own = new ComancheException("as it is");
        Assert.Same(own, Assert.Throws<ComancheException>(() => Failure.Guard("xor", () => throw own)));
        Assert.Equal(3, Failure.Guard("xor", () => 3));
    }

    [GeneratedComClass]
    private sealed partial class Dark(IHost host) : Component(host)
    {
        protected override void OnStart() => throw new ComancheException($"{Name}: there is no light");
    }

    [Fact]
    public void A_managed_failure_takes_its_words_over_the_border_if_it_is_passed_on()
    {
        var dark = new Dark(new Testing.TestHost("lamp"));
        void* native = ComInterfaceMarshaller<IBase>.ConvertToUnmanaged(dark);

        // As code in C calls it: start is slot 8 of IBase.
        int Start() => ((delegate* unmanaged<void*, int>)(*(void***)native)[8])(native);
        var passed = Assert.Throws<ComancheException>(() => Failure.Guard("house", () => Marshal.ThrowExceptionForHR(Start())));
        Assert.Equal("house: lamp: there is no light", passed.Message);
        var said = Assert.Throws<ComancheException>(() => Failure.Guard("house", () =>
        {
            var result = Start();
            Failure.Set("the lamp failed");
            Marshal.ThrowExceptionForHR(result);
        }));
        Assert.Equal("house: the lamp failed: lamp: there is no light", said.Message);
        var other = Assert.Throws<ComancheException>(() => Failure.Guard("house", () =>
        {
            Start(); // It gets over that, and fails for another reason.
            Marshal.ThrowExceptionForHR(unchecked((int)0x80004005));
        }));
        Assert.Equal("house: failed with HRESULT 0x80004005", other.Message);
        var later = Assert.Throws<ComancheException>(() => Failure.Guard("house", () => Marshal.ThrowExceptionForHR(passed.InnerException!.HResult)));
        Assert.DoesNotContain("light", later.Message, StringComparison.Ordinal);
        ComInterfaceMarshaller<IBase>.Free(native);
    }

    [Fact]
    public void A_text_left_by_another_thread_is_not_taken()
    {
        var thread = new Thread(() => Failure.Set("elsewhere"));
        thread.Start();
        thread.Join();
        Assert.Null(Failure.Take());
    }

    [Fact]
    public void A_wait_ends_with_its_time_or_its_descriptor()
    {
        using var process = new ComancheProcess();
        var host = process.CreateHost("x");
        Assert.Equal(0, Linux.Threads.CreateEvent(out var descriptor));
        var waitSet = new WaitSet { Descriptors = &descriptor, Capacity = 1 };
        waitSet.Add(descriptor);
        var watch = System.Diagnostics.Stopwatch.StartNew();
        host.Wait(&waitSet, 30_000_000);
        Assert.True(watch.ElapsedMilliseconds >= 29);
        Linux.Threads.SignalEvent(descriptor);
        host.Wait(&waitSet, WaitSet.Forever);
        Linux.Memory.Close(descriptor);
        WaitSet none = default;
        host.Wait(&none, WaitSet.Forever); // Returns: nothing could ever end it.
    }
}
