using Comanche.Testing;

namespace Comanche.Raid.Tests;

public sealed class StripePlanTests
{
    private static readonly VolumeInfo Disk = new()
    {
        BlockSize = 512, BlockCount = 16384, MaxTransferBlocks = 2048, BufferAlignment = 4, MaxSegments = 128, AtomicWriteBlocks = 1, MaxRangeBlocks = uint.MaxValue,
        DiscardGranularityBlocks = 8, Capabilities = VolumeCapabilities.DurableFlush | VolumeCapabilities.RetainsData | VolumeCapabilities.Discard,
    };

    [Fact]
    public void The_predicted_volume_is_the_one_that_comes()
    {
        using var fixture = new StripeFixture(ByteSize.MiB(8), ByteSize.MiB(9), ByteSize.MiB(8));
        var stripe = fixture.Open();
        var plan = TestPlan.Of<StripeDevice>(new StripeOptions(), [.. fixture.Members.Select(m => (VolumeInfo?)fixture.Volume(m))]);
        Assert.Empty(plan.Errors);
        Assert.Equal(fixture.Volume(stripe), plan.Volume);
        Assert.Contains("different sizes", Assert.Single(plan.Warnings).Message);
        stripe.Release();
    }

    [Fact]
    public void With_an_unknown_member_the_volume_is_unknown_but_options_are_checked()
    {
        var plan = TestPlan.Of<StripeDevice>(new StripeOptions { Chunk = new(3000) }, Disk, null);
        Assert.Null(plan.Volume);
        Assert.Equal("chunk", Assert.Single(plan.Errors).Option);
    }

    [Theory]
    [InlineData("chunk", 256ul, "", "")]
    [InlineData("chunk", 32ul << 20, "", "")]
    [InlineData("uuid", 4096ul, "nonsense", "")]
    [InlineData("name", 4096ul, "", "a name of sixty-four bytes, which is one more than the label has")]
    public void A_bad_option_is_named(string option, ulong chunk, string uuid, string name)
    {
        if (name.Length != 0) name = name.PadRight(64, '!');
        var plan = TestPlan.Of<StripeDevice>(new StripeOptions { Chunk = new(chunk), Uuid = uuid, Name = name }, Disk, Disk);
        Assert.Equal(option, Assert.Single(plan.Errors).Option);
        Assert.Null(plan.Volume);
    }

    [Fact]
    public void A_chunk_below_the_block_size_is_an_error()
    {
        var disk = Disk with { BlockSize = 4096 };
        var plan = TestPlan.Of<StripeDevice>(new StripeOptions { Chunk = new(2048) }, disk, disk);
        Assert.Equal(("chunk", "2KiB is not a multiple of the members' block size, 4KiB"), Assert.Single(plan.Errors));
    }

    [Fact]
    public void Members_that_do_not_fit_together_are_named()
    {
        Assert.Contains("disk1 has blocks of 4096", Assert.Single(TestPlan.Of<StripeDevice>(new StripeOptions(), Disk, Disk with { BlockSize = 4096 }).Errors).Message);
        Assert.Contains("disk1 has 1MiB", Assert.Single(TestPlan.Of<StripeDevice>(new StripeOptions(), Disk, Disk with { BlockCount = 2048 }).Errors).Message);
        Assert.Contains("disk0 wants buffers", Assert.Single(TestPlan.Of<StripeDevice>(new StripeOptions(), Disk with { BufferAlignment = 4096 }, Disk).Errors).Message);
    }

    [Fact]
    public void A_discard_granularity_above_the_chunk_grows_with_the_members()
    {
        var plan = TestPlan.Of<StripeDevice>(new StripeOptions { Chunk = new(2048) }, Disk, Disk);
        Assert.Equal(16u, plan.Volume!.Value.DiscardGranularityBlocks);
        plan = TestPlan.Of<StripeDevice>(new StripeOptions { Chunk = new(8192) }, Disk, Disk);
        Assert.Equal(8u, plan.Volume!.Value.DiscardGranularityBlocks);
    }

    [Fact]
    public void A_read_only_stripe_is_a_read_only_volume() =>
        Assert.True(TestPlan.Of<StripeDevice>(new StripeOptions(), readOnly: true, [Disk]).Volume!.Value.Has(VolumeCapabilities.ReadOnly));
}
