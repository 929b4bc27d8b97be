using System.Security.Cryptography;
using System.Text;

namespace Comanche.App;

/// <summary>
/// Keeps a stack file from being run twice at once by the same user. The lock is a file of its own, since an editor replaces the stack file when it saves; what the
/// devices themselves open they lock themselves, against everybody. It ends with the process, however that ends.
/// </summary>
internal sealed class StackLock : IDisposable
{
    private readonly FileStream _file;

    private StackLock(FileStream file) => _file = file;

    /// <summary>Takes the lock; throws where another process holds it.</summary>
    public static StackLock Take(string stackFile)
    {
        var folder = Folder();
        var full = Path.GetFullPath(stackFile);
        if (File.ResolveLinkTarget(full, returnFinalTarget: true) is { } target) full = target.FullName;
        var name = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(full)))[..24];
        var path = Path.Combine(folder, $"{name}.lock");
        try
        {
            var file = new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            File.WriteAllText(HolderFile(path), $"{Environment.ProcessId}");
            return new StackLock(file);
        }
        catch (IOException)
        {
            throw new ComancheException($"comanche: {stackFile} is in use by another process{Holder(path)}");
        }
    }

    public void Dispose() => _file.Dispose();

    // The one who holds the lock wrote its number beside it; the lock itself can't be read while it is held.
    private static string Holder(string path)
    {
        try
        {
            return int.TryParse(File.ReadAllText(HolderFile(path)), out var process) ? $" ({process})" : "";
        }
        catch (IOException)
        {
            return "";
        }
    }

    private static string HolderFile(string path) => Path.ChangeExtension(path, ".pid");

    // Private to the user: nobody else may put links there.
    private static string Folder()
    {
        var runtime = Environment.GetEnvironmentVariable("XDG_RUNTIME_DIR");
        var root = !string.IsNullOrEmpty(runtime) && Directory.Exists(runtime) ? Path.Combine(runtime, "comanche") : Path.Combine(Path.GetTempPath(), $"comanche-{Environment.UserName}");
        try
        {
            Directory.CreateDirectory(root, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            return root;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ComancheException($"comanche: {root}: no place for lock files: {e.Message}", e);
        }
    }
}
