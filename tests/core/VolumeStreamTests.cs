using System.Text;

namespace Comanche.Core.Tests;

public sealed class VolumeStreamTests
{
    [Fact]
    public async Task A_stream_reads_writes_and_seeks()
    {
        await using var fixture = await VolumeFixture.OpenAsync();
        await using var stream = new VolumeStream(fixture.Volume);
        Assert.True(stream is { CanRead: true, CanWrite: true, CanSeek: true, Length: 2048 * 512 });
        stream.Position = 700;
        await using (var writer = new StreamWriter(stream, Encoding.UTF8, leaveOpen: true)) await writer.WriteAsync(new string('x', 5000));
        Assert.Equal(5700, stream.Position);
        Assert.Equal(703, stream.Seek(703, SeekOrigin.Begin));
        Assert.Equal('x', stream.ReadByte());
        stream.WriteByte((byte)'y');
        Assert.Equal(704, stream.Seek(-1, SeekOrigin.Current));
        Assert.Equal('y', stream.ReadByte());
        await stream.FlushAsync();
        stream.Flush();
        Assert.Equal(3, fixture.Device.Done[(int)IoOperation.Flush]);
    }

    [Fact]
    public async Task A_read_ends_short_at_the_end_and_a_write_beyond_it_is_refused()
    {
        await using var fixture = await VolumeFixture.OpenAsync();
        await using var stream = new VolumeStream(fixture.Volume);
        Assert.Equal(2048 * 512 - 10, stream.Seek(-10, SeekOrigin.End));
        Assert.Equal(10, await stream.ReadAsync(new byte[100]));
        Assert.Equal(0, await stream.ReadAsync(new byte[100]));
        Assert.Equal(-1, stream.ReadByte());
        stream.Position += 100;
        Assert.Equal(0, stream.Read(new byte[1]));
        Assert.Throws<ComancheIoException>(() => stream.Write(new byte[1]));
        Assert.Throws<IOException>(() => stream.Seek(-1, SeekOrigin.Begin));
        Assert.Throws<NotSupportedException>(() => stream.SetLength(1));
    }

    [Fact]
    public async Task A_stream_is_copied_whole()
    {
        await using var fixture = await VolumeFixture.OpenAsync();
        new Random(4).NextBytes(fixture.Device.Data);
        using var copy = new MemoryStream();
        await using (var stream = new VolumeStream(fixture.Volume)) await stream.CopyToAsync(copy, 100_003);
        Assert.True(fixture.Device.Data.SequenceEqual(copy.ToArray()));
    }

    [Fact]
    public async Task A_disposed_stream_takes_its_volume_along_when_it_owns_it()
    {
        await using var fixture = await VolumeFixture.OpenAsync();
        var stream = new VolumeStream(fixture.Volume, leaveOpen: false);
        stream.Dispose();
        Assert.Throws<ObjectDisposedException>(() => stream.ReadByte());
        Assert.Throws<ObjectDisposedException>(fixture.Volume.Flush);
    }
}
