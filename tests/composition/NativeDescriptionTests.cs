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
    private sealed class Factory(string json) : IFactory, INativeLoader
    {
        public string? Given;

        public int GetCount() => 1;

        public string Describe(int index) => json;

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
    public void A_nonsensical_description_is_a_problem_of_that_library_only(string json)
    {
        Assert.Single(CatalogOf(new Factory(json)).Problems);
    }

    [Theory]
    [InlineData("x", "integer", "18446744073709551616")]  // 2^64
    [InlineData("x", "integer", "-9223372036854775809")]  // -2^63 - 1
    [InlineData("x", "duration", "200000d")]              // 1.7e19 ns
    public void An_option_of_a_native_component_arrives_as_it_was_written_or_is_refused(string name, string type, string text)
    {
        var factory = new Factory($$"""{"id":"a/b","uuid":"7d1dbb0c-6f0a-4f2e-9c7c-111111111111","summary":"","interfaces":["{{typeof(IBlockDevice).GUID}}"],"options":[{"name":"{{name}}","type":"{{type}}","summary":""}]}""");
        var catalog = CatalogOf(factory);
        Assert.Empty(catalog.Problems);
        var stack = StackChecker.Check(StackFile.Parse("s.yaml", $"devices:\n  d: {{ use: a/b, {name}: {text} }}\n"), catalog);
        if (!stack.IsGood) return; // Refused: good.
        var device = stack.Devices.Single();
        device.Kind!.Create(new StackProcess(new ComancheProcess()).CreateHost("d", HostFlags.None, null), device.Options);
        var got = JsonNode.Parse(factory.Given!)![name]!.ToJsonString();
        Assert.True(!got.StartsWith('-') == !text.StartsWith('-') && got.Length >= 19, $"{text} was checked, found good, and given to the component as {got}");
    }
}
