using Comanche.Block;
using Comanche.Conformance.Tests.Native;
using Comanche.Examples;
using Comanche.Partition;
using Comanche.Raid;
using Comanche.Runtime;

namespace Comanche.Conformance.Tests.Stacks;

/// <summary>A stripe over two files.</summary>
public sealed class StripeOverFilesRecipe : IConformanceRecipe
{
    /// <inheritdoc/>
    public string Name => "stack: stripe over files";

    /// <inheritdoc/>
    public string? Component => null;

    /// <inheritdoc/>
    public Prepared Prepare(Workbench bench) =>
        new(host => new StripeDevice(host, new StripeOptions { Chunk = ByteSize.KiB(16) }), ("", AddFile(bench, 0)), ("", AddFile(bench, 1)));

    private static IBase AddFile(Workbench bench, int index)
    {
        var options = new FileDeviceOptions { Path = Path.Combine(bench.Folder, $"disk{index}"), Size = ByteSize.MiB(8), Direct = false };
        return bench.Add(new FileDevice(bench.Host($"disk{index}"), options));
    }
}

/// <summary>A partition of a stripe whose members have a C++ filter in front of them.</summary>
public sealed class PartitionOverStripeOverXorRecipe : IConformanceRecipe
{
    /// <inheritdoc/>
    public string Name => "stack: gpt over stripe over xor (C++)";

    /// <inheritdoc/>
    public string? Component => null;

    /// <inheritdoc/>
    public Prepared Prepare(Workbench bench)
    {
        var xor = XorRecipe.Make("""{"key":"0123456789abcdef"}""");
        var members = Enumerable.Range(0, 3).Select(i => ("", bench.Add(xor(bench.Host($"xor{i}")), ("", bench.AddMemory())))).ToArray();
        foreach (var (_, member) in members) Blank(member, bench);
        var stripe = bench.Add(new StripeDevice(bench.Host("stripe"), new StripeOptions { Chunk = ByteSize.KiB(4) }), members);
        return new(host => new GptDevice(host, new GptOptions { Create = true }), ("", stripe));
    }

    // Zeroes below a filter with a key are not zeroes above it, and a stripe labels only what is blank.
    private static void Blank(IBase member, Workbench bench)
    {
        using var io = new SyncIo(member.Query<IBlockDevice>()!, bench.Host("blank"), "member");
        var zeroes = new byte[1 << 20];
        for (ulong lba = 0; lba < io.Volume.BlockCount; lba += (ulong)zeroes.Length / io.Volume.BlockSize) io.Write(lba, zeroes);
    }
}

/// <summary>A C++ filter between two C# layers, twice: every language border in both directions.</summary>
public sealed class XorBetweenRecipe : IConformanceRecipe
{
    /// <inheritdoc/>
    public string Name => "stack: count over xor (C++) over xor (C++) over pass";

    /// <inheritdoc/>
    public string? Component => null;

    /// <inheritdoc/>
    public Prepared Prepare(Workbench bench)
    {
        var pass = bench.Add(new PassDevice(bench.Host("pass"), new PassOptions { Child = true }), ("", bench.AddMemory(blockSize: 4096)));
        var lower = bench.Add(XorRecipe.Make("""{"key":"00ff00ff00ff00ff"}""")(bench.Host("lower")), ("", pass));
        var upper = bench.Add(XorRecipe.Make("{}")(bench.Host("upper")), ("", lower));
        return new(host => new CountDevice(host), ("", upper));
    }
}

/// <summary>The edge that the composer puts in front of every device, with its checks on, over a stripe.</summary>
public sealed class EdgeRecipe : IConformanceRecipe
{
    /// <inheritdoc/>
    public string Name => "stack: edges around a stripe";

    /// <inheritdoc/>
    public string? Component => null;

    /// <inheritdoc/>
    public Prepared Prepare(Workbench bench)
    {
        var process = bench.Keep(new ComancheProcess());
        var violations = new EdgeOptions { Check = true, Layers = true, OnViolation = violation => throw new InvalidOperationException(violation) };
        var members = Enumerable.Range(0, 2).Select(i => ("", bench.Add(process.CreateEdge($"member{i}", bench.AddMemory(), violations)))).ToArray();
        return new(
            host =>
            {
                var stripe = new StripeDevice(host, new StripeOptions());
                var edge = process.CreateEdge("top", stripe, violations with { Entry = true });
                stripe.Release();
                return edge;
            },
            members);
    }
}
