using System.Runtime.InteropServices;

namespace Comanche.App;

/// <summary>
/// Turns SIGINT, SIGTERM, SIGHUP and SIGQUIT into an orderly end. A second signal of the kind ends the process at once, in case the orderly end hangs.
/// </summary>
internal sealed class StopSignals : IDisposable
{
    private readonly List<PosixSignalRegistration> _registrations = [];
    private readonly Action _stop;
    private int _count;

    public StopSignals(Action stop)
    {
        _stop = stop;
        foreach (var signal in new[] { PosixSignal.SIGINT, PosixSignal.SIGTERM, PosixSignal.SIGHUP, PosixSignal.SIGQUIT })
            _registrations.Add(PosixSignalRegistration.Create(signal, Handle));
    }

    public void Dispose() => _registrations.ForEach(r => r.Dispose());

    private void Handle(PosixSignalContext context)
    {
        if (Interlocked.Increment(ref _count) > 1) return; // The default action: the end.
        context.Cancel = true;
        _stop();
    }
}
