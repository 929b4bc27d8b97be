using Comanche.Block;
using Comanche.Runtime;
using Comanche.Testing;

namespace Comanche.Threading.Tests;

/// <summary>A server whose device can't be asked for a while goes on serving.</summary>
public sealed unsafe class ShareDownTests
{
    [Fact]
    public void A_device_that_cannot_be_asked_for_a_moment_ends_no_server()
    {
        using var process = new ComancheProcess();
        var folder = Directory.CreateTempSubdirectory("comanche-share-").FullName;
        var host = new TestHost("share") { Registry = process.Memory, Reactor = process.DefaultReactor };
        var memory = new MemoryDevice(new TestHost("memory") { Registry = process.Memory }, new MemoryOptions { Size = ByteSize.MiB(8) });
        memory.Start();
        var faulty = new FaultyDevice(new TestHost("faulty") { Registry = process.Memory }, new FaultyOptions());
        faulty.Bind(memory, "");
        faulty.Start();
        var export = new ShareExport(host, new ShareOptions { Socket = Path.Combine(folder, "share.sock"), Names = ["device"] });
        export.Bind(faulty, "");
        export.Start();
        using (var link = AttachLink.Connect(Path.Combine(folder, "share.sock")))
        using (var client = new RawClient(link))
        {
            client.OpenQueue(8);
            client.AddRegion(1, 2 << 20);
            var beyond = new IoDescriptor { Operation = IoOperation.Read, BlockCount = 1, Region = 1, Lba = 1 << 20, Tag = 3 };
            faulty.IsDown = true;
            for (var i = 0; i < 20; i++) Assert.Equal(IoStatus.OutOfRange, client.Do(beyond, TimeSpan.FromSeconds(5)));
            Describe(link);
            faulty.IsDown = false;
            Describe(link);
            Assert.Equal(IoStatus.Success, client.Do(new IoDescriptor { Operation = IoOperation.Read, BlockCount = 1, Region = 1, Tag = 3 }, TimeSpan.FromSeconds(5)));
        }

        var stop = new Thread(export.Stop) { IsBackground = true };
        stop.Start();
        Assert.True(stop.Join(TimeSpan.FromSeconds(10)), "it does not stop");
        Assert.Equal(0ul, host.Counter("share.condemned"));
        export.Release();
        faulty.Stop();
        faulty.Release();
        memory.Stop();
        memory.Release();
        Directory.Delete(folder, recursive: true);
    }

    private static void Describe(AttachLink link)
    {
        var message = ShareMessage.Of(ShareRequest.Describe);
        link.Ask(ref message, -1, []);
        Assert.Equal(512u, message.Volume.BlockSize);
    }
}
