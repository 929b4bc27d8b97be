namespace Comanche.System.Tests;

/// <summary>The folder of the stack locks, which may stand where everybody writes: nobody can use it to make a user's process write elsewhere.</summary>
public sealed class StackLockTests : IDisposable
{
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly TempFolder _folder = new();

    public StackLockTests()
    {
        _folder.Write("s.yaml", "devices:\n  a: { use: block/null, size: 1MiB }\n");
        _folder.Write("precious", "precious");
    }

    private string LockFolder => Path.Combine(_folder.Path, $"comanche-{Environment.UserName}");

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void The_folder_is_private_and_the_lock_says_who_holds_it()
    {
        Assert.Equal(0, Bench().ExitCode);
        Assert.Equal(OwnerOnly, File.GetUnixFileMode(LockFolder));
        var file = Assert.Single(Directory.GetFiles(LockFolder));
        Assert.EndsWith(".lock", file);
        Assert.Matches(@"^\d+\n$", File.ReadAllText(file));
    }

    [Fact]
    public void A_link_in_the_place_of_the_folder_is_refused()
    {
        var elsewhere = Directory.CreateDirectory(Path.Combine(_folder.Path, "elsewhere"), OwnerOnly).FullName;
        Directory.CreateSymbolicLink(LockFolder, elsewhere);
        AssertRefused("it is a link");
        Assert.Empty(Directory.EnumerateFileSystemEntries(elsewhere));
    }

    [Fact]
    public void A_folder_that_others_may_enter_is_refused()
    {
        Directory.CreateDirectory(LockFolder, OwnerOnly | UnixFileMode.GroupWrite | UnixFileMode.GroupExecute);
        File.SetUnixFileMode(LockFolder, OwnerOnly | UnixFileMode.GroupExecute);
        AssertRefused("its mode is 710, not 700");
    }

    [Fact]
    public void A_folder_of_another_user_is_refused()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "only root can give a folder away");
        Directory.CreateDirectory(LockFolder, OwnerOnly);
        Assert.Equal(0, Cli.RunProgram("chown", _folder.Path, Patience, "65534", LockFolder).ExitCode);
        AssertRefused("it belongs to another user (65534)");
    }

    [Fact]
    public void A_link_in_the_place_of_the_lock_is_not_followed()
    {
        Assert.Equal(0, Bench().ExitCode);
        var file = Assert.Single(Directory.GetFiles(LockFolder));
        File.Delete(file);
        File.CreateSymbolicLink(file, Path.Combine(_folder.Path, "precious"));
        var result = Bench();
        Assert.Equal(1, result.ExitCode);
        Assert.StartsWith($"comanche: the lock file {file} can't be opened: ", result.Error);
        Assert.Equal("precious", File.ReadAllText(Path.Combine(_folder.Path, "precious")));
    }

    [Fact]
    public void Another_users_runtime_folder_is_left_alone()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "only root can give a folder away");
        var runtime = Directory.CreateDirectory(Path.Combine(_folder.Path, "runtime")).FullName;
        Assert.Equal(0, Bench($"XDG_RUNTIME_DIR={runtime}").ExitCode);
        Assert.True(Directory.Exists(Path.Combine(runtime, "comanche")));
        Directory.Delete(Path.Combine(runtime, "comanche"), recursive: true);
        Assert.Equal(0, Cli.RunProgram("chown", _folder.Path, Patience, "65534", runtime).ExitCode);
        Assert.Equal(0, Bench($"XDG_RUNTIME_DIR={runtime}").ExitCode);
        Assert.Empty(Directory.EnumerateFileSystemEntries(runtime));
        Assert.True(Directory.Exists(LockFolder));
    }

    private void AssertRefused(string why)
    {
        var result = Bench();
        Assert.Equal((1, $"comanche: {LockFolder} is no place for lock files: {why}; remove it, or name a folder of your own by XDG_RUNTIME_DIR\n"), (result.ExitCode, result.Error));
    }

    private CliResult Bench(params string[] environment) =>
        Cli.RunProgram("env", _folder.Path, Patience, ["-u", "XDG_RUNTIME_DIR", $"TMPDIR={_folder.Path}", .. environment, Cli.Executable, "bench", "s.yaml", "--size", "64k"]);
}
