namespace Comanche.Conformance.Tests;

/// <summary>
/// Layers over devices that refuse and reorder at random and have narrow limits: what is refused below is restored and submitted again, and nothing that
/// breaks the contract goes down.
/// </summary>
public sealed unsafe class StubbornTests
{
    private const int Seed = 20_250_101;

    public static TheoryData<string> Devices => DeviceCatalogue.Names;

    [Theory, MemberData(nameof(Devices))]
    public void What_is_refused_below_is_done_all_the_same(string device)
    {
        using var rig = new Rig(device, new Random(Seed));
        if (rig.Bench.Stubborn.Count == 0) return;
        using (var io = new TestIo(rig.Device, depth: 16))
        {
            const uint Count = 64, Blocks = 3;
            var buffer = io.Buffer(Count * Blocks);
            Pattern.Fill(buffer.Span(), 0, io.Volume.BlockSize, 90);
            for (uint i = 0; i < Count; i++) io.Batch[i] = io.Make(IoOperation.Write, i * Blocks, Blocks, buffer, i * Blocks);
            io.SubmitAll((int)Count);
            io.Drain();
            Pattern.Check(buffer.Span(), 0, io.Volume.BlockSize, 90);
            io.Reset();
            buffer.Span().Clear();
            for (uint i = 0; i < Count; i++) io.Batch[i] = io.Make(IoOperation.Read, i * Blocks, Blocks, buffer, i * Blocks);
            io.SubmitAll((int)Count);
            io.Drain();
            for (uint i = 0; i < Count; i++) Assert.Equal((i, IoStatus.Success), (i, io.Batch[i]->Status));
            Pattern.Check(buffer.Span(), 0, io.Volume.BlockSize, 90);
        }

        Assert.Equal([], rig.Bench.Stubborn.SelectMany(d => d.Violations));
    }

    [Theory, MemberData(nameof(Devices))]
    public void It_is_an_array_of_bytes_and_keeps_the_contract_below(string device)
    {
        using var rig = new Rig(device, new Random(Seed));
        if (rig.Bench.Stubborn.Count == 0 || !rig.Volume.Has(VolumeCapabilities.RetainsData)) return;
        ModelTests.Check(rig.Device, iterations: 8);
        Assert.Equal([], rig.Bench.Stubborn.SelectMany(d => d.Violations));
    }

    [Theory, MemberData(nameof(Devices))]
    public void What_is_abandoned_comes_back_also_what_waits_for_room_below(string device)
    {
        using var rig = new Rig(device, new Random(Seed));
        if (rig.Bench.Stubborn.Count == 0) return;
        using var io = new TestIo(rig.Device, depth: 32);
        var buffer = io.Buffer(32 * 4);
        for (uint i = 0; i < 32; i++) io.Batch[i] = io.Make(IoOperation.Write, i * 4, 4, buffer, i * 4);
        for (var i = 0; i < 8; i++) io.Submit(io.InFlight, 32 - io.InFlight);
        io.Queue.Abandon();
        io.Drain();
    }
}
