namespace Comanche.Linux;

/// <summary>A Unix socket that listens at a path. Made and closed in set-up.</summary>
public sealed class UnixListener : IDisposable
{
    private const int Backlog = 128;

    // The section that the lock guards takes microseconds; whoever holds it longer is stuck.
    private const int FolderLockAttempts = 100;

    private readonly SocketFile _file; // What the path named when this began to listen.

    private UnixListener(string path, int socket, SocketFile file)
    {
        Path = path;
        Socket = socket;
        _file = file;
    }

    /// <summary>Where it listens.</summary>
    public string Path { get; }

    /// <summary>The listening socket; -1 once it is closed.</summary>
    public int Socket { get; private set; }

    /// <summary>Listens: makes the path's folder, replaces the socket of a process that ended, and refuses one of a process that lives.</summary>
    /// <param name="path">The path.</param>
    /// <param name="mode">Its permissions.</param>
    /// <param name="messages">Whether it is to keep the bounds of messages rather than be a stream.</param>
    /// <exception cref="ComancheException">The path is in use, or may not be used.</exception>
    public static UnixListener Open(string path, uint mode, bool messages = false)
    {
        if (Directory.Exists(path)) throw new ComancheException($"{path} is a folder; a socket needs a name in it");
        try
        {
            var folder = System.IO.Path.GetDirectoryName(System.IO.Path.GetFullPath(path))!;
            Directory.CreateDirectory(folder);

            // Two processes that find the same stale socket must not both replace it.
            var guard = LockFolder(folder);
            try
            {
                if (File.Exists(path)) RemoveStale(path);
                return new UnixListener(path, Sockets.ListenUnix(path, mode, Backlog, messages, out var file), file);
            }
            finally
            {
                Sockets.Close(guard);
            }
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new ComancheException(error.Message, error);
        }
    }

    /// <summary>Listens no more; returns why the path could not be removed, or null. Never throws.</summary>
    public string? Close()
    {
        if (Socket < 0) return null;

        // The path goes first: as long as the socket lives nobody else takes it. Somebody who removed it by hand may have, so it goes only if it is still ours.
        var error = Sockets.Unlink(Path, _file);
        Sockets.Close(Socket);
        Socket = -1;
        return error == 0 ? null : $"{Path} could not be removed: {Memory.Describe(-error)}";
    }

    /// <inheritdoc/>
    public void Dispose() => Close();

    private static int LockFolder(string folder)
    {
        for (var attempt = 0; attempt < FolderLockAttempts; attempt++)
        {
            var guard = Sockets.TryLockFolder(folder);
            if (guard >= 0) return guard;
            Thread.Sleep(10);
        }

        throw new ComancheException($"the folder {folder} is locked by another process");
    }

    private static void RemoveStale(string path)
    {
        if ((File.GetAttributes(path) & FileAttributes.ReparsePoint) != 0 || !Sockets.IsSocket(path))
            throw new ComancheException($"{path} exists and is not a socket; it is left alone");
        if (Sockets.IsAlive(path)) throw new ComancheException($"{path} is in use: another process listens there");
        File.Delete(path);
    }
}
