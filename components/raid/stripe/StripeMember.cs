namespace Comanche.Raid;

/// <summary>
/// A member while its set is opened: what its labels say, and the writing of them. Set-up thread only.
/// </summary>
internal sealed unsafe class StripeMember
{
    private const int PieceBytes = 128 * 1024;

    private readonly IHost _host;
    private readonly CopyAt[] _copies = new CopyAt[2];

    /// <summary>Takes a started device as the member at a place of the set.</summary>
    public StripeMember(IHost host, IBlockDevice device, string name, uint position)
    {
        _host = host;
        Device = device;
        Name = name;
        Position = position;
        VolumeInfo volume;
        device.GetVolumeInfo(&volume);
        Volume = volume;
    }

    /// <summary>The device.</summary>
    public IBlockDevice Device { get; }

    /// <summary>Its name in the stack.</summary>
    public string Name { get; }

    /// <summary>Its place under <c>on:</c>, from 0.</summary>
    public uint Position { get; }

    /// <summary>Its geometry.</summary>
    public VolumeInfo Volume { get; }

    /// <summary>The label that it carries, or null.</summary>
    public StripeLabel? Label { get; private set; }

    /// <summary>Whether both label areas are all zero.</summary>
    public bool IsBlank { get; private set; }

    /// <summary>Reads both copies of the label. Throws where the member holds something that is not a label of ours and not nothing.</summary>
    public void Inspect()
    {
        if (Volume.ByteLength < 2 * (ulong)StripeGeometry.ReservedBytes)
            throw Refuse($"it has {new ByteSize(Volume.ByteLength)}, which is too small: labels alone take {new ByteSize(2 * StripeGeometry.ReservedBytes)}");
        using var io = new SyncIo(Device, _host, Name);
        _copies[0] = Read(io, 0, 0);

        // A device that grew has its second copy where its end was.
        var last = Volume.BlockCount - 1;
        if (_copies[0].Label is { } first && first.Geometry.BlockSize == Volume.BlockSize) last = Math.Min(last, first.MemberBlocks - 1);
        _copies[1] = Read(io, last, 1);
        foreach (var copy in _copies)
            if (copy.State == CopyState.OtherVersion)
                throw Refuse($"the label at byte {copy.Offset(Volume)}: {copy.Problem}");
        Label = Choose();
        if (Label is null) RequireBlank(io);
        else Check(Label);
    }

    /// <summary>Writes a label to both places, the older copy first, so that one is good at every moment.</summary>
    public void Write(StripeLabel label)
    {
        using var io = new SyncIo(Device, _host, Name);
        var older = _copies[0].Label is { } first && ReferenceEquals(first, Label) ? 1u : 0u;
        Label = label;
        Write(io, label, older);
        Write(io, label, 1 - older);
    }

    /// <summary>Refuses a member whose label is not the one that was written last by it: it is the same medium as another.</summary>
    public void RequireOwnLabel()
    {
        using var io = new SyncIo(Device, _host, Name);
        if (Read(io, 0, 0).Label is not { } found || found.Member != Label!.Member)
            throw Refuse("the label that was just written to it is gone: it and another member are one and the same medium");
    }

    /// <summary>
    /// Refuses a member of a finished set that is not what the set left. A blank last block: a file that was cut short and extended again looks like this, and what it held behind the cut
    /// reads as zeroes. Something else at a label's place: somebody has taken the disk over, and what the set writes would destroy theirs.
    /// </summary>
    public void RequireUnharmed()
    {
        if (Label!.State == StripeState.Active && _copies[1].State == CopyState.Zero)
            throw Refuse(
                $"byte {_copies[1].Offset(Volume)} is blank, where its second label was: if it was cut short and extended again, what it held there is lost. "
                + "Restore it; or, if only the label was cleared, say repair: true");
        for (var copy = 0u; copy < 2; copy++)
            if (IsForeign(copy))
                throw Refuse(
                    $"something else lies at byte {_copies[copy].Offset(Volume)}, where its label was, or beside it ({_copies[copy].Problem}): if somebody has taken it over, "
                    + "the set would destroy what is theirs. If not, say repair: true: it is used by its other label, and what lies there is left alone");
    }

    /// <summary>
    /// Writes the good copy over the bad one, where that is one of ours, or blank, or can't be read; not over what somebody else put there.
    /// </summary>
    public void Repair()
    {
        for (var copy = 0u; copy < 2; copy++)
        {
            var found = _copies[copy];
            if (Label is null || (found.State == CopyState.Good && ReferenceEquals(found.Label, Label))) continue;
            var where = $"{Name}: the label at byte {found.Offset(Volume)}";
            var wrong = found.State == CopyState.Good ? "is older than the other one" : $"can't be used ({found.Problem})";
            if (IsForeign(copy))
            {
                _host.Log(LogLevel.Warning, $"{where} {wrong}: something else lies there, which is left alone; the other copy is used");
                continue;
            }

            try
            {
                using var io = new SyncIo(Device, _host, Name);
                Write(io, Label, copy);
                _host.Log(LogLevel.Warning, $"{where} {wrong}: written anew from the other one");
            }
            catch (ComancheException e)
            {
                _host.Log(LogLevel.Error, $"{where} {wrong}, and writing it anew failed: {e.Message}");
            }
        }
    }

    /// <summary>Says that a repair is needed but not done.</summary>
    public void ReportDamage()
    {
        foreach (var copy in _copies)
        {
            if (copy.State == CopyState.Good && ReferenceEquals(copy.Label, Label)) continue;
            _host.Log(LogLevel.Warning, $"{Name}: the label at byte {copy.Offset(Volume)} can't be used ({copy.Problem}); it is not repaired, since this is read-only");
        }
    }

    /// <summary>The error that refuses this member.</summary>
    public ComancheException Refuse(string why) => new($"{_host.GetName()}: {Name} is refused as member {Position}: {why}");

    private StripeLabel? Choose()
    {
        var (first, second) = (_copies[0].Label, _copies[1].Label);
        if (first is null || second is null) return first ?? second;
        if (first.Set != second.Set || first.Member != second.Member)
            throw Refuse(
                $"its two labels contradict each other: the first is of member {first.Index} of set {first.Set}, "
                + $"the second of member {second.Index} of set {second.Set}");
        if (first.Generation != second.Generation)
        {
            var newest = first.Generation > second.Generation ? 0 : 1;
            _copies[1 - newest] = _copies[1 - newest] with { Problem = "stale" };
            return _copies[newest].Label;
        }

        if (first != second) throw Refuse($"its two labels have generation {first.Generation} but not the same content");
        _copies[1] = _copies[1] with { Label = first };
        return first;
    }

    private void Check(StripeLabel label)
    {
        if (label.Geometry.BlockSize != Volume.BlockSize)
            throw Refuse($"its label was made with blocks of {label.Geometry.BlockSize} bytes; now it has blocks of {Volume.BlockSize}");
        if (label.MemberBlocks > Volume.BlockCount)
            throw Refuse($"it is too small: it had {label.MemberBlocks} blocks when it became member {label.Index} of set {label.Set}; now it has {Volume.BlockCount}");
    }

    // Blank means that nobody left anything where labels, partition tables and superblocks lie.
    private void RequireBlank(SyncIo io)
    {
        foreach (var copy in _copies)
            if (copy.State is CopyState.Damaged or CopyState.Unreadable)
                throw Refuse(
                    $"no label of it can be used: at byte {_copies[0].Offset(Volume)} {_copies[0].Problem}; "
                    + $"at byte {_copies[1].Offset(Volume)} {_copies[1].Problem}");
        var reserved = (ulong)StripeGeometry.ReservedBytes / Volume.BlockSize;
        RequireZero(io, 0, reserved);
        RequireZero(io, Volume.BlockCount - reserved, reserved);
        IsBlank = true;
    }

    private void RequireZero(SyncIo io, ulong lba, ulong blocks)
    {
        if (FindData(io, lba, blocks, out var found) is not { } at) return;
        throw Refuse(
            $"it holds something else, which is never overwritten: byte {at} holds {found}, "
            + "a label or zeroes were expected. If it is not needed any more, clear the device first (wipefs, or zeroes over its first and last MiB)");
    }

    // Where the first byte lies that is not zero, and it and its next ones in hexadecimal; null where there is none.
    private ulong? FindData(SyncIo io, ulong lba, ulong blocks, out string found)
    {
        found = "";
        var piece = new byte[PieceBytes];
        for (var end = lba + blocks; lba < end;)
        {
            var part = piece.AsSpan(0, (int)Math.Min(PieceBytes, (end - lba) * Volume.BlockSize));
            io.Read(lba, part);
            var at = part.IndexOfAnyExcept((byte)0);
            if (at >= 0)
            {
                found = Convert.ToHexString(part.Slice(at, Math.Min(8, part.Length - at)));
                return lba * Volume.BlockSize + (ulong)at;
            }

            lba += (uint)part.Length / Volume.BlockSize;
        }

        return null;
    }

    // Whether somebody else has put something where a copy should be, or into the space around it, which is ours and zero: not every superblock lies in the first block.
    private bool IsForeign(uint copy)
    {
        if (_copies[copy].State == CopyState.Alien) return true;
        if (_copies[copy].State == CopyState.Good) return false;
        var around = (ulong)StripeGeometry.ReservedBytes / Volume.BlockSize - 1;
        try
        {
            using var io = new SyncIo(Device, _host, Name);
            return FindData(io, copy == 0 ? 1 : Label!.MemberBlocks - 1 - around, around, out _) is not null;
        }
        catch (ComancheException e) when (e.Status != IoStatus.Success)
        {
            return true; // What can't be read might be anybody's.
        }
    }

    private CopyAt Read(SyncIo io, ulong lba, uint copy)
    {
        var block = new byte[Volume.BlockSize];
        try
        {
            io.Read(lba, block);
        }
        catch (ComancheException e) when (e.Status != IoStatus.Success)
        {
            return new CopyAt(lba, null, CopyState.Unreadable, e.Message);
        }

        var label = StripeLabel.Decode(block, copy, out var state, out var problem);
        return new CopyAt(lba, label, state, problem);
    }

    private void Write(SyncIo io, StripeLabel label, uint copy)
    {
        var block = new byte[Volume.BlockSize];
        label.Encode(block, copy);
        var lba = copy == 0 ? 0 : label.MemberBlocks - 1;
        io.Write(lba, block, IoFlags.ForceUnitAccess);
        io.Flush();
        _copies[copy] = new CopyAt(lba, label, CopyState.Good, "");
    }

    private readonly record struct CopyAt(ulong Lba, StripeLabel? Label, CopyState State, string Problem)
    {
        public ulong Offset(in VolumeInfo volume) => Lba * volume.BlockSize;
    }
}
