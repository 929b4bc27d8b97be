using System.Globalization;
using System.Runtime.InteropServices.Marshalling;

namespace Comanche.Threading.Tests;

/// <summary>A filter that notes every buffer that does not lie in a mapping of the file with a name.</summary>
[GeneratedComClass]
internal sealed unsafe partial class WatchDevice(IHost host, string file) : BlockFilter(host)
{
    private readonly List<(ulong Start, ulong End)> _mappings = [];

    /// <summary>What lay elsewhere.</summary>
    public List<string> Strays { get; } = [];

    /// <summary>How many buffers were seen.</summary>
    public int Seen { get; private set; }

    protected override IIoQueue CreateQueue(QueueOptions queue) => new WatchQueue(this, OpenBelow(queue), queue.Depth).Opened();

    private void See(IoDescriptor* descriptor)
    {
        if (!descriptor->Operation.HasBuffer()) return;
        VolumeInfo volume;
        Below.GetVolumeInfo(&volume);
        var length = (ulong)descriptor->BlockCount * volume.BlockSize;
        if (descriptor->Operation == IoOperation.CompareAndWrite) See(descriptor, descriptor->Auxiliary, length);
        if ((descriptor->Flags & IoFlags.Segments) == 0)
        {
            See(descriptor, (ulong)descriptor->Buffer, length);
            return;
        }

        for (var i = 0; i < descriptor->SegmentCount; i++) See(descriptor, (ulong)descriptor->Segments[i].Address, descriptor->Segments[i].Length);
    }

    private void See(IoDescriptor* descriptor, ulong start, ulong length)
    {
        Seen++;
        if (Lies(start, length)) return;
        _mappings.Clear();
        foreach (var line in File.ReadLines("/proc/self/maps"))
        {
            if (!line.Contains($"/memfd:{file} ", StringComparison.Ordinal)) continue;
            var range = line.Split(' ')[0].Split('-');
            _mappings.Add((ulong.Parse(range[0], NumberStyles.HexNumber, CultureInfo.InvariantCulture), ulong.Parse(range[1], NumberStyles.HexNumber, CultureInfo.InvariantCulture)));
        }

        if (!Lies(start, length)) Strays.Add($"{descriptor->Operation} of {length} bytes at 0x{start:x}");
    }

    private bool Lies(ulong start, ulong length) => _mappings.Any(m => start >= m.Start && start < m.End && length <= m.End - start);

    [GeneratedComClass]
    private sealed partial class WatchQueue(WatchDevice device, IIoQueue below, uint depth) : InPlaceQueue(device, below, depth)
    {
        protected override void Down(IoDescriptor* descriptor) => device.See(descriptor);

        protected override void Up(IoDescriptor* descriptor, bool refused) { }
    }
}
