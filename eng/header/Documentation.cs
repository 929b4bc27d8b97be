using System.Reflection;
using System.Text.RegularExpressions;
using System.Xml.Linq;

namespace Comanche.Header;

/// <summary>The first sentences of the contracts' documentation, from the XML file beside the assembly.</summary>
public sealed partial class Documentation
{
    private readonly Dictionary<string, XElement> _members;

    /// <summary>Reads the file that belongs to an assembly.</summary>
    public Documentation(Assembly assembly)
    {
        var path = Path.ChangeExtension(assembly.Location, ".xml");
        if (!File.Exists(path)) throw new FileNotFoundException($"{path}: the documentation of the contracts is not beside them", path);
        _members = XDocument.Load(path).Descendants("member").ToDictionary(m => m.Attribute("name")!.Value, m => m);
    }

    /// <summary>The first sentence about a type.</summary>
    public string Of(Type type) => First($"T:{type.FullName}");

    /// <summary>The first sentence about a field, or a record's property.</summary>
    public string Of(Type type, string field) => First($"F:{type.FullName}.{field}") is { Length: > 0 } text ? text : First($"P:{type.FullName}.{field}");

    /// <summary>The first sentence about a method.</summary>
    public string Of(MethodInfo method)
    {
        var key = $"M:{method.DeclaringType!.FullName}.{method.Name}";
        var member = _members.Keys.FirstOrDefault(k => k == key || k.StartsWith(key + "(", StringComparison.Ordinal));
        return member is null ? "" : First(member);
    }

    private string First(string key)
    {
        if (!_members.TryGetValue(key, out var member) || member.Element("summary") is not { } summary) return "";
        var text = Spaces().Replace(string.Concat(summary.Nodes().Select(Text)), " ").Trim();
        var end = SentenceEnd().Match(text);
        return end.Success ? text[..(end.Index + 1)] : text;
    }

    private static string Text(XNode node) => node switch
    {
        XText text => text.Value,
        XElement { Name.LocalName: "see" } see => Reference((see.Attribute("cref") ?? see.Attribute("langword"))!.Value),
        XElement { Name.LocalName: "paramref" } parameter => Names.Snake(parameter.Attribute("name")!.Value),
        XElement element => string.Concat(element.Nodes().Select(Text)),
        _ => "",
    };

    // "M:Comanche.IIoQueue.Poll(System.Int32)" is told as IIoQueue::poll, a type as its name.
    private static string Reference(string cref)
    {
        var name = cref[(cref.IndexOf(':') + 1)..].Split('(')[0].Split('.');
        return cref.StartsWith("T:", StringComparison.Ordinal) || name.Length < 2 ? name[^1] : $"{name[^2]}::{Names.Snake(name[^1])}";
    }

    [GeneratedRegex(@"\s+")]
    private static partial Regex Spaces();

    // A full stop, a colon is none; what follows is the next sentence.
    [GeneratedRegex(@"\.(?= [A-Z])")]
    private static partial Regex SentenceEnd();
}
