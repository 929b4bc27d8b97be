using System.Runtime.InteropServices;
using System.Runtime.InteropServices.Marshalling;

namespace Comanche.Core.Tests;

/// <summary>
/// A strict little disk: checks each descriptor against the contract, holds I/Os back while its gate is shut, finishes them in a shuffled order, fails what it is told to.
/// </summary>
[GeneratedComClass]
internal sealed unsafe partial class VolumeTestDevice(
    IHost host, int blocks, uint blockSize = 512, VolumeCapabilities capabilities = VolumeTestDevice.All) : BlockDevice(host)
{
    public const VolumeCapabilities All = VolumeCapabilities.Discard | VolumeCapabilities.WriteZeroes;

    private readonly byte* _data = (byte*)NativeMemory.AllocZeroed((nuint)blocks, blockSize);
    private int _blocks = blocks;

    /// <summary>Whether I/Os come back.</summary>
    public bool IsOpen { get => Volatile.Read(ref _isOpen); set => Volatile.Write(ref _isOpen, value); }

    private bool _isOpen = true;

    /// <summary>Status to give for an operation at an LBA; null for success.</summary>
    public Func<IoOperation, ulong, IoStatus>? Fail { get; set; }

    /// <summary>Called at the start of every Poll of a queue; it may throw, as no queue should.</summary>
    public Action? Polling { get; set; }

    /// <summary>Called at the start of every Submit; it may throw.</summary>
    public Action? Submitting { get; set; }

    public uint MaxTransferBlocks { get; init; } = 64;

    public uint Alignment { get; init; } = 512;

    /// <summary>How many descriptors of an operation were done.</summary>
    public int[] Done { get; } = new int[IoOperations.Count];

    /// <summary>How many of them had force unit access.</summary>
    public int ForcedWrites { get; set; }

    /// <summary>Accepted on all queues, not back.</summary>
    public int Held => Volatile.Read(ref _held);

    private int _held;

    /// <summary>What broke the contract.</summary>
    public string? Violation { get; set; }

    public Span<byte> Data => new(_data, _blocks * (int)blockSize);

    /// <summary>Makes the device look longer; the memory is there from the start.</summary>
    public void SetLength(int count)
    {
        _blocks = count;
        RaiseEvent();
    }

    protected override VolumeInfo DescribeVolume() => new()
    {
        BlockSize = blockSize, BlockCount = (ulong)_blocks, MaxTransferBlocks = MaxTransferBlocks, BufferAlignment = Alignment, MaxSegments = 1,
        AtomicWriteBlocks = 1, MaxRangeBlocks = 1000, DiscardGranularityBlocks = 1, Capabilities = capabilities,
    };

    protected override IIoQueue CreateQueue(QueueOptions options) => new Queue(this, options.Depth).Opened();

    protected override void OnClose() => NativeMemory.Free(_data);

    private IoStatus Execute(IoDescriptor* descriptor)
    {
        var operation = descriptor->Operation;
        var length = (nuint)descriptor->BlockCount * blockSize;
        var at = _data + descriptor->Lba * blockSize;
        if (operation.HasRange() && (descriptor->BlockCount == 0 || descriptor->Lba + descriptor->BlockCount > (ulong)_blocks)) return Broken("range");
        if (operation.HasBuffer() && (descriptor->BlockCount > MaxTransferBlocks || (ulong)descriptor->Buffer % Alignment != 0)) return Broken("buffer");
        if (!operation.HasBuffer() && descriptor->BlockCount > 1000) return Broken("length");
        if (operation.Needs() is var needs && (capabilities & needs) != needs) return Broken("capability");
        if (Fail?.Invoke(operation, descriptor->Lba) is { } status and not IoStatus.Success) return status;
        Done[(int)operation]++;
        if ((descriptor->Flags & IoFlags.ForceUnitAccess) != 0) ForcedWrites++;
        switch (operation)
        {
            case IoOperation.Read:
                NativeMemory.Copy(at, descriptor->Buffer, length);
                break;
            case IoOperation.Write:
                NativeMemory.Copy(descriptor->Buffer, at, length);
                break;
            case IoOperation.WriteZeroes or IoOperation.Discard:
                NativeMemory.Clear(at, length);
                break;
        }

        return IoStatus.Success;
    }

    private IoStatus Broken(string what)
    {
        Violation ??= what;
        return IoStatus.InvalidArgument;
    }

    [GeneratedComClass]
    private sealed partial class Queue(VolumeTestDevice device, uint depth) : IoQueue(device, depth)
    {
        private readonly IoDescriptor*[] _held = new IoDescriptor*[depth];
        private readonly HashSet<nint> _cancelled = [];
        private readonly Random _random = new(1);

        public override int Submit(IoDescriptor** batch, int count)
        {
            if (IsAbandoned) return 0;
            device.Submitting?.Invoke();
            var taken = Math.Min(count, Depth - InFlight);
            for (var i = 0; i < taken; i++) _held[InFlight++] = batch[i];
            Interlocked.Add(ref device._held, taken);
            return taken;
        }

        public override int Poll(IoDescriptor** completed, int capacity)
        {
            device.Polling?.Invoke();
            var count = 0;
            for (var i = InFlight - 1; i >= 0 && count < capacity; i--)
            {
                var descriptor = _held[i];
                var isCancelled = _cancelled.Remove((nint)descriptor);
                if (!isCancelled && !IsAbandoned && (!device.IsOpen || (InFlight > 1 && _random.Next(2) == 0))) continue;
                descriptor->Status = isCancelled ? IoStatus.Cancelled : IsAbandoned ? IoStatus.Aborted : device.Execute(descriptor);
                _held[i] = _held[--InFlight];
                completed[count++] = descriptor;
            }

            Interlocked.Add(ref device._held, -count);
            return count;
        }

        public override int Cancel(IoDescriptor* descriptor)
        {
            for (var i = 0; i < InFlight; i++)
                if (_held[i] == descriptor)
                    return Mark(descriptor);
            return 0;
        }

        private int Mark(IoDescriptor* descriptor)
        {
            _cancelled.Add((nint)descriptor);
            return 1;
        }

        public override long Arm(WaitSet* waitSet) => InFlight == 0 ? WaitSet.Forever : 0;

        protected override void OnAbandon() { }

        protected override void OnClose() { }
    }
}
