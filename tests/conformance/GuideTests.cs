using Comanche.Block;
using Comanche.Conformance.Tests.Native;
using Comanche.Examples;
using Comanche.Testing;

namespace Comanche.Conformance.Tests;

/// <summary>The guides on writing components show what is compiled and works.</summary>
public sealed class GuideTests
{
    [Fact]
    public void The_filter_of_the_guide_is_the_one_that_is_compiled_and_is_short()
    {
        var code = File.ReadAllText(Source.Path("examples/csharp/count/CountDevice.cs")).TrimEnd();
        Assert.Contains($"```csharp\n{code}\n```", File.ReadAllText(Source.Path("docs/guide/component-csharp.md")), StringComparison.Ordinal);
        Assert.InRange(code.Split('\n').Count(line => line.Trim() is { Length: > 0 } text && !text.StartsWith("///", StringComparison.Ordinal)), 1, 30);
    }

    [Fact]
    public void The_filter_of_the_README_is_the_one_that_is_compiled()
    {
        var code = File.ReadAllText(Source.Path("examples/csharp/nothing/NothingDevice.cs"));
        var shown = code[code.IndexOf("[Component(", StringComparison.Ordinal)..].TrimEnd();
        Assert.Contains($"```csharp\n{shown}\n```", File.ReadAllText(Source.Path("README.md")), StringComparison.Ordinal);
    }

    [Fact]
    public void The_filter_of_the_guide_counts()
    {
        var host = new TestHost("count");
        var memory = new MemoryDevice(host, new MemoryOptions { Size = ByteSize.MiB(1) });
        memory.Start();
        var count = new CountDevice(host);
        Workbench.Start(count, [("", memory)]);
        using (var io = new SyncIo(count, host, "count"))
        {
            io.Write(0, new byte[512 * 5]);
            io.Read(3, new byte[512 * 2]);
        }

        Assert.Equal((2ul, 5ul), (host.Counter("count.read"), host.Counter("count.written")));
        count.Release();
        memory.Release();
    }

    [Fact]
    public void The_XOR_filter_of_the_guide_builds_into_the_folder_that_it_is_told()
    {
        Tools.Need("c++", "g++");
        using var folder = new TempFolder();
        var (code, output) = Tools.Run("bash", Source.Path("examples/native/xor/build.sh"), folder.File("components"));
        Assert.True(code == 0, output);
        using var library = Runtime.Loading.NativeComponentLibrary.Open(folder.File("components/comanche-xor.so"));
        Assert.Equal(XorRecipe.Xor, library.Descriptions[0].Uuid);
    }
}
