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

    /// <summary>
    /// Makes one whose readable end is for a stranger: he can't make a signal block, as he could by an eventfd, whose flags and count all who have it share. Of a signal for each
    /// sleep there is one to be read, of 8 bytes.
    /// </summary>
    /// <param name="made">The end that is signalled.</param>
    /// <param name="readable">The other end, which the caller closes when it is passed on.</param>
    public static int CreatePair(out EventDescriptor? made, out int readable)
    {
        var error = Threads.CreateEventPair(out readable, out var signalled);
        made = error == 0 ? new EventDescriptor(signalled) : null;
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
