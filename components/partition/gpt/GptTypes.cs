namespace Comanche.Partition;

/// <summary>Names for the partition types that people use most.</summary>
internal static class GptTypes
{
    private static readonly (string Alias, string Type)[] Known =
    [
        ("linux", "0fc63daf-8483-4772-8e79-3d69d8477de4"),
        ("efi", "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"),
        ("swap", "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f"),
        ("lvm", "e6d6d379-f507-44c2-a23c-238f2a3df928"),
        ("raid", "a19d880f-05fc-4d3b-a006-743f0f84911e"),
        ("home", "933ac7e1-2eb4-4f13-b844-0e14e2aef915"),
        ("bios", "21686148-6449-6e6f-744e-656564454649"),
        ("data", "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7"),
    ];

    /// <summary>The aliases, for messages.</summary>
    public static string Aliases => string.Join(", ", Known.Select(k => k.Alias));

    /// <summary>Reads an alias or a UUID; false for anything else, and for the nil UUID, which marks a free entry.</summary>
    public static bool TryParse(string text, out Guid type)
    {
        foreach (var (alias, known) in Known)
            if (alias.Equals(text, StringComparison.OrdinalIgnoreCase))
            {
                type = new Guid(known);
                return true;
            }

        return Guid.TryParse(text, out type) && type != Guid.Empty;
    }
}
