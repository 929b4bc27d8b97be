using System.Runtime.ExceptionServices;

namespace Comanche.Conformance.Tests;

/// <summary>Queues on several threads.</summary>
public sealed unsafe class ThreadTests
{
    public static TheoryData<string> Devices => DeviceCatalogue.Names;

    [Theory, MemberData(nameof(Devices))]
    public void A_flush_on_one_queue_covers_what_another_wrote(string device)
    {
        using var rig = new Rig(device);
        using var written = new ManualResetEventSlim();
        Together(
            () =>
            {
                using var io = new TestIo(rig.Device);
                try
                {
                    for (ulong i = 0; i < 16; i++) io.WritePattern(i * 3, 3, 50, io.Buffer(3));
                }
                finally
                {
                    written.Set();
                }
            },
            () =>
            {
                using var io = new TestIo(rig.Device);
                Assert.True(written.Wait(10_000), "the writer does not end");
                io.Must(io.Make(IoOperation.Flush));
                var buffer = io.Buffer(48);
                for (ulong i = 0; i < 16; i++) io.ExpectPattern(i * 3, 3, 50, buffer);
            });
    }

    [Theory, MemberData(nameof(Devices))]
    public void Queues_on_two_threads_keep_out_of_each_others_way(string device)
    {
        using var rig = new Rig(device);

        // Neighbouring ranges in turn, so that the threads share chunks, stripes and pages.
        Together(() => Churn(rig.Device, 0), () => Churn(rig.Device, 1));
    }

    private static void Churn(IBlockDevice device, uint parity)
    {
        const uint Blocks = 5, Batch = 16;
        using var io = new TestIo(device, depth: 8);
        var buffer = io.Buffer(Blocks * Batch);
        for (var round = 0; round < 6; round++)
        {
            for (uint i = 0; i < Batch; i++)
            {
                var lba = (2 * i + parity) * Blocks;
                Pattern.Fill(buffer.Span().Slice((int)(i * Blocks * io.Volume.BlockSize), (int)(Blocks * io.Volume.BlockSize)), lba, io.Volume.BlockSize, round);
                io.Batch[i] = io.Make(IoOperation.Write, lba, Blocks, buffer, i * Blocks);
            }

            io.SubmitAll((int)Batch);
            io.Drain();
            io.Reset();
            io.Must(io.Make(IoOperation.Flush));
            var back = io.Make(IoOperation.Read, 0, Blocks, buffer);
            for (uint i = 0; i < Batch; i++)
            {
                back->Lba = (2 * i + parity) * Blocks;
                io.Must(back);
                if (io.Volume.Has(VolumeCapabilities.RetainsData)) Pattern.Check(buffer.Span(Blocks * io.Volume.BlockSize), back->Lba, io.Volume.BlockSize, round);
            }

            io.Reset();
        }
    }

    private static void Together(params Action[] works)
    {
        var failures = new Exception?[works.Length];
        var threads = works.Select((work, i) => new Thread(() =>
        {
            try
            {
                work();
            }
            catch (Exception e)
            {
                failures[i] = e;
            }
        })).ToList();
        threads.ForEach(t => t.Start());
        threads.ForEach(t => Assert.True(t.Join(60_000), "a thread does not end"));
        if (failures.FirstOrDefault(f => f is not null) is { } failure) ExceptionDispatchInfo.Throw(failure);
    }
}
