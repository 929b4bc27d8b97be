using Comanche.Runtime.Loading;
using YamlDotNet.Core;
using YamlDotNet.Core.Events;

namespace Comanche.Runtime.Composition;

/// <summary>A piece of a stack file and where it stands.</summary>
internal abstract record StackNode(SourceLocation At)
{
    /// <summary>What it is, for messages.</summary>
    public abstract string What { get; }
}

/// <summary>One value as written.</summary>
internal sealed record ScalarNode(SourceLocation At, string Text, bool IsPlain) : StackNode(At)
{
    /// <summary>Whether nothing is written: <c>key:</c> without a value, or <c>null</c>.</summary>
    public bool IsEmpty => IsPlain && Text is "" or "~" or "null";

    public override string What => IsEmpty ? "nothing" : $"'{Text}'";
}

/// <summary>A list.</summary>
internal sealed record ListNode(SourceLocation At, IReadOnlyList<StackNode> Items) : StackNode(At)
{
    public override string What => "a list";
}

/// <summary>A mapping, in the order of the file; its keys are unique.</summary>
internal sealed record MappingNode(SourceLocation At, IReadOnlyList<(ScalarNode Key, StackNode Value)> Entries) : StackNode(At)
{
    public override string What => "a mapping";

    public StackNode? Find(string key)
    {
        foreach (var (name, value) in Entries)
            if (name.Text == key)
                return value;
        return null;
    }
}

/// <summary>
/// Reads YAML into nodes with their places. Built on the parser's events rather than on its document model, so that nesting is bounded (a hostile file
/// can't overflow the stack), duplicate keys are said with their place, and an alias never makes a loop.
/// </summary>
internal sealed class StackYaml
{
    // A stack file nests five deep or so; what goes beyond this is no stack file.
    private const int MaxDepth = 32;

    // Aliases can make a small file stand for a huge one ("billion laughs"); a stack of this many nodes is beyond any use.
    private const int MaxNodes = 100_000;

    // Of text, numbers, lists and the like, which say nothing new.
    private const string StandardTags = "tag:yaml.org,2002:";

    private readonly string _file;
    private readonly Parser _parser;
    private readonly List<StackProblem> _problems;
    private readonly Dictionary<string, (StackNode Node, int Nodes)> _anchors = [];
    private int _nodes;

    private StackYaml(string file, string text, List<StackProblem> problems)
    {
        _file = file;
        _parser = new Parser(new StringReader(text));
        _problems = problems;
    }

    /// <summary>Reads one document; null where there is none or the syntax is wrong, which is then among the problems.</summary>
    public static StackNode? Read(string file, string text, List<StackProblem> problems)
    {
        var yaml = new StackYaml(file, text, problems);
        try
        {
            return yaml.ReadDocument();
        }
        catch (YamlException e)
        {
            var message = e.InnerException?.Message ?? e.Message;
            problems.Add(FindTab(message, file, text) ?? new StackProblem(yaml.Locate(e.Start), $"not YAML: {Sentence(message)}"));
            return null;
        }
        catch (Exception e) when (e is ArgumentException or InvalidOperationException or IndexOutOfRangeException or NullReferenceException or FormatException)
        {
            // The scanner trips over a few broken files instead of refusing them; a place to look at is all that is lost.
            problems.Add(new StackProblem(yaml.Locate(yaml._parser.Current?.End ?? Mark.Empty), "not YAML: broken near here"));
            return null;
        }
    }

    // The parser tells of a tab where the whole mapping begins.
    private static StackProblem? FindTab(string message, string file, string text)
    {
        if (!message.Contains("tab", StringComparison.Ordinal)) return null;
        foreach (var (index, line) in text.Split('\n').Index())
        {
            var column = line.AsSpan().IndexOf('\t');
            if (column >= 0 && line.AsSpan(0, column).IsWhiteSpace())
                return new StackProblem(new SourceLocation(file, index + 1, column + 1), "not YAML: a tab as indentation; blanks are expected");
        }

        return null;
    }

    private static string Sentence(string message)
    {
        // The library puts "(Line: 1, Col: 2, Idx: 3) - (…): " in front; the place is already said.
        var end = message.LastIndexOf("): ", StringComparison.Ordinal);
        var text = (message.StartsWith("(Line", StringComparison.Ordinal) && end > 0 ? message[(end + 3)..] : message).TrimEnd('.');
        return text.Length > 1 && char.IsUpper(text[0]) && !char.IsUpper(text[1]) ? char.ToLowerInvariant(text[0]) + text[1..] : text;
    }

    private StackNode? ReadDocument()
    {
        Expect<StreamStart>();
        if (!_parser.MoveNext() || _parser.Current is StreamEnd) return null;
        Expect<DocumentStart>(advance: false);
        _parser.MoveNext();
        var root = ReadNode(0);
        _parser.MoveNext();
        if (_parser.MoveNext() && _parser.Current is DocumentStart second)
            throw new YamlException(second.Start, second.End, "a second document begins here; a stack file has one");
        return root;
    }

    private void Expect<T>(bool advance = true) where T : ParsingEvent
    {
        if (advance) _parser.MoveNext();
        if (_parser.Current is not T) throw new YamlException(_parser.Current?.Start ?? Mark.Empty, Mark.Empty, "not a document");
    }

    // The current event is the node's first; afterwards it is its last.
    private StackNode ReadNode(int depth)
    {
        var current = _parser.Current!;
        if (depth > MaxDepth) throw new YamlException(current.Start, current.End, $"nested more than {MaxDepth} deep");
        if (current is NodeEvent { Tag: { IsEmpty: false } tag } && !tag.Value.StartsWith(StandardTags, StringComparison.Ordinal))
            throw new YamlException(current.Start, current.End, $"the tag '{tag.Value}' means nothing here");
        var before = _nodes;
        Count(1, current);
        StackNode node;
        switch (current)
        {
            case AnchorAlias alias:
                if (!_anchors.TryGetValue(alias.Value.Value, out var anchored))
                    throw new YamlException(alias.Start, alias.End, $"the anchor '{alias.Value.Value}' is not defined");
                Count(anchored.Nodes, alias);
                return anchored.Node;
            case Scalar scalar:
                node = new ScalarNode(Locate(scalar.Start), scalar.Value, scalar.Style == ScalarStyle.Plain);
                break;
            case SequenceStart list:
                node = ReadList(list, depth);
                break;
            case MappingStart mapping:
                node = ReadMapping(mapping, depth);
                break;
            default:
                throw new YamlException(current.Start, current.End, "a value was expected");
        }

        if (current is NodeEvent { Anchor.IsEmpty: false } named) _anchors[named.Anchor.Value] = (node, _nodes - before);
        return node;
    }

    private ListNode ReadList(SequenceStart start, int depth)
    {
        var items = new List<StackNode>();
        while (_parser.MoveNext() && _parser.Current is not SequenceEnd) items.Add(ReadNode(depth + 1));
        return new ListNode(Locate(start.Start), items);
    }

    private MappingNode ReadMapping(MappingStart start, int depth)
    {
        var entries = new List<(ScalarNode, StackNode)>();
        var keys = new Dictionary<string, SourceLocation>(StringComparer.Ordinal);
        while (_parser.MoveNext() && _parser.Current is not MappingEnd)
        {
            if (_parser.Current is Scalar { Value: "<<", Style: ScalarStyle.Plain } merge)
                throw new YamlException(merge.Start, merge.End, "merge keys ('<<') are no part of YAML 1.2: write the keys of the anchor out");
            var key = ReadNode(depth + 1);
            _parser.MoveNext();
            var value = ReadNode(depth + 1);
            if (key is not ScalarNode name) _problems.Add(new StackProblem(key.At, $"a name was expected here, not {key.What}"));
            else if (keys.TryGetValue(name.Text, out var first)) _problems.Add(new StackProblem(key.At, $"'{name.Text}' is given twice; first at line {first.Line}"));
            else
            {
                keys.Add(name.Text, name.At);
                entries.Add((name, value));
            }
        }

        return new MappingNode(Locate(start.Start), entries);
    }

    private void Count(int nodes, ParsingEvent at)
    {
        _nodes += nodes;
        if (_nodes > MaxNodes) throw new YamlException(at.Start, at.End, $"larger than {MaxNodes} values");
    }

    private SourceLocation Locate(Mark mark) => new(_file, Math.Max(1, (int)mark.Line), Math.Max(1, (int)mark.Column));
}
