namespace Comanche;

// What becomes of a volume whose queue threw. It is polled on as one that only fails requests, so that none waits for ever.
internal sealed unsafe partial class VolumeWorker
{
    // An abandoned queue gives back within a few polls what it can give back at all without a device that answers.
    private const int TakeBackPolls = 1000;

    private Exception? _failure; // Why the reactor took this poller away.
    private bool _isSubmitting;  // A throw now leaves open which of the ready pieces the queue has.

    // Pieces that a failed queue kept: their buffers may be written to at any time.
    private int Lost => _failure is null ? 0 : _slab.Capacity - _slab.Available;

    /// <summary>
    /// Gives up what the queue holds and fails every request, those that come later too. What does not come back is lost: its memory stays pinned, its blocks
    /// stay locked and the queue stays open, since the device may still use them.
    /// </summary>
    public void Failed(Exception exception)
    {
        if (_failure is not null) return; // Failing requests threw: there is nothing left to try.
        _failure = exception;
        for (var i = 0; i < _activeCount; i++) _active[i].Fail(exception);
        if (!_isSubmitting) TakeBackReady();
        TakeBackAbandoned();
        SiftStalled();
        WithdrawFromLocks();
        EndLost();
        _reactor.Add(this);
    }

    private void TakeBackReady()
    {
        while (_ready.Count != 0)
        {
            var descriptor = _ready.Pop();
            descriptor->Status = IoStatus.Aborted;
            PieceIsBack(descriptor);
        }
    }

    private void TakeBackAbandoned()
    {
        try
        {
            _queue.Abandon();
            for (var i = 0; i < TakeBackPolls && Lost != 0; i++)
            {
                var count = _queue.Poll(_completed, PollBatch);
                for (var j = 0; j < count; j++) PieceIsBack(_completed[j]);
            }
        }
        catch
        {
            // The first failure has been reported; a queue that throws again has nothing to add.
        }
    }

    private void EndLost()
    {
        for (var i = _activeCount - 1; i >= 0; i--)
        {
            if (_active[i].Outstanding == 0) continue; // It has a lock now, and comes through the ring.
            _active[i].IsLost = true;
            End(_active[i]);
        }
    }
}
