using System.Runtime.InteropServices;
using Comanche.Linux;

namespace Comanche.Threading;

/// <summary>
/// The server's end of a queue of another process. Every field of a descriptor is checked in the private copy; offsets become addresses inside the client's own memory, or the
/// descriptor goes no further.
/// </summary>
/// <remarks>Segment lists lie in the rings' memory; each entry is copied once, and the copy is what is checked and what goes down.</remarks>
internal sealed unsafe class SharePort : Port
{
    private readonly ShareSession _session;
    private readonly Lane _lane;
    private readonly nuint _bytes;
    private readonly EventDescriptor _clientEvent;
    private readonly int _segmentsEach;
    private readonly IoSegment* _segments; // Private copies, by index.
    private readonly byte* _epochs;        // By index: what ClientMemory.Leave is to be told.
    private DescriptorRules _rules;
    private readonly int _blockShift;

    /// <summary>Makes the server's end.</summary>
    /// <param name="session">The client.</param>
    /// <param name="lane">What serves it.</param>
    /// <param name="channel">The rings, in mapped memory that becomes the port's.</param>
    /// <param name="bytes">How much that is.</param>
    /// <param name="depth">The most descriptors in flight.</param>
    /// <param name="clientEvent">What wakes the client; becomes the port's.</param>
    /// <param name="volume">The device's geometry as the client sees it.</param>
    /// <param name="segments">How many segments a descriptor can have.</param>
    public SharePort(ShareSession session, Lane lane, Channel channel, nuint bytes, int depth, EventDescriptor clientEvent, in VolumeInfo volume, int segments)
        : base(channel, depth)
    {
        _session = session;
        _lane = lane;
        _bytes = bytes;
        _clientEvent = clientEvent;
        _segmentsEach = segments;
        _segments = (IoSegment*)NativeMemory.Alloc((nuint)depth * (nuint)segments, (nuint)sizeof(IoSegment));
        _epochs = (byte*)NativeMemory.AllocZeroed((nuint)depth);
        _rules = new DescriptorRules(volume);
        _blockShift = System.Numerics.BitOperations.TrailingZeroCount(volume.BlockSize);
    }

    /// <summary>The number by which the client knows it.</summary>
    public uint Number { get; init; }

    /// <inheritdoc/>
    protected override IoStatus Translate(IoDescriptor* descriptor, uint index)
    {
        _epochs[index] = _session.Memory.Enter();
        descriptor->Parent = null;
        descriptor->Pending = 0;
        if (descriptor->Operation.HasBuffer() && (int)descriptor->Operation < IoOperations.Count)
        {
            if (!TranslateData(descriptor, index)) return Refuse();
        }
        else
        {
            descriptor->Buffer = null;
        }

        var status = _rules.IsPlain(descriptor) ? IoStatus.Success : _rules.Check(descriptor);
        if (status == IoStatus.OutOfRange && _session.TryRefresh(out var volume))
        {
            _rules = new DescriptorRules(volume);
            status = _rules.Check(descriptor);
        }

        return status == IoStatus.InvalidArgument ? Refuse() : status;
    }

    /// <inheritdoc/>
    protected override void OnCompleted(uint index) => _session.Memory.Leave(_epochs[index]);

    /// <inheritdoc/>
    protected override void OnCancel(IoDescriptor* descriptor) => _lane.Cancel(this, descriptor);

    /// <inheritdoc/>
    protected override void OnViolation() => _session.Condemn("it submitted an index that is in use or out of range");

    /// <inheritdoc/>
    protected override void WakeClient() => _clientEvent.Signal();

    /// <inheritdoc/>
    protected override void OnDispose()
    {
        NativeMemory.Free(_segments);
        NativeMemory.Free(_epochs);
        _clientEvent.Dispose();
        Memory.Unmap(Channel.Memory, _bytes);
    }

    private IoStatus Refuse()
    {
        _session.CountRefused();
        return IoStatus.InvalidArgument;
    }

    private bool TranslateData(IoDescriptor* descriptor, uint index)
    {
        var length = (ulong)descriptor->BlockCount << _blockShift;
        var number = descriptor->Region;
        if (descriptor->Operation == IoOperation.CompareAndWrite)
        {
            if (!_session.Memory.TryFind(number, descriptor->Auxiliary, length, out var compare, out _)) return false;
            descriptor->Auxiliary = (ulong)compare;
        }

        if ((descriptor->Flags & IoFlags.Segments) != 0) return TranslateSegments(descriptor, index);
        if (!_session.Memory.TryFind(number, (ulong)descriptor->Buffer, length, out var address, out var region)) return false;
        descriptor->Buffer = address;
        descriptor->Region = region;
        return true;
    }

    private bool TranslateSegments(IoDescriptor* descriptor, uint index)
    {
        if (descriptor->SegmentCount > _segmentsEach) return false;
        var from = Channel.Segments(index);
        var to = _segments + (nuint)index * (nuint)_segmentsEach;
        for (var i = 0; i < descriptor->SegmentCount; i++)
        {
            var segment = from[i];
            if (!_session.Memory.TryFind(segment.Region, (ulong)segment.Address, segment.Length, out var address, out var region)) return false;
            to[i] = new IoSegment { Address = address, Length = segment.Length, Region = region };
        }

        descriptor->Segments = to;
        descriptor->Region = 0;
        return true;
    }
}
