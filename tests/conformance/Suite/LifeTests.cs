namespace Comanche.Conformance.Tests;

/// <summary>Start, stop, reopening, read-only.</summary>
public sealed unsafe class LifeTests
{
    public static TheoryData<string> Devices => DeviceCatalogue.Names;

    [Theory, MemberData(nameof(Devices))]
    public void What_was_flushed_is_there_when_the_device_is_made_anew(string device)
    {
        using var rig = new Rig(device);
        var before = rig.Volume;
        if (!Survives(rig)) return;
        using (var io = new TestIo(rig.Device))
        {
            io.WritePattern(0, 8, 60, io.Buffer(8));
            io.WritePattern(io.Volume.BlockCount - 8, 8, 61, io.Buffer(8));
            io.Must(io.Make(IoOperation.Flush));
        }

        rig.Close();
        rig.Open(HostFlags.None);
        Assert.Equal(before, rig.Volume);
        using var again = new TestIo(rig.Device);
        again.ExpectPattern(0, 8, 60, again.Buffer(8));
        again.ExpectPattern(again.Volume.BlockCount - 8, 8, 61, again.Buffer(8));
    }

    [Theory, MemberData(nameof(Devices))]
    public void Stopped_and_started_again_it_works(string device)
    {
        using var rig = new Rig(device);
        using (var io = new TestIo(rig.Device)) io.WritePattern(0, 4, 62, io.Buffer(4));
        rig.Device.Stop();
        Assert.Throws<ComancheException>(() => rig.Volume);
        Assert.Throws<ComancheException>(() => new TestIo(rig.Device));
        rig.Device.Start();
        using var again = new TestIo(rig.Device);
        if (Survives(rig)) again.ExpectPattern(0, 4, 62, again.Buffer(4));
        again.WritePattern(0, 4, 63, again.Buffer(4));
        again.ExpectPattern(0, 4, 63, again.Buffer(4));
    }

    [Theory, MemberData(nameof(Devices))]
    public void Asked_to_be_read_only_it_changes_nothing(string device)
    {
        using var rig = new Rig(device);
        if (!Survives(rig)) return;
        using (var io = new TestIo(rig.Device))
        {
            io.WritePattern(0, 8, 64, io.Buffer(8));
            io.Must(io.Make(IoOperation.Flush));
        }

        rig.Close();
        rig.Open(HostFlags.ReadOnly);
        using (var entry = new Entry(rig.Device, readOnly: true))
        using (var io = new TestIo(entry.Device))
        {
            var buffer = io.Buffer(8);
            io.ExpectPattern(0, 8, 64, buffer);
            io.Must(io.Make(IoOperation.Flush));

            // The edge in front of the device refuses changes; the device has to live with being asked for none.
            Assert.Equal(IoStatus.ReadOnly, io.Do(io.Make(IoOperation.Write, 0, 1, buffer)));
            io.ExpectPattern(0, 8, 64, buffer);
        }

        rig.Close();
        rig.Open(HostFlags.None);
        using var again = new TestIo(rig.Device);
        again.ExpectPattern(0, 8, 64, again.Buffer(8));
    }

    [Theory, MemberData(nameof(Devices))]
    public void Bindings_are_not_changed_while_it_is_started(string device)
    {
        using var rig = new Rig(device);
        Assert.Throws<ComancheException>(() => rig.Device.Bind(rig.Bench.AddMemory(), ""));
        Assert.Throws<ComancheException>(rig.Device.Unbind);
        using var io = new TestIo(rig.Device);
        io.WritePattern(0, 1, 65, io.Buffer(1));
    }

    [Theory, MemberData(nameof(Devices))]
    public void Its_count_goes_up_and_down(string device)
    {
        using var rig = new Rig(device);
        Assert.Equal(2u, rig.Device.Retain());
        Assert.Equal(3u, rig.Device.Retain());
        Assert.Equal(2u, rig.Device.Release());
        Assert.Equal(1u, rig.Device.Release());
        using var io = new TestIo(rig.Device);
        io.WritePattern(0, 1, 66, io.Buffer(1));
    }

    // What lies below outlives a device that stands on something; one that stands on nothing says whether it is persistent.
    private static bool Survives(Rig rig) =>
        rig.Volume.Has(VolumeCapabilities.RetainsData) && (rig.Below.Any() || rig.Volume.Has(VolumeCapabilities.Persistent));
}
