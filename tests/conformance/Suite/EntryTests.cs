namespace Comanche.Conformance.Tests;

/// <summary>At the top of a stack, where the contract is checked: what breaks it gets a status that says so, whatever stands below.</summary>
public sealed unsafe class EntryTests
{
    public static TheoryData<string> Devices => DeviceCatalogue.Names;

    [Theory, MemberData(nameof(Devices))]
    public void Operations_that_are_not_claimed_are_unsupported(string device)
    {
        using var rig = new Rig(device);
        using var entry = new Entry(rig.Device);
        using var io = new TestIo(entry.Device);
        var buffer = io.Buffer(1);
        foreach (var operation in Enum.GetValues<IoOperation>())
        {
            if (io.Volume.Has(operation.Needs())) continue;
            var descriptor = operation.HasBuffer() ? io.Make(operation, 0, 1, buffer) : io.Make(operation, 0, 1);
            if (operation == IoOperation.CompareAndWrite) descriptor->Auxiliary = (ulong)buffer.Address;
            if (operation == IoOperation.Copy) descriptor->Auxiliary = 4;
            Assert.Equal((operation, IoStatus.Unsupported), (operation, io.Do(descriptor)));
        }
    }

    [Theory, MemberData(nameof(Devices))]
    public void Descriptors_that_break_the_contract_are_told_so(string device)
    {
        using var rig = new Rig(device);
        using var entry = new Entry(rig.Device);
        using var io = new TestIo(entry.Device);
        var buffer = io.Buffer(8);
        io.WritePattern(0, 8, 70, buffer);
        Assert.Equal(IoStatus.OutOfRange, io.Do(io.Make(IoOperation.Read, io.Volume.BlockCount, 1, buffer)));
        Assert.Equal(IoStatus.OutOfRange, io.Do(io.Make(IoOperation.Write, io.Volume.BlockCount - 1, 2, buffer)));
        Assert.Equal(IoStatus.OutOfRange, io.Do(io.Make(IoOperation.Read, ulong.MaxValue, 1, buffer)));
        Assert.Equal(IoStatus.InvalidArgument, io.Do(io.Make(IoOperation.Read, 0, 0, buffer)));
        Assert.NotEqual(IoStatus.Success, io.Do(io.Make((IoOperation)200, 0, 1, buffer)));
        if (io.Volume.MaxTransferBlocks < io.Volume.BlockCount)
            Assert.Equal(IoStatus.InvalidArgument, io.Do(io.Make(IoOperation.Read, 0, io.Volume.MaxTransferBlocks + 1, buffer)));
        if (io.Volume.BufferAlignment > 1)
        {
            var askew = io.Make(IoOperation.Read, 0, 1, buffer);
            askew->Buffer++;
            Assert.Equal(IoStatus.Misaligned, io.Do(askew));
        }

        io.ExpectPattern(0, 8, 70, buffer);
    }

    [Theory, MemberData(nameof(Devices))]
    public void A_read_only_entry_refuses_every_change(string device)
    {
        using var rig = new Rig(device);
        using (var io = new TestIo(rig.Device)) io.WritePattern(0, 8, 71, io.Buffer(8));
        using var entry = new Entry(rig.Device, readOnly: true);
        using var read = new TestIo(entry.Device);
        Assert.True(read.Volume.Has(VolumeCapabilities.ReadOnly), "does not say that it is read-only");
        var buffer = read.Buffer(8);
        foreach (var operation in Enum.GetValues<IoOperation>().Where(o => o.IsChange() && read.Volume.Has(o.Needs())))
        {
            var descriptor = operation.HasBuffer() ? read.Make(operation, 0, 1, buffer) : read.Make(operation, 0, 1);
            if (operation == IoOperation.CompareAndWrite) descriptor->Auxiliary = (ulong)buffer.Address;
            if (operation == IoOperation.Copy) descriptor->Auxiliary = 4;
            Assert.Equal((operation, IoStatus.ReadOnly), (operation, read.Do(descriptor)));
        }

        read.ExpectPattern(0, 8, 71, buffer);
    }
}
