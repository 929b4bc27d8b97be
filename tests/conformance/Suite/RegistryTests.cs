using System.Runtime.InteropServices;
using Comanche.Linux;
using Comanche.Runtime;

namespace Comanche.Conformance.Tests;

/// <summary>
/// Over the memory registry of a process: buffers lie in pools, pools and memory of callers are regions that come and go under open queues. The rest of the suite
/// runs over memory of which nothing is registered.
/// </summary>
public sealed unsafe class RegistryTests
{
    // A buffer of more than half of it has a pool of its own, which goes with it.
    private const uint PoolSize = 2 << 20;

    public static TheoryData<string> Devices => DeviceCatalogue.Names;

    [Theory, MemberData(nameof(Devices))]
    public void It_behaves_as_the_model_does(string device)
    {
        using var registry = Make();
        using var rig = new Rig(device, registry: registry);
        if (rig.Volume.Has(VolumeCapabilities.RetainsData)) ModelTests.Check(rig.Device, iterations: 4);
    }

    [Theory, MemberData(nameof(Devices))]
    public void Pools_may_come_and_go_under_open_queues(string device)
    {
        using var registry = Make();
        using var rig = new Rig(device, registry: registry);
        using var io = new TestIo(rig.Device);
        using var idle = new TestIo(rig.Device); // Learns nothing of what happens until its turn comes.
        var small = io.Buffer(8);
        var regions = new HashSet<uint>();
        for (var round = 0; round < 4; round++)
        {
            using var large = new TestBuffer(rig.Device, PoolSize, 4096); // At the addresses of the one before, in another region.
            regions.Add(large.Region);
            io.WritePattern(8, 8, round, large);
            io.ExpectPattern(8, 8, round, small);
            ReadToTheEndOf(large, io, round);
            if (round == 3) ReadToTheEndOf(large, idle, round);
        }

        if (IsLockable) Assert.Equal((4, false), (regions.Count, regions.Contains(0)));
    }

    [Theory, MemberData(nameof(Devices))]
    public void Memory_of_the_caller_may_come_and_go_under_open_queues(string device)
    {
        using var registry = Make();
        using var rig = new Rig(device, registry: registry);
        using var io = new TestIo(rig.Device);
        using var idle = new TestIo(rig.Device);
        var part = Math.Max(Math.Max(io.Volume.BlockSize, io.Volume.BufferAlignment), 4096);
        var own = (byte*)NativeMemory.AlignedAlloc(3 * part, part);
        for (var round = 0; round < 4; round++)
        {
            var buffer = rig.Device.RegisterMemory(own, 3 * part);
            IoBufferInfo info;
            rig.Device.GetBufferInfo(buffer, &info);
            if (IsLockable) Assert.NotEqual(0u, info.Region);
            Transfer(io, IoOperation.Write, own, info.Region, round);
            Transfer(round == 3 ? idle : io, IoOperation.Read, own + part, info.Region, round);
            Transfer(io, IoOperation.Read, own + 2 * part, 0, round); // The submitter need not know the region.
            rig.Device.UnregisterMemory(buffer);
            Transfer(io, IoOperation.Read, own, 0, round);
        }

        NativeMemory.AlignedFree(own);
    }

    private static bool IsLockable => Limits.LockableBytes >= 64 << 20;

    private static MemoryRegistry Make() => new(new MemoryRegistryOptions { PoolSize = PoolSize });

    // The last blocks of a buffer: whoever takes the region's start or length wrongly misses them.
    private static void ReadToTheEndOf(TestBuffer buffer, TestIo io, int seed)
    {
        var first = (uint)(buffer.Length / io.Volume.BlockSize) - 8;
        io.Must(io.Make(IoOperation.Read, 8, 8, buffer, first));
        if (io.Volume.Has(VolumeCapabilities.RetainsData)) Pattern.Check(buffer.Span()[(int)(first * io.Volume.BlockSize)..], 8, io.Volume.BlockSize, seed);
    }

    private static void Transfer(TestIo io, IoOperation operation, byte* memory, uint region, int seed)
    {
        var data = new Span<byte>(memory, (int)io.Volume.BlockSize);
        data.Clear();
        if (operation == IoOperation.Write) Pattern.Fill(data, 5, io.Volume.BlockSize, seed);
        var descriptor = io.Make(operation, 5, 1);
        descriptor->Buffer = memory;
        descriptor->Region = region;
        io.Must(descriptor);
        if (io.Volume.Has(VolumeCapabilities.RetainsData)) Pattern.Check(data, 5, io.Volume.BlockSize, seed);
    }
}
