namespace Comanche.Block.Tests;

public sealed unsafe class LogUnreadableTests : IDisposable
{
    private readonly TestStack _stack = new();

    public void Dispose() => _stack.Dispose();

    // Both copies of the super block are read at once: one bad sector takes the log away.
    [Theory]
    [InlineData(0)]
    [InlineData(8)]
    public void A_log_with_one_unreadable_super_block_is_read_by_the_other(int bad)
    {
        var log = _stack.AddMemory(4);
        var device = _stack.Add(new LogWritesDevice(_stack.Host, new LogWritesOptions { Create = true }), ("", _stack.AddMemory()), ("log", log));
        using (var queue = new TestQueue(device)) queue.Write(0, 1, 7);
        device.Stop();
        var faulty = _stack.Add(new ErrorDevice(_stack.Host, new ErrorOptions
        {
            Rules = [new ErrorRule { Operations = [IoOperation.Read], Lba = bad, Blocks = 1, Status = IoStatus.MediaError }],
        }), ("", log));
        using var reader = new LogReader(faulty, _stack.Host, "log");
        Assert.Single(reader.Entries);
    }
}
