using System.Security.Cryptography;
using Comanche.Testing;

namespace Comanche.System.Tests;

/// <summary>The main job on real clients: the quickstart stack served over NBD, through an orderly end, a kill, and a second server.</summary>
public sealed class QuickstartTests : IDisposable
{
    private const string Uri = "nbd+unix:///?socket=data/volume.sock";
    private const int DataBytes = 1 << 20;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly TempFolder _folder = new();

    public QuickstartTests()
    {
        // As it comes with the program, but with smaller disks: what is tested here does not depend on their size.
        var text = File.ReadAllText(Path.Combine(Cli.Root, "stacks", "quickstart.yaml"));
        Assert.Contains("size: 1GiB", text);
        _folder.Write("quickstart.yaml", text.Replace("size: 1GiB", "size: 32MiB", StringComparison.Ordinal));
    }

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void What_clients_wrote_is_there_after_an_orderly_end_and_after_a_kill()
    {
        Tools.Need("qemu-img", "qemu-utils");
        Tools.Need("qemu-io", "qemu-utils");
        var socket = Path.Combine(_folder.Path, "data", "volume.sock");
        using (var first = Start())
        {
            first.Expect("runs, process");
            Assert.Contains("virtual size", Client("qemu-img", "info", Uri));
            Client("qemu-io", "-f", "raw", "-c", $"write -P 0x5a 0 {DataBytes}", "-c", "flush", Uri);
            first.Signal("TERM");
            Assert.Equal(0, first.Wait(Patience).ExitCode);
        }

        Assert.False(File.Exists(socket), "an orderly end removes the socket");
        using (var second = Start())
        {
            second.Expect("runs, process");
            Client("qemu-io", "-f", "raw", "-c", $"read -P 0x5a 0 {DataBytes}", "-c", $"write -P 0xa5 {DataBytes} {DataBytes}", "-c", "flush", Uri);
            second.Signal("KILL");
            second.Wait(Patience);
        }

        Assert.True(File.Exists(socket), "a killed server leaves its socket behind");
        using var third = Start();
        third.Expect("runs, process");
        Client("qemu-io", "-f", "raw", "-c", $"read -P 0x5a 0 {DataBytes}", "-c", $"read -P 0xa5 {DataBytes} {DataBytes}", Uri);
    }

    [Fact]
    public void The_socket_and_the_disks_of_a_living_server_are_refused()
    {
        using var first = Start();
        first.Expect("runs, process");
        var text = File.ReadAllText(Path.Combine(_folder.Path, "quickstart.yaml"));
        var samePlace = Cli.Run(_folder.Path, "run", _folder.Write("disks.yaml", text.Replace("volume.sock", "other.sock", StringComparison.Ordinal)));
        Assert.Equal(1, samePlace.ExitCode);
        Assert.Contains("disks.yaml:5:3: error: disk0: ", samePlace.Error);
        var sameSocket = Cli.Run(_folder.Path, "run", _folder.Write("socket.yaml", "devices:\n  ram: { use: block/memory, size: 1MiB }\nexports:\n  nbd: { use: network/nbd, on: ram, listen: \"unix:data/volume.sock\" }\n"));
        Assert.Equal(1, sameSocket.ExitCode);
        Assert.Contains("socket.yaml:4:3: error: nbd: ", sameSocket.Error);
        Assert.True(File.Exists(Path.Combine(_folder.Path, "data", "volume.sock")), "the refused server leaves the living one's socket alone");
    }

    [Fact]
    public void Checking_and_probing_change_nothing()
    {
        using (var run = Start())
        {
            run.Expect("runs, process");
            run.Signal("TERM");
            Assert.Equal(0, run.Wait(Patience).ExitCode);
        }

        var before = Hashes();
        var probe = Cli.Run(_folder.Path, "check", "--probe", "quickstart.yaml");
        Assert.Equal((0, ""), (probe.ExitCode, probe.Error));
        Assert.Contains("disk0: 32MiB, ", probe.Output);
        Assert.Contains("volume: ", probe.Output);
        Assert.Equal(before, Hashes());
    }

    private CliProcess Start() => new(Cli.Executable, _folder.Path, "run", "quickstart.yaml");

    private string[] Hashes() =>
        [.. new[] { "disk0.img", "disk1.img" }.Select(name => Convert.ToHexString(SHA256.HashData(File.ReadAllBytes(Path.Combine(_folder.Path, "data", name)))))];

    // qemu-io ends with 0 also where a pattern does not match, and says so.
    private string Client(string program, params string[] arguments)
    {
        var result = Cli.RunProgram(program, _folder.Path, Patience, arguments);
        Assert.True(result.ExitCode == 0 && !result.Output.Contains("failed", StringComparison.Ordinal), $"{program}: {result.Output}{result.Error}");
        return result.Output;
    }
}
