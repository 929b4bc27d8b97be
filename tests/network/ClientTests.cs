using System.Security.Cryptography;
using Comanche.Testing;

namespace Comanche.Network.Tests;

/// <summary>Clients that know nothing of us.</summary>
public sealed class ClientTests
{
    private static string Run(string tool, params string[] arguments)
    {
        var (code, output) = Tools.Run(tool, arguments);
        Assert.True(code == 0, $"{tool} {string.Join(' ', arguments)} ended with {code}: {output}");
        return output;
    }

    [Fact]
    public void Nbdinfo_sees_what_is_served()
    {
        Tools.Need("nbdinfo", "libnbd-bin");
        using var served = new Served(new NbdOptions { Names = ["one", "two"], Description = "a test" }, volumes: 2, bytes: 32 << 20, blockSize: 4096);
        var output = Run("nbdinfo", "--json", "--list", served.Uri);
        using var json = System.Text.Json.JsonDocument.Parse(output);
        var exports = json.RootElement.GetProperty("exports").EnumerateArray().ToArray();
        Assert.Equal(["one", "two"], exports.Select(e => e.GetProperty("export-name").GetString()));
        foreach (var export in exports)
        {
            Assert.Equal(32 << 20, export.GetProperty("export-size").GetInt64());
            foreach (var can in new[] { "can_multi_conn", "can_flush", "can_fua", "can_trim", "can_zero", "can_fast_zero", "can_df" }) Assert.True(export.GetProperty(can).GetBoolean(), can);
            Assert.False(export.GetProperty("is_read_only").GetBoolean());
            Assert.Equal("base:allocation", Assert.Single(export.GetProperty("contexts").EnumerateArray()).GetString());
        }

        Assert.Contains("data", Run("nbdinfo", "--map", served.Uri));
    }

    [Fact]
    public void Nbdcopy_brings_an_image_in_and_out_unchanged()
    {
        Tools.Need("nbdcopy", "libnbd-bin");
        using var served = new Served(bytes: 48 << 20, seed: 11, limits: info => info with { MaxTransferBlocks = 128 });
        var source = Path.Combine(served.Folder, "in.img");
        var data = new byte[48 << 20];
        new Random(48).NextBytes(data.AsSpan(5 << 20, 20 << 20)); // With a hole on either side.
        File.WriteAllBytes(source, data);
        Run("nbdcopy", "--flush", source, served.Uri);
        var back = Path.Combine(served.Folder, "out.img");
        Run("nbdcopy", served.Uri, back);
        Assert.Equal(SHA256.HashData(File.ReadAllBytes(source)), SHA256.HashData(File.ReadAllBytes(back)));
        Assert.True(served.Device.Counts[(int)IoOperation.Flush] > 0);
    }

    [Fact]
    public void Qemu_img_reads_and_writes()
    {
        Tools.Need("qemu-img", "qemu-utils");
        Tools.Need("qemu-io", "qemu-utils");
        using var served = new Served(bytes: 16 << 20);
        Assert.Contains("virtual size: 16 MiB", Run("qemu-img", "info", served.Uri));
        var output = Run("qemu-io", "-f", "raw", served.Uri, "-c", "write -P 0x5a 1M 3M", "-c", "read -P 0x5a 1M 3M", "-c", "write -z 2M 1M", "-c", "read -P 0 2M 1M", "-c", "discard 0 1M",
            "-c", "write -f -P 1 0 64k", "-c", "aio_write -P 7 8M 1M", "-c", "aio_read -P 0 12M 1M", "-c", "aio_flush", "-c", "read -P 7 8M 1M", "-c", "flush");
        Assert.DoesNotContain("Pattern verification failed", output);
        Assert.DoesNotContain("error", output);
        var copy = Path.Combine(served.Folder, "copy.qcow2");
        Run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", served.Uri, copy);
        Assert.Contains("Images are identical", Run("qemu-img", "compare", "-f", "raw", "-F", "qcow2", served.Uri, copy));
    }

    [Fact]
    public void Fio_verifies_what_it_wrote()
    {
        Tools.Need("fio", "fio");
        using var served = new Served(bytes: 32 << 20, seed: 3);
        var output = Run("fio", "--name=checked", "--ioengine=nbd", $"--uri={served.Uri}", "--rw=randwrite", "--bsrange=512-128k", "--bs_unaligned=0", "--blockalign=512", "--iodepth=32",
            "--size=32m", "--verify=crc32c", "--do_verify=1", "--verify_fatal=1", "--fsync=64", "--randseed=5");
        Assert.Contains("err= 0", output);
        Assert.DoesNotContain("verify:", output);
        Assert.True(served.Device.Counts[(int)IoOperation.Flush] > 0);
    }

    [Fact]
    public void A_volume_that_may_not_be_changed_is_so_for_qemu_too()
    {
        Tools.Need("qemu-io", "qemu-utils");
        using var served = new Served(flags: HostFlags.ReadOnly);
        var (code, output) = Tools.Run("qemu-io", "-f", "raw", served.Uri, "-c", "write 0 512");
        Assert.True(code != 0, output);
        Run("qemu-io", "-r", "-f", "raw", served.Uri, "-c", "read -P 0 0 512");
    }
}
