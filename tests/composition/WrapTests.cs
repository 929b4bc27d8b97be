using System.Runtime.InteropServices.Marshalling;
using Comanche.Runtime;
using Comanche.Runtime.Composition;

namespace Comanche.Composition.Tests;

/// <summary>What the composer puts an edge in front of is held, started and closed as a whole, also where only a part of it is a block device.</summary>
public sealed unsafe partial class WrapTests
{
    [GeneratedComClass]
    private sealed partial class Part(IHost host) : DiaryDevice(host);

    /// <summary>Owns a block device and exposes its interface as its own.</summary>
    private sealed class Whole : Component
    {
        private readonly Part _part;

        public Whole(IHost host) : base(host) => Aggregate(_part = new Part(new Testing.TestHost("part")));

        protected override void OnStart()
        {
            _part.Start();
            Diary.Lines.Add($"start {Name}");
        }

        protected override void OnStop()
        {
            _part.Stop();
            Diary.Lines.Add($"stop {Name}");
        }

        protected override void OnClose() => Diary.Lines.Add($"close {Name}");
    }

    [Fact]
    public void A_component_that_aggregates_a_block_device_lives_and_closes_as_a_whole()
    {
        Diary.Lines.Clear();
        using var process = new ComancheProcess();
        using var stack = new StackProcess(process);
        var component = new Whole(stack.CreateHost("whole", HostFlags.None, null));
        var wrapped = stack.Wrap("whole", component, HostFlags.None, isEntry: true);
        Assert.Empty(Diary.Lines);
        wrapped.Start();
        var device = wrapped.Query<IBlockDevice>()!;
        Assert.Same(wrapped, device);
        VolumeInfo volume;
        device.GetVolumeInfo(&volume);
        Assert.Equal(DiaryDevice.Volume(), volume);
        var options = new QueueOptions { Depth = 1 };
        device.OpenQueue(&options).Close();
        wrapped.Stop();
        Assert.Equal(2u, wrapped.Retain());
        Assert.Equal(1u, wrapped.Release());
        Assert.Equal(0u, wrapped.Release());
        Assert.Equal(["start part", "start whole", "stop part", "stop whole", "close whole", "close part"], Diary.Lines);
        Assert.Throws<ComancheException>(() => component.Release());
    }

    [Fact]
    public void What_is_no_block_device_is_left_as_it_is()
    {
        using var process = new ComancheProcess();
        using var stack = new StackProcess(process);
        var component = new ExportComponent(stack.CreateHost("export", HostFlags.None, null));
        Assert.Same(component, stack.Wrap("export", component, HostFlags.None, isEntry: true));
        Assert.Contains("no block device", Assert.Throws<ComancheException>(() => process.CreateEdge("export", component, new EdgeOptions())).Message);
        Assert.Equal(0u, component.Release());
    }
}
