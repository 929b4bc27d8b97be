namespace Comanche.Partition;

/// <summary>
/// Reads and writes the two copies of a device's directory. A change is written to the older copy, flushed, then to the other, flushed: at every moment one copy is
/// whole, and at rest both say the same, so that one that is lost costs nothing. Set-up thread only.
/// </summary>
internal sealed unsafe class RegionStore(IHost host, IBlockDevice device, bool readOnly)
{
    private const int PieceBytes = 128 * 1024;

    private readonly string _name = host.GetName();
    private readonly Copy[] _copies = new Copy[2];

    /// <summary>The device's geometry when it was last read.</summary>
    public VolumeInfo Volume { get; private set; }

    /// <summary>The newest directory; null where the device is blank. Throws where it holds something else, or can't be trusted.</summary>
    public RegionDirectory? Load()
    {
        using var io = new SyncIo(device, host, $"{_name}: the device below");
        Volume = io.Volume;
        if (Volume.ByteLength <= RegionDirectory.ReservedBytes)
            throw Fail($"it has {new ByteSize(Volume.ByteLength)}; the directory of regions alone takes {new ByteSize(RegionDirectory.ReservedBytes)}");
        for (var i = 0; i < 2; i++) _copies[i] = Read(io, i);
        foreach (var copy in _copies)
            if (copy.State == RegionCopyState.OtherVersion)
                throw Fail($"the directory at byte {copy.Offset}: {copy.Problem}");
        var newest = Newest();
        if (newest is null)
        {
            RequireBlank(io);
            return null;
        }

        if (newest.BlockSize != Volume.BlockSize)
            throw Fail($"its directory of regions was made with blocks of {newest.BlockSize} bytes; now it has blocks of {Volume.BlockSize}");
        Repair(io, newest);
        return newest;
    }

    /// <summary>Writes both copies; durable on return. Refused where somebody put something else over one.</summary>
    public void Save(RegionDirectory directory)
    {
        foreach (var copy in _copies)
            if (copy.IsForeign)
                throw Fail($"something else lies over the directory at byte {copy.Offset}, and is never overwritten");
        using var io = new SyncIo(device, host, $"{_name}: the device below");
        var older = _copies[0].Directory is { } first && (_copies[1].Directory is not { } second || first.Generation > second.Generation) ? 1 : 0;
        Write(io, older, directory);
        Write(io, 1 - older, directory);
    }

    private RegionDirectory? Newest()
    {
        var (first, second) = (_copies[0].Directory, _copies[1].Directory);
        if (first is null || second is null) return first ?? second;
        if (first.Unique != second.Unique)
            throw Fail($"its two directories of regions contradict each other: {first.Unique} at byte 0, {second.Unique} at byte {RegionDirectory.SlotBytes}");
        if (first.Generation == second.Generation && !first.SameAs(second))
            throw Fail($"its two directories of regions have generation {first.Generation} but not the same content");
        return second.Generation > first.Generation ? second : first;
    }

    private void Repair(SyncIo io, RegionDirectory newest)
    {
        for (var i = 0; i < 2; i++)
        {
            var copy = _copies[i];
            if (copy.Directory is { } found && found.Generation == newest.Generation) continue;
            var wrong = copy.Directory is null ? $"can't be used ({copy.Problem})" : "is older than the other one";
            var what = $"the directory of regions at byte {copy.Offset} {wrong}; the other one is used";
            if (!copy.IsForeign && HoldsOthers(io, i)) _copies[i] = copy = copy with { IsForeign = true };
            if (readOnly || copy.IsForeign)
            {
                var why = readOnly ? "this is read-only" : "something else lies there";
                host.Log(LogLevel.Warning, $"{what}; it is not repaired, since {why}");
                continue;
            }

            try
            {
                Write(io, i, newest);
                host.Log(LogLevel.Warning, $"{what}, and was written over it");
            }
            catch (ComancheException e)
            {
                host.Log(LogLevel.Error, $"{what}; writing it anew failed: {e.Message}");
            }
        }
    }

    // Whether the space of a copy without a header holds what is not ours: not every superblock lies in the first block. Ours are zeroes, and what the other copy has in the same place,
    // since both are written alike, old entries behind the present ones among it.
    private bool HoldsOthers(SyncIo io, int index)
    {
        if (_copies[index].State != RegionCopyState.NotOurs) return false;
        var (mine, other) = (new byte[PieceBytes], new byte[PieceBytes]);
        try
        {
            for (var done = 0; done < RegionDirectory.SlotBytes; done += PieceBytes)
            {
                io.Read((ulong)(index * RegionDirectory.SlotBytes + done) / Volume.BlockSize, mine);
                if (!mine.AsSpan().ContainsAnyExcept((byte)0)) continue;
                io.Read((ulong)((1 - index) * RegionDirectory.SlotBytes + done) / Volume.BlockSize, other);
                for (var i = 0; i < PieceBytes; i++)
                    if (mine[i] != 0 && mine[i] != other[i])
                        return true;
            }
        }
        catch (ComancheException e) when (e.Status != IoStatus.Success)
        {
            return true; // What can't be read might be anybody's.
        }

        return false;
    }

    private Copy Read(SyncIo io, int index)
    {
        var offset = (ulong)index * RegionDirectory.SlotBytes;
        try
        {
            var header = new byte[Math.Max(RegionDirectory.HeaderBytes, Volume.BlockSize)];
            io.Read(offset / Volume.BlockSize, header);
            var length = RegionDirectory.Measure(header, out var state, out var problem);
            if (length == 0) return new Copy(offset, null, state, problem, state == RegionCopyState.NotOurs && header.AsSpan().ContainsAnyExcept((byte)0));
            var bytes = new byte[(length + Volume.BlockSize - 1) / Volume.BlockSize * Volume.BlockSize];
            io.Read(offset / Volume.BlockSize, bytes);
            return new Copy(offset, RegionDirectory.Decode(bytes, out state, out problem), state, problem);
        }
        catch (ComancheException e) when (e.Status != IoStatus.Success)
        {
            return new Copy(offset, null, RegionCopyState.Unreadable, e.Message);
        }
    }

    private void Write(SyncIo io, int index, RegionDirectory directory)
    {
        var offset = (ulong)index * RegionDirectory.SlotBytes;
        io.Write(offset / Volume.BlockSize, directory.Encode(), IoFlags.ForceUnitAccess);
        io.Flush();
        _copies[index] = new Copy(offset, directory, RegionCopyState.Good, "");
    }

    // Blank means that nobody left anything where the directory would lie.
    private void RequireBlank(SyncIo io)
    {
        foreach (var copy in _copies)
            if (copy.State is RegionCopyState.Damaged or RegionCopyState.Unreadable)
                throw Fail(
                    $"neither directory of regions can be used: at byte {_copies[0].Offset} {_copies[0].Problem}; at byte {_copies[1].Offset} {_copies[1].Problem}");
        var piece = new byte[PieceBytes];
        for (var offset = 0; offset < RegionDirectory.ReservedBytes; offset += PieceBytes)
        {
            io.Read((ulong)offset / Volume.BlockSize, piece);
            var at = piece.AsSpan().IndexOfAnyExcept((byte)0);
            if (at < 0) continue;
            throw Fail(
                $"it holds something else, which is never overwritten: byte {offset + at} holds {Convert.ToHexString(piece.AsSpan(at, Math.Min(8, PieceBytes - at)))}, "
                + "a directory of regions or zeroes were expected. If it is not needed any more, clear the device first (wipefs, or zeroes over its first MiB)");
        }
    }

    private ComancheException Fail(string what) => new($"{_name}: the device below is refused: {what}");

    private readonly record struct Copy(ulong Offset, RegionDirectory? Directory, RegionCopyState State, string Problem, bool IsForeign = false);
}
