using Comanche.Block;
using Comanche.Testing;

namespace Comanche.Partition.Tests;

public sealed class RegionForeignTests
{
    // A device with regions became a LUKS1 disk; the directory's second copy, at 512 KiB, survives that. The next start writes over the LUKS header.
    [Fact]
    public void What_somebody_put_over_a_directory_is_never_overwritten()
    {
        using var fixture = new RegionFixture(ByteSize.MiB(8));
        fixture.Open("a", 1024).Release();
        var header = RegionFixture.Noise(7, 8192);
        new byte[] { 0x4C, 0x55, 0x4B, 0x53, 0xBA, 0xBE, 0, 1 }.CopyTo(header, 0);
        header[510] = 0;
        fixture.Write(fixture.Disk, 0, header);
        var region = fixture.Make(new() { Region = "a", Create = false });
        Record.Exception(region.Start);
        region.Release();
        Assert.Equal(header, fixture.Read(fixture.Disk, 0, 8192));
    }
}
