using System.Diagnostics;
using System.Runtime.InteropServices;
using Comanche.Linux;

namespace Comanche.Threading.Tests;

/// <summary>What wakes the two sides is shared by them: a client can change how it behaves, but not so that the server stands still.</summary>
public sealed unsafe partial class WakeUpAbuseTests
{
    private const int SetFlags = 4; // F_SETFL

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    [Fact]
    public void A_full_wake_up_that_blocks_does_not_stop_the_server()
    {
        using var stack = new SharedStack();
        using var link = AttachLink.Connect(stack.SocketPath);
        using var client = new RawClient(link);
        client.OpenQueue(4);
        client.AddRegion(1, 2 << 20);
        Assert.Equal(0, fcntl(client.ClientEvent, SetFlags, 0)); // It blocks from now on.
        var most = ulong.MaxValue - 1;
        _ = write(client.ClientEvent, &most, sizeof(ulong));
        for (var i = 0; i < 10; i++)
        {
            Volatile.Write(ref *client.Channel.ClientSleeps, 1);
            Assert.Equal(IoStatus.Success, client.Do(new IoDescriptor { Operation = IoOperation.Read, BlockCount = 1, Region = 1 }, Patience));
        }

        // A pipe is full after a while.
        for (var i = 0; i < 20_000; i++)
        {
            Volatile.Write(ref *client.Channel.ClientSleeps, 1);
            Assert.Equal(IoStatus.Success, client.Do(new IoDescriptor { Operation = IoOperation.Read, BlockCount = 1, Region = 1 }, Patience));
        }
    }

    [Fact]
    public void A_wake_up_that_is_taken_from_the_server_does_not_stop_it()
    {
        using var stack = new SharedStack();
        using var link = AttachLink.Connect(stack.SocketPath);
        using var client = new RawClient(link);
        client.OpenQueue(4);
        client.AddRegion(1, 2 << 20);
        Assert.Equal(0, fcntl(client.ServerEvent, SetFlags, 0));
        var clock = Stopwatch.StartNew();
        for (var i = 0; clock.Elapsed < TimeSpan.FromSeconds(3); i++)
        {
            ulong one = 1;
            _ = write(client.ServerEvent, &one, sizeof(ulong));
            for (var spin = i % 200 * 20; spin > 0; spin--) Thread.SpinWait(1);
            var left = new Poll1 { Descriptor = client.ServerEvent, Events = 1 };
            if (poll(&left, 1, 0) == 1) _ = read(client.ServerEvent, &one, sizeof(ulong));
            if (i % 100 == 0) Assert.Equal(IoStatus.Success, client.Do(new IoDescriptor { Operation = IoOperation.Read, BlockCount = 1, Region = 1 }, Patience));
        }
    }

    private struct Poll1
    {
        public int Descriptor;
        public short Events, Returned;
    }

    [LibraryImport("libc")]
    private static partial int fcntl(int descriptor, int command, int argument);

    [LibraryImport("libc")]
    private static partial nint write(int descriptor, void* bytes, nuint count);

    [LibraryImport("libc")]
    private static partial nint read(int descriptor, void* bytes, nuint count);

    [LibraryImport("libc")]
    private static partial int poll(Poll1* descriptors, nuint count, int timeoutMs);
}
