using Comanche.Runtime.Composition;

namespace Comanche.Composition.Tests;

/// <summary>A stack file's text follows the changes of the stack, and keeps what a person wrote around them.</summary>
public sealed class StackTextTests
{
    private const string Before = """
        stack: test   # a comment
        devices:
          disk: { use: block/memory, size: 1MiB }   # the disk
          volume:
            use: partition/region
            on: disk
            # inside of it
            region: a
        exports:
          nbd: { use: network/nbd, on: "volume", listen: ["unix:a.sock"] }
        """;

    [Fact]
    public void A_device_is_written_behind_the_one_that_it_stands_on()
    {
        var text = new StackText("test.yaml", Before);
        text.Insert("slow: { use: block/delay, read: 1ms }", "disk");
        Assert.Null(text.Problem);
        Assert.Equal(
            Before.Replace("# the disk\n", "# the disk\n  slow: { use: block/delay, read: 1ms, on: disk }\n", StringComparison.Ordinal).Replace("on: disk\n", "on: slow\n", StringComparison.Ordinal),
            text.Text);
        text.Insert("pass:\n  use: block/pass", "volume");
        Assert.Contains("    region: a\n  pass:\n    use: block/pass\n    on: volume\nexports:", text.Text, StringComparison.Ordinal);
        Assert.Contains("on: \"pass\",", text.Text, StringComparison.Ordinal);
        text.Remove("pass", "volume");
        text.Remove("slow", "disk");
        Assert.Equal(Before, text.Text);
    }

    [Fact]
    public void A_device_that_is_replaced_keeps_what_it_stands_on()
    {
        var text = new StackText("test.yaml", Before);
        text.Replace("volume: { use: partition/region, region: b }");
        Assert.Null(text.Problem);
        Assert.Contains("  volume: { use: partition/region, region: b, on: disk }\nexports:", text.Text, StringComparison.Ordinal);
    }

    [Fact]
    public void What_stands_on_one_line_with_others_cannot_be_kept_up()
    {
        var text = new StackText("test.yaml", "devices: { a: { use: block/null, size: 1GiB }, b: { use: block/pass, on: a } }");
        text.Insert("c: { use: block/pass }", "a");
        Assert.Contains("does not begin a line of its own", text.Problem, StringComparison.Ordinal);
    }
}
