using System.Diagnostics;
using System.Runtime.InteropServices;
using Comanche.Linux;
using Comanche.Testing;

namespace Comanche.Block.Tests;

/// <summary>I/O that does not end by itself: reads of a pipe into which nobody writes.</summary>
public sealed unsafe partial class FileEndlessTests
{
    [Fact]
    public void A_cancelled_operation_comes_back_once_as_cancelled()
    {
        using var pipe = new Pipe(TimeSpan.Zero);
        pipe.Submit(3);
        Assert.Equal(1, pipe.Queue.Cancel(pipe.Slab[1]));
        Assert.Equal([(1ul, IoStatus.Cancelled)], pipe.Await(1));
        Assert.Equal(0, pipe.Queue.Cancel(pipe.Slab[1]));
        Assert.Empty(pipe.Poll());
        pipe.Queue.Cancel(pipe.Slab[0]);
        pipe.Queue.Cancel(pipe.Slab[2]);
        Assert.Equal([IoStatus.Cancelled, IoStatus.Cancelled], pipe.Await(2).Select(d => d.Status));
    }

    [Fact]
    public void A_sleep_ends_after_a_cancellation()
    {
        using var pipe = new Pipe(TimeSpan.Zero);
        pipe.Submit(1);
        Assert.Empty(pipe.Poll());
        Assert.False(Sleeper.Sleep(pipe.Queue, 20));
        pipe.Queue.Cancel(pipe.Slab[0]);
        Assert.True(Sleeper.Sleep(pipe.Queue, 5000));
        Assert.Single(pipe.Await(1));
    }

    [Fact]
    public void Abandon_gives_everything_back_as_aborted_and_takes_nothing_more()
    {
        using var pipe = new Pipe(TimeSpan.Zero);
        pipe.Submit(4);
        pipe.Queue.Abandon();
        Assert.Equal(Enumerable.Repeat(IoStatus.Aborted, 4), pipe.Await(4).Select(d => d.Status));
        var descriptor = pipe.Slab[0];
        Assert.Equal(0, pipe.Queue.Submit(&descriptor, 1));
    }

    [Fact]
    public void An_operation_that_takes_too_long_ends_as_timed_out()
    {
        using var pipe = new Pipe(TimeSpan.FromMilliseconds(50));
        var watch = Stopwatch.StartNew();
        pipe.Submit(2);
        Assert.InRange(pipe.Deadline(), 1, 50_000_000);
        Assert.Equal([IoStatus.TimedOut, IoStatus.TimedOut], pipe.Await(2).Select(d => d.Status));
        Assert.True(watch.ElapsedMilliseconds >= 49);
        DeviceHealth health;
        pipe.Device.GetHealth(&health);
        Assert.Equal(2ul, health.Timeouts);
        Assert.Equal(0ul, health.ReadErrors);
    }

    [Fact]
    public void Short_reads_go_on_until_the_transfer_is_whole()
    {
        using var pipe = new Pipe(TimeSpan.Zero);
        pipe.Submit(1, blocks: 2);
        var written = Stopwatch.StartNew();
        for (var i = 0; i < 8; i++)
        {
            // 128 bytes at a time: each answer of the kernel is a short one.
            pipe.Write(128, (byte)(i + 1));
            if (i < 7) Assert.Empty(pipe.Poll());
        }

        Assert.Equal([(0ul, IoStatus.Success)], pipe.Await(1));
        for (var i = 0; i < 1024; i++) Assert.Equal(i / 128 + 1, pipe.Buffer(0)[i]);
        Assert.True(written.ElapsedMilliseconds < 10_000);
    }

    [Fact]
    public void A_queue_does_not_close_over_an_operation()
    {
        using var pipe = new Pipe(TimeSpan.Zero);
        pipe.Submit(1);
        Assert.Throws<ComancheException>(pipe.Queue.Close);
        pipe.Queue.Abandon();
        pipe.Await(1);
    }

    private sealed partial class Pipe : IDisposable
    {
        private const int Depth = 4;
        private readonly TestHost _host = new("pipe") { Flags = HostFlags.ReadOnly };
        private readonly byte* _memory = (byte*)NativeMemory.AlignedAlloc(Depth * 4096, 4096);
        private readonly int _writer;
        private int _inFlight;

        public Pipe(TimeSpan timeout)
        {
            var ends = stackalloc int[2];
            Assert.Equal(0, pipe2(ends, 0x80000));
            var reader = ends[0];
            _writer = ends[1];
            Device = new FileDevice(_host, new FileDeviceOptions { Path = "pipe", Engine = FileEngine.Uring, Timeout = timeout })
            {
                OpenMedium = (host, _) => FileMedium.Of(host, reader, 512, 64),
            };
            Device.Start();
            var options = new QueueOptions { Depth = Depth };
            Queue = Device.OpenQueue(&options);
        }

        public FileDevice Device { get; }

        public IIoQueue Queue { get; }

        public DescriptorSlab Slab { get; } = new(Depth);

        public Span<byte> Buffer(int index) => new(_memory + index * 4096, 4096);

        public void Submit(int count, uint blocks = 1)
        {
            for (var i = 0; i < count; i++)
            {
                var descriptor = Slab[i];
                *descriptor = new IoDescriptor { Operation = IoOperation.Read, BlockCount = blocks, Buffer = _memory + i * 4096, Tag = (ulong)i };
                Assert.Equal(1, Queue.Submit(&descriptor, 1));
                _inFlight++;
            }
        }

        public void Write(int count, byte value)
        {
            var bytes = stackalloc byte[count];
            new Span<byte>(bytes, count).Fill(value);
            Assert.Equal(count, (int)write(_writer, bytes, (nuint)count));
        }

        public long Deadline()
        {
            var descriptors = stackalloc int[4];
            var waitSet = new WaitSet { Descriptors = descriptors, Capacity = 4 };
            return Queue.Arm(&waitSet);
        }

        public List<(ulong Tag, IoStatus Status)> Poll()
        {
            var completed = stackalloc IoDescriptor*[Depth];
            var count = Queue.Poll(completed, Depth);
            _inFlight -= count;
            var found = new List<(ulong, IoStatus)>();
            for (var i = 0; i < count; i++) found.Add((completed[i]->Tag, completed[i]->Status));
            return found;
        }

        public List<(ulong Tag, IoStatus Status)> Await(int count)
        {
            var found = Poll();
            for (var end = Environment.TickCount64 + 10_000; found.Count < count && Environment.TickCount64 < end;)
            {
                Sleeper.Sleep(Queue, 1000);
                found.AddRange(Poll());
            }

            return found;
        }

        public void Dispose()
        {
            if (_inFlight != 0) Queue.Abandon();
            Await(_inFlight);
            Queue.Close();
            PosixFile.Close(_writer);
            Device.Release();
            NativeMemory.AlignedFree(_memory);
            Slab.Dispose();
        }

        [LibraryImport("libc")]
        private static partial int pipe2(int* ends, int flags);

        [LibraryImport("libc")]
        private static partial nint write(int descriptor, void* buffer, nuint count);
    }
}
