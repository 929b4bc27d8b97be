using Comanche.Linux;

namespace Comanche.Threading;

/// <summary>The client's end of a control socket: one request at a time, whoever asks. Any thread.</summary>
internal sealed unsafe class AttachLink : IDisposable
{
    // What the server does for a request takes milliseconds; who does not answer for so long is stuck.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly Lock _lock = new();
    private readonly string _path;
    private readonly int _socket;
    private volatile bool _isLost;

    private AttachLink(string path, int socket)
    {
        _path = path;
        _socket = socket;
    }

    /// <summary>The socket, to sleep on: readable when the server is gone.</summary>
    public int Socket => _socket;

    /// <summary>Whether the server is known to be gone.</summary>
    public bool IsLost => _isLost;

    /// <summary>Connects.</summary>
    public static AttachLink Connect(string path)
    {
        var socket = Sockets.ConnectUnix(path, messages: true, Patience);
        if (socket >= 0) return new AttachLink(path, socket);
        var why = -socket switch
        {
            2 => "there is no such socket; is the stack running?",
            111 => "nobody listens there any more",
            91 => "it is not the socket of a shared stack",
            var error => Memory.Describe(error),
        };
        throw new ComancheException($"cannot attach to {path}: {why}");
    }

    /// <summary>Asks, and waits for the answer, which stands in the message then. A refusal is thrown, and so is the end of the server.</summary>
    /// <param name="message">What is asked.</param>
    /// <param name="file">A file to send, or -1.</param>
    /// <param name="received">Room for the files that the answer brings; that many are expected.</param>
    public void Ask(ref ShareMessage message, int file, Span<int> received)
    {
        lock (_lock)
        {
            if (_isLost) throw Lost("it is gone");
            fixed (ShareMessage* bytes = &message)
            {
                var sent = Sockets.SendMessage(_socket, bytes, ShareMessage.Size, file < 0 ? [] : [file]);

                // A server that takes nobody in says so and closes its end at once, maybe before this is sent: then its reason can still be read, behind the report of the reset.
                if (sent < 0 && sent is not (Sockets.BrokenPipe or Sockets.ConnectionReset)) throw Lost(Memory.Describe((int)-sent));
                var request = message.Request;
                var length = Sockets.ReceiveMessage(_socket, bytes, ShareMessage.Size, received, out var count);
                if (length == Sockets.ConnectionReset) length = Sockets.ReceiveMessage(_socket, bytes, ShareMessage.Size, received, out count);
                if (length != ShareMessage.Size || message.Magic != ShareMessage.GoodMagic)
                    throw Lost(length == 0 ? "it is gone" : length == Sockets.WouldBlock ? $"no answer for {Patience.TotalSeconds} s" : length < 0 ? Memory.Describe((int)-length) : "it does not speak the protocol");
                if (message.Refused != 0)
                {
                    for (var i = 0; i < count; i++) Sockets.Close(received[i]);
                    throw new ComancheException($"{_path}: {message.Text}");
                }

                if (sent >= 0 && message.Request == request && message.Version == ShareMessage.GoodVersion && count == received.Length) return;
                for (var i = 0; i < count; i++) Sockets.Close(received[i]);
                throw Lost("it does not speak the protocol");
            }
        }
    }

    /// <summary>Looks whether the server is still there; a system call.</summary>
    public bool Look()
    {
        if (!_isLost && Sockets.IsPeerGone(_socket)) _isLost = true;
        return !_isLost;
    }

    /// <inheritdoc/>
    public void Dispose() => Sockets.Close(_socket);

    private ComancheException Lost(string why)
    {
        _isLost = true;
        return new ComancheException($"the server at {_path} failed: {why}");
    }
}
