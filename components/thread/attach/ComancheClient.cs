namespace Comanche.Threading;

/// <summary>The way into a shared stack for a program that has no stack file of its own.</summary>
public static class ComancheClient
{
    /// <summary>
    /// Attaches to a device that another process shares (<c>thread/share</c>). The device is started; the last <see cref="IBase.Release"/> detaches. Its memory interface is
    /// the host's: buffers from there go across without a copy.
    /// </summary>
    /// <param name="host">Whose memory, clock and log are used, as <c>ComancheProcess.CreateHost</c> gives one.</param>
    /// <param name="socket">The path of the socket.</param>
    /// <param name="device">The name of the device; empty where only one is shared.</param>
    /// <exception cref="ComancheException">Nobody shares it there, or not with this user.</exception>
    public static IBlockDevice Connect(IHost host, string socket, string device = "")
    {
        var attached = new AttachDevice(host, new AttachOptions { Socket = socket, Device = device });
        try
        {
            attached.Start();
            return attached;
        }
        catch
        {
            attached.Release();
            throw;
        }
    }
}
