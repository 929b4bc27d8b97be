using System.Runtime.InteropServices;
using Comanche.Block;
using Comanche.Linux;

namespace Comanche.Peers;

/// <summary>Random 4 KiB I/O on a <c>block/file</c>, from one thread that polls, arms and sleeps.</summary>
internal sealed unsafe partial class FileJob : IDisposable
{
    private const uint BlockBytes = 4096;
    private const int ThreadClock = 3;

    private readonly BenchHost _host;
    private readonly FileDevice _device;
    private readonly IIoQueue _queue;
    private readonly DescriptorSlab _slab;
    private readonly IoDescriptor*[] _batch;
    private readonly VolumeInfo _volume;
    private readonly int _depth;
    private ulong _random = 0x9E3779B97F4A7C15;

    public FileJob(string path, int depth)
    {
        _depth = depth;
        _host = new BenchHost(new BenchMemory());
        _device = new FileDevice(_host, new FileDeviceOptions { Path = path, Engine = FileEngine.Uring });
        _device.Start();
        VolumeInfo volume;
        _device.GetVolumeInfo(&volume);
        _volume = volume;
        var options = new QueueOptions { Depth = (uint)depth };
        _queue = _device.OpenQueue(&options);
        _slab = new DescriptorSlab(depth);
        _batch = new IoDescriptor*[depth];
        for (var i = 0; i < depth; i++)
        {
            var buffer = _device.AllocateIoBuffer(BlockBytes, BlockBytes, -1);
            IoBufferInfo info;
            _device.GetBufferInfo(buffer, &info);
            *_slab[i] = new IoDescriptor { Buffer = (byte*)info.Address, Region = info.Region, BlockCount = BlockBytes / volume.BlockSize };
        }
    }

    /// <summary>Runs for a time and says how it went.</summary>
    public FilePeer.Sample Measure(bool write, int runtimeMs)
    {
        var operation = write ? IoOperation.Write : IoOperation.Read;
        var descriptors = stackalloc int[8];
        ulong finished = 0, sleeps = 0;
        fixed (IoDescriptor** batch = _batch)
        {
            var cpu = CpuNs();
            var start = _host.GetTime();
            var end = start + (ulong)runtimeMs * 1_000_000;
            for (var i = 0; i < _depth; i++) batch[i] = Next(_slab[i], operation);
            Check(_queue.Submit(batch, _depth) == _depth);
            var inFlight = _depth;
            while (inFlight != 0)
            {
                var count = _queue.Poll(batch, _depth);
                if (count == 0 && _queue is IWaitingQueue waiting)
                {
                    waiting.Wait(1, WaitSet.Forever);
                    sleeps++;
                    continue;
                }

                if (count == 0)
                {
                    var waitSet = new WaitSet { Descriptors = descriptors, Capacity = 8 };
                    var deadline = _queue.Arm(&waitSet);
                    if (deadline == 0) continue;
                    Poll.Wait(&waitSet, deadline);
                    sleeps++;
                    continue;
                }

                finished += (ulong)count;
                inFlight -= count;
                for (var i = 0; i < count; i++) Check(batch[i]->Status == IoStatus.Success);
                if (_host.GetTime() >= end) continue;
                for (var i = 0; i < count; i++) Next(batch[i], operation);
                Check(_queue.Submit(batch, count) == count);
                inFlight += count;
            }

            var seconds = (_host.GetTime() - start) / 1e9;
            return new FilePeer.Sample(finished / seconds, (CpuNs() - cpu) / (double)finished, (double)sleeps / finished);
        }
    }

    public void Dispose()
    {
        _queue.Close();
        _device.Release();
        _slab.Dispose();
    }

    private IoDescriptor* Next(IoDescriptor* descriptor, IoOperation operation)
    {
        _random ^= _random << 13;
        _random ^= _random >> 7;
        _random ^= _random << 17;
        var perIo = descriptor->BlockCount;
        descriptor->Operation = operation;
        descriptor->Lba = _random % (_volume.BlockCount / perIo) * perIo;
        return descriptor;
    }

    private static void Check(bool good)
    {
        if (!good) throw new ComancheException("an I/O failed");
    }

    // The measuring thread's own time, as fio takes it: the runtime's compiler threads are not the data path.
    private static ulong CpuNs()
    {
        var time = stackalloc long[2];
        clock_gettime(ThreadClock, time);
        return (ulong)(time[0] * 1_000_000_000 + time[1]);
    }

    [LibraryImport("libc")]
    private static partial int clock_gettime(int clock, long* time);
}
