using System.Runtime.CompilerServices;

namespace Comanche.Block.Tests;

/// <summary>A write log that somebody made, with good checksums.</summary>
public sealed unsafe class LogHostileTests : IDisposable
{
    private readonly TestStack _stack = new();

    public void Dispose() => _stack.Dispose();

    // A device trusts its callers here (block/memory does): what is not looked at before would read and write memory that is not the device's.
    [Theory]
    [InlineData("payload")]
    [InlineData("copy")]
    public void A_hostile_log_is_an_error_and_nothing_is_done_beyond_the_device(string what)
    {
        var log = _stack.AddMemory(4);
        var device = Make(_stack.AddMemory(), log, create: true);
        using (var queue = new TestQueue(device)) queue.Do(queue.Make(IoOperation.Write, 0, 128, 0x66));
        device.Stop();
        device.Release();
        ChangeFirst(log, header =>
        {
            header.Lba = 2047;
            header.BlockCount = 1;
            if (what == "copy") (header.Operation, header.Lba, header.Auxiliary, header.PayloadBytes, header.PayloadCrc) = (IoOperation.Copy, 0, 2048 + 8, 0, 0);
            return header;
        });

        var strict = _stack.Add(new Narrow(_stack.Host), ("", _stack.AddMemory(2)));
        Assert.Throws<ComancheException>(() => Replay(log, strict));
        Assert.Empty(strict.Beyond);
    }

    // A payload of 2 GiB: no number of bytes that an array can have.
    [Fact]
    public void A_payload_that_no_array_holds_is_an_error_in_words()
    {
        var folder = Directory.CreateTempSubdirectory("comanche-test-").FullName;
        try
        {
            var log = new FileDevice(_stack.Host, new FileDeviceOptions { Path = Path.Combine(folder, "log.img"), Size = ByteSize.GiB(3) });
            log.Start();
            var device = Make(_stack.AddMemory(), log, create: true);
            using (var queue = new TestQueue(device)) queue.Write(0, 1, 1);
            device.Stop();
            device.Release();
            ChangeFirst(log, header => header with { PayloadBytes = 0x8000_0000 });
            using (var io = new SyncIo(log, _stack.Host, "log"))
            {
                var super = new byte[4096]; // Generation 2 is copy 0: open, so that the end is looked for; only the other copy says so after this.
                io.Write(0, super);
            }

            Assert.Throws<ComancheException>(() => Replay(log, _stack.AddMemory()));
            log.Stop();
            log.Release();
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    // The reader checks where entries lie; the writer that continues a closed log does not, and writes its entries over the super blocks.
    [Theory]
    [InlineData(0ul, 0ul)]
    [InlineData(100ul, 1ul)]
    public void A_hostile_super_block_is_not_continued(ulong firstEntry, ulong end)
    {
        var data = _stack.AddMemory();
        var log = _stack.AddMemory(4);
        Run(data, log, create: true, stop: true);
        using (var io = new SyncIo(log, _stack.Host, "log"))
        {
            var block = new byte[512];
            io.Read(0, block);
            var super = Unsafe.ReadUnaligned<LogSuperBlock>(ref block[0]);
            Assert.Equal(LogState.Closed, super.State);
            (super.FirstEntry, super.End) = (firstEntry, end);
            LogFormat.Seal(ref super);
            Unsafe.WriteUnaligned(ref block[0], super);
            io.Write(0, block);
        }

        var error = Record.Exception(() => Run(data, log, create: false, stop: false));
        var first = new byte[512];
        using (var io = new SyncIo(log, _stack.Host, "log")) io.Read(0, first);
        Assert.True(error is ComancheException, $"continued; {error?.GetType().Name ?? "no error"}; the first super block begins with {Convert.ToHexString(first.AsSpan(0, 8))}");
    }

    private void Replay(BlockDevice log, BlockDevice target)
    {
        using var reader = new LogReader(log, _stack.Host, "log");
        LogReplay.Apply(reader, ulong.MaxValue, target, _stack.Host, "target");
    }

    private void ChangeFirst(BlockDevice log, Func<LogEntryHeader, LogEntryHeader> change)
    {
        using var io = new SyncIo(log, _stack.Host, "log");
        var block = new byte[512];
        io.Read(LogFormat.FirstEntry(512), block);
        var header = change(Unsafe.ReadUnaligned<LogEntryHeader>(ref block[0]));
        LogFormat.Seal(&header);
        Unsafe.WriteUnaligned(ref block[0], header);
        io.Write(LogFormat.FirstEntry(512), block);
    }

    private LogWritesDevice Make(BlockDevice data, BlockDevice log, bool create)
    {
        var device = new LogWritesDevice(_stack.Host, new LogWritesOptions { Create = create });
        device.Bind(data, "");
        device.Bind(log, "log");
        device.Start();
        return device;
    }

    private void Run(BlockDevice data, BlockDevice log, bool create, bool stop)
    {
        var device = Make(data, log, create);
        using (var queue = new TestQueue(device))
            for (var i = 0; i < 5; i++) queue.Write((ulong)i * 2, 2, (byte)(i + 1));
        if (!stop) return; // Killed.
        device.Stop();
        device.Release();
    }
}

/// <summary>Says that it has 2048 blocks, and notes what lies beyond them.</summary>
[System.Runtime.InteropServices.Marshalling.GeneratedComClass]
internal sealed unsafe partial class Narrow(IHost host) : BlockFilter(host)
{
    public List<string> Beyond { get; } = [];

    protected override VolumeInfo DescribeVolume() => base.DescribeVolume() with { BlockCount = 2048 };

    protected override IIoQueue CreateQueue(QueueOptions options) => new Queue(this, OpenBelow(options), options.Depth).Opened();

    [System.Runtime.InteropServices.Marshalling.GeneratedComClass]
    private sealed partial class Queue(Narrow device, IIoQueue below, uint depth) : InPlaceQueue(device, below, depth)
    {
        protected override void Down(IoDescriptor* descriptor)
        {
            if (descriptor->Operation.HasRange() && descriptor->Lba + descriptor->BlockCount > 2048)
                device.Beyond.Add($"{descriptor->Operation} of {descriptor->BlockCount} blocks at LBA {descriptor->Lba} of 2048");
        }

        protected override void Up(IoDescriptor* descriptor, bool refused) { }
    }
}
