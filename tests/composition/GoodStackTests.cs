using Comanche.Runtime.Composition;
using Comanche.Runtime.Loading;
using Comanche.Testing;

namespace Comanche.Composition.Tests;

/// <summary>What is right composes, in the right order, with the right options.</summary>
public sealed class GoodStackTests
{
    private const string Tower = """
        stack: tower
        devices:
          top:   { use: test/many, on: [left, right] }
          left:  { use: test/filter, on: disk0 }
          right: { use: test/filter, on: disk1 }
          disk1: { use: test/everything }
          disk0: { use: test/everything }
        exports:
          out: { use: test/export, on: top }
        """;

    [Fact]
    public void Options_of_every_kind_reach_the_component()
    {
        Environment.SetEnvironmentVariable("COMANCHE_TEST_SECRET", "swordfish");
        using var running = Start("""
            devices:
              a:
                use: test/everything
                text: hello
                switch: true
                count: 42
                ratio: 0.25
                size: 8KiB
                wait: 1.5s
                flavour: plain-one
                sizes: [4KiB, 1MiB]
                nested: { word: yes, depth: 5 }
                password: env:COMANCHE_TEST_SECRET
                limit: 1GiB
            """);
        var options = Diary.Options!;
        Assert.Equal("hello", options.Text);
        Assert.True(options.Switch);
        Assert.Equal(42u, options.Count);
        Assert.Equal(0.25, options.Ratio);
        Assert.Equal(ByteSize.KiB(8), options.Size);
        Assert.Equal(TimeSpan.FromSeconds(1.5), options.Wait);
        Assert.Equal(Flavour.PlainOne, options.Flavour);
        Assert.Equal([ByteSize.KiB(4), ByteSize.MiB(1)], options.Sizes);
        Assert.Equal(new NestedOptions { Word = "yes", Depth = 5 }, options.Nested);
        Assert.Equal("swordfish", options.Password);
        Assert.Equal(ByteSize.GiB(1), options.Limit);
    }

    [Fact]
    public void A_stack_starts_bottom_up_and_stops_top_down_with_exports_last_and_first()
    {
        Diary.Lines.Clear();
        using (var running = Start(Tower))
        {
            Assert.Equal("start out", Diary.Lines[^1]);
            Assert.True(Index("start disk0") < Index("start left") && Index("start left") < Index("start top"));
            Diary.Lines.Clear();
            running.Stop();
        }

        Assert.Equal("stop out", Diary.Lines[0]);
        Assert.Equal("flush", Diary.Lines[1]);
        Assert.True(Index("stop top") < Index("stop left") && Index("stop left") < Index("stop disk0"));
        Assert.Equal(6, Diary.Lines.Count(l => l.StartsWith("close", StringComparison.Ordinal)));
        Assert.True(Index("close top") < Index("close disk1"));
    }

    [Fact]
    public void A_failed_start_undoes_what_was_started_and_names_the_device_and_its_line()
    {
        Diary.Lines.Clear();
        var failure = Assert.Throws<ComancheException>(() => Start(Tower.Replace("disk0: { use: test/everything }", "disk0: { use: test/everything, text: fail }", StringComparison.Ordinal)));
        Assert.Equal("s.yaml:7:3: error: disk0: was asked to fail", failure.Message);
        Assert.Equal(
            Diary.Lines.Where(l => l.StartsWith("start", StringComparison.Ordinal)).Select(l => l[6..]).Reverse(),
            Diary.Lines.Where(l => l.StartsWith("stop", StringComparison.Ordinal)).Select(l => l[5..]));
        Assert.Equal(6, Diary.Lines.Count(l => l.StartsWith("close", StringComparison.Ordinal)));
    }

    [Fact]
    public void A_device_that_does_not_stop_stays_open_with_all_that_it_stands_on()
    {
        var running = Start(Tower);
        Diary.Stuck = ("left", int.MaxValue);
        Diary.Lines.Clear();
        var failure = Assert.Throws<ComancheException>(running.Stop);
        Diary.Stuck = default;
        Assert.Equal("s.yaml:4:3: error: left: is stuck", failure.Message);
        Assert.Equal(["stop out", "flush", "stop top", "stop right", "stop disk1"], Diary.Lines.Where(l => !l.StartsWith("close", StringComparison.Ordinal)));
        Assert.Equal(["close disk1", "close out", "close right", "close top"], Diary.Lines.Where(l => l.StartsWith("close", StringComparison.Ordinal)).Order());
    }

    [Fact]
    public void A_device_that_stops_at_the_second_attempt_is_closed_after_all()
    {
        var running = Start(Tower);
        Diary.Stuck = ("left", 1);
        Diary.Lines.Clear();
        Assert.Throws<ComancheException>(running.Stop);
        Assert.True(Index("close top") < Index("stop left") && Index("close left") < Index("stop disk0"));
        Assert.Equal(6, Diary.Lines.Count(l => l.StartsWith("close", StringComparison.Ordinal)));
    }

    [Fact]
    public void Only_what_a_device_stands_on_is_started_when_asked_for_it()
    {
        Diary.Lines.Clear();
        using var running = RunningStack.Start(Stacks.Check(Tower), new Process(), new ComposeOptions { Only = ["left"] });
        Assert.Equal(["start disk0", "start left"], Diary.Lines);
    }

    [Fact]
    public void Quiescing_stops_the_exports_and_flushes_and_resuming_starts_them()
    {
        using var running = Start(Tower);
        Diary.Lines.Clear();
        running.Quiesce();
        running.Resume();
        Assert.Equal(["stop out", "flush", "start out"], Diary.Lines);
    }

    [Fact]
    public void What_a_component_needs_besides_is_a_key_of_its_own_and_reaches_its_role()
    {
        var stack = Stacks.Check("""
            devices:
              a: { use: test/everything }
              b: { use: test/roles, data: a }
            """);
        Assert.Empty(stack.Problems);
        var (role, device, _) = Assert.Single(stack.Find("b")!.Bindings);
        Assert.Equal(("data", "a"), (role, device.Name));
    }

    [Fact]
    public void Devices_that_share_in_one_group_may_stand_on_the_same_one() => Assert.Empty(Stacks.Problems("""
        devices:
          a: { use: test/everything }
          b: { use: test/slice, on: a }
          c: { use: test/slice, on: a }
        """));

    [Fact]
    public void Readers_may_stand_on_the_same_device() => Assert.Empty(Stacks.Problems("""
        devices:
          a: { use: test/everything }
          b: { use: test/filter, on: a, readonly: true }
        exports:
          c: { use: test/export, on: a, readonly: true }
        """));

    [Fact]
    public void A_description_says_every_option_with_type_default_and_range()
    {
        var options = Stacks.Catalog.Find("test/everything")!.Description.Options.ToDictionary(o => o.Name);
        Assert.Equal(11, options.Count);
        Assert.Equal(("integer", "7", "1 to 100"), Facts(options["count"]));
        Assert.Equal(("size", "4KiB", "512 to 1MiB"), Facts(options["size"]));
        Assert.Equal(("duration", "250ms", "up to 10s"), Facts(options["wait"]));
        Assert.Equal(("plain-one | sweet-one", "sweet-one", ""), Facts(options["flavour"]));
        Assert.Equal(("list of size", null, ""), Facts(options["sizes"]));
        Assert.Equal(("size", "the rest", ""), Facts(options["limit"]));
        Assert.True(options["password"].Secret);
        Assert.True(options["nested"].Options.Single(o => o.Name == "word").Required);

        static (string, string?, string) Facts(OptionDescription option) => (option.TypeName, option.Default, option.RangeText);
    }

    [Fact]
    public void A_second_component_of_an_id_or_a_uuid_is_a_problem_and_left_out()
    {
        var catalog = new ComponentCatalog();
        catalog.Add(new Fake("test/a", new Guid("00000000-0000-4000-8000-000000000001"), "one.dll"));
        catalog.Add(new Fake("test/a", new Guid("00000000-0000-4000-8000-000000000002"), "two.dll"));
        catalog.Add(new Fake("test/b", new Guid("00000000-0000-4000-8000-000000000001"), "three.dll"));
        Assert.Single(catalog.Kinds);
        Assert.Equal(2, catalog.Problems.Count);
        Assert.Contains("test/a is already defined by one.dll", catalog.Problems[0]);
        Assert.Contains("three.dll: test/b has the UUID", catalog.Problems[1]);
    }

    [Fact]
    public void The_schema_knows_every_component_and_its_options()
    {
        var schema = StackSchema.Make(Stacks.Catalog);
        var devices = schema["properties"]!["devices"]!["additionalProperties"]!;
        Assert.Contains("test/everything", devices["properties"]!["use"]!["enum"]!.AsArray().Select(n => (string?)n));
        var all = devices["allOf"]!.AsArray();
        var everything = all.Single(n => (string?)n!["if"]!["properties"]!["use"]!["const"] == "test/everything")!["then"]!;
        Assert.Equal(1, (int)everything["properties"]!["count"]!["minimum"]!);
        Assert.False((bool)everything["additionalProperties"]!);
        Assert.Contains("Default: 250ms", (string?)everything["properties"]!["wait"]!["description"]);
    }

    [Fact]
    public void Thousands_of_broken_files_give_problems_and_never_an_exception()
    {
        var random = new Random(1);
        for (var i = 0; i < 5_000; i++)
        {
            var text = Tower.ToCharArray();
            for (var j = random.Next(1, 6); j > 0; j--) text[random.Next(text.Length)] = " \n:{}[],&*-'\"#a0\t"[random.Next(17)];
            _ = Stacks.Check(new string(text));
        }
    }

    private static int Index(string line) => Diary.Lines.IndexOf(line);

    private static RunningStack Start(string text) => RunningStack.Start(Stacks.Check(text), new Process(), new ComposeOptions());

    private sealed class Process : IStackProcess
    {
        private readonly TestMemory _memory = new();

        public void AddReactor(StackReactor reactor) { }

        public IHost CreateHost(string name, HostFlags flags, string? reactor) => new TestHost(name) { Memory = _memory, Flags = flags };

        public IBase Wrap(string name, IBase component, HostFlags flags, bool isEntry) => component;
    }

    private sealed class Fake(string id, Guid uuid, string source) : ComponentKind
    {
        public override string Id => id;

        public override Guid Uuid => uuid;

        public override string Summary => "";

        public override string Source => source;

        public override ComponentDescription Description => throw new NotSupportedException();

        public override bool CanPlan => false;

        public override void Plan(PlanContext plan) { }

        public override object? MakeOptions(OptionSet options) => null;

        public override IBase Create(IHost host, OptionSet options) => throw new NotSupportedException();
    }
}
