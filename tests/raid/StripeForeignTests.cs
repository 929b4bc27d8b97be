using System.Text;

namespace Comanche.Raid.Tests;

/// <summary>A former member that belongs to somebody else by now.</summary>
public sealed class StripeForeignTests
{
    private static readonly ByteSize Size = ByteSize.MiB(4);

    // Most leave the first block alone, in which our label would lie, and the other label is still good.
    [Theory]
    [InlineData(0, "LUKS\u00ba\u00be", false)]
    [InlineData(0, "XFSB", false)]
    [InlineData(512, "LABELONE", true)]      // LVM
    [InlineData(1080, "\u0053\u00ef", true)] // ext4
    [InlineData(4096, "\u00fc\u004e\u002b\u00a9", true)] // md 1.2
    public void What_somebody_put_at_a_label_or_beside_it_is_refused_and_never_overwritten(int offset, string magic, bool clearsTheLabel)
    {
        using var fixture = new StripeFixture(Size, Size);
        fixture.Create();
        var area = fixture.Read(fixture.Members[1], 0, 16384);
        if (clearsTheLabel) area.AsSpan(0, 512).Clear();
        Encoding.Latin1.GetBytes(magic).CopyTo(area, offset);
        fixture.Write(fixture.Members[1], 0, area);
        Assert.Contains("disk1 is refused as member 1: something else lies at byte 0, where its label was, or beside it", fixture.Refusal(new() { Create = false }));
        Assert.Equal(area, fixture.Read(fixture.Members[1], 0, area.Length));
    }
}
