namespace Comanche.Threading;

/// <summary>A device that is shared.</summary>
/// <remarks>
/// A device that is being exchanged in a running stack, or that has failed, throws where it is asked. Clients ask at any time, so they are told what was known last: what changes
/// with the exchange is announced by the event number.
/// </remarks>
internal sealed class ShareDevice(string name, IBlockDevice device, Lane lane, bool isReadOnly)
{
    // What lies in the rings' memory for each descriptor; a client with longer lists copies.
    private const uint MaxSegments = 16;

    private ulong _events = device.GetEventNumber();
    private VolumeInfo _volume;
    private DeviceHealth _health;

    /// <summary>Its name.</summary>
    public string Name => name;

    /// <summary>The device.</summary>
    public IBlockDevice Device => device;

    /// <summary>What serves its clients.</summary>
    public Lane Lane => lane;

    /// <summary>Its event number when it was last looked at.</summary>
    public ulong Events => _events;

    /// <summary>Its geometry as clients see it.</summary>
    public unsafe VolumeInfo GetVolume()
    {
        try
        {
            VolumeInfo now;
            device.GetVolumeInfo(&now);
            _volume = now;
        }
        catch (Exception) when (_volume.BlockSize != 0)
        {
            // The last answer holds.
        }

        var volume = _volume;
        volume.MaxSegments = Math.Min(volume.MaxSegments, MaxSegments);
        if (isReadOnly) volume.Capabilities |= VolumeCapabilities.ReadOnly;
        return volume;
    }

    /// <summary>How it fares.</summary>
    public unsafe DeviceHealth GetHealth()
    {
        try
        {
            DeviceHealth now;
            device.GetHealth(&now);
            _health = now;
        }
        catch (Exception)
        {
            // The last answer holds.
        }

        return _health;
    }

    /// <summary>Passes a new event number on to those who are attached.</summary>
    public void ReadEvents(IEnumerable<ShareSession> sessions)
    {
        ulong now;
        try
        {
            now = device.GetEventNumber();
        }
        catch (Exception)
        {
            return; // It is looked at again soon.
        }

        if (now == _events) return;
        _events = now;
        foreach (var session in sessions)
            if (session.Device == this)
                session.PublishEvents();
    }
}

/// <summary>What <c>thread/share</c> counts. Written by the reactor's thread only.</summary>
internal sealed unsafe class ShareCounters(IHost host)
{
    private readonly ulong* _attached = host.AddCounter("share.attached", "{client}", "Clients that attached");
    private readonly ulong* _refused = host.AddCounter("share.refused", "{client}", "Clients that were refused");
    private readonly ulong* _lost = host.AddCounter("share.lost", "{client}", "Clients that went without closing their queues: they died, or were cut off");
    private readonly ulong* _condemned = host.AddCounter("share.condemned", "{client}", "Clients that were cut off because they broke the protocol");
    private readonly ulong* _rejected = host.AddCounter("share.rejected", "{request}", "Descriptors of clients that made no sense");

    public void Attached() => ++*_attached;

    public void Refused() => ++*_refused;

    public void Lost() => ++*_lost;

    public void Condemned() => ++*_condemned;

    public void Rejected() => ++*_rejected;
}
