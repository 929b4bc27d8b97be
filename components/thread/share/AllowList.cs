using System.Globalization;
using Comanche.Linux;

namespace Comanche.Threading;

/// <summary>Who may attach to a shared stack.</summary>
internal sealed class AllowList
{
    private const string GroupPrefix = "group:";

    private readonly HashSet<uint> _users = [0, Limits.EffectiveUser];
    private readonly HashSet<uint> _groups = [];

    /// <summary>Reads the option; throws where a name means nothing.</summary>
    public AllowList(IReadOnlyList<string> allow)
    {
        foreach (var text in allow)
        {
            if (Problem(text) is { } problem) throw new ComancheException(problem);
            if (TryGroup(text, out var group)) _groups.Add(group);
            else if (TryUser(text, out var user)) _users.Add(user);
        }
    }

    /// <summary>What is wrong with an entry, or null.</summary>
    public static string? Problem(string text) =>
        TryGroup(text, out _) || TryUser(text, out _) ? null
        : text.StartsWith(GroupPrefix, StringComparison.Ordinal) ? $"there is no group '{text[GroupPrefix.Length..]}'" : $"there is no user '{text}'";

    /// <summary>Whether whoever is at the other end of a socket may attach.</summary>
    public bool Admits(int socket)
    {
        var peer = Sockets.GetPeer(socket);
        return _users.Contains(peer.User) || _groups.Contains(peer.Group) || _groups.Count != 0 && Sockets.GetPeerGroups(socket).Any(_groups.Contains);
    }

    private static bool TryUser(string text, out uint user) => TryNumber(text, out user) || TryLookUp("/etc/passwd", text, out user);

    private static bool TryGroup(string text, out uint group)
    {
        group = 0;
        if (!text.StartsWith(GroupPrefix, StringComparison.Ordinal)) return false;
        var name = text[GroupPrefix.Length..];
        return TryNumber(name, out group) || TryLookUp("/etc/group", name, out group);
    }

    private static bool TryNumber(string text, out uint number) => uint.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out number);

    // Both files have the name first and the number third. Whoever is known by other means has a number.
    private static bool TryLookUp(string file, string name, out uint number)
    {
        number = 0;
        if (name.Length == 0 || !File.Exists(file)) return false;
        foreach (var line in File.ReadLines(file))
            if (line.Split(':') is [var known, _, var value, ..] && known == name)
                return TryNumber(value, out number);
        return false;
    }
}
