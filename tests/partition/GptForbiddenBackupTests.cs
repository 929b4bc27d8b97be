using Comanche.Block;
using Comanche.Testing;

namespace Comanche.Partition.Tests;

public sealed class GptForbiddenBackupTests
{
    // A backup whose checksums hold and that is of another revision: the page says that this is an error; repair writes over it.
    [Fact]
    public void A_backup_that_somebody_wrote_so_is_an_error_and_never_repaired()
    {
        using var disk = new GptTestDisk();
        disk.List(new GptOptions { Create = true });
        disk.ChangeHeader(disk.Blocks - 1, block => block[10] = 2);
        var image = disk.Image();
        var error = Record.Exception(() => disk.List(new GptOptions { Repair = true }));
        Assert.Equal(image, disk.Image());
        Assert.IsType<ComancheException>(error);
    }
}
