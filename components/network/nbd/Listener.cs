using Comanche.Linux;

namespace Comanche.Network;

/// <summary>A socket that listens. Made and closed in set-up.</summary>
internal sealed class Listener : IDisposable
{
    private const int Backlog = 128;

    // The section that it guards takes microseconds; whoever holds it longer is stuck.
    private const int FolderLockAttempts = 100;
    private readonly string? _path;

    private Listener(int socket, ListenAddress address)
    {
        Socket = socket;
        Address = address;
        _path = address.Path;
    }

    /// <summary>The listening socket.</summary>
    public int Socket { get; private set; }

    /// <summary>Where it listens, with the port that is in use.</summary>
    public ListenAddress Address { get; }

    /// <summary>
    /// Listens. For a path: makes its folder, replaces the socket of a process that ended, and refuses one of a process that lives.
    /// </summary>
    /// <exception cref="ComancheException">The address is in use, or may not be used.</exception>
    public static Listener Open(ListenAddress address, uint mode)
    {
        if (address.Path is { } path) return new Listener(OpenUnix(path, mode), address);
        var socket = Sockets.ListenTcp(address.Ip!.GetAddressBytes(), address.Port, Backlog, out var port);
        return new Listener(socket, address with { Port = port });
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (Socket < 0) return;

        // The path goes first: as long as the socket lives nobody else takes it, so it is ours.
        if (_path is not null) File.Delete(_path);
        Sockets.Close(Socket);
        Socket = -1;
    }

    private static int OpenUnix(string path, uint mode)
    {
        var folder = Path.GetDirectoryName(Path.GetFullPath(path))!;
        Directory.CreateDirectory(folder);

        // Two processes that find the same stale socket must not both replace it.
        var guard = LockFolder(folder);
        try
        {
            if (File.Exists(path)) RemoveStale(path);
            return Sockets.ListenUnix(path, mode, Backlog);
        }
        finally
        {
            Sockets.Close(guard);
        }
    }

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
