using Comanche.Linux;

namespace Comanche.Network;

/// <summary>A socket that listens. Made and closed in set-up.</summary>
internal sealed class Listener : IDisposable
{
    private const int Backlog = 128;

    // The section that it guards takes microseconds; whoever holds it longer is stuck.
    private const int FolderLockAttempts = 100;
    private readonly IHost _host;
    private readonly SocketFile _file; // What the path named when this began to listen.

    private Listener(IHost host, int socket, ListenAddress address, SocketFile file)
    {
        _host = host;
        _file = file;
        Socket = socket;
        Address = address;
    }

    /// <summary>The listening socket.</summary>
    public int Socket { get; private set; }

    /// <summary>Where it listens, with the port that is in use.</summary>
    public ListenAddress Address { get; }

    /// <summary>
    /// Listens. For a path: makes its folder, replaces the socket of a process that ended, and refuses one of a process that lives.
    /// </summary>
    /// <exception cref="ComancheException">The address is in use, or may not be used.</exception>
    public static Listener Open(IHost host, ListenAddress address, uint mode)
    {
        try
        {
            if (address.Path is { } path) return new Listener(host, OpenUnix(path, mode, out var file), address, file);
            var scope = address.Ip!.AddressFamily == System.Net.Sockets.AddressFamily.InterNetworkV6 ? (uint)address.Ip.ScopeId : 0;
            var socket = Sockets.ListenTcp(address.Ip.GetAddressBytes(), scope, address.Port, Backlog, out var port);
            return new Listener(host, socket, address with { Port = port }, default);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or ComancheException)
        {
            throw new ComancheException($"cannot listen on {address}: {error.Message}", error);
        }
    }

    /// <summary>Listens no more. Never throws: what can't be removed is logged.</summary>
    public void Dispose()
    {
        if (Socket < 0) return;

        // The path goes first: as long as the socket lives nobody else takes it. Somebody who removed it by hand may have, so it goes only if it is still ours.
        if (Address.Path is { } path && Sockets.Unlink(path, _file) is var error and not 0)
            _host.Log(LogLevel.Warning, $"{path} could not be removed: {Memory.Describe(-error)}");
        Sockets.Close(Socket);
        Socket = -1;
    }

    private static int OpenUnix(string path, uint mode, out SocketFile file)
    {
        if (Directory.Exists(path)) throw new ComancheException($"{path} is a folder; a socket needs a name in it");
        var folder = Path.GetDirectoryName(Path.GetFullPath(path))!;
        Directory.CreateDirectory(folder);

        // Two processes that find the same stale socket must not both replace it.
        var guard = LockFolder(folder);
        try
        {
            if (File.Exists(path)) RemoveStale(path);
            return Sockets.ListenUnix(path, mode, Backlog, out file);
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
