namespace Comanche.Raid.Tests;

public sealed class StripeForeignTests
{
    private static readonly ByteSize Size = ByteSize.MiB(4);

    // A former member became a LUKS (or XFS, or swap …) disk: its first block is overwritten with a stripe label, since the old label in its last block is still good.
    [Theory]
    [InlineData(new byte[] { 0x4C, 0x55, 0x4B, 0x53, 0xBA, 0xBE })] // LUKS: the only header of LUKS1, salt and key slots
    [InlineData(new byte[] { 0x58, 0x46, 0x53, 0x42 })] // XFS superblock
    public void What_somebody_put_over_a_label_is_never_overwritten(byte[] magic)
    {
        using var fixture = new StripeFixture(Size, Size);
        fixture.Create();
        var foreign = StripeFixture.Noise(7, 512);
        magic.CopyTo(foreign, 0);
        foreign[510] = 0; // No boot sector.
        fixture.Write(fixture.Members[1], 0, foreign);
        var stripe = fixture.Make(new() { Create = false });
        Record.Exception(stripe.Start);
        stripe.Release();
        Assert.Equal(foreign, fixture.Read(fixture.Members[1], 0, 512));
    }
}
