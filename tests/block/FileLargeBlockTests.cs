using Comanche.Testing;

namespace Comanche.Block.Tests;

public sealed unsafe class FileLargeBlockTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("comanche-test-").FullName;
    private readonly List<Action> _undo = [];

    // A device with blocks of 16 or 64 KiB (Linux 6.12 and later): start-up reads one of its blocks into a buffer of 4 KiB.
    [Theory]
    [InlineData(16384)]
    [InlineData(65536)]
    public void A_device_with_large_blocks_is_opened_without_writing_over_the_heap(int blockSize)
    {
        var image = Path.Combine(_folder, "large.img");
        File.WriteAllBytes(image, [.. Enumerable.Repeat((byte)0xAA, 1 << 20)]);
        var node = Run("losetup", "-b", $"{blockSize}", "--find", "--show", image).Trim();
        _undo.Add(() => Tools.Run("losetup", "--detach", node));

        // What lies behind each such buffer in the heap: many of them, so that one is free where the device will take it, and the rest is ours.
        var pieces = new nint[64];
        for (var i = 0; i < pieces.Length; i++)
        {
            pieces[i] = (nint)System.Runtime.InteropServices.NativeMemory.AlignedAlloc(4096, 4096);
            System.Runtime.InteropServices.NativeMemory.Clear((void*)pieces[i], 4096);
        }

        System.Runtime.InteropServices.NativeMemory.AlignedFree((void*)pieces[8]);
        pieces[8] = 0;
        var device = new FileDevice(new TestHost("disk"), new FileDeviceOptions { Path = node });
        device.Start();
        var spoilt = pieces.Count(p => p != 0 && new ReadOnlySpan<byte>((void*)p, 4096).Contains((byte)0xAA));
        device.Release();
        Assert.True(spoilt == 0, $"{spoilt} buffers that are not the device's hold the disk's bytes");
    }

    public void Dispose()
    {
        for (var i = _undo.Count - 1; i >= 0; i--) _undo[i]();
        Directory.Delete(_folder, recursive: true);
    }

    private static string Run(string tool, params string[] arguments)
    {
        var (code, output) = Tools.Run(tool, arguments);
        Assert.SkipUnless(code == 0, $"{tool}: {output}");
        return output;
    }
}
