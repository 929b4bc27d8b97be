using System.Runtime.InteropServices;

namespace Comanche.Threading.Tests;

/// <summary>A cancellation that is taken from the ring together with what it is meant for.</summary>
public sealed unsafe class CancelInBatchTests
{
    private const int QueueDepth = 4;

    [Fact]
    public void What_was_only_taken_from_the_ring_ends_at_once()
    {
        var bytes = Channel.BytesFor(QueueDepth);
        var memory = (byte*)NativeMemory.AlignedAlloc(bytes, 64);
        new Span<byte>(memory, (int)bytes).Clear();
        var channel = new Channel(memory, QueueDepth);
        using (var port = new PlainPort(channel))
        {
            Put(channel, 0, IoOperation.Read, 0);
            Put(channel, 1, IoOperation.Read, 1);
            Put(channel, 2, Channel.Cancel, 0);
            Put(channel, 3, Channel.Cancel, 0); // It is gone by then.
            var batch = stackalloc IoDescriptor*[8];
            Assert.Equal(1, port.Take(batch, 8));
            Assert.Equal(1ul, batch[0]->Tag & 0xFFFF);
            Assert.True(channel.TryReadCompletion(0, out var index, out var status));
            Assert.Equal((0u, IoStatus.Cancelled), (index, status));
            Assert.Equal(0, port.Passed);
            Assert.Equal(1, port.InFlight);
            batch[0]->Status = IoStatus.Success;
            port.Complete(batch[0]);
            Assert.Equal(0, port.InFlight);
        }

        NativeMemory.AlignedFree(memory);
    }

    private static void Put(Channel channel, ulong position, IoOperation operation, ulong index)
    {
        var slot = channel.Submission(position);
        slot->Operation = operation;
        slot->Tag = index;
        channel.Publish(position);
    }

    private sealed class PlainPort(Channel channel) : Port(channel, QueueDepth)
    {
        public int Passed { get; private set; }

        protected override IoStatus Translate(IoDescriptor* descriptor, uint index) => IoStatus.Success;

        protected override void OnCancel(IoDescriptor* descriptor) => Passed++;

        protected override void OnViolation() => throw new InvalidOperationException("a violation");

        protected override void WakeClient() { }
    }
}
