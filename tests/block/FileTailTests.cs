using Comanche.Testing;

namespace Comanche.Block.Tests;

public sealed unsafe class FileTailTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("comanche-test-").FullName;
    private readonly List<Action> _undo = [];

    // Opening a file whose length is not a multiple of the block destroys its tail: FindDiscard punches a hole over it.
    [Theory]
    [InlineData(8192 + 100, 0, true)]
    [InlineData(8192 + 512, 4096, true)] // A fixed .vhd, say: its footer is the last 512 bytes.
    [InlineData(8192 + 512, 4096, false)]
    public void Opening_a_file_changes_nothing_in_it(int length, int blockSize, bool create)
    {
        var path = Path.Combine(_folder, "odd.img");
        File.WriteAllBytes(path, [.. Enumerable.Repeat((byte)7, length)]);
        var device = new FileDevice(new TestHost("disk"), new FileDeviceOptions { Path = path, BlockSize = new((ulong)blockSize), Create = create });
        device.Start();
        device.Stop();
        device.Release();
        Assert.Equal(-1, File.ReadAllBytes(path).AsSpan().IndexOfAnyExcept((byte)7));
    }

    public void Dispose()
    {
        for (var i = _undo.Count - 1; i >= 0; i--) _undo[i]();
        Directory.Delete(_folder, recursive: true);
    }
}
