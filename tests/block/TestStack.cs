using Comanche.Testing;

namespace Comanche.Block.Tests;

/// <summary>Devices bound to each other and started bottom up; taken apart top down, where it shows that nothing leaks.</summary>
internal sealed class TestStack : IDisposable
{
    private readonly List<BlockDevice> _devices = [];

    public TestHost Host { get; init; } = new("device");

    public MemoryDevice AddMemory(ulong mebibytes = 1, uint blockSize = 512) =>
        Add(new MemoryDevice(Host, new MemoryOptions { Size = ByteSize.MiB(mebibytes), BlockSize = new(blockSize) }));

    public T Add<T>(T device, params (string Role, IBase Device)[] bindings) where T : BlockDevice
    {
        foreach (var (role, below) in bindings) device.Bind(below, role);
        device.Start();
        _devices.Add(device);
        return device;
    }

    /// <summary>Stops and releases everything now; disposing does it too.</summary>
    public void TakeApart()
    {
        for (var i = _devices.Count - 1; i >= 0; i--)
        {
            _devices[i].Stop();
            _devices[i].Release();
        }

        _devices.Clear();
    }

    public void Dispose()
    {
        TakeApart();
        Assert.Equal(0, Host.Memory.Live);
    }
}
