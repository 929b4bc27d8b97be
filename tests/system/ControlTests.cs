using System.Net.Sockets;
using System.Text;
using System.Text.Json.Nodes;

namespace Comanche.System.Tests;

/// <summary>A stack that runs is used by other processes, looked at and changed, as people do it.</summary>
public sealed class ControlTests : IDisposable
{
    private const string Stack = """
        stack: shared
        devices:
          disk: { use: block/memory, size: 16MiB }
        exports:
          share: { use: thread/share, on: disk, socket: share.sock, names: [disk] }
        """;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly TempFolder _folder = new();

    public ControlTests() => _folder.Write("s.yaml", Stack);

    private string Socket => Path.Combine(_folder.Path, "ctl.sock");

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_layer_comes_and_goes_under_a_client_in_another_process_and_the_file_can_be_saved()
    {
        using var run = Start();
        using var load = new CliProcess(
            Cli.Executable, _folder.Path, "bench", "--attach", "share.sock:disk", "--rw", "randrw", "--iodepth", "8", "--numjobs", "2", "--processes", "--runtime", "4", "--json", "--yes-destroy");
        WaitForClients(2);
        for (var round = 0; round < 4; round++)
        {
            Assert.Matches(@"^done; I/O stood still for \d", Ctl("insert", "slow: { use: block/delay, write: 50us }", "--below", "disk"));
            Ctl("replace", "slow: { use: block/delay, read: 50us }");
            if (round == 0) Assert.Contains("written: ", Ctl("save"), StringComparison.Ordinal);
            Ctl("remove", "slow");
        }

        Ctl("pause");
        Assert.True(Ask("status")["paused"]!.GetValue<bool>());
        Ctl("resume");
        var result = load.Wait(Patience);
        Assert.True(result.ExitCode == 0, result.Error);
        var job = JsonNode.Parse(result.Output)!["jobs"]![0]!;
        Assert.Equal(0, job["error"]!.GetValue<int>());
        Assert.True(job["read"]!["total_ios"]!.GetValue<long>() > 100);
        Assert.Contains("slow: { use: block/delay, read: 50us, on: disk }", File.ReadAllText(Path.Combine(_folder.Path, "s.yaml")), StringComparison.Ordinal);
        Assert.Contains("on: slow", File.ReadAllText(Path.Combine(_folder.Path, "s.yaml")), StringComparison.Ordinal);
        Ctl("stop");
        Assert.Equal(0, run.Wait(Patience).ExitCode);
        Assert.False(File.Exists(Socket), "the control socket is left behind");
        Assert.Equal(0, Cli.Run(_folder.Path, "check", "s.yaml").ExitCode);
    }

    [Fact]
    public void What_one_process_wrote_another_one_finds()
    {
        using var run = Start();
        var result = Cli.Run(_folder.Path, "bench", "--attach", "share.sock", "--rw", "randwrite", "--verify", "crc32c", "--numjobs", "2", "--processes", "--yes-destroy");
        Assert.True(result.ExitCode == 0, result.Error);
        var refused = Cli.Run(_folder.Path, "bench", "--attach", "share.sock", "--rw", "randwrite");
        Assert.Equal(2, refused.ExitCode);
        Assert.Contains("--yes-destroy", refused.Error, StringComparison.Ordinal);
        Ctl("stop");
        Assert.Equal(0, run.Wait(Patience).ExitCode);
    }

    [Fact]
    public void A_client_is_limited_while_it_runs()
    {
        using var run = Start();
        using (var load = new CliProcess(Cli.Executable, _folder.Path, "bench", "--attach", "share.sock", "--rw", "randread", "--iodepth", "8", "--runtime", "300"))
        {
            WaitForClients(1);
            LimitTheOnlyClient();
        }

        Ctl("stop");
        Assert.Equal(0, run.Wait(Patience).ExitCode);
    }

    [Fact]
    public void Save_writes_the_file_behind_a_link_and_nothing_that_somebody_else_changed_or_protected()
    {
        var file = Path.Combine(_folder.Path, "s.yaml");
        var target = Path.Combine(_folder.Path, "real.yaml");
        File.Move(file, target);
        File.CreateSymbolicLink(file, "real.yaml");
        using var run = Start();
        Ctl("insert", "pass: { use: block/pass }", "--below", "disk");
        File.SetUnixFileMode(target, UnixFileMode.UserRead);
        Assert.Contains("is write-protected; nothing was written", Refused("save"), StringComparison.Ordinal);
        File.SetUnixFileMode(target, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead);
        Ctl("save");
        Assert.Equal("real.yaml", new FileInfo(file).LinkTarget);
        Assert.Contains("pass: { use: block/pass, on: disk }", File.ReadAllText(target), StringComparison.Ordinal);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead, File.GetUnixFileMode(target));
        File.AppendAllText(target, "# by hand\n");
        Ctl("remove", "pass");
        Assert.Contains("was changed by somebody else", Refused("save"), StringComparison.Ordinal);
        File.Delete(target);
        Assert.Contains("is not there any more", Refused("save"), StringComparison.Ordinal);
        Assert.DoesNotContain(Directory.GetFiles(_folder.Path), f => f.EndsWith(".new", StringComparison.Ordinal));
    }

    [Fact]
    public void What_cannot_be_done_is_said_in_one_line()
    {
        using var run = Start();
        foreach (var (words, said) in new (string[], string)[]
        {
            (["insert", "x: { use: block/nosuch }", "--below", "disk"], "unknown component 'block/nosuch'"),
            (["insert", "x: { use: block/pass }", "--below", "dusk"], "there is no device 'dusk'; did you mean 'disk'?"),
            (["insert", "nonsense", "--below", "disk"], "a mapping of names to devices"),
            (["replace", "disk: { use: block/memory, size: 16MiB }"], "they would find other data than before"),
            (["replace", "disk"], "they would find other data than before"),
            (["replace", "disk: { use: block/memory, size: 1MiB }", "--yes-destroy"], "fewer than 32768"),
            (["remove", "disk"], "can't be removed"),
            (["remove", "share"], "is no block device"),
            (["limit", "shade", "1", "--iops", "1"], "there is no export 'shade'; did you mean 'share'?"),
            (["limit", "disk", "1", "--iops", "1"], "'disk' does not limit its clients"),
            (["limit", "share", "1", "--iops", "1"], "there is no client 1"),
            (["limit", "share", "*"], "at least one of iops, bandwidth and burst"),
            (["limit", "share", "*", "--iops", "-1"], "is no number of I/Os per second"),
            (["limit", "share", "*", "--burst", "2h"], "not from 0s to 1h"),
        })
        {
            var result = Cli.Run(_folder.Path, ["ctl", "--socket", "ctl.sock", .. words]);
            Assert.Equal(1, result.ExitCode);
            Assert.Contains(said, result.Error, StringComparison.Ordinal);
            Assert.Single(result.Error.TrimEnd().Split('\n'));
        }

        Assert.Equal(1, Cli.Run(_folder.Path, "ctl", "--socket", "nosuch.sock", "status").ExitCode);
        Assert.Equal(["disk", "share"], Ask("status")["devices"]!.AsArray().Select(d => d!["name"]!.GetValue<string>()));
    }

    [Fact]
    public void The_socket_speaks_JSON_RPC_in_lines_and_in_frames_and_survives_nonsense()
    {
        using var run = Start();
        Assert.Contains("\"code\":-32700", Say("{ nonsense\n"), StringComparison.Ordinal);
        Assert.Contains("\"code\":-32600", Say("[]\n"), StringComparison.Ordinal);
        Assert.Contains("\"code\":-32600", Say("{\"method\":\"status\"}\n"), StringComparison.Ordinal);
        Assert.Contains("did you mean 'status'", Say("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"stitus\"}\n"), StringComparison.Ordinal);
        Assert.Matches("^\\[\\{.*\"id\":1.*\"id\":\"two\"", Say("[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"clients\"},{\"jsonrpc\":\"2.0\",\"method\":\"stats\"},{\"jsonrpc\":\"2.0\",\"id\":\"two\",\"method\":\"clients\"}]\n"));
        const string Request = "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"clients\"}";
        Assert.StartsWith("Content-Length: ", Say($"Content-Length: {Request.Length}\r\nX-Other: 1\r\n\r\n{Request}"), StringComparison.Ordinal);
        Assert.Equal("", Say("Content-Length: 99999999999\r\n\r\n"));
        Assert.Equal("", Say(new string('x', (1 << 20) + 70_000)));
        Assert.Equal("shared", Ask("status")["stack"]!.GetValue<string>());
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Socket));
    }

    private void LimitTheOnlyClient()
    {
        Assert.Null(Ask("clients")[0]!["iops"]);
        Ctl("limit", "share", Ask("clients")[0]!["id"]!.ToString(), "--iops", "400", "--burst", "10ms");
        Ctl("limit", "share", "*", "--bandwidth", "64MiB");
        var client = Ask("clients")[0]!;
        Assert.Equal((400, 64L << 20, 10_000.0), (client["iops"]!.GetValue<int>(), client["bandwidth"]!.GetValue<long>(), client["burst_us"]!.GetValue<double>()));
        Assert.Contains("67108864", Ctl("clients"), StringComparison.Ordinal);

        // Both looks lie within what the clock takes, however slow the machine is; unlimited it would be hundreds of times as many.
        var clock = global::System.Diagnostics.Stopwatch.StartNew();
        var before = Reads();
        Thread.Sleep(1000);
        var after = Reads();
        Assert.InRange(after - before, 1, 400 * (clock.Elapsed.TotalSeconds + 1));
        Ctl("limit", "share", "*", "--iops", "0", "--bandwidth", "0");
        Assert.Null(Ask("clients")[0]!["iops"]);
        var until = DateTime.UtcNow + Patience;
        while (Reads() < after + 20_000) Assert.True(DateTime.UtcNow < until, "it is limited still");
    }

    private CliProcess Start()
    {
        var run = new CliProcess(Cli.Executable, _folder.Path, "run", "s.yaml", "--control", "ctl.sock");
        run.Expect("runs, process");
        return run;
    }

    private void WaitForClients(int count)
    {
        var until = DateTime.UtcNow + Patience;
        while (Ask("clients").AsArray().Count < count) Assert.True(DateTime.UtcNow < until, "the clients do not come");
    }

    private string Refused(params string[] words)
    {
        var result = Cli.Run(_folder.Path, ["ctl", "--socket", "ctl.sock", .. words]);
        Assert.Equal(1, result.ExitCode);
        return result.Error;
    }

    private string Ctl(params string[] words)
    {
        var result = Cli.Run(_folder.Path, ["ctl", "--socket", "ctl.sock", .. words]);
        Assert.True(result.ExitCode == 0, result.Error);
        return result.Output;
    }

    private long Reads() => Ask("stats")["devices"]![0]!["read"]?["operations"]!.GetValue<long>() ?? 0;

    private JsonNode Ask(string method) => JsonNode.Parse(Ctl(method, "--json"))!;

    // Sends bytes and gives what comes back first; nothing where the server hangs up.
    private string Say(string text)
    {
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) { ReceiveTimeout = 20_000, SendTimeout = 20_000 };
        socket.Connect(new UnixDomainSocketEndPoint(Socket));
        try
        {
            socket.Send(Encoding.UTF8.GetBytes(text));
        }
        catch (SocketException)
        {
            return ""; // It did not want to hear the rest.
        }

        try
        {
            var buffer = new byte[65536];
            return Encoding.UTF8.GetString(buffer, 0, socket.Receive(buffer));
        }
        catch (SocketException e) when (e.SocketErrorCode is SocketError.ConnectionReset or SocketError.Shutdown)
        {
            return "";
        }
    }
}
