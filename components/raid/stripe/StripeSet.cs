namespace Comanche.Raid;

/// <summary>What a stack file asks of a set.</summary>
/// <param name="ChunkBytes">The chunk.</param>
/// <param name="Create">Whether blank members may be labelled.</param>
/// <param name="ReadOnly">Whether nothing may be written.</param>
/// <param name="Set">The set's UUID, or null for any.</param>
/// <param name="Name">The set's name, or empty for any.</param>
/// <param name="Repair">Whether members are taken of whose labels one was cleared or overwritten.</param>
internal readonly record struct StripeRequest(ulong ChunkBytes, bool Create, bool ReadOnly, Guid? Set, string Name, bool Repair);

/// <summary>
/// Opens or creates a set: reads the labels of all members, decides what they are together, refuses what does not belong.
/// </summary>
/// <remarks>
/// Creation has two phases, each flushed on all members before the next begins: labels in state <see cref="StripeState.Creating"/>, then in state
/// <see cref="StripeState.Active"/>. So a crash leaves either members that are blank or creating, and creation starts again; or members that all have a label, some
/// creating and some active, and the second phase is done again. A blank member beside an active one is therefore a missing member, never an unfinished creation.
/// </remarks>
internal sealed unsafe class StripeSet(IHost host, StripeMember[] members, StripeRequest request)
{
    private readonly string _name = host.GetName();

    /// <summary>Where the data lies. Valid after <see cref="Open"/>.</summary>
    public StripeGeometry Geometry { get; private set; } = null!;

    /// <summary>The labels, by member. Valid after <see cref="Open"/>.</summary>
    public StripeLabel[] Labels => [.. members.Select(member => member.Label!)];

    /// <summary>Opens the set that the members carry, or makes one of them where all are blank.</summary>
    public void Open()
    {
        RequireEqualBlocks();
        foreach (var member in members) member.Inspect();
        var labelled = members.Where(member => member.Label is not null).ToArray();
        if (labelled.Length == 0)
        {
            Create(request.Set ?? NewUuid());
            return;
        }

        var reference = Reference(labelled);
        var unfinished = labelled.Length < members.Length && labelled.All(member => member.Label!.State == StripeState.Creating);
        Refuse(Misfits(reference, unfinished));
        if (unfinished)
        {
            host.Log(LogLevel.Information, $"the creation of set {reference.Set} was interrupted: it is done again");
            Create(reference.Set);
            return;
        }

        Geometry = reference.Geometry;
        if (!request.Repair)
            foreach (var member in members) member.RequireUnharmed();
        foreach (var member in members)
        {
            if (request.ReadOnly) member.ReportDamage();
            else member.Repair();
        }

        if (!request.ReadOnly) Activate();
    }

    private void Create(Guid set)
    {
        if (request.ReadOnly) throw new ComancheException($"{_name}: {Names(m => m.IsBlank)} carry no label, and read-only nothing is created");
        if (!request.Create) throw new ComancheException($"{_name}: {Names(m => m.IsBlank)} carry no label, and create is false");
        var volumes = members.Select(member => member.Volume).ToArray();
        Geometry = StripeGeometry.Layout(volumes, (uint)(request.ChunkBytes / volumes[0].BlockSize));
        if (Geometry.DataBlocks == 0)
        {
            var smallest = members.MinBy(member => member.Volume.BlockCount)!;
            throw smallest.Refuse(
                $"it has {new ByteSize(smallest.Volume.ByteLength)}, which is too small: at least {StripeGeometry.SmallestMember(request.ChunkBytes)} are needed");
        }

        foreach (var member in members)
        {
            member.Write(new StripeLabel
            {
                Generation = (member.Label?.Generation ?? 0) + 1, Set = set, Member = NewUuid(), Index = member.Position, Geometry = Geometry,
                MemberBlocks = member.Volume.BlockCount, State = StripeState.Creating, Name = request.Name,
            });
        }

        // One disk that is reached by two ways carries the last label only; nothing is lost by finding that now.
        foreach (var member in members) member.RequireOwnLabel();
        Activate();
        host.Log(LogLevel.Information, $"set {set} created on {members.Length} members, chunk {new ByteSize(request.ChunkBytes)}");
    }

    private void Activate()
    {
        foreach (var member in members)
        {
            var label = member.Label!;
            if (label.State == StripeState.Creating) member.Write(label with { Generation = label.Generation + 1, State = StripeState.Active });
        }
    }

    // The label that the others are measured against: one of the set that was asked for, else of the set to which most members belong.
    private StripeLabel Reference(StripeMember[] labelled)
    {
        if (request.Set is { } wanted && labelled.FirstOrDefault(member => member.Label!.Set == wanted) is { } found) return found.Label!;
        return labelled.GroupBy(member => member.Label!.Set).MaxBy(set => set.Count())!.First().Label!;
    }

    // Every reason why these members are not the set, each with the member's name.
    private IEnumerable<string> Misfits(StripeLabel reference, bool unfinished)
    {
        var set = reference.Set;
        if (request.Set is { } wanted && wanted != set) yield return $"uuid: the members carry set {set}, {wanted} was expected";
        if (request.Name.Length != 0 && request.Name != reference.Name) yield return $"name: set {set} is called '{reference.Name}', '{request.Name}' was expected";
        var chunk = (ulong)reference.Geometry.ChunkBlocks * reference.Geometry.BlockSize;
        if (chunk != request.ChunkBytes) yield return $"chunk: set {set} was made with {new ByteSize(chunk)}; {new ByteSize(request.ChunkBytes)} is asked for";
        if (reference.Geometry.Members != members.Length) yield return $"set {set} has {reference.Geometry.Members} members, {members.Length} are bound";
        for (var i = 0; i < members.Length; i++)
        {
            var problem = Misfit(members[i], reference, unfinished);
            if (problem.Length != 0) yield return $"{members[i].Name} {problem}";
        }
    }

    private string Misfit(StripeMember member, StripeLabel reference, bool unfinished)
    {
        var expected = $"member {member.Position} of set {reference.Set} was expected";
        if (member.Label is not { } label) return unfinished ? "" : $"is blank; {expected}";
        if (label.Set != reference.Set) return $"is foreign: it holds member {label.Index} of set {label.Set}; {expected}";
        if (members.FirstOrDefault(m => m.Position < member.Position && m.Label?.Set == label.Set && m.Label.Index == label.Index) is { } twin)
            return $"is a duplicate: it holds member {label.Index} of set {label.Set}, as {twin.Name} does; {expected}";
        if (label.Index != member.Position) return $"is swapped: it holds member {label.Index} of set {label.Set}; {expected}";
        if (label.Geometry != reference.Geometry || label.Name != reference.Name)
            return $"contradicts the other members of set {label.Set}: it says {Describe(label)}, {Describe(reference)} was expected";
        return "";
    }

    private void Refuse(IEnumerable<string> misfits)
    {
        var text = string.Join("\n  ", misfits);
        if (text.Length != 0) throw new ComancheException($"{_name}: these members are not the set that is asked for:\n  {text}");
    }

    private void RequireEqualBlocks()
    {
        foreach (var member in members)
        {
            var (volume, first) = (member.Volume, members[0].Volume);
            if (volume.BlockSize != first.BlockSize)
                throw member.Refuse($"it has blocks of {volume.BlockSize} bytes, {members[0].Name} has blocks of {first.BlockSize}");
            if (members.Length > 1 && volume.BufferAlignment > volume.BlockSize)
                throw member.Refuse(
                    $"its buffers must be aligned to {volume.BufferAlignment} bytes, but the parts of a request are aligned only to a block of {volume.BlockSize}");
        }

        if (request.ChunkBytes % members[0].Volume.BlockSize != 0)
            throw new ComancheException(
                $"{_name}: chunk: {new ByteSize(request.ChunkBytes)} is not a multiple of the members' block size, {new ByteSize(members[0].Volume.BlockSize)}");
    }

    private string Names(Func<StripeMember, bool> which) => string.Join(", ", members.Where(which).Select(member => member.Name));

    private static string Describe(StripeLabel label)
    {
        var geometry = label.Geometry;
        return $"'{label.Name}', {geometry.Members} members, chunk {geometry.ChunkBlocks}, data {geometry.DataBlocks} from LBA {geometry.DataLba}";
    }

    // Version 4, variant 1 of RFC 9562, from the host's randomness.
    private Guid NewUuid()
    {
        var bytes = stackalloc byte[16];
        host.FillRandom(bytes, 16);
        bytes[7] = (byte)((bytes[7] & 0x0F) | 0x40);
        bytes[8] = (byte)((bytes[8] & 0x3F) | 0x80);
        return new Guid(new ReadOnlySpan<byte>(bytes, 16));
    }
}
