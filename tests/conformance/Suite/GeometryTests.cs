using System.Numerics;

namespace Comanche.Conformance.Tests;

/// <summary>What a block device says of itself, and its memory interface.</summary>
public sealed unsafe class GeometryTests
{
    public static TheoryData<string> Devices => DeviceCatalogue.Names;

    [Theory, MemberData(nameof(Devices))]
    public void Geometry_is_sane(string device)
    {
        using var rig = new Rig(device);
        var volume = rig.Volume;
        Assert.True(BitOperations.IsPow2(volume.BlockSize) && volume.BlockSize is >= 512 and <= 65536, $"block size {volume.BlockSize}");
        Assert.True(volume.BlockCount >= 1, "no blocks");
        Assert.True(volume.BlockCount <= ulong.MaxValue / volume.BlockSize, "more bytes than can be counted");
        Assert.True(volume.MaxTransferBlocks >= 1, "no transfer");
        Assert.True(BitOperations.IsPow2(volume.BufferAlignment), $"buffer alignment {volume.BufferAlignment}");
        Assert.True(volume.MaxSegments >= 1, "no segments");
        Assert.True(volume.AtomicWriteBlocks >= 1, "no atomic unit");
        Assert.True(volume.DiscardGranularityBlocks >= 1, "no discard granularity");
        Assert.Equal(0u, volume.Reserved);
        Assert.Equal(volume.Has(VolumeCapabilities.CompareAndWrite), volume.CompareAndWriteBlocks != 0);
        const VolumeCapabilities Ranged = VolumeCapabilities.Discard | VolumeCapabilities.WriteZeroes | VolumeCapabilities.Fill | VolumeCapabilities.Copy;
        if ((volume.Capabilities & Ranged) != 0) Assert.True(volume.MaxRangeBlocks >= 1, "ranges that are claimed need a length");
        if (volume.Has(VolumeCapabilities.Persistent)) Assert.True(volume.Has(VolumeCapabilities.RetainsData), "persistent, but keeps nothing");
    }

    [Theory, MemberData(nameof(Devices))]
    public void Every_interface_is_found_by_query(string device)
    {
        using var rig = new Rig(device);
        Assert.NotNull(rig.Device.Query<IBase>());
        Assert.NotNull(rig.Device.Query<IZerocopyMemory>());
        Assert.NotNull(rig.Device.Query<IBlockDevice>());
        Assert.Null(rig.Device.Query(new Guid("deadbeef-0000-4000-8000-000000000000")));
        Assert.True(rig.Device.GetVersion() >= 1 << 16, "no version");
    }

    [Theory, MemberData(nameof(Devices))]
    public void Health_and_events_can_be_asked(string device)
    {
        using var rig = new Rig(device);
        var health = new DeviceHealth { ReadErrors = 77 };
        rig.Device.GetHealth(&health);
        Assert.Equal((DeviceState.Healthy, 0ul), (health.State, health.ReadErrors));
        Assert.Equal(rig.Device.GetEventNumber(), rig.Device.GetEventNumber());
    }

    [Theory, MemberData(nameof(Devices))]
    public void Memory_can_be_had_from_the_device(string device)
    {
        using var rig = new Rig(device);
        var memory = rig.Device.Query<IZerocopyMemory>()!;
        var buffer = memory.AllocateIoBuffer(10_000, 4096, -1);
        IoBufferInfo info;
        memory.GetBufferInfo(buffer, &info);
        Assert.True((nuint)info.Address % 4096 == 0 && info.Length >= 10_000, "not as asked");
        var data = new Span<byte>(info.Address, 10_000);
        Assert.Equal(-1, data.IndexOfAnyExcept((byte)0));
        data.Fill(9);
        memory.ReallocateIoBuffer(buffer, 20_000, 4096);
        memory.GetBufferInfo(buffer, &info);
        data = new Span<byte>(info.Address, 20_000);
        Assert.Equal(-1, data[..10_000].IndexOfAnyExcept((byte)9));
        Assert.Equal(-1, data[10_000..].IndexOfAnyExcept((byte)0));
        var runs = stackalloc MemoryRun[8];
        Assert.True(memory.Translate(info.Address, 20_000, runs, 8) >= 1, "no runs");
        Assert.True(memory.GetGeneration() is not null, "no generation");
        memory.FreeIoBuffer(buffer);
    }
}
