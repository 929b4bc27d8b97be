using System.Runtime.InteropServices;

namespace Comanche.Threading.Tests;

/// <summary>A client that writes into its ring all the while.</summary>
public sealed unsafe class EndlessClientTests
{
    [Fact]
    public void A_client_that_submits_without_end_cannot_keep_the_server_from_giving_it_up()
    {
        const int Depth = 4;
        var bytes = Channel.BytesFor(Depth);
        var memory = (byte*)NativeMemory.AlignedAlloc(bytes, 64);
        new Span<byte>(memory, (int)bytes).Clear();
        using (var port = new EndlessPort(new Channel(memory, Depth), Depth))
        {
            port.Publish();
            port.EndSubmissions();
            Assert.InRange(port.Seen, 1, 2 * Depth);
        }

        NativeMemory.AlignedFree(memory);
    }

    // Its client has the next submission ready whenever one was looked at.
    private sealed class EndlessPort(Channel channel, int depth) : Port(channel, depth)
    {
        private ulong _next;

        public int Seen { get; private set; }

        public void Publish()
        {
            Channel.Submission(_next)->Operation = IoOperation.Read;
            Channel.Publish(_next++);
        }

        protected override IoStatus Translate(IoDescriptor* descriptor, uint index)
        {
            if (++Seen > 100) throw new InvalidOperationException("there is no end to it");
            Publish();
            return IoStatus.Success;
        }

        protected override void OnCancel(IoDescriptor* descriptor) { }

        protected override void OnViolation() { }

        protected override void WakeClient() { }
    }
}
