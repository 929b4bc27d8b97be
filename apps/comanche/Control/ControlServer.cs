using System.Net.Sockets;
using System.Text.Json.Nodes;
using Comanche.Linux;
using Comanche.Runtime;

namespace Comanche.App.Control;

/// <summary>
/// The control socket of a stack that runs: JSON-RPC 2.0 over a Unix stream, in lines or framed by <c>Content-Length</c>. Only the user that runs the stack, and root, may ask.
/// </summary>
/// <remarks>Each connection has a task of its own; what they ask is done one after the other. Requests and answers are bounded, so that a client can't fill the memory.</remarks>
internal sealed class ControlServer : IDisposable
{
    private const uint OwnerOnly = 0x180; // 0600
    private const int MaxConnections = 64;
    private static readonly TimeSpan AnswerPatience = TimeSpan.FromSeconds(1);

    private readonly StackControl _control;
    private readonly ILogSink _log;
    private readonly UnixListener _listener;
    private readonly Socket _socket;
    private readonly CancellationTokenSource _stop = new();
    private readonly SemaphoreSlim _places = new(MaxConnections);
    private int _answering;

    /// <summary>Begins to listen.</summary>
    public ControlServer(StackControl control, string path, ILogSink log)
    {
        _control = control;
        _log = log;
        try
        {
            _listener = UnixListener.Open(path, OwnerOnly);
        }
        catch (ComancheException e)
        {
            throw new ComancheException($"comanche: the control socket {path} can't be had: {e.Message}", e);
        }

        _socket = new Socket(new SafeSocketHandle(_listener.Socket, ownsHandle: false));
        _ = AcceptAsync();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_stop.IsCancellationRequested) return;
        _stop.Cancel();
        if (_listener.Close() is { } problem) _log.Write(LogLevel.Warning, "control", problem);
        _socket.Dispose();

        // Whoever asked for the end is to hear that it comes; one that does not read is not waited for long.
        SpinWait.SpinUntil(() => Volatile.Read(ref _answering) == 0, AnswerPatience);
    }

    private async Task AcceptAsync()
    {
        while (!_stop.IsCancellationRequested)
        {
            try
            {
                await _places.WaitAsync(_stop.Token).ConfigureAwait(false);
                var client = await _socket.AcceptAsync(_stop.Token).ConfigureAwait(false);
                _ = ServeAsync(client);
            }
            catch (Exception e) when (e is OperationCanceledException or ObjectDisposedException)
            {
                return;
            }
            catch (SocketException e)
            {
                _places.Release();
                _log.Write(LogLevel.Warning, "control", $"a connection can't be taken: {e.Message}");
                await Task.Delay(TimeSpan.FromMilliseconds(100)).ConfigureAwait(false);
            }
        }
    }

    private async Task ServeAsync(Socket client)
    {
        try
        {
            using var stream = new NetworkStream(client, ownsSocket: true);
            var peer = Sockets.GetPeer((int)client.Handle);
            if (peer.User != 0 && peer.User != Limits.EffectiveUser) return;
            var messages = new JsonRpcStream(stream);
            while (await messages.ReadAsync(_stop.Token).ConfigureAwait(false) is { } request)
            {
                Interlocked.Increment(ref _answering);
                try
                {
                    if (JsonRpc.Answer(request, _control.Do) is { } answer) await messages.WriteAsync(answer, CancellationToken.None).ConfigureAwait(false);
                }
                finally
                {
                    Interlocked.Decrement(ref _answering);
                }
            }
        }
        catch (Exception e) when (e is IOException or OperationCanceledException or ObjectDisposedException or SocketException or ComancheException)
        {
            // The client is gone, or it is time to go.
        }
        finally
        {
            _places.Release();
        }
    }
}
