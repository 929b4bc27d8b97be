using System.Text;

namespace Comanche.Header;

/// <summary>How names of C# are written in C and C++.</summary>
public static class Names
{
    private static readonly HashSet<string> Reserved = ["register", "union", "default", "int", "operator", "new", "delete", "this", "signed", "unsigned"];

    /// <summary><c>GetVolumeInfo</c> → <c>get_volume_info</c>.</summary>
    public static string Snake(string name)
    {
        var text = new StringBuilder();
        for (var i = 0; i < name.Length; i++)
        {
            var startsWord = i > 0 && char.IsUpper(name[i]) && (!char.IsUpper(name[i - 1]) || i + 1 < name.Length && char.IsLower(name[i + 1]));
            if (startsWord) text.Append('_');
            text.Append(char.ToLowerInvariant(name[i]));
        }

        var snake = text.ToString();
        return Reserved.Contains(snake) ? snake + "_" : snake;
    }

    /// <summary><c>IIoQueue</c> → <c>io_queue</c>, <c>IoDescriptor</c> → <c>io_descriptor</c>.</summary>
    public static string Bare(Type type) => Snake(type.IsInterface ? type.Name[1..] : type.Name);
}
