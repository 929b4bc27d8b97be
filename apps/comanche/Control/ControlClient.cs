using System.Net.Sockets;
using System.Text.Json.Nodes;

namespace Comanche.App.Control;

/// <summary>Asks a stack that runs.</summary>
internal sealed class ControlClient : IDisposable
{
    private readonly Socket _socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly JsonRpcStream _messages;
    private int _lastId;

    /// <summary>Connects; throws where nobody listens.</summary>
    public ControlClient(string path)
    {
        Path = path;
        try
        {
            _socket.Connect(new UnixDomainSocketEndPoint(path));
        }
        catch (Exception e) when (e is SocketException or ArgumentException)
        {
            _socket.Dispose();
            var why = !File.Exists(path) ? "there is no such socket" : e is SocketException { SocketErrorCode: SocketError.ConnectionRefused } ? "whoever made it was killed"
                : e is SocketException { SocketErrorCode: SocketError.ProtocolType } ? "it is the socket of a shared device, or another one" : "it can't be used";
            throw new ComancheException($"comanche: no stack answers at {path}: {why}", e);
        }

        _messages = new JsonRpcStream(new NetworkStream(_socket));
    }

    /// <summary>Where it connected.</summary>
    public string Path { get; }

    /// <summary>Asks; an error is thrown.</summary>
    public JsonNode Ask(string method, JsonObject parameters)
    {
        try
        {
            var request = JsonRpc.Request(++_lastId, method, parameters);
            _messages.WriteAsync(request, CancellationToken.None).GetAwaiter().GetResult();
            var answer = _messages.ReadAsync(CancellationToken.None).GetAwaiter().GetResult() ?? throw new ComancheException($"comanche: the stack at {Path} hung up");
            return JsonRpc.Result(answer) ?? new JsonObject();
        }
        catch (IOException e)
        {
            throw new ComancheException($"comanche: the stack at {Path} hung up: {e.Message}", e);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _socket.Dispose();
}
