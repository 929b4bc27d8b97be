using Comanche.Block;
using Comanche.Runtime;
using Comanche.Runtime.Composition;
using Comanche.Runtime.Loading;

namespace Comanche.Threading.Tests;

/// <summary>A change of a running stack of which a step fails.</summary>
public sealed class ChangeFailureTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    [Theory]
    [InlineData("create")]
    [InlineData("bind")]
    [InlineData("start")]
    [InlineData("open")]
    public void A_device_that_cannot_be_inserted_leaves_nothing_behind(string step)
    {
        var process = new ComancheProcess();
        var (running, stack, catalog) = Start(process, "devices:\n  disk: { use: block/memory, size: 8MiB }\n  top: { use: thread/queue, on: disk }\n");
        using (var load = new VerifiedLoad(process.DefaultReactor, running.Find("top")!.Device!))
        {
            load.Advance();
            Assert.Contains($"{step} fails", Refused(() => running.Insert($"x: {{ use: test/faulty, fails: {step} }}", "disk", catalog, Patience)), StringComparison.Ordinal);
            load.Advance();
        }

        var disk = ((Edge)running.Find("disk")!.Component).Device;
        running.Stop();
        stack.Dispose();
        Assert.Throws<ComancheException>(() => { disk.Retain(); }); // It is closed.
        process.Dispose();
    }

    [Fact]
    public void A_device_on_which_no_queue_opens_is_taken_back()
    {
        var process = new ComancheProcess();
        var (running, stack, catalog) = Start(process, "devices:\n  disk: { use: block/memory, size: 8MiB }\n  mid: { use: test/faulty, on: disk }\n");
        using (var load = new VerifiedLoad(process.DefaultReactor, running.Find("mid")!.Device!))
        {
            for (var round = 0; round < 20; round++)
            {
                Assert.Contains("open fails", Refused(() => running.Replace("mid: { use: test/faulty, fails: open }", catalog, Patience)), StringComparison.Ordinal);
                Assert.False(running.IsPaused);
                load.Advance();
            }
        }

        running.Stop();
        stack.Dispose();
        process.Dispose();
    }

    [Fact]
    public void A_device_that_stands_on_another_one_after_a_change_still_stops_before_it()
    {
        var process = new ComancheProcess();
        var (running, stack, catalog) = Start(
            process, "devices:\n  first: { use: block/memory, size: 8MiB }\n  top: { use: thread/mutex, on: first }\n  second: { use: block/memory, size: 8MiB }\n");
        running.Replace("top: { use: thread/mutex, on: second }", catalog, Patience, isMeant: true);
        running.Stop();
        stack.Dispose();
        process.Dispose();
    }

    [Fact]
    public void Where_the_way_back_fails_too_IO_does_not_hang()
    {
        var process = new ComancheProcess();
        var (running, stack, catalog) = Start(process, "devices:\n  disk: { use: block/memory, size: 8MiB }\n  mid: { use: test/faulty, on: disk, fails: restart }\n");
        var reason = Refused(() => running.Replace("mid: { use: test/faulty, fails: start }", catalog, Patience));
        Assert.Contains("start fails", reason, StringComparison.Ordinal);
        Assert.Contains("restart fails", reason, StringComparison.Ordinal);
        Assert.False(((Edge)running.Find("mid")!.Component).IsHeld, "whoever uses it waits for ever");
        running.Dispose();
        stack.Dispose();
        process.Dispose();
    }

    [Fact]
    public void A_paused_stack_ends_in_order()
    {
        var process = new ComancheProcess();
        var (running, stack, _) = Start(process, "devices:\n  disk: { use: block/memory, size: 8MiB }\n");
        running.Pause(Patience);
        var stop = new Thread(running.Stop) { IsBackground = true };
        stop.Start();
        Assert.True(stop.Join(Patience), "it waits for its own pause");
        stack.Dispose();
        process.Dispose();
    }

    private static string Refused(Action change) => Assert.Throws<ComancheException>(change).Message;

    private static (RunningStack Running, StackProcess Process, ComponentCatalog Catalog) Start(ComancheProcess process, string text)
    {
        var catalog = new ComponentCatalog();
        catalog.AddAssembly(typeof(MemoryDevice).Assembly.Location);
        catalog.AddAssembly(typeof(QueueDevice).Assembly.Location);
        catalog.AddAssembly(typeof(FaultyDevice).Assembly.Location);
        var stack = new StackProcess(process) { IsChangeable = true, CountsEveryDevice = true };
        var good = StackChecker.Check(StackFile.Parse("test.yaml", text), catalog);
        Assert.Equal([], good.Problems);
        return (RunningStack.Start(good, stack, new ComposeOptions()), stack, catalog);
    }
}
