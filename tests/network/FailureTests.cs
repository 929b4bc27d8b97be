using System.Runtime.InteropServices;
using Comanche.Runtime;

namespace Comanche.Network.Tests;

/// <summary>What goes wrong at one connection, and what the process runs out of: all others are served on. Runs alone, since it takes all descriptors of the process.</summary>
[Collection("alone")]
public sealed partial class FailureTests
{
    private static bool Logged(Served served, string part)
    {
        lock (served.Host.Lines) return served.Host.Lines.Any(line => line.Message.Contains(part));
    }

    [Fact]
    public void A_client_that_wants_to_encrypt_when_no_descriptor_is_left_is_refused_and_all_others_are_served()
    {
        using var certificates = new Certificates();
        using var served = new Served(new NbdOptions { Tls = certificates.Options with { Required = false } });
        using var good = served.Connect().Enter();
        using var client = served.Connect();
        client.Greet();
        client.Option(NbdClient.OptList, []); // All code that answers has run: under the limit nothing more is loaded.
        using (new NoDescriptors()) Assert.Equal(NbdClient.Policy, Assert.Single(client.Option(NbdClient.OptStartTls, [])).Type);
        Assert.Equal(0u, good.Do(NbdClient.Read, 0, 512).Error);
        Assert.Equal(NbdClient.Ack, Assert.Single(client.Option(NbdClient.OptStartTls, [])).Type);
    }

    [Fact]
    public void A_client_that_came_when_no_descriptor_was_left_is_accepted_when_there_is_one()
    {
        // Without spinning every wait is a sleep, which a forgotten deadline does not end.
        using var served = new Served(reactor: new ReactorOptions { Name = "nbd", Spin = TimeSpan.Zero });
        using (served.Connect().Enter()) { }
        for (var i = 0; i < 3; i++)
        {
            var waiting = new System.Net.Sockets.Socket(System.Net.Sockets.AddressFamily.Unix, System.Net.Sockets.SocketType.Stream, 0) { ReceiveTimeout = 5000 };
            using (new NoDescriptors())
            {
                waiting.Connect(new System.Net.Sockets.UnixDomainSocketEndPoint(served.SocketPath));
                Thread.Sleep(150);
            }

            using var client = new NbdClient(new System.Net.Sockets.NetworkStream(waiting, ownsSocket: true), waiting).Enter();
        }
    }

    [Fact]
    public void A_volume_that_cannot_say_what_it_is_refuses_clients_and_harms_no_other()
    {
        using var served = new Served();
        using var good = served.Connect().Enter();
        served.Device.Limits = _ => throw new InvalidOperationException("it is gone");
        using var client = served.Connect();
        client.Greet();
        Assert.Equal(NbdClient.Policy, client.Option(NbdClient.OptInfo, NbdClient.InfoQuery(""))[^1].Type);
        Assert.Equal(NbdClient.Policy, client.Option(NbdClient.OptGo, NbdClient.InfoQuery(""))[^1].Type);
        Assert.True(Logged(served, "it is gone"));
        served.Device.Limits = null;
        client.Go("");
        Assert.Equal(0u, good.Do(NbdClient.Read, 0, 512).Error);
    }

    [Fact]
    public void A_queue_that_throws_ends_its_own_connection_only()
    {
        using var served = new Served();
        using var good = served.Connect().Enter();
        using var bad = served.Connect().Enter();
        served.Device.Fault = (operation, _, _) => operation == IoOperation.Discard ? throw new InvalidOperationException("it is confused") : IoStatus.Success;
        bad.Request(NbdClient.Trim, 0, 512);
        Assert.True(bad.IsClosed());
        Assert.True(Logged(served, "a connection failed and is closed: it is confused"));
        Assert.Equal(0u, good.Do(NbdClient.Read, 0, 512).Error);
        using var later = served.Connect().Enter();
    }

    [Fact]
    public void A_client_that_ended_and_takes_no_replies_is_given_up_after_its_time()
    {
        using var served = new Served(new NbdOptions { MaxConnections = 1 });
        using var client = served.Connect().Enter();
        Pass(served, TimeSpan.FromSeconds(11)); // The time of the handshake: behind it no deadline is left.
        for (var i = 0; i < 4; i++) client.Request(NbdClient.Read, 0, 1 << 20);
        client.Request(NbdClient.Disconnect, 0, 0);
        using var next = served.Connect();
        Thread.Sleep(200);
        Pass(served, TimeSpan.FromSeconds(29));
        Thread.Sleep(100);
        Assert.Equal(0, next.Socket.Available);
        Pass(served, TimeSpan.FromSeconds(2));
        next.Enter();
    }

    /// <summary>Lets time pass for the export.</summary>
    internal static void Pass(Served served, TimeSpan time) => served.Reactor.Invoke(() => served.Host.ManualTime = served.Host.GetTime() + (ulong)time.Ticks * 100);

    // While it lives no descriptor can be had: the limit is set a little above what is open, and what is left below it is taken.
    private sealed partial class NoDescriptors : IDisposable
    {
        private const int ResourceOpenFiles = 7;
        private readonly List<int> _taken = new(4096);
        private readonly Limit _before;

        public NoDescriptors()
        {
            getrlimit(ResourceOpenFiles, out _before);
            var highest = Directory.GetFileSystemEntries("/proc/self/fd").Max(path => int.Parse(Path.GetFileName(path)));
            setrlimit(ResourceOpenFiles, _before with { Current = (ulong)highest + 8 });
            while (dup(0) is var descriptor and >= 0) _taken.Add(descriptor);
        }

        public void Dispose()
        {
            setrlimit(ResourceOpenFiles, _before);
            foreach (var descriptor in _taken) close(descriptor);
        }

        private record struct Limit(ulong Current, ulong Maximum);

        [LibraryImport("libc")] private static partial int getrlimit(int resource, out Limit limit);
        [LibraryImport("libc")] private static partial int setrlimit(int resource, in Limit limit);
        [LibraryImport("libc")] private static partial int dup(int descriptor);
        [LibraryImport("libc")] private static partial int close(int descriptor);
    }
}
