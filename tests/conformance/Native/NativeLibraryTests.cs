using System.Runtime.InteropServices;
using System.Runtime.InteropServices.Marshalling;
using Comanche.Block;
using Comanche.Runtime;
using Comanche.Runtime.Composition;
using Comanche.Runtime.Loading;
using Comanche.Testing;

namespace Comanche.Conformance.Tests.Native;

/// <summary>Libraries of components in native code: what they say, how they fail, when they go.</summary>
public sealed unsafe partial class NativeLibraryTests
{
    private static readonly Guid ProbeId = new("b8a5f1d0-3f0e-4e52-9a1c-0a1b2c3d4e5f");

    [Fact]
    public void A_library_says_what_it_makes()
    {
        using var library = NativeComponentLibrary.Open(NativeBuild.Xor());
        var xor = Assert.Single(library.Descriptions);
        Assert.Equal(("example/xor", "XORs what passes with a key; an example in C++", true), (xor.Id, xor.Summary, xor.IsBlockDevice));
        Assert.Equal(("", "IBlockDevice", 1, 1), Assert.Single(xor.Bindings) is var b ? (b.Role, b.Interface.Name, b.Min, b.Max) : default);
        Assert.Equal(("key", OptionKind.Text, "5aa5c33c0ff09669", false), Assert.Single(xor.Options) is var o ? (o.Name, o.Kind, o.Default, o.Required) : default);
        Assert.NotEmpty(xor.Options[0].Summary);
    }

    [Fact]
    public void Every_kind_of_option_is_understood()
    {
        using var library = NativeComponentLibrary.Open(NativeBuild.Probe());
        var options = library.Descriptions[0].Options;
        Assert.Equal(
            [("fail", OptionKind.Text), ("count", OptionKind.Integer), ("size", OptionKind.Size), ("wait", OptionKind.Duration), ("key", OptionKind.Text)],
            options.Select(o => (o.Name, o.Kind)));
        Assert.Equal(("3", "0", "9"), (options[1].Default, options[1].Min, options[1].Max));
        Assert.True(options[2].Required && !options[1].Required && options[4].Secret);
    }

    [Fact]
    public void The_catalogue_finds_native_components_in_a_folder()
    {
        var catalog = new ComponentCatalog();
        catalog.AddFolder(Path.GetDirectoryName(NativeBuild.Xor())!, new NativeLoader());
        Assert.Equal([], catalog.Problems);
        var kind = catalog.Find("example/xor");
        Assert.NotNull(kind);
        Assert.Equal(XorRecipe.Xor, kind.Uuid);
    }

    [Fact]
    public void What_is_written_through_the_filter_lies_below_it_with_the_key_applied()
    {
        using var bench = new Workbench();
        var memory = bench.AddMemory();
        var filter = (IBlockDevice)bench.Add(XorRecipe.Make("""{"key":"ff000000000000aa"}""")(bench.Host("xor")), ("", memory));
        var plain = new byte[1024];
        using (var io = new SyncIo(filter, bench.Host("t"), "xor")) io.Write(3, plain);
        var stored = new byte[1024];
        using (var io = new SyncIo(memory, bench.Host("t"), "memory")) io.Read(3, stored);
        Assert.Equal([0xaa, 0, 0, 0, 0, 0, 0, 0xff, 0xaa], stored[..9]);
    }

    [Fact]
    public void A_failure_comes_with_the_components_own_words()
    {
        using var bench = new Workbench();
        Assert.Equal("xor: key: 'abc' is not 16 hexadecimal digits", Fails(() => XorRecipe.Make("""{"key":"abc"}""")(bench.Host("xor"))));
        Assert.Equal("probe: no room for it", Fails(() => Probe(bench, "create")));
        Assert.Equal("probe: the disk is upside down", Fails(() => Probe(bench, "start")));
        Assert.Equal("probe: an exception of the standard library", Fails(() => Probe(bench, "standard")));
        Assert.StartsWith("probe: ", Fails(() => Probe(bench, "number")), StringComparison.Ordinal);
    }

    [GeneratedComClass]
    private sealed partial class Crowded(IHost host) : BlockDevice(host)
    {
        protected override VolumeInfo DescribeVolume() => new()
        {
            BlockSize = 512, BlockCount = 8, MaxTransferBlocks = 8, BufferAlignment = 1, MaxSegments = 1, AtomicWriteBlocks = 1, DiscardGranularityBlocks = 1,
        };

        protected override IIoQueue CreateQueue(QueueOptions options) => throw new ComancheException($"{Name}: no queue is left");
    }

    [Fact]
    public void The_words_of_a_device_in_CSharp_reach_people_through_filters_in_Cpp()
    {
        using var bench = new Workbench();
        var disk = bench.Add(new Crowded(bench.Host("disk")));
        var lower = bench.Add(XorRecipe.Make()(bench.Host("lower")), ("", disk));
        var upper = (IBlockDevice)bench.Add(XorRecipe.Make()(bench.Host("upper")), ("", lower));
        const string Words = "opening a queue of the device below failed (0x80131500)";
        Assert.Equal($"upper: {Words}: lower: {Words}: disk: no queue is left", Fails(() => Open(upper, new QueueOptions { Depth = 1 })));
    }

    [Fact]
    public void What_a_component_in_another_language_is_told_of_its_options_is_what_was_written()
    {
        using var bench = new Workbench();
        using var library = NativeComponentLibrary.Open(NativeBuild.Probe());
        var json = """{ "echo" : "a \"quoted\" b\\c \u00fc \ud83d\udca9 ü\n", "number": 18446744073709551615, "flag": true }""";
        Assert.Equal("probe: a \"quoted\" b\\c ü 💩 ü\n|18446744073709551615|yes", Fails(() => library.Create(ProbeId, bench.Host("probe"), json)));
        foreach (var bad in new[] { "", "[]", "{", """{"a""", """{"a":}""", """{"a":"b}""", """{"a":"\u12"}""", """{"a":1""" })
            Assert.Contains("options: ", Fails(() => library.Create(ProbeId, bench.Host("probe"), bad)), StringComparison.Ordinal);
    }

    [Fact]
    public void Mistakes_in_set_up_are_refused()
    {
        using var bench = new Workbench();
        var xor = XorRecipe.Make()(bench.Host("xor"));
        Assert.Equal("xor: nothing is bound", Fails(xor.Start));
        Assert.Contains("takes no binding as log", Fails(() => xor.Bind(bench.AddMemory(), "log")), StringComparison.Ordinal);
        xor.Bind(bench.AddMemory(), "");
        Assert.Contains("stands on one device only", Fails(() => xor.Bind(bench.AddMemory(), "")), StringComparison.Ordinal);
        Assert.Equal(0u, xor.Release());
        Assert.ThrowsAny<Exception>(xor.Start);
    }

    [Fact]
    public void A_queue_that_is_none_is_noticed()
    {
        using var bench = new Workbench();
        var options = new QueueOptions { Depth = 1 };
        var device = Probe(bench, "null");
        Assert.Contains("gave none", Fails(() => Open(device, options)), StringComparison.Ordinal);
        device.Stop();
        device.Release();
    }

    [Theory]
    [InlineData("BlockSize", "0")]
    [InlineData("BlockSize", "256")]
    [InlineData("BlockSize", "1000")]
    [InlineData("BlockSize", "131072")]
    [InlineData("BlockCount", "18014398509481984")] // 2^54 blocks of 512 are 2^63 bytes.
    [InlineData("BlockCount", "18446744073709551615")]
    [InlineData("BufferAlignment", "0")]
    [InlineData("BufferAlignment", "3")]
    [InlineData("MaxTransferBlocks", "0")]
    [InlineData("MaxSegments", "0")]
    [InlineData("AtomicWriteBlocks", "0")]
    [InlineData("DiscardGranularityBlocks", "0")]
    [InlineData("MaxRangeBlocks", "0")]
    [InlineData("CompareAndWriteBlocks", "0")]
    public void A_geometry_that_can_not_be_is_refused_with_field_and_value(string field, string value)
    {
        using var bench = new Workbench();
        var device = Probe(bench, $"{field}={value}");
        Assert.StartsWith($"probe: says that its {field} is {value}; ", Fails(() => Describe(device)), StringComparison.Ordinal);
        using var process = new ComancheProcess();
        var edge = process.CreateEdge("top", device, new EdgeOptions { Entry = true });
        Assert.Contains(field, Fails(() => Open(edge, new QueueOptions { Depth = 1 })), StringComparison.Ordinal);
        edge.Release();
        device.Stop();
        device.Release();
    }

    [Fact]
    public void The_largest_volume_that_can_be_is_taken()
    {
        using var bench = new Workbench();
        var device = Probe(bench, "BlockCount=18014398509481983");
        Assert.Equal((1UL << 63) - 512, Describe(device).ByteLength);
        device.Stop();
        device.Release();
    }

    [Theory]
    [InlineData("errno", 0, 0, "Submit of its queue answered -22 where 0 to 2 make sense")]
    [InlineData("many", 2, 3, "Submit of its queue answered 1000 where 0 to 2 make sense")]
    public void Counts_that_can_not_be_stay_below_and_are_reported_once(string lie, int taken, int given, string report)
    {
        using var bench = new Workbench();
        var host = new TestHost("probe") { Memory = bench.Memory };
        using var library = NativeComponentLibrary.Open(NativeBuild.Probe());
        var device = (IBlockDevice)library.Create(ProbeId, host, $$"""{"fail":"{{lie}}"}""");
        Workbench.Start(device, [("", bench.AddMemory())]);
        var options = new QueueOptions { Depth = 4 };
        var queue = device.OpenQueue(&options);
        var descriptors = stackalloc IoDescriptor*[3];
        for (var i = 0; i < 2; i++) Assert.Equal((taken, given), (queue.Submit(descriptors, 2), queue.Poll(descriptors, 3)));
        queue.Close();
        device.Stop();
        device.Release();
        Assert.Contains(report, Assert.Single(host.Lines, l => l.Level == LogLevel.Error).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Native_objects_go_when_they_are_closed_and_not_when_the_collector_comes_by()
    {
        using var bench = new Workbench();
        var live = (delegate* unmanaged<int>)NativeLibrary.GetExport(NativeLibrary.Load(NativeBuild.Probe()), "probe_live");
        var before = live();
        GC.TryStartNoGCRegion(1 << 20);
        try
        {
            var device = Probe(bench, "");
            Assert.Equal(before + 1, live());
            var options = new QueueOptions { Depth = 4 };
            var queue = device.OpenQueue(&options);
            Assert.NotNull(device.Query<IZerocopyMemory>());
            Assert.NotNull(((IBase)device).Query(typeof(IBlockDevice).GUID));
            Assert.Equal(before + 2, live());
            queue.Close();
            Assert.Equal(before + 1, live());
            device.Stop();
            Assert.Equal(0u, device.Release());
            Assert.Equal(before, live());
        }
        finally
        {
            if (System.Runtime.GCSettings.LatencyMode == System.Runtime.GCLatencyMode.NoGCRegion) GC.EndNoGCRegion();
        }
    }

    [Fact]
    public void A_native_component_that_answers_for_a_part_is_held_and_closed_as_a_whole()
    {
        using var bench = new Workbench();
        using var process = new ComancheProcess();
        using var stack = new StackProcess(process);
        using var library = NativeComponentLibrary.Open(NativeBuild.Whole());
        var live = (delegate* unmanaged<int>)NativeLibrary.GetExport(NativeLibrary.Load(NativeBuild.Whole()), "whole_live");
        var before = live();
        var below = bench.AddMemory();
        var component = library.Create(new Guid("5d0e7c1a-93b4-4d5e-8f60-7a8b9c0d1e2f"), bench.Host("whole"), "{}");
        component.Bind(below, "");
        Assert.False(component is IBlockDevice);
        var edge = stack.Wrap("whole", component, HostFlags.None, isEntry: true);
        edge.Start();
        Assert.Equal(before + 2, live());
        using (var io = new SyncIo(edge.Query<IBlockDevice>()!, bench.Host("t"), "whole")) io.Write(0, new byte[512]);
        edge.Stop();
        Assert.Equal(0u, edge.Release());
        Assert.Equal(before, live());
        Assert.Equal(2u, below.Retain()); // The bench's and this one.
        below.Release();
    }

    [Fact]
    public void A_component_that_failed_to_be_made_leaves_nothing_behind()
    {
        using var bench = new Workbench();
        var live = (delegate* unmanaged<int>)NativeLibrary.GetExport(NativeLibrary.Load(NativeBuild.Probe()), "probe_live");
        var before = live();
        for (var i = 0; i < 3; i++) Fails(() => Probe(bench, "create"));
        for (var i = 0; i < 3; i++) Fails(() => Probe(bench, "start"));
        Assert.Equal(before, live());
    }

    [Theory]
    [InlineData("", "is no JSON")]
    [InlineData("{", "is no JSON")]
    [InlineData("[1]", "is no JSON object")]
    [InlineData("{}", "'id' is missing")]
    [InlineData("""{"id":7}""", "id: text is needed")]
    [InlineData("""{"id":"noslash"}""", "not of the form row/component")]
    [InlineData("""{"id":"a/b"}""", "'uuid' is missing")]
    [InlineData("""{"id":"a/b","uuid":"xyz"}""", "'xyz' is not a UUID")]
    [InlineData("""{"id":"a/b","uuid":"b8a5f1d0-3f0e-4e52-9a1c-0a1b2c3d4e5f","interfaces":{}}""", "interfaces: a list is needed")]
    [InlineData("""{"id":"a/b","uuid":"b8a5f1d0-3f0e-4e52-9a1c-0a1b2c3d4e5f","interfaces":["q"]}""", "interfaces[0]: 'q' is not a UUID")]
    [InlineData("""{"id":"a/b","uuid":"b8a5f1d0-3f0e-4e52-9a1c-0a1b2c3d4e5f","binds":[{}]}""", "binds[0]: 'interface' is missing")]
    [InlineData("""{"id":"a/b","uuid":"b8a5f1d0-3f0e-4e52-9a1c-0a1b2c3d4e5f","binds":[{"interface":"c0a4c4e0-0012-4b1e-9a51-6d6f6e746501","min":3}]}""", "3 to 1 bindings make no sense")]
    [InlineData("""{"id":"a/b","uuid":"b8a5f1d0-3f0e-4e52-9a1c-0a1b2c3d4e5f","options":["x"]}""", "options[0]: an object is needed")]
    [InlineData("""{"id":"a/b","uuid":"b8a5f1d0-3f0e-4e52-9a1c-0a1b2c3d4e5f","options":[{"name":"x","type":"blob"}]}""", "'blob' is none of string, bool")]
    [InlineData("""{"id":"a/b","uuid":"b8a5f1d0-3f0e-4e52-9a1c-0a1b2c3d4e5f","options":[{"name":"x","type":"bool","required":"yes"}]}""", "required: true or false is needed")]
    public void A_description_that_nobody_can_understand_is_refused_with_its_place(string description, string expected)
    {
        var path = NativeBuild.Described(description);
        var message = Fails(() => NativeComponentLibrary.Open(path));
        Assert.StartsWith(path, message, StringComparison.Ordinal);
        Assert.Contains(expected, message, StringComparison.Ordinal);
    }

    [Fact]
    public void Two_kinds_of_one_UUID_are_refused()
    {
        var one = """{"id":"a/one","uuid":"b8a5f1d0-3f0e-4e52-9a1c-0a1b2c3d4e5f"}""";
        Assert.Contains("a/one and a/two have one UUID", Fails(() => NativeComponentLibrary.Open(NativeBuild.Described(one, one.Replace("one", "two")))), StringComparison.Ordinal);
    }

    [Fact]
    public void A_factory_in_C_says_what_failed()
    {
        using var bench = new Workbench();
        using var library = NativeComponentLibrary.Open(NativeBuild.Described("""{"id":"a/b","uuid":"b8a5f1d0-3f0e-4e52-9a1c-0a1b2c3d4e5f"}"""));
        Assert.Equal("thing: this factory makes nothing", Fails(() => library.Create(ProbeId, bench.Host("thing"), "{}")));
        Assert.Contains("it makes no component with the UUID", Fails(() => library.Create(Guid.NewGuid(), bench.Host("thing"), "{}")), StringComparison.Ordinal);
    }

    [Fact]
    public void What_is_no_component_library_is_refused()
    {
        using var folder = new TempFolder();
        var text = folder.File("text.so");
        File.WriteAllText(text, "this is no library");
        Assert.Contains("can't be loaded", Fails(() => NativeComponentLibrary.Open(text)), StringComparison.Ordinal);
        Assert.Contains("can't be loaded", Fails(() => NativeComponentLibrary.Open(folder.File("absent.so"))), StringComparison.Ordinal);
        Tools.Need("cc", "gcc");
        var empty = folder.File("empty.so");
        File.WriteAllText(folder.File("empty.c"), "int nothing(void); int nothing(void) { return 0; }\n");
        Assert.Equal(0, Tools.Run("cc", "-shared", "-fPIC", folder.File("empty.c"), "-o", empty).ExitCode);
        Assert.Contains("does not export comanche_factory", Fails(() => NativeComponentLibrary.Open(empty)), StringComparison.Ordinal);
    }

    private static IBlockDevice Probe(Workbench bench, string fail)
    {
        using var library = NativeComponentLibrary.Open(NativeBuild.Probe());
        var probe = library.Create(ProbeId, bench.Host("probe"), $$"""{"fail":"{{fail}}"}""");
        Workbench.Start(probe, [("", bench.AddMemory())]);
        return probe.Query<IBlockDevice>()!;
    }

    private static void Open(IBlockDevice device, QueueOptions options) => device.OpenQueue(&options);

    private static VolumeInfo Describe(IBlockDevice device)
    {
        VolumeInfo volume;
        device.GetVolumeInfo(&volume);
        return volume;
    }

    private static string Fails(Action action) => Assert.Throws<ComancheException>(action).Message;
}
