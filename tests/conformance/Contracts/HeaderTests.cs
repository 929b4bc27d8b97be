using Comanche.Header;
using Comanche.Testing;

namespace Comanche.Conformance.Tests.Contracts;

/// <summary>The checked-in header is that of the contracts, and both of its forms compile without a warning.</summary>
public sealed class HeaderTests
{
    [Fact]
    public void The_header_is_that_of_the_contracts()
    {
        var fresh = HeaderWriter.Write(ContractModel.Read(typeof(IBase).Assembly));
        Assert.True(File.ReadAllText(Source.Path("native/comanche.h")) == fresh,
            "native/comanche.h is stale. Write it anew: dotnet run --project eng/header -- native/comanche.h");
    }

    [Theory]
    [InlineData("cc", "gcc", "c", "-std=c11")]
    [InlineData("c++", "g++", "cpp", "-std=c++17")]
    public void The_header_compiles(string compiler, string package, string extension, string standard)
    {
        Tools.Need(compiler, package);
        using var folder = new TempFolder();
        var source = folder.File($"use.{extension}");
        File.WriteAllText(source, "#include \"comanche.h\"\nint main(void) { return 0; }\n");
        var (code, output) = Tools.Run(compiler, standard, "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I", Source.Path("native"), "-fsyntax-only", source);
        Assert.Equal((0, ""), (code, output));
    }
}
