using System.Text.Json.Nodes;
using Comanche.Runtime;
using Comanche.Runtime.Composition;
using Comanche.Runtime.Loading;

namespace Comanche.Composition.Tests;

/// <summary>What a native library says of itself, and what it is given: nonsense costs that library only.</summary>
public sealed unsafe class NativeDescriptionTests
{
    private sealed class Part(IHost host) : BlockDevice(host)
    {
        public bool Closed;

        protected override VolumeInfo DescribeVolume() => default;

        protected override IIoQueue CreateQueue(QueueOptions options) => throw new NotSupportedException();

        protected override void OnClose() => Closed = true;
    }

    /// <summary>What a foreign library says of itself.</summary>
    private sealed class Factory(params string[] json) : IFactory, INativeLoader
    {
        public string? Given;

        public int Count { get; init; } = json.Length;

        public int GetCount() => Count;

        public string Describe(int index) => json[index];

        public IBase Create(in Guid componentId, IHost host, string optionsJson)
        {
            Given = optionsJson;
            return new Part(host);
        }

        public IFactory? Load(string path) => this;
    }

    private static ComponentCatalog CatalogOf(Factory factory)
    {
        var path = Path.Combine(Path.GetTempPath(), $"native-description-{Guid.NewGuid()}.so");
        File.WriteAllText(path, "comanche_factory");
        var catalog = new ComponentCatalog();
        try
        {
            catalog.AddNative(path, factory);
        }
        finally
        {
            File.Delete(path);
        }

        return catalog;
    }

    [Theory]
    [InlineData("""{"id":"a/b","id":"a/b","uuid":"7d1dbb0c-6f0a-4f2e-9c7c-111111111111","summary":""}""")] // A name twice.
    [InlineData("""{"id":"a/b","uuid":"7d1dbb0c-6f0a-4f2e-9c7c-111111111111","summary":"","options":[{"name":"x","type":"integer","type":"size"}]}""")]
    [InlineData("""{"id":"\ud800/b","uuid":"7d1dbb0c-6f0a-4f2e-9c7c-111111111111","summary":""}""")] // Half a character.
    [InlineData("""{"id":"a/b","uuid":"7d1dbb0c-6f0a-4f2e-9c7c-111111111111","summary":"","options":[{"name":"x","type":"integer","min":"few"}]}""")]
    [InlineData("""{"id":"a/b","uuid":"7d1dbb0c-6f0a-4f2e-9c7c-111111111111","summary":"","options":[{"name":"x","type":"integer","max":18446744073709551616}]}""")]
    [InlineData("""{"id":"a/b","uuid":"7d1dbb0c-6f0a-4f2e-9c7c-111111111111","summary":"","options":[{"name":"x","type":"duration","max":"200000d"}]}""")]
    public void A_nonsensical_description_is_one_problem_and_costs_that_kind_only(string json)
    {
        var catalog = CatalogOf(new Factory(json, """{"id":"a/good","uuid":"7d1dbb0c-6f0a-4f2e-9c7c-222222222222","summary":""}"""));
        var problem = Assert.Single(catalog.Problems);
        Assert.Contains(".so: ", problem);
        Assert.Equal(["a/good"], catalog.Ids);
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(int.MaxValue)]
    public void A_library_that_makes_too_many_kinds_or_fewer_than_none_is_one_problem(int count) =>
        Assert.EndsWith($".so: its factory says that it makes {count} kinds of component", Assert.Single(CatalogOf(new Factory { Count = count }).Problems));

    [Theory]
    [InlineData("x", "integer", "18446744073709551616")]  // 2^64
    [InlineData("x", "integer", "-9223372036854775809")]  // -2^63 - 1
    [InlineData("x", "duration", "200000d")]              // 1.7e19 ns
    [InlineData("x", "integer", "18446744073709551615")]  // 2^64 - 1, which fits
    [InlineData("x", "integer", "-9223372036854775808")]
    [InlineData("x", "duration", "106751d")]
    public void An_option_of_a_native_component_arrives_as_it_was_written_or_is_refused(string name, string type, string text)
    {
        var factory = new Factory($$"""{"id":"a/b","uuid":"7d1dbb0c-6f0a-4f2e-9c7c-111111111111","summary":"","interfaces":["{{typeof(IBlockDevice).GUID}}"],"options":[{"name":"{{name}}","type":"{{type}}","summary":""}]}""");
        var catalog = CatalogOf(factory);
        Assert.Empty(catalog.Problems);
        var stack = StackChecker.Check(StackFile.Parse("s.yaml", $"devices:\n  d: {{ use: a/b, {name}: {text} }}\n"), catalog);
        if (!stack.IsGood)
        {
            Assert.Matches("^s.yaml:2:[0-9]+: error: x: .* is out of range; it is .* to .*$", Assert.Single(stack.Problems).ToString());
            return;
        }

        var device = stack.Devices.Single();
        device.Kind!.Create(new StackProcess(new ComancheProcess()).CreateHost("d", HostFlags.None, null), device.Options);
        var got = JsonNode.Parse(factory.Given!)![name]!.ToJsonString();
        Assert.True(!got.StartsWith('-') == !text.StartsWith('-') && got.Length >= 19, $"{text} was checked, found good, and given to the component as {got}");
    }
}
