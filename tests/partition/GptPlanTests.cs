using Comanche.Testing;

namespace Comanche.Partition.Tests;

public sealed class GptPlanTests
{
    [Fact]
    public void A_size_that_is_given_is_the_volume_that_is_foreseen()
    {
        var plan = Plan(new GptOptions { Create = true, Size = ByteSize.MiB(4), Partition = 3 });
        Assert.Empty(plan.Errors);
        Assert.Equal(8192ul, plan.Volume!.Value.BlockCount);
        Assert.Equal(["partition 3 of disk0"], plan.Claims);
        Assert.Equal(["disk0:gpt"], plan.Shares);
    }

    [Fact]
    public void Without_a_size_the_volume_shows_when_it_is_opened() => Assert.Null(Plan(new GptOptions { Create = true }).Volume);

    [Theory]
    [InlineData(700ul, 1u, "linux", "", "size: 700 is not a multiple of the block size, 512")]
    [InlineData(8ul << 20, 1u, "linux", "", "size: 8MiB does not fit on a device of 8MiB with a partition table")]
    [InlineData(0ul, 0u, "linux", "", "partition: partitions are numbered from 1")]
    [InlineData(0ul, 1u, "ext4", "", "type: 'ext4' is neither a UUID nor one of linux")]
    [InlineData(0ul, 1u, "00000000-0000-0000-0000-000000000000", "", "type:")]
    [InlineData(0ul, 1u, "linux", "a name that is a good deal too long for it", "name: 'a name")]
    public void What_can_not_be_is_said_before_anything_is_opened(ulong size, uint number, string type, string name, string expected)
    {
        var (option, message) = Assert.Single(Plan(new GptOptions { Size = new(size), Partition = number, Type = type, Name = name }).Errors);
        Assert.StartsWith(expected, $"{option}: {message}");
    }

    private static TestPlan Plan(GptOptions options) =>
        TestPlan.Of<GptDevice>(options, new VolumeInfo { BlockSize = 512, BlockCount = 16384, AtomicWriteBlocks = 1 });
}
