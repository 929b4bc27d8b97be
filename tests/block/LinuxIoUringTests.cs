using Comanche.Linux;
using static Comanche.Linux.IoUringAbi;

namespace Comanche.Block.Tests;

public sealed unsafe class LinuxIoUringTests
{
    [Fact]
    public void A_probe_says_what_is_there_or_why_nothing_is()
    {
        var probe = IoUring.Probe();
        if (probe.IsAvailable) Assert.True(probe.LastOperation >= IORING_OP_WRITE);
        else Assert.NotEqual("", probe.Reason);
    }

    [Theory]
    [InlineData(Errno.EPERM, "2", false, "kernel.io_uring_disabled = 2")]
    [InlineData(Errno.EPERM, "1", false, "kernel.io_uring_group")]
    [InlineData(Errno.EPERM, "0", true, "seccomp")]
    [InlineData(Errno.ENOSYS, null, true, "seccomp")]
    [InlineData(Errno.ENOSYS, null, false, "built without")]
    [InlineData(Errno.EPERM, null, false, "security policy")]
    [InlineData(Errno.ENOMEM, "0", false, "ulimit -l")]
    public void The_reason_for_a_refusal_is_told(int error, string? disabled, bool hasSeccompFilter, string expected) =>
        Assert.Contains(expected, IoUring.Explain(error, disabled, hasSeccompFilter));

    // Each flag withheld in turn, so that every rung of the ladder is stood on.
    [Theory]
    [InlineData(0u)]
    [InlineData(IORING_SETUP_NO_SQARRAY)]
    [InlineData(IORING_SETUP_DEFER_TASKRUN)]
    [InlineData(IORING_SETUP_SINGLE_ISSUER)]
    [InlineData(IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_COOP_TASKRUN)]
    [InlineData(IORING_SETUP_SUBMIT_ALL)]
    [InlineData(~(IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP))]
    public void A_ring_opens_and_works_without_a_flag(uint without)
    {
        using var ring = IoUring.Open(new IoUringOptions { Entries = 8, SingleIssuer = true, WithoutFlags = without });
        Assert.Equal(0u, ring.SetupFlags & without);
        Nop(ring);
    }

    [Fact]
    public void A_ring_that_moves_between_threads_is_not_bound_to_one()
    {
        using var ring = IoUring.Open(new IoUringOptions { Entries = 8 });
        Assert.Equal(0u, ring.SetupFlags & (IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_COOP_TASKRUN));
        Exception? failure = null;
        var other = new Thread(() => failure = Record.Exception(() => Nop(ring)));
        other.Start();
        other.Join();
        Assert.Null(failure);
    }

    [Fact]
    public void A_full_submission_ring_gives_no_entry()
    {
        using var ring = IoUring.Open(new IoUringOptions { Entries = 4, SingleIssuer = true });
        for (var i = 0; i < 4; i++) Assert.True(ring.NextEntry() is not null);
        Assert.True(ring.NextEntry() is null);
        Assert.Equal(4u, ring.Unsubmitted);
        Assert.Equal(0, ring.Enter(events: true));
        Assert.Equal(0u, ring.Unsubmitted);
        Assert.Equal(4u, ring.Completions);
        Assert.True(ring.NextEntry() is not null);
    }

    [Fact]
    public void A_wait_in_the_ring_ends_with_its_time()
    {
        using var ring = IoUring.Open(new IoUringOptions { Entries = 4, SingleIssuer = true });
        Assert.Equal(-Errno.ETIME, ring.Wait(1, 1_000_000));
    }

    [Fact]
    public void Buffers_come_and_go()
    {
        using var ring = IoUring.Open(new IoUringOptions { Entries = 4, SingleIssuer = true });
        Assert.SkipUnless(ring.RegisterSparseBuffers(4) >= 0, "needs Linux 5.19");
        var memory = System.Runtime.InteropServices.NativeMemory.AlignedAlloc(8192, 4096);
        Assert.Equal(0, ring.UpdateBuffer(3, memory, 8192));
        Assert.Equal(0, ring.UpdateBuffer(3, null, 0));
        Assert.Equal(-Errno.EINVAL, ring.UpdateBuffer(4, memory, 8192));
        System.Runtime.InteropServices.NativeMemory.AlignedFree(memory);
    }

    private static void Nop(IoUring ring)
    {
        for (ulong i = 1; i <= 20; i++)
        {
            var entry = ring.NextEntry();
            Assert.True(entry is not null);
            entry->opcode = IORING_OP_NOP;
            entry->user_data = i;
            Assert.Equal(0, ring.Enter(events: true));
            Assert.Equal(1u, ring.Completions);
            Assert.Equal(i, ring.Completion(0)->user_data);
            ring.Advance(1);
        }
    }
}
