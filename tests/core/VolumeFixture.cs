using Comanche.Testing;

namespace Comanche.Core.Tests;

/// <summary>A volume over the strict little disk, on a reactor of its own.</summary>
internal sealed class VolumeFixture : IAsyncDisposable
{
    private readonly TestHost _host = new("disk");

    private VolumeFixture(VolumeTestDevice device, TestReactor reactor, TestHost host) => (Device, Reactor, _host) = (device, reactor, host);

    public VolumeTestDevice Device { get; }

    public TestReactor Reactor { get; }

    public TestHost Host => _host;

    public Volume Volume { get; private set; } = null!;

    public static async Task<VolumeFixture> OpenAsync(VolumeOptions? options = null, Func<IHost, VolumeTestDevice>? make = null)
    {
        var host = new TestHost("disk");
        var device = make is null ? new VolumeTestDevice(host, 2048) : make(host);
        device.Start();
        var fixture = new VolumeFixture(device, new TestReactor(), host);
        fixture.Volume = await Volume.OpenAsync(device, fixture.Reactor, options);
        return fixture;
    }

    public async ValueTask DisposeAsync()
    {
        Device.IsOpen = true;
        await Volume.DisposeAsync().AsTask().WaitAsync(TimeSpan.FromSeconds(10));
        Assert.Equal(0, Reactor.PollerCount);
        Reactor.Dispose();
        Assert.Null(Device.Violation);
        Device.Stop();
        Assert.Equal(0u, Device.Release());
        Assert.Equal(0, _host.Memory.Live);
    }

    /// <summary>Waits until a condition holds, at most ten seconds.</summary>
    public static async Task Until(Func<bool> condition)
    {
        for (var i = 0; i < 10_000 && !condition(); i++) await Task.Delay(1);
        Assert.True(condition());
    }
}
