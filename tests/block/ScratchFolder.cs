using Comanche.Testing;

namespace Comanche.Block.Tests;

/// <summary>A folder of a test, with what only root can put into it (mounts, loop devices). All of it is undone, the last first.</summary>
internal sealed class ScratchFolder : IDisposable
{
    private readonly List<Action> _undo = [];

    public string Path { get; } = Directory.CreateTempSubdirectory("comanche-test-").FullName;

    public string File(string name) => System.IO.Path.Combine(Path, name);

    /// <summary>Runs a tool of root's and returns what it printed; where it can't be done here the test is skipped.</summary>
    public string Run(string tool, params string[] arguments)
    {
        var (code, output) = Tools.Run(tool, arguments);
        Assert.SkipUnless(code == 0, $"{tool}: {output}");
        return output;
    }

    /// <summary>Makes a loop device of an image and returns its node.</summary>
    public string Loop(string image, params string[] options)
    {
        var node = Run("losetup", [.. options, "--find", "--show", image]).Trim();
        _undo.Add(() => Tools.Run("losetup", "--detach", node));
        return node;
    }

    /// <summary>Mounts something on a folder of this one and returns its path.</summary>
    public string Mount(string name, params string[] arguments)
    {
        var at = Directory.CreateDirectory(File(name)).FullName;
        Run("mount", [.. arguments, at]);
        _undo.Add(() => Tools.Run("umount", at));
        return at;
    }

    public void Dispose()
    {
        for (var i = _undo.Count - 1; i >= 0; i--) _undo[i]();
        Directory.Delete(Path, recursive: true);
    }
}
