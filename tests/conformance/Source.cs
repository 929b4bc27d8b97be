using System.Runtime.CompilerServices;

namespace Comanche.Conformance.Tests;

/// <summary>The source tree that the tests were built from.</summary>
internal static class Source
{
    /// <summary>A path in it.</summary>
    public static string Path(string relative) => System.IO.Path.Combine(Root, relative);

    private static string Root { get; } = Find();

    private static string Find([CallerFilePath] string here = "")
    {
        for (var folder = System.IO.Path.GetDirectoryName(here); folder is not null; folder = System.IO.Path.GetDirectoryName(folder))
            if (File.Exists(System.IO.Path.Combine(folder, "global.json")))
                return folder;
        throw new InvalidOperationException("the source tree is not where it was built");
    }
}
