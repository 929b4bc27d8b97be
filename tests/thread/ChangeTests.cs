using System.Runtime.CompilerServices;
using System.Runtime.Loader;
using Comanche.Block;
using Comanche.Runtime;
using Comanche.Runtime.Composition;
using Comanche.Runtime.Loading;
using Comanche.Testing;

namespace Comanche.Threading.Tests;

/// <summary>Devices that are inserted, replaced and removed while I/O runs over them, verified all the while.</summary>
public sealed class ChangeTests
{
    private const string Stack = """
        devices:
          disk: { use: block/memory, size: 8MiB }
          top:  { use: thread/queue, on: disk }
        """;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    [Fact]
    public void A_layer_comes_and_goes_under_running_IO()
    {
        using var stand = new Stand(Stack);
        using var load = new VerifiedLoad(stand.Process.DefaultReactor, stand.Device("top"));
        for (var round = 0; round < 20; round++)
        {
            load.Advance();
            Assert.InRange(stand.Running.Insert("slow: { use: block/delay, write: 20us }", "disk", stand.Catalog, Patience).Pause, TimeSpan.Zero, Patience);
            Assert.Equal(["disk", "slow", "top"], stand.Running.Devices.Select(d => d.Name));
            load.Advance();
            stand.Running.Replace("slow: { use: block/delay, write: 5us, read: 5us }", stand.Catalog, Patience);
            load.Advance();
            stand.Running.Insert("pass: { use: block/pass, child: true }", "top", stand.Catalog, Patience);
            load.Advance();
            stand.Running.Remove("pass", Patience);
            stand.Running.Remove("slow", Patience);
            Assert.Equal(["disk", "top"], stand.Running.Devices.Select(d => d.Name));
        }
    }

    [Fact]
    public void What_cannot_start_leaves_everything_as_it_was()
    {
        using var stand = new Stand(Stack);
        using var load = new VerifiedLoad(stand.Process.DefaultReactor, stand.Device("top"));
        load.Advance();
        Assert.Contains("unknown component", Refused(() => stand.Running.Insert("x: { use: block/nosuch }", "disk", stand.Catalog, Patience)), StringComparison.Ordinal);
        Assert.Contains("there is no device 'disc'", Refused(() => stand.Running.Insert("x: { use: block/pass }", "disc", stand.Catalog, Patience)), StringComparison.Ordinal);
        Assert.Contains("already the name", Refused(() => stand.Running.Insert("top: { use: block/pass }", "disk", stand.Catalog, Patience)), StringComparison.Ordinal);
        Assert.Contains("they would find other data", Refused(() => stand.Running.Replace("disk: { use: block/memory, size: 8MiB }", stand.Catalog, Patience)), StringComparison.Ordinal);
        Assert.Contains("they would find other data", Refused(() => stand.Running.Renew("disk", stand.Catalog, Patience)), StringComparison.Ordinal);
        Assert.Contains("fewer than", Refused(() => stand.Running.Replace("disk: { use: block/memory, size: 4MiB }", stand.Catalog, Patience, isMeant: true)), StringComparison.Ordinal);
        Assert.Contains("its blocks have", Refused(() => stand.Running.Replace("disk: { use: block/memory, size: 8MiB, block-size: 4KiB }", stand.Catalog, Patience, isMeant: true)), StringComparison.Ordinal);
        Assert.Contains("can't be removed", Refused(() => stand.Running.Remove("disk", Patience)), StringComparison.Ordinal);
        Assert.Contains("/proc/nosuch", Refused(() => stand.Running.Replace("disk: { use: block/file, path: /proc/nosuch/file, size: 8MiB }", stand.Catalog, Patience, isMeant: true)), StringComparison.Ordinal);
        Assert.Equal(["disk", "top"], stand.Running.Devices.Select(d => d.Name));
        load.Advance();
    }

    [Fact]
    public void A_paused_stack_keeps_its_clients_waiting_and_goes_on()
    {
        using var stand = new Stand(Stack);
        using var load = new VerifiedLoad(stand.Process.DefaultReactor, stand.Device("top"));
        load.Advance();
        stand.Running.Pause(Patience);
        Assert.True(stand.Running.IsPaused);
        var before = load.Rounds;
        Thread.Sleep(50);
        Assert.Equal(before, load.Rounds);
        stand.Running.GoOn(Patience);
        load.Advance();
    }

    [Fact]
    public void A_queue_whose_owner_does_not_answer_takes_the_change_back()
    {
        using var stand = new Stand(Stack);
        var options = new QueueOptions { Depth = 1 };
        IIoQueue queue;
        unsafe
        {
            queue = stand.Device("top").OpenQueue(&options); // By a thread that is no reactor, and does nothing.
        }

        using var load = new VerifiedLoad(stand.Process.DefaultReactor, stand.Device("top"));
        load.Advance();
        Assert.Contains("1 of 2 queues did not come to rest", Refused(() => stand.Running.Insert("x: { use: block/pass }", "top", stand.Catalog, TimeSpan.FromMilliseconds(100))), StringComparison.Ordinal);
        load.Advance();
        queue.Close();
        stand.Running.Insert("x: { use: block/pass }", "top", stand.Catalog, Patience);
        load.Advance();
    }

    [Fact]
    public void A_queue_that_several_threads_share_is_no_obstacle_also_at_rest()
    {
        using var stand = new Stand("""
            devices:
              disk: { use: block/memory, size: 8MiB }
              top:  { use: thread/mutex, on: disk }
            """);
        stand.Running.Insert("pass: { use: block/pass, child: true }", "disk", stand.Catalog, Patience);
        using var load = new VerifiedLoad(stand.Process.DefaultReactor, stand.Device("top"));
        load.Advance();
        stand.Running.Remove("pass", Patience);
        load.Advance();
    }

    [Fact]
    public void A_newer_build_takes_the_place_of_an_older_one_whose_code_goes()
    {
        using var folders = new Folders();
        using var stand = new Stand(
            """
            devices:
              disk:  { use: block/memory, size: 8MiB }
              count: { use: example/count, on: disk, collectible: true }
              top:   { use: thread/queue, on: count }
            """,
            folders.Add("first"));
        using var load = new VerifiedLoad(stand.Process.DefaultReactor, stand.Device("top"));
        load.Advance();
        for (var round = 0; round < 3; round++)
        {
            var old = ContextOf(stand, "count");
            Assert.True(old.IsAlive);
            Renew(stand, folders.Add($"build{round}"));
            load.Advance();
            Assert.True(IsGone(old), "the code of the older build is still there");
        }

        Assert.Contains("build2", Path.GetFileName(Path.GetDirectoryName(stand.Running.Find("count")!.Definition.Kind!.Source)!), StringComparison.Ordinal);
    }

    // What holds references stays in methods of their own, so that no local keeps them alive.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Renew(Stand stand, string folder)
    {
        var catalog = new ComponentCatalog();
        catalog.AddFolder(folder);
        stand.Running.Renew("count", catalog, Patience);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static WeakReference ContextOf(Stand stand, string name)
    {
        var edge = (Edge)stand.Running.Find(name)!.Component;
        var context = AssemblyLoadContext.GetLoadContext(edge.Device.GetType().Assembly)!;
        Assert.True(context.IsCollectible, "the component was loaded into an ordinary context");
        return new WeakReference(context, trackResurrection: true);
    }

    private static bool IsGone(WeakReference context)
    {
        for (var i = 0; i < 50 && context.IsAlive; i++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }

        return !context.IsAlive;
    }

    private static string Refused(Action change) => Assert.Throws<ComancheException>(change).Message;

    /// <summary>Folders with a copy each of the assembly of examples.</summary>
    private sealed class Folders : IDisposable
    {
        private readonly string _path = Directory.CreateTempSubdirectory("comanche-builds-").FullName;

        public string Add(string name)
        {
            var configuration = Path.GetFileName(Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory));
            var folder = Directory.CreateDirectory(Path.Combine(_path, name)).FullName;
            File.Copy(Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "..", "..", "Comanche.Examples", configuration, "Comanche.Examples.dll")), Path.Combine(folder, "Comanche.Examples.dll"));
            return folder;
        }

        public void Dispose() => Directory.Delete(_path, recursive: true);
    }

    /// <summary>A stack of real components that runs.</summary>
    private sealed class Stand : IDisposable
    {
        private readonly StackProcess _stack;

        public Stand(string text, string? folder = null)
        {
            if (folder is not null) Catalog.AddFolder(folder);
            Catalog.AddAssembly(typeof(MemoryDevice).Assembly.Location);
            Catalog.AddAssembly(typeof(QueueDevice).Assembly.Location);
            _stack = new StackProcess(Process) { IsChangeable = true, CountsEveryDevice = true };
            var good = StackChecker.Check(StackFile.Parse("test.yaml", text), Catalog);
            Assert.Equal([], good.Problems);
            Running = RunningStack.Start(good, _stack, new ComposeOptions());
        }

        public ComancheProcess Process { get; } = new();

        public ComponentCatalog Catalog { get; } = new();

        public RunningStack Running { get; }

        public IBlockDevice Device(string name) => Running.Find(name)!.Device!;

        public void Dispose()
        {
            Running.Stop();
            _stack.Dispose();
            Assert.Equal(0, Process.Memory.Statistics.Buffers);
            Process.Dispose();
        }
    }
}
