using System.Runtime.CompilerServices;

namespace Comanche;

/// <summary>
/// Keeps changes of one device apart that share a block which one of them does not write whole: such a block is read, changed and written, and whatever
/// came in between would be undone.
/// </summary>
/// <remarks>
/// <para>One for each device, for all volumes that are open on it, through edges or not. Changes stand in one list in order of arrival; a change goes ahead when no
/// earlier one in the list that conflicts with it is left. Whole-block changes do not conflict with each other, as on a disk.</para>
/// <para>Any thread. The lock is held for a few instructions, but for the scan of the list, which is bounded by the volumes' requests, while there are edges.</para>
/// </remarks>
internal sealed class VolumeLocks
{
    private static readonly ConditionalWeakTable<IBlockDevice, VolumeLocks> All = [];

    private readonly Lock _lock = new();
    private VolumeRequest? _first;
    private VolumeRequest? _last;
    private int _edges;   // Requests in the list with a block that is not written whole.
    private int _waiting; // Requests in the list that may not go ahead yet.

    /// <summary>The one of a device, whichever edge it is reached through.</summary>
    public static VolumeLocks Of(IBlockDevice device)
    {
        while (device is IEdge edge) device = edge.Device;
        return All.GetValue(device, static _ => new());
    }

    /// <summary>Enters a change; true where it may go ahead now, otherwise its volume is told when it may.</summary>
    public bool Enter(VolumeRequest request)
    {
        lock (_lock)
        {
            request.HoldsLock = true;
            request.Previous = _last;
            request.Next = null;
            if (_last is null) _first = request;
            else _last.Next = request;
            _last = request;
            var free = (_edges == 0 && !request.HasEdges) || !ConflictsAhead(request);
            if (request.HasEdges) _edges++;
            if (!free) _waiting++;
            request.IsWaiting = !free;
            return free;
        }
    }

    /// <summary>Takes a change out and lets those go ahead that waited for it only.</summary>
    public void Leave(VolumeRequest request)
    {
        VolumeRequest? granted = null;
        lock (_lock)
        {
            Unlink(request);
            if (_waiting != 0) granted = Grant();
        }

        Tell(granted);
    }

    /// <summary>Takes a change out that still waits; false where it may go ahead by now.</summary>
    public bool Withdraw(VolumeRequest request)
    {
        VolumeRequest? granted;
        lock (_lock)
        {
            if (!request.IsWaiting) return false;
            request.IsWaiting = false;
            _waiting--;
            Unlink(request);
            granted = _waiting != 0 ? Grant() : null;
        }

        Tell(granted);
        return true;
    }

    private static void Tell(VolumeRequest? granted)
    {
        while (granted is not null)
        {
            // Once it is told, the request is its volume's again: the link is read first.
            var next = granted.NextGranted;
            granted.NextGranted = null;
            granted.Worker.Push(granted);
            granted = next;
        }
    }

    private void Unlink(VolumeRequest request)
    {
        if (request.Previous is { } previous) previous.Next = request.Next;
        else _first = request.Next;
        if (request.Next is { } next) next.Previous = request.Previous;
        else _last = request.Previous;
        request.Previous = request.Next = null;
        request.HoldsLock = false;
        if (request.HasEdges) _edges--;
    }

    private VolumeRequest? Grant()
    {
        VolumeRequest? granted = null;
        for (var request = _first; request is not null; request = request.Next)
        {
            if (!request.IsWaiting || ConflictsAhead(request)) continue;
            request.IsWaiting = false;
            _waiting--;
            request.NextGranted = granted;
            granted = request;
        }

        return granted;
    }

    private static bool ConflictsAhead(VolumeRequest request)
    {
        for (var ahead = request.Previous; ahead is not null; ahead = ahead.Previous)
            if (Conflict(request, ahead))
                return true;
        return false;
    }

    private static bool Conflict(VolumeRequest a, VolumeRequest b) => HasEdgeIn(a, b) || HasEdgeIn(b, a);

    private static bool HasEdgeIn(VolumeRequest of, VolumeRequest range) =>
        (of.HasHeadEdge && of.FirstLba >= range.FirstLba && of.FirstLba <= range.LastLba)
        || (of.HasTailEdge && of.LastLba >= range.FirstLba && of.LastLba <= range.LastLba);
}
