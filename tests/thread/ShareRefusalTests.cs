using System.Diagnostics;
using Comanche.Linux;

namespace Comanche.Threading.Tests;

/// <summary>Those who are not let in do no harm to those who are.</summary>
public sealed class ShareRefusalTests
{
    [Fact]
    public void Those_who_are_refused_take_nobodys_place()
    {
        using var stack = new SharedStack(new ShareOptions { MaxClients = 1 });
        var device = stack.Attach();
        var refused = Enumerable.Range(0, 4).Select(_ => Sockets.ConnectUnix(stack.SocketPath, messages: true, TimeSpan.FromSeconds(5))).ToList();
        Wait(() => stack.Host.Counter("share.refused") == 4);
        device.Release();
        Wait(() => stack.Export.GetClients().All(c => c.Device.Length == 0));
        var next = stack.Attach();
        next.Release();
        foreach (var socket in refused) Sockets.Close(socket);
    }

    private static void Wait(Func<bool> condition)
    {
        var clock = Stopwatch.StartNew();
        while (!condition() && clock.Elapsed < TimeSpan.FromSeconds(5)) Thread.Sleep(1);
        Assert.True(condition());
    }
}
