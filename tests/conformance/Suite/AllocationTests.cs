namespace Comanche.Conformance.Tests;

/// <summary>The data path allocates nothing.</summary>
public sealed unsafe class AllocationTests
{
    public static TheoryData<string> Devices => DeviceCatalogue.Names;

    [Theory, MemberData(nameof(Devices))]
    public void Nothing_is_allocated_per_I_O(string device)
    {
        using var rig = new Rig(device);
        const int Batch = 16;
        var options = new QueueOptions { Depth = Batch };
        var queue = rig.Device.OpenQueue(&options);
        var volume = rig.Volume;
        using var buffer = new TestBuffer(rig.Device, (nuint)Batch * 4 * volume.BlockSize, Math.Max(volume.BufferAlignment, 64));
        using var slab = new DescriptorSlab(Batch);
        var batch = stackalloc IoDescriptor*[Batch];
        for (var i = 0; i < Batch; i++) batch[i] = slab[i];

        // The first rounds warm caches and compile; they are not counted.
        long allocated = 0;
        for (var round = 0; round < 3; round++)
        {
            var before = GC.GetAllocatedBytesForCurrentThread();
            for (var i = 0; i < 60; i++) Round(queue, batch, Batch, buffer, volume.BlockSize, i);
            allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        }

        queue.Close();
        NativeObject.FinalRelease(queue);
        Assert.Equal(0, allocated);
    }

    private static void Round(IIoQueue queue, IoDescriptor** batch, int count, TestBuffer buffer, uint blockSize, int round)
    {
        for (var i = 0; i < count; i++)
        {
            var operation = (i + round) % 8 == 7 ? IoOperation.Flush : (i + round) % 2 == 0 ? IoOperation.Write : IoOperation.Read;
            *batch[i] = new IoDescriptor { Operation = operation };
            if (operation == IoOperation.Flush) continue;
            batch[i]->Lba = (ulong)(i * 8 + round);
            batch[i]->BlockCount = 4;
            batch[i]->Buffer = buffer.Address + (nuint)i * 4 * blockSize;
            batch[i]->Region = buffer.Region;
        }

        var completed = stackalloc IoDescriptor*[16];
        int submitted = 0, back = 0;
        while (back < count)
        {
            if (submitted < count) submitted += queue.Submit(batch + submitted, count - submitted);
            back += queue.Poll(completed, 16);
        }
    }
}
