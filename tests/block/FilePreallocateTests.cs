using Comanche.Testing;

namespace Comanche.Block.Tests;

public sealed unsafe class FilePreallocateTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("comanche-test-").FullName;
    private readonly List<Action> _undo = [];

    // What was preallocated "so that a write does not run out of space" is given back by the first discard: mkfs on the volume discards all of it.
    [Fact]
    public void Preallocated_space_stays_allocated()
    {
        using var file = new FileFixture(with: o => o with { Preallocate = true });
        Assert.True(FileFixture.Allocated(file.Options.Path) >= 8192);
        if (!file.Volume.Has(VolumeCapabilities.Discard)) return;
        Assert.Equal(IoStatus.Success, file.Do(new IoDescriptor { Operation = IoOperation.Discard, BlockCount = 8192 }));
        Assert.True(FileFixture.Allocated(file.Options.Path) >= 8192, $"{FileFixture.Allocated(file.Options.Path)} of 8192 sectors are still allocated");
    }

    public void Dispose()
    {
        for (var i = _undo.Count - 1; i >= 0; i--) _undo[i]();
        Directory.Delete(_folder, recursive: true);
    }
}
