using System.Text;

namespace Comanche.App;

/// <summary>
/// Standard error that never throws: a full disk or a closed pipe behind it must not end a process that serves. What can't be written is lost, counted, and said when
/// writing works again.
/// </summary>
internal sealed class ErrorOutput(TextWriter inner) : TextWriter
{
    private readonly Lock _lock = new();
    private long _lost; // Under _lock.

    public override Encoding Encoding => inner.Encoding;

    public override void Write(char value) => Try(() => inner.Write(value));

    public override void Write(string? value) => Try(() => inner.Write(value));

    public override void WriteLine(string? value) => Try(() => inner.WriteLine(value));

    private void Try(Action write)
    {
        lock (_lock)
        {
            try
            {
                write();
                if (_lost == 0) return;
                var lost = _lost;
                _lost = 0;
                inner.WriteLine($"({lost} lines before this could not be written)");
            }
            catch (Exception e) when (e is IOException or ObjectDisposedException or UnauthorizedAccessException)
            {
                _lost++;
            }
        }
    }
}
