using System.Buffers;
using System.Text;
using System.Text.Unicode;
using Comanche.Linux;
using Comanche.Runtime.Loading;

namespace Comanche.Runtime.Composition;

/// <summary>Something that is wrong, or not wise, in a stack file.</summary>
/// <param name="At">Where.</param>
/// <param name="Text">What, and what was expected.</param>
/// <param name="IsWarning">Whether it works all the same.</param>
public sealed record StackProblem(SourceLocation At, string Text, bool IsWarning = false)
{
    /// <summary><c>file:line:column: error: text</c>, in one line that is safe to print.</summary>
    public override string ToString() => Printable.Line($"{At}: {(IsWarning ? "warning" : "error")}: {Text}");
}

/// <summary>A device that another one stands on.</summary>
/// <param name="Role">The role; empty for a plain <c>on:</c>.</param>
/// <param name="Name">The device's name.</param>
/// <param name="At">Where it is named.</param>
public sealed record StackBinding(string Role, string Name, SourceLocation At);

/// <summary>A named thread of the stack that polls.</summary>
/// <param name="Name">Its name.</param>
/// <param name="At">Where it is defined.</param>
/// <param name="Core">The core that it is pinned to, or null.</param>
/// <param name="Idle">What it does when there is nothing to do: <c>adaptive</c> or <c>spin</c>.</param>
public sealed record StackReactor(string Name, SourceLocation At, int? Core, string Idle)
{
    /// <summary>What a device names to have a reactor of its own.</summary>
    public const string Active = "active";
}

/// <summary>A device or an export as a stack file defines it.</summary>
public sealed class StackDevice
{
    /// <summary>Its name.</summary>
    public required string Name { get; init; }

    /// <summary>Where its name stands.</summary>
    public required SourceLocation At { get; init; }

    /// <summary>Whether it stands under <c>exports:</c>.</summary>
    public required bool IsExport { get; init; }

    /// <summary>The component's id; empty where it is missing.</summary>
    public string Use { get; internal set; } = "";

    /// <summary>Where that stands.</summary>
    public SourceLocation UseAt { get; internal set; }

    /// <summary>What it stands on, in the order of the file.</summary>
    public List<StackBinding> Bindings { get; } = [];

    /// <summary>Where <c>on:</c> stands, or the device's name.</summary>
    public SourceLocation OnAt { get; internal set; }

    /// <summary>Whether something stands where the name of a device should.</summary>
    internal bool HasBadBindings { get; set; }

    /// <summary>Whether it must not change its media.</summary>
    public bool IsReadOnly { get; internal set; }

    /// <summary>The reactor that it names, or null.</summary>
    public string? Reactor { get; internal set; }

    /// <summary>Where the reactor is named.</summary>
    public SourceLocation ReactorAt { get; internal set; }

    /// <summary>Whether its code is loaded so that it can be unloaded again, which makes calls of it several times slower.</summary>
    public bool IsCollectible { get; internal set; }

    /// <summary>A copy under which other devices stand.</summary>
    internal StackDevice With(IEnumerable<StackBinding> bindings)
    {
        var copy = new StackDevice
        {
            Name = Name, At = At, IsExport = IsExport, Use = Use, UseAt = UseAt, OnAt = OnAt, HasBadBindings = HasBadBindings, IsReadOnly = IsReadOnly, Reactor = Reactor,
            ReactorAt = ReactorAt, IsCollectible = IsCollectible,
        };
        copy.Bindings.AddRange(bindings);
        copy.Options.AddRange(Options);
        return copy;
    }

    /// <summary>The component's own options, as written.</summary>
    internal List<(ScalarNode Key, StackNode Value)> Options { get; } = [];
}

/// <summary>A stack file, read but not yet checked against the components.</summary>
public sealed class StackFile
{
    /// <summary>The keys that every device has; the others are the component's options.</summary>
    public static readonly IReadOnlyList<string> DeviceKeys = ["use", "on", "readonly", "reactor", "collectible"];

    /// <summary>The file, as it was given.</summary>
    public required string Path { get; init; }

    /// <summary>The stack's name: <c>stack:</c>, or the file's name.</summary>
    public required string Name { get; init; }

    /// <summary>Devices and exports, in the order of the file.</summary>
    public required IReadOnlyList<StackDevice> Devices { get; init; }

    /// <summary>The reactors.</summary>
    public required IReadOnlyList<StackReactor> Reactors { get; init; }

    /// <summary>What was wrong with its form.</summary>
    public required IReadOnlyList<StackProblem> Problems { get; init; }

    /// <summary>Finds a device or an export.</summary>
    public StackDevice? Find(string name) => Devices.FirstOrDefault(d => d.Name == name);

    /// <summary>The file with other devices and exports in it.</summary>
    internal StackFile With(IReadOnlyList<StackDevice> devices) => new() { Path = Path, Name = Name, Devices = devices, Reactors = Reactors, Problems = [] };

    /// <summary>Reads a file. Throws <see cref="ComancheException"/> where it can't be read; what is wrong in it is among the problems.</summary>
    public static StackFile Load(string path) => Load(path, out _);

    /// <summary>The same, and the text that was read.</summary>
    public static StackFile Load(string path, out string text)
    {
        try
        {
            if (Directory.Exists(path)) throw new ComancheException($"{path}: is a folder; a stack file was expected");
            if (IsOther(path)) throw new ComancheException($"{path}: is neither a file nor a pipe; a stack file was expected");
            text = ReadText(path);
            return Parse(path, text);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new ComancheException($"{path}: there is no such file", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ComancheException($"{path}: can't be read: {e.Message}", e);
        }
    }

    // Opening some devices does things to them. What standard input stands for may be read, whatever it is.
    private static bool IsOther(string path) =>
        PosixFile.Stat(path, out var it) >= 0 && it is { IsRegularFile: false, IsPipe: false }
        && !(PosixFile.Stat(0, out var input) >= 0 && (it.stx_dev_major, it.stx_dev_minor, it.stx_ino) == (input.stx_dev_major, input.stx_dev_minor, input.stx_ino));

    // What a file says of its length is not believed: a pipe says nothing, and /dev/zero lies.
    private static string ReadText(string path)
    {
        const int Most = 1 << 20; // Some ten thousand devices.
        var bytes = new byte[Most + 1];
        using var stream = File.OpenRead(path);
        var length = stream.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false);
        if (length > Most) throw new ComancheException($"{path}: larger than 1MiB, which no stack file is");
        var text = bytes.AsSpan(0, length);
        if (!Utf8.IsValid(text)) throw new ComancheException($"{path}:{text[..Valid(text)].Count((byte)'\n') + 1}: error: not UTF-8");
        return Encoding.UTF8.GetString(text.StartsWith(Encoding.UTF8.Preamble) ? text[Encoding.UTF8.Preamble.Length..] : text);
    }

    // How many bytes are UTF-8 up to the first that is none.
    private static int Valid(ReadOnlySpan<byte> text)
    {
        var at = 0;
        while (Rune.DecodeFromUtf8(text[at..], out _, out var length) == OperationStatus.Done) at += length;
        return at;
    }

    /// <summary>Reads a stack from text.</summary>
    /// <param name="path">What to call the file in messages.</param>
    /// <param name="text">Its content.</param>
    public static StackFile Parse(string path, string text) => new StackReader(path).Read(text);
}
