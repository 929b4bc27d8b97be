using Comanche.Block;
using Comanche.Testing;

namespace Comanche.Partition.Tests;

public sealed class GptUnreadableTests
{
    // One sector that can't be read takes the whole disk away, though the other copy of the table is good.
    [Theory]
    [InlineData(1ul, "primary header")]
    [InlineData(10ul, "primary array")]
    [InlineData(16383ul, "backup header")]
    [InlineData(16360ul, "backup array")]
    public void A_table_with_an_unreadable_copy_is_used_by_the_other(ulong bad, string what)
    {
        using var disk = new GptTestDisk();
        var before = disk.List(new GptOptions { Create = true, Size = ByteSize.MiB(1) });
        var faulty = new ErrorDevice(disk.Host, new ErrorOptions
        {
            Rules = [new ErrorRule { Operations = [IoOperation.Read], Lba = (long)bad, Blocks = 1, Status = IoStatus.MediaError }],
        });
        faulty.Bind(disk.Device, "");
        faulty.Start();
        List<GptTestDisk.Found>? found = null;
        var error = Record.Exception(() =>
        {
            var device = disk.Start(new GptOptions(), on: faulty);
            try
            {
                found = GptTestDisk.List(device);
            }
            finally
            {
                disk.End(device);
            }
        });
        faulty.Stop();
        faulty.Release();
        Assert.True(error is null, $"{what}: {error?.Message}");
        Assert.Equal(before, found);
    }
}
