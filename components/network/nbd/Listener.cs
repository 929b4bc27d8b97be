using Comanche.Linux;

namespace Comanche.Network;

/// <summary>A socket that listens. Made and closed in set-up.</summary>
internal sealed class Listener : IDisposable
{
    private const int Backlog = 128;
    private readonly IHost _host;
    private readonly UnixListener? _unix;

    private Listener(IHost host, int socket, ListenAddress address, UnixListener? unix)
    {
        _host = host;
        _unix = unix;
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
            if (address.Path is { } path)
            {
                var unix = UnixListener.Open(path, mode);
                return new Listener(host, unix.Socket, address, unix);
            }

            var scope = address.Ip!.AddressFamily == System.Net.Sockets.AddressFamily.InterNetworkV6 ? (uint)address.Ip.ScopeId : 0;
            var socket = Sockets.ListenTcp(address.Ip.GetAddressBytes(), scope, address.Port, Backlog, out var port);
            return new Listener(host, socket, address with { Port = port }, null);
        }
        catch (ComancheException error)
        {
            throw new ComancheException($"cannot listen on {address}: {error.Message}", error);
        }
    }

    /// <summary>Listens no more. Never throws: what can't be removed is logged.</summary>
    public void Dispose()
    {
        if (Socket < 0) return;
        if (_unix is null) Sockets.Close(Socket);
        else if (_unix.Close() is { } problem) _host.Log(LogLevel.Warning, problem);
        Socket = -1;
    }
}
