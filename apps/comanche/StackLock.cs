using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Comanche.Linux;
using static Comanche.Linux.FileAbi;

namespace Comanche.App;

/// <summary>
/// Keeps a stack file from being run twice at once by the same user. The lock is a file of its own, since an editor replaces the stack file when it saves; what the
/// devices themselves open they lock themselves, against everybody. It ends with the process, however that ends.
/// </summary>
/// <remarks>
/// The folder of the locks may stand in one that everybody writes to. It is opened once, found to be the user's own and closed to others, and the files are reached
/// through that descriptor only: nobody else can have put a link there, nor put another folder in its place.
/// </remarks>
internal sealed unsafe class StackLock : IDisposable
{
    private const int Permissions = 0x1FF;  // 0777: of the mode, who may do what.
    private const int OwnerOnly = 0x1C0;    // 0700
    private const int OwnerReadWrite = 0x180; // 0600

    private readonly int _file;

    private StackLock(int file) => _file = file;

    /// <summary>Takes the lock; throws where another process holds it.</summary>
    public static StackLock Take(string stackFile)
    {
        var name = $"{NameOf(stackFile)}.lock";
        var path = FolderPath();
        var folder = OpenFolder(path);
        var file = PosixFile.Open(folder, name, O_RDWR | O_CREAT | O_NOFOLLOW, OwnerReadWrite);
        PosixFile.Close(folder);
        if (file < 0) throw new ComancheException($"comanche: the lock file {path}/{name} can't be opened: {Errno.Describe(-file)}");
        var error = PosixFile.Lock(file, LOCK_EX);
        if (error >= 0)
        {
            WriteHolder(file);
            return new StackLock(file);
        }

        var problem = error == -Errno.EAGAIN ? $"is in use by another process{ReadHolder(file)}" : $"can't be locked by {path}/{name}: {Errno.Describe(-error)}";
        PosixFile.Close(file);
        throw new ComancheException($"comanche: {stackFile} {problem}");
    }

    public void Dispose() => PosixFile.Close(_file);

    /// <summary>The control socket of whoever runs a stack file: it stands beside the lock, whose holder alone makes it.</summary>
    public static string ControlPath(string stackFile) => Path.Combine(FolderPath(), $"{NameOf(stackFile)}.ctl");

    /// <summary>The control sockets of the stacks that this user runs, or ran and were killed.</summary>
    public static IReadOnlyList<string> ControlPaths() => Directory.Exists(FolderPath()) ? [.. Directory.EnumerateFiles(FolderPath(), "*.ctl").Order(StringComparer.Ordinal)] : [];

    // The same for every name of one file.
    private static string NameOf(string stackFile)
    {
        var full = Path.GetFullPath(stackFile);
        if (File.ResolveLinkTarget(full, returnFinalTarget: true) is { } target) full = target.FullName;
        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(full)))[..24];
    }

    // The number goes over what was there before the rest is cut off, so that a reader never finds nothing. A full disk costs the number only.
    private static void WriteHolder(int file)
    {
        var text = Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{Environment.ProcessId}\n"));
        fixed (byte* bytes = text)
            if (PosixFile.Write(file, bytes, (nuint)text.Length, 0) == text.Length)
                PosixFile.Truncate(file, (ulong)text.Length);
    }

    private static string ReadHolder(int file)
    {
        const int Room = 16;
        var bytes = stackalloc byte[Room];
        var length = PosixFile.Read(file, bytes, Room, 0);
        var line = Encoding.ASCII.GetString(bytes, (int)Math.Max(0, length)).Split('\n')[0];
        return int.TryParse(line, NumberStyles.None, CultureInfo.InvariantCulture, out var process) ? $" ({process})" : "";
    }

    // What sudo left of another user's environment is not taken.
    private static string FolderPath()
    {
        var runtime = Environment.GetEnvironmentVariable("XDG_RUNTIME_DIR");
        var isOwn = !string.IsNullOrEmpty(runtime) && PosixFile.Stat(runtime, out var stat) >= 0 && stat.stx_uid == Limits.EffectiveUser;
        return isOwn ? Path.Combine(runtime!, "comanche") : Path.Combine(Path.GetTempPath(), $"comanche-{Environment.UserName}");
    }

    private static int OpenFolder(string path)
    {
        try
        {
            Directory.CreateDirectory(path, (UnixFileMode)OwnerOnly);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Refuse(path, e.Message);
        }

        var folder = PosixFile.Open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
        if (folder < 0) throw Refuse(path, folder is -Errno.ELOOP or -Errno.ENOTDIR ? "it is a link" : Errno.Describe(-folder));
        var error = PosixFile.Stat(folder, out var stat);
        var problem = error < 0 ? Errno.Describe(-error)
            : stat.stx_uid != Limits.EffectiveUser ? $"it belongs to another user ({stat.stx_uid})"
            : (stat.stx_mode & Permissions) != OwnerOnly ? $"its mode is {Convert.ToString(stat.stx_mode & Permissions, 8)}, not 700"
            : null;
        if (problem is null) return folder;
        PosixFile.Close(folder);
        throw Refuse(path, problem);
    }

    private static ComancheException Refuse(string path, string why) =>
        new($"comanche: {path} is no place for lock files: {why}; remove it, or name a folder of your own by XDG_RUNTIME_DIR");
}
