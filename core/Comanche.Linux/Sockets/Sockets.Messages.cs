using System.Runtime.InteropServices;

namespace Comanche.Linux;

/// <summary>Who is at the other end of a Unix socket, as the kernel knows it from the moment of connecting.</summary>
/// <param name="Process">The process; it may be gone, and its number somebody else's.</param>
/// <param name="User">The effective user.</param>
/// <param name="Group">The effective group.</param>
public readonly record struct PeerCredentials(int Process, uint User, uint Group);

// Sockets that keep the bounds of messages, and carry file descriptors.
public static unsafe partial class Sockets
{
    /// <summary>A message was longer than its buffer, or brought more descriptors than were expected (<c>EMSGSIZE</c>). What it brought is closed.</summary>
    public const int TooLong = -90;

    /// <summary>The peer has closed its end (<c>EPIPE</c>).</summary>
    public const int BrokenPipe = -32;

    /// <summary>The peer closed its end before it had read all that was sent (<c>ECONNRESET</c>).</summary>
    public const int ConnectionReset = -104;

    /// <summary>The most descriptors of a message here.</summary>
    public const int MaxDescriptors = 8;

    private const int PeerCredentialsOption = 17, PeerGroupsOption = 59;
    private const int ReceiveTimeout = 20, SendTimeout = 21;
    private const int Rights = 1;
    private const int DoNotWait = 0x40, Peek = 2;
    private const int Truncated = 0x20, ControlTruncated = 8;
    private const int CloseReceivedOnExec = 0x40000000;
    private const int MaxGroups = 256;

    /// <summary>
    /// Connects to a path by a socket that keeps the bounds of messages, or a stream; it blocks, for at most this time a call. Returns it, or the negative errno.
    /// </summary>
    public static int ConnectUnix(string path, bool messages, TimeSpan timeout)
    {
        UnixAddress address;
        var length = FillUnix(path, &address);
        var made = socket(Unix, (messages ? Packets : Stream) | CloseOnExec, 0);
        if (made < 0) return -Marshal.GetLastSystemError();
        var time = new TimeValue { Seconds = (long)timeout.TotalSeconds, Microseconds = timeout.Milliseconds * 1000L };
        _ = setsockopt(made, SocketLevel, ReceiveTimeout, &time, (uint)sizeof(TimeValue));
        _ = setsockopt(made, SocketLevel, SendTimeout, &time, (uint)sizeof(TimeValue));
        if (connect(made, &address, length) == 0) return made;
        var error = -Marshal.GetLastSystemError();
        Close(made);
        return error;
    }

    /// <summary>Who connected.</summary>
    public static PeerCredentials GetPeer(int socket)
    {
        var credentials = stackalloc int[3];
        uint length = 12;
        Check(getsockopt(socket, SocketLevel, PeerCredentialsOption, credentials, &length), "SO_PEERCRED");
        return new PeerCredentials(credentials[0], (uint)credentials[1], (uint)credentials[2]);
    }

    /// <summary>The further groups of who connected; none where the kernel does not say.</summary>
    public static uint[] GetPeerGroups(int socket)
    {
        var groups = stackalloc uint[MaxGroups];
        uint length = MaxGroups * sizeof(uint);
        return getsockopt(socket, SocketLevel, PeerGroupsOption, groups, &length) == 0 ? new ReadOnlySpan<uint>(groups, (int)(length / sizeof(uint))).ToArray() : [];
    }

    /// <summary>Sends one message with file descriptors, which stay the caller's; returns the bytes sent, or the negative errno.</summary>
    public static nint SendMessage(int socket, void* bytes, nuint length, ReadOnlySpan<int> descriptors)
    {
        var piece = new IoVector { Address = (byte*)bytes, Length = length };
        var control = stackalloc byte[ControlRoom];
        var message = new MessageHeader { Vectors = &piece, VectorCount = 1 };
        if (descriptors.Length != 0)
        {
            if (descriptors.Length > MaxDescriptors) return TooLong;
            *(ControlHeader*)control = new ControlHeader { Length = (nuint)(sizeof(ControlHeader) + descriptors.Length * sizeof(int)), Level = SocketLevel, Type = Rights };
            descriptors.CopyTo(new Span<int>(control + sizeof(ControlHeader), descriptors.Length));
            message.Control = control;
            message.ControlLength = (nuint)((sizeof(ControlHeader) + descriptors.Length * sizeof(int) + 7) & ~7);
        }

        while (true)
        {
            var sent = sendmsg(socket, &message, NoSignal);
            if (sent >= 0) return sent;
            var error = -Marshal.GetLastSystemError();
            if (error != Interrupted) return error;
        }
    }

    /// <summary>
    /// Receives one message with the file descriptors that it brings, which are the caller's then; returns its bytes, 0 where the peer is gone, or the negative errno.
    /// </summary>
    public static nint ReceiveMessage(int socket, void* into, nuint length, Span<int> descriptors, out int count)
    {
        count = 0;
        var piece = new IoVector { Address = (byte*)into, Length = length };
        var control = stackalloc byte[ControlRoom];
        var message = new MessageHeader { Vectors = &piece, VectorCount = 1, Control = control, ControlLength = ControlRoom };
        nint received;
        while ((received = recvmsg(socket, &message, CloseReceivedOnExec)) < 0)
        {
            var error = -Marshal.GetLastSystemError();
            if (error != Interrupted) return error;
        }

        var header = (ControlHeader*)control;
        var isTooLong = (message.Flags & (Truncated | ControlTruncated)) != 0;
        if (message.ControlLength >= (nuint)sizeof(ControlHeader) && header->Level == SocketLevel && header->Type == Rights)
        {
            var brought = new ReadOnlySpan<int>(control + sizeof(ControlHeader), (int)(header->Length - (nuint)sizeof(ControlHeader)) / sizeof(int));
            isTooLong |= brought.Length > descriptors.Length;
            if (!isTooLong)
            {
                brought.CopyTo(descriptors);
                count = brought.Length;
            }
            else
            {
                foreach (var descriptor in brought) Close(descriptor);
            }
        }

        return isTooLong ? TooLong : received;
    }

    /// <summary>Whether the peer of a socket is gone. Takes nothing that it sent.</summary>
    public static bool IsPeerGone(int socket)
    {
        byte one;
        var count = recv(socket, &one, 1, DoNotWait | Peek);
        return count == 0 || count < 0 && -Marshal.GetLastSystemError() is not (WouldBlock or Interrupted);
    }

    private const int ControlRoom = 64; // A header of 16 bytes and up to eight descriptors, in whole words.

    [StructLayout(LayoutKind.Sequential)]
    private struct ControlHeader
    {
        public nuint Length;
        public int Level;
        public int Type;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct TimeValue
    {
        public long Seconds;
        public long Microseconds;
    }

    [LibraryImport("libc")] private static partial int getsockopt(int socket, int level, int name, void* value, uint* length);
}
