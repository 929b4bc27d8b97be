using Comanche.Linux;

namespace Comanche.Threading.Tests;

/// <summary>What a server sends is not believed either.</summary>
public sealed unsafe class HostileServerTests
{
    [Fact]
    public void A_page_that_can_be_cut_short_is_not_mapped()
    {
        var folder = Directory.CreateTempSubdirectory("comanche-server-");
        var path = Path.Combine(folder.FullName, "s");
        using var file = File.Open(Path.Combine(folder.FullName, "page"), FileMode.Create);
        file.SetLength(4096);
        using var listener = UnixListener.Open(path, 0x180, messages: true);
        var server = new Thread(() =>
        {
            int socket;
            while ((socket = Sockets.Accept(listener.Socket)) < 0) Thread.Sleep(1);
            ShareMessage message;
            while (Sockets.ReceiveMessage(socket, &message, ShareMessage.Size, [], out _) < 0) Thread.Sleep(1);
            Assert.Equal(0, Threads.CreateEvent(out var wakes));
            message.Volume.BlockSize = 512;
            int[] files = [(int)file.SafeFileHandle.DangerousGetHandle(), wakes];
            Sockets.SendMessage(socket, &message, ShareMessage.Size, files);
            Sockets.Close(wakes);
            Sockets.Close(socket);
        });
        server.Start();
        using var process = new Runtime.ComancheProcess();
        var e = Assert.Throws<ComancheException>(() => ComancheClient.Connect(process.CreateHost("client"), path));
        Assert.Contains("can't be mapped", e.Message, StringComparison.Ordinal);
        server.Join();
        listener.Close();
        folder.Delete(recursive: true);
    }
}
