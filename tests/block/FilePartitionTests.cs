using Comanche.Testing;

namespace Comanche.Block.Tests;

public sealed unsafe class FilePartitionTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("comanche-test-").FullName;
    private readonly List<Action> _undo = [];

    // /sys/dev/block/M:m/../queue is looked for by File.Exists, which drops ".." as text: partitions have no attributes.
    [Fact]
    public void A_partition_discards_as_its_disk_does()
    {
        var image = Path.Combine(_folder, "disk.img");
        Run("truncate", "-s", "64M", image);
        var node = Run("losetup", "-P", "--find", "--show", image).Trim();
        _undo.Add(() => Tools.Run("losetup", "--detach", node));
        Run("addpart", node, "1", "2048", "63488");
        var numbers = File.ReadAllText($"/sys/class/block/{Path.GetFileName(node)}p1/dev").Trim().Split(':');
        var part = Path.Combine(_folder, "part");
        Run("mknod", part, "b", numbers[0], numbers[1]);
        Assert.True(Volume(node).Has(VolumeCapabilities.Discard), "disk");
        Assert.True(Volume(part).Has(VolumeCapabilities.Discard), "the partition claims no discard");
    }

    public void Dispose()
    {
        for (var i = _undo.Count - 1; i >= 0; i--) _undo[i]();
        Directory.Delete(_folder, recursive: true);
    }

    private static VolumeInfo Volume(string node)
    {
        var device = new FileDevice(new TestHost("disk"), new FileDeviceOptions { Path = node });
        device.Start();
        VolumeInfo info;
        device.GetVolumeInfo(&info);
        device.Release();
        return info;
    }

    private static string Run(string tool, params string[] arguments)
    {
        var (code, output) = Tools.Run(tool, arguments);
        Assert.SkipUnless(code == 0, $"{tool}: {output}");
        return output;
    }
}
