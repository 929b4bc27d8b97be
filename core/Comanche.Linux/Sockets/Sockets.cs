using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Comanche.Linux;

/// <summary>One piece of a scattered message: <c>struct iovec</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct IoVector
{
    /// <summary>First byte.</summary>
    public byte* Address;

    /// <summary>Bytes.</summary>
    public nuint Length;
}

/// <summary>A file as the kernel tells it from others.</summary>
/// <param name="Device">Its device, both numbers.</param>
/// <param name="Inode">Its number there.</param>
public readonly record struct SocketFile(ulong Device, ulong Inode);

/// <summary>
/// Stream sockets by raw system calls, for connections that a reactor polls. All sockets made here are non-blocking and close on exec.
/// </summary>
/// <remarks>
/// Calls of the data path (<see cref="Receive"/>, <see cref="ReceiveScattered"/>, <see cref="Send"/>) return the bytes moved, or the negative errno. Set-up calls throw
/// <see cref="ComancheException"/>. A peer that is gone never raises SIGPIPE.
/// </remarks>
public static unsafe partial class Sockets
{
    /// <summary>Nothing can be moved now (<c>EAGAIN</c>).</summary>
    public const int WouldBlock = -11;

    /// <summary>A signal came first (<c>EINTR</c>).</summary>
    public const int Interrupted = -4;

    /// <summary>The most pieces of one message (<c>IOV_MAX</c>).</summary>
    public const int MaxVectors = 1024;

    private const int Unix = 1;
    private const int Internet4 = 2;
    private const int Internet6 = 10;
    private const int Stream = 1;
    private const int Packets = 5; // SOCK_SEQPACKET
    private const int NonBlocking = 0x800;
    private const int CloseOnExec = 0x80000;
    private const int NoSignal = 0x4000;
    private const int SocketLevel = 1;
    private const int ReuseAddress = 2;
    private const int SendBuffer = 7;
    private const int ReceiveBuffer = 8;
    private const int KeepAlive = 9;
    private const int Ip6Level = 41;
    private const int Ip6Only = 26;
    private const int Tcp = 6;
    private const int TcpNoDelay = 1;
    private const int ConnectionRefused = 111;
    private const int NoEntry = 2;
    private const int Directory = 0x10000;
    private const int CurrentFolder = -100;
    private const int NoFollow = 0x100;
    private const uint StatxType = 1;
    private const uint StatxInode = 0x100;

    // In struct statx: stx_mode, stx_ino, and stx_dev_major with stx_dev_minor behind it.
    private const int StatxModeOffset = 28;
    private const int StatxInodeOffset = 32;
    private const int StatxDeviceOffset = 136;
    private const int TypeMask = 0xF000;
    private const int TypeSocket = 0xC000;
    private const int ExclusiveNow = 2 | 4;

    /// <summary>Listens on a path, with this file mode. The path must not exist; what was made of it is gone again where this throws.</summary>
    /// <param name="path">1 to 107 bytes.</param>
    /// <param name="mode">The permissions.</param>
    /// <param name="backlog">Connections that wait to be accepted.</param>
    /// <param name="messages">Whether it is to keep the bounds of messages (SOCK_SEQPACKET) rather than be a stream.</param>
    /// <param name="file">What the path names now, for <see cref="Unlink"/>.</param>
    public static int ListenUnix(string path, uint mode, int backlog, bool messages, out SocketFile file)
    {
        file = default;
        UnixAddress address;
        var length = FillUnix(path, &address);
        var socket = Open(Unix, messages ? Packets : Stream);
        try
        {
            // The mode is set before there is a name, so that at no moment somebody else can connect; bind() takes the umask off it, which is undone.
            Check(fchmod(socket, mode), $"the mode of {path}");
            Check(bind(socket, &address, length), "bind");
            Check(Identify(path, out file), "statx");
            Check(chmod(address.Path, mode), $"the mode of {path}");
            Check(listen(socket, backlog), "listen");
            return socket;
        }
        catch
        {
            if (file != default) _ = Unlink(path, file);
            Close(socket);
            throw;
        }
    }

    /// <summary>
    /// Removes the path of a socket, if it still names this one; 0 also where it does not, or is gone. Otherwise the negative errno. As long as the socket is open no other file has its
    /// inode.
    /// </summary>
    public static int Unlink(string path, SocketFile file)
    {
        if (Identify(path, out var now) != 0 || now != file) return 0;
        fixed (byte* bytes = Terminated(path)) return unlink(bytes) == 0 ? 0 : -Marshal.GetLastSystemError();
    }

    /// <summary>Whether somebody listens at a path: false where nothing is there, or what is left of a process that ended.</summary>
    public static bool IsAlive(string path)
    {
        UnixAddress address;
        var length = FillUnix(path, &address);
        var socket = Open(Unix);
        var error = connect(socket, &address, length) == 0 ? 0 : Marshal.GetLastSystemError();
        Close(socket);

        // Everything else (a full backlog, no permission) leaves the possibility that it lives.
        return error is not (ConnectionRefused or NoEntry);
    }

    /// <summary>Whether a path names a socket.</summary>
    public static bool IsSocket(string path)
    {
        var status = stackalloc byte[256];
        int result;
        fixed (byte* bytes = Terminated(path)) result = statx(CurrentFolder, bytes, NoFollow, StatxType, status);
        return result == 0 && (*(ushort*)(status + StatxModeOffset) & TypeMask) == TypeSocket;
    }

    /// <summary>
    /// Locks a folder against others that are about to change what lives in it, and returns a descriptor whose <see cref="Close"/> ends that; negative where somebody
    /// else holds the lock. Only those that ask are kept out.
    /// </summary>
    public static int TryLockFolder(string path)
    {
        int folder;
        fixed (byte* bytes = Terminated(path)) folder = open(bytes, Directory | CloseOnExec);
        Check(folder, $"opening the folder {path}");
        if (flock(folder, ExclusiveNow) == 0) return folder;
        Close(folder);
        return -1;
    }

    /// <summary>Listens on an address of this machine; port 0 lets the kernel choose.</summary>
    /// <param name="ip">4 or 16 bytes.</param>
    /// <param name="scope">For an IPv6 address of one link: the number of its interface; otherwise 0.</param>
    /// <param name="port">0 to 65535.</param>
    /// <param name="backlog">Connections that wait to be accepted.</param>
    /// <param name="actualPort">The port in use.</param>
    public static int ListenTcp(ReadOnlySpan<byte> ip, uint scope, int port, int backlog, out int actualPort)
    {
        var family = ip.Length == 4 ? Internet4 : Internet6;
        var socket = Open(family);
        try
        {
            var yes = 1;
            Check(setsockopt(socket, SocketLevel, ReuseAddress, &yes, sizeof(int)), "SO_REUSEADDR");

            // [::] is every IPv6 address and no IPv4 one, whatever net.ipv6.bindv6only says: 0.0.0.0 may be listened on beside it.
            if (family == Internet6) Check(setsockopt(socket, Ip6Level, Ip6Only, &yes, sizeof(int)), "IPV6_V6ONLY");
            var address = stackalloc byte[28];
            new Span<byte>(address, 28).Clear();
            *(ushort*)address = (ushort)family;
            BinaryPrimitives.WriteUInt16BigEndian(new Span<byte>(address + 2, 2), (ushort)port);
            ip.CopyTo(new Span<byte>(address + (family == Internet4 ? 4 : 8), ip.Length));
            if (family == Internet6) *(uint*)(address + 24) = scope;
            var length = family == Internet4 ? 16u : 28u;
            Check(bind(socket, address, length), "bind");
            Check(listen(socket, backlog), "listen");
            Check(getsockname(socket, address, &length), "getsockname");
            actualPort = BinaryPrimitives.ReadUInt16BigEndian(new ReadOnlySpan<byte>(address + 2, 2));
            return socket;
        }
        catch
        {
            Close(socket);
            throw;
        }
    }

    /// <summary>Takes a connection that waits; a negative errno where there is none.</summary>
    public static int Accept(int listener)
    {
        var socket = accept4(listener, null, null, NonBlocking | CloseOnExec);
        return socket >= 0 ? socket : -Marshal.GetLastSystemError();
    }

    /// <summary>Sends small messages at once, and finds out when a peer is gone without a word. For TCP sockets; does nothing on others.</summary>
    public static void SetNoDelay(int socket)
    {
        var yes = 1;
        _ = setsockopt(socket, SocketLevel, KeepAlive, &yes, sizeof(int));
        _ = setsockopt(socket, Tcp, TcpNoDelay, &yes, sizeof(int));
    }

    /// <summary>Asks for kernel buffers of this size; the kernel may give less.</summary>
    public static void SetBuffers(int socket, int bytes)
    {
        _ = setsockopt(socket, SocketLevel, SendBuffer, &bytes, sizeof(int));
        _ = setsockopt(socket, SocketLevel, ReceiveBuffer, &bytes, sizeof(int));
    }

    /// <summary>Makes two sockets that are connected to each other; false where there is no descriptor or no memory for them.</summary>
    public static bool TryPair(out int first, out int second)
    {
        var pair = stackalloc int[2] { -1, -1 };
        var made = socketpair(Unix, Stream | NonBlocking | CloseOnExec, 0, pair) == 0;
        (first, second) = (pair[0], pair[1]);
        return made;
    }

    /// <summary>Receives what is there, at most so many bytes; 0 at the end of the stream.</summary>
    public static nint Receive(int socket, byte* into, nuint length)
    {
        var count = recv(socket, into, length, 0);
        return count >= 0 ? count : -Marshal.GetLastSystemError();
    }

    /// <summary>Receives what is there into several pieces; 0 at the end of the stream.</summary>
    public static nint ReceiveScattered(int socket, IoVector* pieces, int count)
    {
        var message = new MessageHeader { Vectors = pieces, VectorCount = (nuint)count };
        var received = recvmsg(socket, &message, 0);
        return received >= 0 ? received : -Marshal.GetLastSystemError();
    }

    /// <summary>Sends from several pieces; may send less than all.</summary>
    public static nint Send(int socket, IoVector* pieces, int count)
    {
        var message = new MessageHeader { Vectors = pieces, VectorCount = (nuint)count };
        var sent = sendmsg(socket, &message, NoSignal);
        return sent >= 0 ? sent : -Marshal.GetLastSystemError();
    }

    /// <summary>Tells the peer that nothing more will come; what was sent still arrives.</summary>
    public static void EndSending(int socket) => _ = shutdown(socket, 1);

    /// <summary>Closes a socket or another descriptor.</summary>
    public static void Close(int descriptor) => _ = close(descriptor);

    private static int Open(int family, int type = Stream)
    {
        var made = socket(family, type | NonBlocking | CloseOnExec, 0);
        Check(made, "making a socket");
        return made;
    }

    private static uint FillUnix(string path, UnixAddress* address)
    {
        var bytes = System.Text.Encoding.UTF8.GetBytes(path);
        if (bytes.Length is 0 or >= UnixAddress.PathBytes)
            throw new ComancheException($"the socket path {path} has {bytes.Length} bytes; 1 to {UnixAddress.PathBytes - 1} are possible");
        *address = default;
        address->Family = Unix;
        bytes.CopyTo(new Span<byte>(address->Path, UnixAddress.PathBytes));
        return (uint)(sizeof(ushort) + bytes.Length + 1);
    }

    // 0, or -1 where errno says why not.
    private static int Identify(string path, out SocketFile file)
    {
        var status = stackalloc byte[256];
        int result;
        fixed (byte* bytes = Terminated(path)) result = statx(CurrentFolder, bytes, NoFollow, StatxInode, status);
        file = result == 0 ? new SocketFile(*(ulong*)(status + StatxDeviceOffset), *(ulong*)(status + StatxInodeOffset)) : default;
        return result;
    }

    private static byte[] Terminated(string path) => System.Text.Encoding.UTF8.GetBytes(path + '\0');

    private static void Check(int result, string what)
    {
        if (result >= 0) return;
        var error = Marshal.GetLastSystemError();
        throw new ComancheException($"{what}: {Marshal.GetPInvokeErrorMessage(error)}");
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct UnixAddress
    {
        public const int PathBytes = 108;
        public ushort Family;
        public fixed byte Path[PathBytes];
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct MessageHeader
    {
        public void* Name;
        public uint NameLength;
        public IoVector* Vectors;
        public nuint VectorCount;
        public void* Control;
        public nuint ControlLength;
        public int Flags;
    }

    // SuppressGCTransition is not for these: they may run long, and a collection elsewhere must not wait for them.
    [LibraryImport("libc")] private static partial int socket(int domain, int type, int protocol);
    [LibraryImport("libc")] private static partial int socketpair(int domain, int type, int protocol, int* pair);
    [LibraryImport("libc")] private static partial int bind(int socket, void* address, uint length);
    [LibraryImport("libc")] private static partial int listen(int socket, int backlog);
    [LibraryImport("libc")] private static partial int connect(int socket, void* address, uint length);
    [LibraryImport("libc")] private static partial int accept4(int socket, void* address, uint* length, int flags);
    [LibraryImport("libc")] private static partial int getsockname(int socket, void* address, uint* length);
    [LibraryImport("libc")] private static partial int setsockopt(int socket, int level, int name, void* value, uint length);
    [LibraryImport("libc")] private static partial int shutdown(int socket, int how);
    [LibraryImport("libc")] private static partial int chmod(byte* path, uint mode);
    [LibraryImport("libc")] private static partial int fchmod(int descriptor, uint mode);
    [LibraryImport("libc")] private static partial int open(byte* path, int flags);
    [LibraryImport("libc")] private static partial int statx(int folder, byte* path, int flags, uint mask, byte* status);
    [LibraryImport("libc")] private static partial int unlink(byte* path);
    [LibraryImport("libc")] private static partial int flock(int descriptor, int operation);
    [LibraryImport("libc")] private static partial int close(int descriptor);
    [LibraryImport("libc")] private static partial nint recv(int socket, byte* buffer, nuint length, int flags);
    [LibraryImport("libc")] private static partial nint recvmsg(int socket, MessageHeader* message, int flags);
    [LibraryImport("libc")] private static partial nint sendmsg(int socket, MessageHeader* message, int flags);
}
