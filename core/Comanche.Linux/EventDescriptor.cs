using Microsoft.Win32.SafeHandles;

namespace Comanche.Linux;

/// <summary>
/// An eventfd that is closed by its last user: a signal that another thread is about to give when its owner closes it never goes to a stranger's file that got the
/// number since.
/// </summary>
/// <remarks>Any thread. A signal allocates nothing; one after the close does nothing.</remarks>
public sealed class EventDescriptor : SafeHandleMinusOneIsInvalid
{
    private EventDescriptor(int descriptor) : base(ownsHandle: true) => SetHandle(descriptor);

    /// <summary>Makes one. It never blocks.</summary>
    public static int Create(out EventDescriptor? made)
    {
        var error = Threads.CreateEvent(out var descriptor);
        made = error == 0 ? new EventDescriptor(descriptor) : null;
        return error;
    }

    /// <summary>Takes over one that another process made and passed on.</summary>
    public static EventDescriptor Adopt(int descriptor) => new(descriptor);

    /// <summary>Its number, for the owner, who knows that it is not closed.</summary>
    public int Number => (int)handle;

    /// <summary>Makes it readable.</summary>
    public void Signal()
    {
        var isHeld = false;
        try
        {
            DangerousAddRef(ref isHeld);
            Threads.SignalEvent(Number);
        }
        catch (ObjectDisposedException)
        {
            // Nobody sleeps on it any more.
        }
        finally
        {
            if (isHeld) DangerousRelease();
        }
    }

    /// <inheritdoc/>
    protected override bool ReleaseHandle()
    {
        Memory.Close(Number);
        return true;
    }
}
