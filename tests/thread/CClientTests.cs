using System.Buffers.Binary;
using System.Diagnostics;
using System.Globalization;
using System.Numerics;
using Comanche.Block;
using Comanche.Runtime;
using Comanche.Testing;

namespace Comanche.Threading.Tests;

/// <summary>The client library in C (native/client), by a program that uses it from another process.</summary>
public sealed class CClientTests(CClientPrograms programs) : IClassFixture<CClientPrograms>, IDisposable
{
    private const int BlockSize = 512;
    private const string Device = "disk";

    private readonly string _folder = Directory.CreateTempSubdirectory("comanche-client-").FullName;
    private readonly ComancheProcess _process = new();
    private readonly Stack<IBase> _components = new();

    private string Socket => Path.Combine(_folder, "share.sock");

    public void Dispose()
    {
        try
        {
            while (_components.TryPop(out var component))
            {
                component.Stop();
                component.Release();
            }

            _process.Dispose();
        }
        finally
        {
            Directory.Delete(_folder, recursive: true);
        }
    }

    [Fact]
    public void The_library_compiles_for_C_and_its_header_for_Cpp()
    {
        Assert.True(File.Exists(programs.Plain));
        Tools.Need("c++", "g++");
        var source = Path.Combine(_folder, "header.cpp");
        File.WriteAllText(source, "#include \"comanche_client.h\"\nint main() { return comanche_attach(\"\", \"\", nullptr, 0) != nullptr; }\n");
        var (code, output) = Tools.Run("c++", ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", .. CClientPrograms.Includes, source]);
        Assert.True(code == 0, output);
    }

    [Theory]
    [InlineData("plain")]
    [InlineData("vector")]
    [InlineData("copy")]
    public void What_C_wrote_is_what_CSharp_reads(string mode)
    {
        var program = programs.Plain;
        Share(new ShareOptions { Socket = Socket });
        Assert.Equal("wrote 5000 blocks\n", Use(program, "write", "77", "5000", "42", mode));
        using var io = new SyncIo(Attach(), _process.CreateHost("reader"), Device);
        var bytes = new byte[5000 * BlockSize];
        io.Read(77, bytes);
        Assert.True(bytes.AsSpan().SequenceEqual(Pattern(77 * BlockSize, bytes.Length, seed: 42)));

        // What lies beside it was not touched.
        io.Read(76, bytes.AsSpan(0, BlockSize));
        Assert.Equal(-1, bytes.AsSpan(0, BlockSize).IndexOfAnyExcept((byte)0));
        io.Read(5077, bytes.AsSpan(0, BlockSize));
        Assert.Equal(-1, bytes.AsSpan(0, BlockSize).IndexOfAnyExcept((byte)0));
    }

    [Theory]
    [InlineData("plain")]
    [InlineData("vector")]
    [InlineData("copy")]
    public void What_CSharp_wrote_is_what_C_reads(string mode)
    {
        var program = programs.Plain;
        Share(new ShareOptions { Socket = Socket });
        using var io = new SyncIo(Attach(), _process.CreateHost("writer"), Device);
        var bytes = new byte[3000 * BlockSize];
        new Random(7).NextBytes(bytes);
        io.Write(1001, bytes);
        var expected = $"crc32c {Crc32C(bytes):x8} first {Convert.ToHexStringLower(bytes.AsSpan(0, 16))}\n";
        Assert.Equal(expected, Use(program, "read", "1001", "3000", mode));
        io.Write(4, Pattern(4 * BlockSize, 100 * BlockSize, seed: 9));
        Assert.Equal("verified 100 blocks\n", Use(program, "verify", "4", "100", "9", mode));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(50_000)]
    public void Requests_at_depth_32_are_verified(int spinNs)
    {
        var program = programs.Plain;
        Share(new ShareOptions { Socket = Socket });
        var output = Use(program, "random", "1", "60000", spinNs.ToString(CultureInfo.InvariantCulture));
        Assert.StartsWith("did 60000 requests", output, StringComparison.Ordinal);
        Assert.EndsWith("32 at a time\n", output, StringComparison.Ordinal);
    }

    [Fact]
    public void Requests_are_verified_on_a_device_that_refuses_and_reorders()
    {
        var program = programs.Plain;
        var strict = Share(new ShareOptions { Socket = Socket, Depth = 8, Burst = 3 }, stubborn: new Random(5));
        Assert.StartsWith("did 5000 requests", Use(program, "random", "2", "5000", "0"), StringComparison.Ordinal);
        Assert.Equal("wrote 700 blocks\n", Use(program, "write", "3", "700", "42", "vector"));
        Assert.Equal("verified 700 blocks\n", Use(program, "verify", "3", "700", "42", "copy"));
        Assert.Equal("verified 700 blocks\n", Use(program, "verify", "3", "700", "42", "plain"));
        Assert.Equal("allocated for 100 rounds\n", Use(program, "memory", "100"));
        Assert.Equal([], strict!.Violations);
    }

    [Fact]
    public void Sanitizers_find_nothing()
    {
        var program = programs.Sanitized;
        Share(new ShareOptions { Socket = Socket });
        Assert.StartsWith("did 5000 requests", Use(program, "random", "3", "5000", "10000"), StringComparison.Ordinal);
        Assert.Equal("wrote 500 blocks\n", Use(program, "write", "1", "500", "1", "vector"));
        Assert.Equal("verified 500 blocks\n", Use(program, "verify", "1", "500", "1", "copy"));
        Assert.Equal("allocated for 300 rounds\n", Use(program, "memory", "300"));
        Assert.Equal("gave up 20 rounds\n", Use(program, "cancel", "20"));
        Assert.Equal("the parent goes on\n", Use(program, "fork"));
        Use(program, "refuse");
        var (code, output) = Tools.Run(program, Socket, "nothing", "info");
        Assert.True(code == 1 && output.StartsWith("refused: ", StringComparison.Ordinal), output);
    }

    [Fact]
    public void What_is_wrong_comes_back_with_its_status()
    {
        var program = programs.Plain;
        Share(new ShareOptions { Socket = Socket });
        Assert.Equal(
            """
            nothing: success
            beyond the end: out of range
            no blocks: invalid argument
            not shared: invalid argument
            a segment not shared: invalid argument
            operation 255: invalid argument

            """, Use(program, "refuse"));
        Assert.Equal("32768 blocks of 512, state 0, depth 1024\n", Use(program, "info"));
    }

    [Fact]
    public void Queues_are_abandoned_and_closed_without_a_rest()
    {
        // More rounds than the server has room for queues, and one client at a time: what is not given back would be missed.
        var program = programs.Plain;
        Share(new ShareOptions { Socket = Socket, MaxQueues = 2 });
        Assert.Equal("gave up 200 rounds\n", Use(program, "cancel", "200"));
    }

    [Fact]
    public void Memory_comes_and_goes()
    {
        var program = programs.Plain;
        Share(new ShareOptions { Socket = Socket, MaxMemory = ByteSize.MiB(256) });
        Assert.Equal("allocated for 3000 rounds\n", Use(program, "memory", "3000"));
    }

    [Fact]
    public void A_child_gives_up_what_it_inherited_and_the_parent_goes_on()
    {
        var program = programs.Plain;
        Share(new ShareOptions { Socket = Socket });
        Assert.Equal("the parent goes on\n", Use(program, "fork"));
    }

    [Fact]
    public void A_refusal_is_told_in_the_words_of_the_server()
    {
        var program = programs.Plain;
        Share(new ShareOptions { Socket = Socket, MaxClients = 1 });
        Assert.Equal((1, $"refused: no device 'tape' is shared here; there are {Device}\n"), Tools.Run(program, Socket, "tape", "info"));
        Assert.Equal((1, $"refused: cannot attach to {Socket}.not: there is no such socket\n"), Tools.Run(program, Socket + ".not", Device, "info"));
        Attach();

        // The server closes the socket at once; whoever comes to ask has its words all the same.
        for (var i = 0; i < 30; i++)
            Assert.Equal((1, "refused: 1 clients are attached, which is the most\n"), Tools.Run(program, Socket, Device, "info"));
    }

    [Fact]
    public void The_end_of_the_server_ends_every_request_as_removed()
    {
        var program = programs.Plain;
        Share(new ShareOptions { Socket = Socket });
        using var holder = Process.Start(new ProcessStartInfo(program, [Socket, Device, "hold"]) { RedirectStandardOutput = true })!;
        try
        {
            Assert.Equal("holds", holder.StandardOutput.ReadLine());
            var share = _components.Pop();
            share.Stop();
            share.Release();
            Assert.True(holder.WaitForExit(20_000), "the program hangs");
            Assert.Equal((0, "32 reads ended: device removed; the server is gone\n"), (holder.ExitCode, holder.StandardOutput.ReadToEnd()));
        }
        finally
        {
            if (!holder.HasExited) holder.Kill();
        }
    }

    [Fact]
    public void The_end_of_the_program_leaves_the_server_to_others()
    {
        var program = programs.Plain;
        Share(new ShareOptions { Socket = Socket, MaxClients = 1 });
        for (var round = 0; round < 5; round++)
        {
            Assert.Equal("holds", OnceThereIsRoom(() =>
            {
                using var holder = Process.Start(new ProcessStartInfo(program, [Socket, Device, "hold"]) { RedirectStandardOutput = true })!;
                try
                {
                    return holder.StandardOutput.ReadLine() ?? "";
                }
                finally
                {
                    holder.Kill();
                    holder.WaitForExit();
                }
            }));
            Assert.Equal("wrote 10 blocks\n", OnceThereIsRoom(() => Tools.Run(program, Socket, Device, "write", "0", "10", "1", "plain").Output));
        }
    }

    // One is let in once the server has noticed that the one before is gone.
    private static string OnceThereIsRoom(Func<string> run)
    {
        var watch = Stopwatch.StartNew();
        while (true)
        {
            var output = run();
            if (!output.StartsWith("refused", StringComparison.Ordinal) || watch.Elapsed > TimeSpan.FromSeconds(20)) return output;
        }
    }

    // The same function is in client_test.c.
    private static byte[] Pattern(long offset, int length, ulong seed)
    {
        var bytes = new byte[length];
        for (var at = 0; at < length; at += 8)
        {
            var z = seed + ((ulong)(offset + at) / 8 + 1) * 0x9E3779B97F4A7C15;
            z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
            z = (z ^ z >> 27) * 0x94D049BB133111EB;
            BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(at), z ^ z >> 31);
        }

        return bytes;
    }

    private static uint Crc32C(byte[] bytes) => ~bytes.Aggregate(~0u, BitOperations.Crc32C);

    private StrictDevice? Share(ShareOptions options, Random? stubborn = null)
    {
        IBase device = new MemoryDevice(_process.CreateHost(stubborn is null ? Device : "memory"), new MemoryOptions { Size = ByteSize.MiB(16), BlockSize = new(BlockSize) });
        Start(device);
        StrictDevice? strict = null;
        if (stubborn is not null)
        {
            strict = new StrictDevice(_process.CreateHost(Device), stubborn)
            {
                Limits = volume =>
                {
                    volume.MaxTransferBlocks = 48;
                    volume.MaxSegments = 5;
                    volume.BufferAlignment = 1024;
                    return volume;
                },
            };
            Start(strict, device);
            device = strict;
        }

        Start(new ShareExport(_process.CreateHost("share"), options), device);
        return strict;
    }

    private IBlockDevice Attach()
    {
        var attached = ComancheClient.Connect(_process.CreateHost("attached"), Socket, Device);
        _components.Push(attached);
        return attached;
    }

    private void Start(IBase component, IBase? below = null)
    {
        _components.Push(component);
        if (below is not null) component.Bind(below, "");
        component.Start();
    }

    private string Use(string program, params string[] arguments)
    {
        var (code, output) = Tools.Run(program, [Socket, Device, .. arguments]);
        Assert.True(code == 0, output);
        return output;
    }
}
