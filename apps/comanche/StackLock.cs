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
internal sealed unsafe class StackLock : IDisposable
{
    private const uint OwnerOnly = 0b110_000_000;
    private const int OthersMask = 0b000_111_111;
    private const int MaxDigits = 20;

    private int _file;

    private StackLock(int file) => _file = file;

    /// <summary>Takes the lock; throws where another process holds it.</summary>
    public static StackLock Take(string stackFile)
    {
        var full = Path.GetFullPath(stackFile);
        if (File.ResolveLinkTarget(full, returnFinalTarget: true) is { } target) full = target.FullName;
        var name = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(full)))[..24];
        var path = Path.Combine(Folder(), $"{name}.lock");
        var file = PosixFile.Open(path, O_RDWR | O_CREAT | O_NOFOLLOW, OwnerOnly);
        if (file < 0) throw new ComancheException($"comanche: {path}: the lock can't be opened: {Errno.Describe(-file)}");
        if (PosixFile.Lock(file, LOCK_EX) < 0)
        {
            var holder = ReadHolder(file);
            PosixFile.Close(file);
            throw new ComancheException($"comanche: {stackFile} is in use by another process{holder}");
        }

        WriteHolder(file);
        return new StackLock(file);
    }

    public void Dispose()
    {
        if (_file >= 0) PosixFile.Close(_file);
        _file = -1;
    }

    // Whoever holds the lock wrote its number into it; a flock keeps nobody from reading.
    private static string ReadHolder(int file)
    {
        var digits = stackalloc byte[MaxDigits];
        var length = PosixFile.Read(file, digits, MaxDigits, 0);
        return length > 0 && int.TryParse(new ReadOnlySpan<byte>(digits, (int)length), CultureInfo.InvariantCulture, out var process) ? $" ({process})" : "";
    }

    private static void WriteHolder(int file)
    {
        var text = Encoding.ASCII.GetBytes(Environment.ProcessId.ToString(CultureInfo.InvariantCulture));
        PosixFile.Truncate(file, 0);
        fixed (byte* bytes = text) PosixFile.Write(file, bytes, (nuint)text.Length, 0);
    }

    // The user's alone. In a folder that everybody can write to, someone may have been there first, and have put links there: that is looked at, not assumed.
    private static string Folder()
    {
        var runtime = Environment.GetEnvironmentVariable("XDG_RUNTIME_DIR");
        var root = !string.IsNullOrEmpty(runtime) && Directory.Exists(runtime) ? Path.Combine(runtime, "comanche") : Path.Combine(Path.GetTempPath(), $"comanche-{Environment.UserName}");
        try
        {
            Directory.CreateDirectory(root, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ComancheException($"comanche: {root}: no place for lock files: {e.Message}", e);
        }

        var folder = PosixFile.Open(root, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
        var isOwn = folder >= 0 && PosixFile.Stat(folder, out var found) >= 0 && PosixFile.Stat("/proc/self", out var self) >= 0
            && found.stx_uid == self.stx_uid && (found.stx_mode & OthersMask) == 0;
        if (folder >= 0) PosixFile.Close(folder);
        return isOwn ? root : throw new ComancheException($"comanche: {root}: no place for lock files: it is not a folder of this user alone (mode 0700); remove it, or set XDG_RUNTIME_DIR");
    }
}
