using System.Text;
using Comanche.Block;
using Comanche.Testing;

namespace Comanche.Partition.Tests;

/// <summary>A device with regions that belongs to somebody else by now; the directory's second copy, at 512 KiB, survived that.</summary>
public sealed class RegionForeignTests
{
    [Theory]
    [InlineData(0, "LUKS\u00ba\u00be", 8192)]
    [InlineData(1080, "\u0053\u00ef", 8192)]          // ext4
    [InlineData(4096, "\u00fc\u004e\u002b\u00a9", 256)] // md 1.2: behind the header, which was cleared
    [InlineData(65536, "_BHRfS_M", 8)]                 // btrfs
    public void What_somebody_put_over_a_directory_is_never_overwritten(int offset, string magic, int length)
    {
        using var fixture = new RegionFixture(ByteSize.MiB(8));
        fixture.Open("a", 1024).Release();
        var foreign = new byte[128 * 1024];
        RegionFixture.Noise(7, length).CopyTo(foreign, offset);
        Encoding.Latin1.GetBytes(magic).CopyTo(foreign, offset);
        fixture.Write(fixture.Disk, 0, foreign);
        var region = fixture.Make(new() { Region = "a", Create = false });
        region.Start();
        Assert.Contains(fixture.Host.Lines, l => l.Message.Contains("something else lies there", StringComparison.Ordinal));
        region.Stop();
        region.Release();
        Assert.Contains("is never overwritten", Assert.Throws<ComancheException>(() => fixture.Open("b", 1024)).Message);
        Assert.Equal(foreign, fixture.Read(fixture.Disk, 0, foreign.Length));
    }

    [Fact]
    public void A_directory_whose_header_was_cleared_is_written_anew_though_its_entries_are_still_there()
    {
        using var fixture = new RegionFixture(ByteSize.MiB(8));
        fixture.Open("a", 1024).Release();
        var before = fixture.Read(fixture.Disk, 0, 8192);
        fixture.Write(fixture.Disk, 0, new byte[4096]);
        fixture.Open("a", 1024).Release();
        Assert.Equal(before, fixture.Read(fixture.Disk, 0, 8192));
    }
}
