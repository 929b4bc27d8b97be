using System.Runtime.InteropServices.Marshalling;

namespace Comanche.Partition.Tests;

/// <summary>Passes on so many writes, a part of the next one, and fails everything that changes the device from then on: a power cut.</summary>
[GeneratedComClass]
internal sealed unsafe partial class CutDevice(IHost host, int writes, double part) : BlockFilter(host)
{
    /// <summary>Whether the cut has come.</summary>
    public bool IsCut { get; private set; }

    protected override IIoQueue CreateQueue(QueueOptions options) => new Queue(this, OpenBelow(options), options.Depth).Opened();

    [GeneratedComClass]
    private sealed partial class Queue(CutDevice device, IIoQueue below, uint depth) : InPlaceQueue(device, below, depth)
    {
        private uint _blocks;

        protected override void Down(IoDescriptor* descriptor)
        {
            _blocks = 0;
            if (descriptor->Operation == IoOperation.Flush && device.IsCut) _blocks = uint.MaxValue;
            if (descriptor->Operation != IoOperation.Write || device._passed++ < device._writes) return;
            var keep = device.IsCut ? 0 : (uint)(descriptor->BlockCount * device._part);
            device.IsCut = true;
            _blocks = descriptor->BlockCount;
            if (keep == 0) descriptor->Operation = IoOperation.None;
            else descriptor->BlockCount = keep;
        }

        protected override void Up(IoDescriptor* descriptor, bool refused)
        {
            if (_blocks == 0) return;
            descriptor->Status = IoStatus.DeviceFailed;
            if (_blocks == uint.MaxValue) return;
            descriptor->Operation = IoOperation.Write;
            descriptor->BlockCount = _blocks;
        }
    }

    private readonly int _writes = writes;
    private readonly double _part = part;
    private int _passed;
}
