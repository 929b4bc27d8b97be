using System.Buffers;
using System.Globalization;
using System.Text;

namespace Comanche.App.Control;

/// <summary>
/// Messages on a stream, each a line, or behind a header <c>Content-Length: N</c> and an empty line; answers come in the form of the last request.
/// </summary>
internal sealed class JsonRpcStream(Stream stream)
{
    private const int MaxMessage = 1 << 20;
    private const string LengthHeader = "content-length:";

    private readonly ArrayBufferWriter<byte> _received = new();
    private int _taken; // Of what was received.
    private bool _isFramed;

    /// <summary>Reads the next message; null at the end. Throws <see cref="IOException"/> for what is none.</summary>
    public async Task<string?> ReadAsync(CancellationToken cancel)
    {
        var line = await ReadLineAsync(cancel).ConfigureAwait(false);
        while (line is not null && line.Length == 0) line = await ReadLineAsync(cancel).ConfigureAwait(false);
        if (line is null) return null;
        _isFramed = line.StartsWith(LengthHeader, StringComparison.OrdinalIgnoreCase);
        if (!_isFramed) return line;
        if (!int.TryParse(line.AsSpan(LengthHeader.Length).Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out var length) || length > MaxMessage)
            throw new IOException($"a message has at most {MaxMessage} bytes");
        while (await ReadLineAsync(cancel).ConfigureAwait(false) is { Length: > 0 }) { } // Other headers, up to the empty line.
        while (_received.WrittenCount - _taken < length)
            if (!await ReceiveAsync(cancel).ConfigureAwait(false))
                return null;
        var text = Encoding.UTF8.GetString(_received.WrittenSpan.Slice(_taken, length));
        _taken += length;
        return text;
    }

    /// <summary>Writes a message.</summary>
    public async Task WriteAsync(string message, CancellationToken cancel)
    {
        var body = Encoding.UTF8.GetBytes(message);
        var head = _isFramed ? Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"Content-Length: {body.Length}\r\n\r\n")) : [];
        byte[] tail = _isFramed ? [] : [(byte)'\n'];
        await stream.WriteAsync((byte[])[.. head, .. body, .. tail], cancel).ConfigureAwait(false);
    }

    private async Task<string?> ReadLineAsync(CancellationToken cancel)
    {
        var searched = 0;
        while (true)
        {
            var rest = _received.WrittenMemory[_taken..];
            var end = rest.Span[searched..].IndexOf((byte)'\n');
            if (end >= 0)
            {
                end += searched;
                _taken += end + 1;
                return Encoding.UTF8.GetString(rest.Span[..end]).TrimEnd('\r');
            }

            searched = rest.Length;
            if (searched > MaxMessage) throw new IOException($"a message has at most {MaxMessage} bytes");
            if (!await ReceiveAsync(cancel).ConfigureAwait(false)) return null;
        }
    }

    private async Task<bool> ReceiveAsync(CancellationToken cancel)
    {
        if (_taken == _received.WrittenCount)
        {
            _received.ResetWrittenCount();
            _taken = 0;
        }
        else if (_taken > MaxMessage)
        {
            var rest = _received.WrittenSpan[_taken..].ToArray();
            _received.ResetWrittenCount();
            _received.Write(rest);
            _taken = 0;
        }

        var count = await stream.ReadAsync(_received.GetMemory(4096), cancel).ConfigureAwait(false);
        _received.Advance(count);
        return count != 0;
    }
}
