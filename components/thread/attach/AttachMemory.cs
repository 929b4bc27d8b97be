namespace Comanche.Threading;

/// <summary>
/// Which memory of this process the server knows, and under which number. Pools become known when a buffer in them is first used; those that are gone are taken back when the memory's
/// generation moved. Any thread.
/// </summary>
internal sealed unsafe class AttachMemory(IHost host, AttachLink link)
{
    private readonly Lock _lock = new();
    private readonly ISharedMemory? _shared = host.GetMemory().Query<ISharedMemory>();
    private readonly ulong* _generation = host.GetMemory().GetGeneration();
    private readonly HashSet<uint> _numbers = []; // In use, those of queues' own memory too. Under the lock.
    private readonly HashSet<ulong> _refused = []; // Pools that the server has no room for, by id. Under the lock.
    private AttachRegion[] _regions = [];
    private ulong _seenGeneration;
    private uint _lastNumber;

    /// <summary>The regions that are known; a new array whenever there is another one. One read.</summary>
    public AttachRegion[] Regions => Volatile.Read(ref _regions);

    /// <summary>Whether memory came or went since it was last looked at.</summary>
    public bool IsStale => Volatile.Read(ref *_generation) != Volatile.Read(ref _seenGeneration);

    /// <summary>Makes the pool that an address lies in known to the server; false where the memory can't be shared, or the server does not take it.</summary>
    public bool TryAdd(void* address)
    {
        SharedRange range;
        if (_shared is null || _shared.FindShared(address, &range) == 0) return false;
        lock (_lock)
        {
            foreach (var known in _regions)
                if (known.Id == range.Id)
                    return true;
            if (_refused.Contains(range.Id)) return false;
            try
            {
                Publish(new AttachRegion { Address = range.Address, Length = range.Length, Id = range.Id, Number = Send(range.Descriptor, range.Length) });
            }
            catch (ComancheException)
            {
                // The server has no room for it, or is gone. It is not asked for each I/O: only when memory came or went.
                _refused.Add(range.Id);
                return false;
            }
        }

        return true;
    }

    /// <summary>Makes memory known that the caller owns; returns its number.</summary>
    public uint Add(int file, ulong length)
    {
        lock (_lock) return Send(file, length);
    }

    /// <summary>Takes memory back; nothing uses it.</summary>
    public void Remove(uint number)
    {
        var message = ShareMessage.Of(ShareRequest.RemoveRegion);
        message.Number = number;
        lock (_lock)
        {
            try
            {
                link.Ask(ref message, -1, []);
            }
            catch (ComancheException)
            {
                // The server is gone, and with it all that it had mapped.
            }

            _numbers.Remove(number);
        }
    }

    /// <summary>Takes back from the server what is not there any more.</summary>
    public void Refresh()
    {
        lock (_lock)
        {
            var generation = Volatile.Read(ref *_generation);
            foreach (var region in _regions)
            {
                SharedRange range;
                if (_shared!.FindShared(region.Address, &range) == 1 && range.Id == region.Id) continue;
                Volatile.Write(ref _regions, [.. _regions.Where(r => r.Id != region.Id)]);
                Remove(region.Number);
            }

            _refused.Clear();
            Volatile.Write(ref _seenGeneration, generation);
        }
    }

    private uint Send(int file, ulong length)
    {
        var message = ShareMessage.Of(ShareRequest.AddRegion);
        message.Length = length;
        message.Number = FreeNumber();
        var number = message.Number;
        link.Ask(ref message, file, []);
        _numbers.Add(number);
        return number;
    }

    private uint FreeNumber()
    {
        const uint Numbers = 1024; // As many as the server takes.
        if (_numbers.Count == Numbers) throw new ComancheException($"{Numbers} regions of memory are attached, which is the most");
        do
        {
            _lastNumber = _lastNumber % Numbers + 1;
        }
        while (_numbers.Contains(_lastNumber));
        return _lastNumber;
    }

    private void Publish(AttachRegion region) => Volatile.Write(ref _regions, [.. _regions, region]);
}

/// <summary>A region that the server knows.</summary>
internal sealed unsafe class AttachRegion
{
    public required void* Address { get; init; }

    public required ulong Length { get; init; }

    public required ulong Id { get; init; }

    public required uint Number { get; init; }
}
