using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;

namespace Comanche.Network;

/// <summary>
/// One encrypted connection: carries bytes between the client's socket and the half of a pair of sockets whose other half is an <see cref="NbdConnection"/>. Its memory is two buffers, and
/// a side that does not read holds up the other.
/// </summary>
/// <remarks>
/// When the server closes its half, what it sent still goes out, and then the client is told; a client that takes nothing is given up by <see cref="Cancel"/>, which the connection calls
/// when its time is up. When the client ends, the server's half is told, and it may still answer. Both sockets are closed before <see cref="HasEnded"/>.
/// </remarks>
internal sealed class TlsTunnel(IHost host, SslServerAuthenticationOptions options, TimeSpan handshakeTimeout, Action ended)
{
    private const int BufferBytes = 64 * 1024;

    private readonly CancellationTokenSource _cancel = new();
    private volatile bool _isEstablished;
    private volatile bool _hasEnded;

    /// <summary>Whether both sockets are closed. Any thread; <c>ended</c> is called behind it, on a thread of the pool.</summary>
    public bool HasEnded => _hasEnded;

    /// <summary>The server has closed its half: without an agreed encryption there is nothing that could still go out. Any thread.</summary>
    public void Finish()
    {
        if (!_isEstablished) Cancel();
    }

    /// <summary>Ends it now, whatever has not gone out. Any thread; returns at once.</summary>
    public void Cancel() => _ = _cancel.CancelAsync();

    /// <summary>Carries until the end. Owns both descriptors.</summary>
    public async Task Serve(int client, int inner)
    {
        try
        {
            await Carry(client, inner);
        }
        catch (AuthenticationException error)
        {
            host.Log(LogLevel.Warning, $"a client was refused: {error.Message}");
        }
        catch (Exception error) when (IsEnd(error))
        {
            host.Log(LogLevel.Debug, $"an encrypted connection ended: {error.Message}");
        }
        catch (Exception error)
        {
            host.Log(LogLevel.Warning, $"an encrypted connection failed: {error.Message}");
        }
        finally
        {
            _hasEnded = true;
            ended();
        }
    }

    private async Task Carry(int clientDescriptor, int innerDescriptor)
    {
        using var clientHandle = new SafeSocketHandle(clientDescriptor, ownsHandle: true);
        using var innerHandle = new SafeSocketHandle(innerDescriptor, ownsHandle: true);
        using var client = new Socket(clientHandle);
        using var inner = new Socket(innerHandle);
        await using var plain = new NetworkStream(inner, ownsSocket: false);
        await using var encrypted = new SslStream(new NetworkStream(client, ownsSocket: false));
        using (var patience = CancellationTokenSource.CreateLinkedTokenSource(_cancel.Token))
        {
            patience.CancelAfter(handshakeTimeout);
            await encrypted.AuthenticateAsServerAsync(options, patience.Token);
        }

        _isEstablished = true;
        var up = CarryUp(encrypted, plain, inner);
        try
        {
            await CarryDown(plain, encrypted);
            await encrypted.ShutdownAsync().WaitAsync(_cancel.Token);
        }
        finally
        {
            await _cancel.CancelAsync();
            await up;
        }
    }

    private async Task CarryUp(Stream encrypted, Stream plain, Socket inner)
    {
        try
        {
            var buffer = new byte[BufferBytes];
            while (await encrypted.ReadAsync(buffer, _cancel.Token) is var count and not 0) await plain.WriteAsync(buffer.AsMemory(0, count), _cancel.Token);
        }
        catch (Exception error) when (IsEnd(error))
        {
            // The client is gone, the server takes no more, or all ends.
        }

        try
        {
            inner.Shutdown(SocketShutdown.Send);
        }
        catch (SocketException)
        {
            // The server has closed it already.
        }
    }

    private async Task CarryDown(Stream plain, Stream encrypted)
    {
        var buffer = new byte[BufferBytes];
        while (true)
        {
            int count;
            try
            {
                count = await plain.ReadAsync(buffer, _cancel.Token);
            }
            catch (IOException)
            {
                // Closed with something of the client's unread. It comes behind all that was sent, so it is an end like any other.
                return;
            }

            if (count == 0) return;
            await encrypted.WriteAsync(buffer.AsMemory(0, count), _cancel.Token);
        }
    }

    private static bool IsEnd(Exception error) => error is IOException or OperationCanceledException or SocketException or ObjectDisposedException;
}
