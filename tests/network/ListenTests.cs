using System.Net;
using System.Net.Sockets;

namespace Comanche.Network.Tests;

/// <summary>Addresses, and what is left of them.</summary>
[Collection("alone")]
public sealed class ListenTests
{
    [Fact]
    public void A_stale_socket_is_replaced_and_a_living_one_is_refused()
    {
        using var served = new Served();
        var path = Path.Combine(served.Folder, "new", "folder", "other.sock");
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        using (var dead = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
        {
            dead.Bind(new UnixDomainSocketEndPoint(path));
            dead.Listen();
            dead.SafeHandle.DangerousGetHandle();
            File.Move(path, path + "x"); // The framework deletes by name what it bound.
        }

        File.Move(path + "x", path);
        using (new Served(new NbdOptions { Listen = [$"unix:{path}"], Mode = "0640" }))
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead, File.GetUnixFileMode(path));
        Assert.False(File.Exists(path));

        var refused = Assert.Throws<ComancheException>(() => new NbdExportAlone(served, $"unix:{served.SocketPath}").Start());
        Assert.Contains("another process listens there", refused.Message);
        File.WriteAllText(path, "mine");
        refused = Assert.Throws<ComancheException>(() => new NbdExportAlone(served, $"unix:{path}").Start());
        Assert.Contains("not a socket", refused.Message);
        Assert.Equal("mine", File.ReadAllText(path));
        using var client = served.Connect().Enter();
    }

    [Fact]
    public void A_tcp_port_that_the_kernel_chose_is_told()
    {
        using var served = new Served(new NbdOptions { Listen = ["tcp:127.0.0.1:0", "tcp:[::1]:0"] });
        Assert.Equal(2, served.Export.Addresses.Count);
        var port = int.Parse(served.Export.Addresses[0].Split(':')[^1]);
        Assert.Contains(served.Host.Lines, line => line.Message == $"listens on tcp:127.0.0.1:{port}");
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Connect("127.0.0.1", port);
        using var client = new NbdClient(new NetworkStream(socket, ownsSocket: true), socket).Enter();
        Assert.Equal(0u, client.Do(NbdClient.Write, 0, 3 << 20, payload: new byte[3 << 20]).Error);
        Assert.Equal(new byte[3 << 20], client.Do(NbdClient.Read, 0, 3 << 20).Data);
        var refused = Assert.Throws<ComancheException>(() => new NbdExportAlone(served, $"tcp:127.0.0.1:{port}").Start());
        Assert.Contains("in use", refused.Message);
    }

    [Theory]
    [InlineData("udp:1.2.3.4:5")]
    [InlineData("tcp:nowhere:1")]
    [InlineData("tcp:127.0.0.1")]
    [InlineData("tcp:127.0.0.1:70000")]
    [InlineData("unix:")]
    public void An_address_that_is_none_is_refused_by_name(string address)
    {
        using var served = new Served();
        var refused = Assert.Throws<ComancheException>(() => new NbdExportAlone(served, address).Start());
        Assert.Contains("listen", refused.Message);
    }

    [Fact]
    public void A_port_that_is_out_of_range_is_called_that()
    {
        using var served = new Served();
        Assert.Contains("port out of range", Assert.Throws<ComancheException>(() => new NbdExportAlone(served, "tcp:127.0.0.1:99999").Start()).Message);
    }

    [Fact]
    public void A_socket_whose_folder_is_gone_delays_no_stop()
    {
        using var served = new Served(new NbdOptions { Listen = [$"unix:{Path.Combine(Path.GetTempPath(), $"comanche-nbd-gone-{Environment.ProcessId}", "x.sock")}"] });
        var path = served.Export.Addresses[0]["unix:".Length..];
        using var client = served.Connect(path).Enter();
        Directory.Delete(Path.GetDirectoryName(path)!, recursive: true);
        var clock = System.Diagnostics.Stopwatch.StartNew();
        served.Stop();
        Assert.InRange(clock.Elapsed.TotalSeconds, 0, 3);
        Assert.True(client.IsClosed());
        Assert.Equal(1, served.Device.Counts[(int)IoOperation.Flush]);
    }

    [Fact]
    public void A_stop_leaves_alone_what_somebody_else_put_at_its_path()
    {
        using var first = new Served();
        File.Delete(first.SocketPath);
        using var second = new Served(new NbdOptions { Listen = [$"unix:{first.SocketPath}"] });
        first.Stop();
        using var client = first.Connect().Enter();
        second.Stop();
        Assert.False(File.Exists(first.SocketPath));
    }

    [Fact]
    public void A_start_that_fails_leaves_no_socket_and_says_at_which_address()
    {
        using var served = new Served();
        var left = Path.Combine(served.Folder, "left.sock");
        var file = Path.Combine(served.Folder, "file");
        File.WriteAllText(file, "");
        foreach (var bad in new[] { $"unix:{file}/x.sock", "unix:/proc/nope/x.sock" })
        {
            var refused = Assert.Throws<ComancheException>(() => new NbdExportAlone(served, $"unix:{left}", bad).Start());
            Assert.Contains($"cannot listen on {bad}", refused.Message);
            Assert.False(File.Exists(left));
        }

        Assert.Contains("is a folder", Assert.Throws<ComancheException>(() => new NbdExportAlone(served, $"unix:{served.Folder}").Start()).Message);
    }

    [Fact]
    public void All_addresses_of_both_protocols_share_a_port()
    {
        int port;
        using (var probe = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp))
        {
            probe.Bind(new IPEndPoint(IPAddress.Loopback, 0));
            port = ((IPEndPoint)probe.LocalEndPoint!).Port;
        }

        using var served = new Served(new NbdOptions { Listen = [$"tcp:[::]:{port}", $"tcp:0.0.0.0:{port}"] });
        foreach (var address in new[] { IPAddress.Loopback, IPAddress.IPv6Loopback })
        {
            var socket = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
            socket.Connect(address, port);
            using var client = new NbdClient(new NetworkStream(socket, ownsSocket: true), socket).Enter();
        }
    }

    [Fact]
    public void The_interface_of_a_link_local_address_reaches_the_kernel()
    {
        // Without it the kernel says "Invalid argument"; the loopback interface has no such address.
        using var served = new Served();
        var refused = Assert.Throws<ComancheException>(() => new NbdExportAlone(served, "tcp:[fe80::1%1]:0").Start());
        Assert.Contains("cannot listen on tcp:[fe80::1%1]:0", refused.Message);
        Assert.DoesNotContain("Invalid argument", refused.Message);
    }

    // A second export of the same volume, which is expected not to start.
    private sealed class NbdExportAlone(Served served, params string[] listen)
    {
        public void Start()
        {
            var export = new NbdExport(served.Host, new NbdOptions { Listen = listen });
            export.Bind(served.Device, "");
            try
            {
                export.Start();
            }
            finally
            {
                export.Release();
            }
        }
    }
}
