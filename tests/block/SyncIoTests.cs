using Comanche.Testing;

namespace Comanche.Block.Tests;

public sealed class SyncIoTests
{
    [Fact]
    public void What_is_written_is_read_across_pieces()
    {
        var host = new TestHost("memory");
        var device = new MemoryDevice(host, new MemoryOptions { Size = ByteSize.MiB(2) });
        device.Start();
        using (var io = new SyncIo(device, host, "memory"))
        {
            var data = new byte[1 << 20];
            new Random(7).NextBytes(data);
            io.Write(3, data);
            io.Flush();
            var back = new byte[data.Length];
            io.Read(3, back);
            Assert.Equal(data, back);
        }

        device.Stop();
        Assert.Equal(0u, device.Release());
        Assert.Equal(0, host.Memory.Live);
    }
}
