using System.Diagnostics;

namespace Comanche.Composition.Tests;

/// <summary>Every mistake is one message with its exact place.</summary>
public sealed class BadStackTests
{
    [Theory]
    [InlineData("""
        devices:
          a: { use: test/evrything }
        """, "s.yaml:2:13: error: unknown component 'test/evrything'; did you mean 'test/everything'?")]
    [InlineData("""
        devices:
          a:
            use: test/everything
            cuont: 4
        """, "s.yaml:4:5: error: test/everything has no option 'cuont'; did you mean 'count'?")]
    [InlineData("""
        devices:
          a: { use: test/filter, on: b }
          b: { use: test/filter, on: c }
          c: { use: test/filter, on: a }
        """, "s.yaml:2:30: error: cycle: a → b → c → a")]
    [InlineData("""
        devices:
          a: { use: test/filter, on: a }
        """, "s.yaml:2:30: error: cycle: 'a' stands on itself")]
    [InlineData("""
        devices:
          disk0: { use: test/everything }
          a: { use: test/filter, on: disk1 }
        """, "s.yaml:3:30: error: there is no device 'disk1'; did you mean 'disk0'?")]
    [InlineData("""
        devices:
          a: { use: test/everything, size: 4KB0 }
        """, "s.yaml:2:36: error: size: a size like 512, 4KiB or 1GiB was expected, not '4KB0'")]
    [InlineData("""
        devices:
          a: { use: test/everything, size: 2MiB }
        """, "s.yaml:2:36: error: size: 2MiB is out of range; it is 512 to 1MiB")]
    [InlineData("""
        devices:
          a: { use: test/everything, text: /same }
          b: { use: test/everything, text: /same }
        """, "s.yaml:3:36: error: text: overlapping use: file /same is already used by 'a', at line 2")]
    [InlineData("""
        devices:
          a: { use: test/everything }
          b: { use: test/filter, on: a }
          c: { use: test/filter, on: a }
        """, "s.yaml:4:30: error: overlapping use: 'a' is already used by 'b', at line 3")]
    [InlineData("""
        devices:
          a: { use: test/everything }
          b: { use: test/many, on: [a, a] }
        """, "s.yaml:3:32: error: 'a' is named twice")]
    [InlineData("""
        devices:
          a: { use: test/everything }
          b: { use: test/roles, regions: a, data: c }
          c: { use: test/everything }
        """, "s.yaml:3:34: error: test/roles needs an IRegionManager here; 'a' (test/everything) is none")]
    [InlineData("""
        devices:
          a: { use: test/filter }
        """, "s.yaml:2:3: error: test/filter needs 'on:': 1 of a block device")]
    [InlineData("""
        devices:
          a: { use: test/everything }
          b: { use: test/many, on: a }
        """, "s.yaml:3:24: error: test/many takes 2 to 4 devices in 'on:', not 1")]
    [InlineData("""
        devices:
          a: { use: test/everything, on: b }
          b: { use: test/everything }
        """, "s.yaml:2:30: error: test/everything takes no 'on:'; it stands on nothing")]
    [InlineData("""
        devices:
          a: { use: test/everything }
          b: { use: test/roles, dta: a }
        """, "s.yaml:3:25: error: test/roles has no option 'dta'; did you mean 'data'?")]
    [InlineData("""
        devices:
          a: { use: test/everything }
          b: { use: test/roles, data: { x: a } }
        """, "s.yaml:3:31: error: the name of a device was expected, not a mapping")]
    [InlineData("""
        devices:
          a: { use: test/everything, nested: { depth: 2, wrd: x } }
        """, "s.yaml:2:50: error: 'nested' has no option 'wrd'; did you mean 'word'?")]
    [InlineData("""
        device:
          a: { use: test/everything }
        """, "s.yaml:1:1: error: unknown section 'device'; did you mean 'devices'?; a stack file has stack, devices, exports, reactors")]
    [InlineData("""
        devices:
          a: { use: test/everything }
          b: { use: test/filter, on: c }
        """, "s.yaml:3:30: error: there is no device 'c'")]
    [InlineData("devices:\n  a:\n\t use: test/everything\n", "s.yaml:3:1: error: not YAML: a tab as indentation; blanks are expected")]
    [InlineData("""
        devices:
          a: !fast { use: test/everything }
        """, "s.yaml:2:6: error: not YAML: the tag '!fast' means nothing here")]
    [InlineData("""
        x-common: &common { use: test/everything }
        devices:
          a: { <<: *common, count: 2 }
        """, "s.yaml:3:8: error: not YAML: merge keys ('<<') are no part of YAML 1.2: write the keys of the anchor out")]
    [InlineData("""
        devices:
          a: { use: test/everything, count: 13 }
        """, "s.yaml:2:37: error: count: 13 brings bad luck")]
    [InlineData("""
        devices:
          a: { use: test/everything, nested: { depth: 12, word: x } }
        """, "s.yaml:2:47: error: depth: 12 is out of range; it is 1 to 9")]
    [InlineData("""
        devices:
          a: { use: test/everything, nested: { depth: 2 } }
        """, "s.yaml:2:38: error: 'nested' needs the option 'word': A word")]
    [InlineData("""
        devices:
          a: { use: test/everything, flavour: sweet-won }
        """, "s.yaml:2:39: error: flavour: 'sweet-won' is not one of plain-one, sweet-one; did you mean 'sweet-one'?")]
    [InlineData("""
        devices:
          a: { use: test/everything, password: swordfish }
        """, "s.yaml:2:40: error: password: a secret is given by reference only: env:NAME or file:PATH")]
    [InlineData("""
        devices:
          a: { use: test/everything, wait: 250 }
        """, "s.yaml:2:36: error: wait: a duration like 250ms or 10s was expected, not '250'")]
    [InlineData("""
        devices:
          a: { use: test/everything, count: -1 }
        """, "s.yaml:2:37: error: count: -1 is out of range; it is 1 to 100")]
    [InlineData("""
        devices:
          a: { use: test/everything, switch: maybe }
        """, "s.yaml:2:38: error: switch: true or false was expected, not 'maybe'")]
    [InlineData("""
        devices:
          a: { use: test/everything, sizes: [4KiB, x] }
        """, "s.yaml:2:44: error: sizes: a size like 512, 4KiB or 1GiB was expected, not 'x'")]
    [InlineData("""
        devices:
          a: { use: test/everything, count: }
        """, "s.yaml:2:37: error: count: a whole number was expected, not nothing")]
    [InlineData("""
        devices:
          a: { use: test/everything, reactor: active }
        reactors:
          active: { core: 0 }
        """, "s.yaml:4:3: error: 'active' can't be the name of a reactor: a device that names it has a reactor of its own")]
    [InlineData("""
        devices:
          a: { use: test/everything, reactor: fst }
        reactors:
          fast: { core: 0 }
        """, "s.yaml:2:39: error: there is no reactor 'fst'; did you mean 'fast'?; reactors are defined under 'reactors:'")]
    [InlineData("""
        devices:
          a: { use: test/everything }
        exports:
          e: { use: test/filter, on: a }
        """, "s.yaml:4:13: error: test/filter is a block device: it stands under 'devices:', not under 'exports:'")]
    [InlineData("""
        devices:
          a: { use: test/everything }
          e: { use: test/export, on: a }
        """, "s.yaml:3:13: error: test/export is not a device that others can stand on: it stands under 'exports:'")]
    [InlineData("""
        devices:
          a: { use: test/everything }
        exports:
          e: { use: test/export, on: a }
          f: { use: test/export, on: e }
        """, "s.yaml:5:30: error: 'e' is an export; nothing can stand on it")]
    [InlineData("""
        devices:
          a: { use: test/everything }
          a: { use: test/everything }
        """, "s.yaml:3:3: error: 'a' is given twice; first at line 2")]
    [InlineData("""
        devices:
          a: { text: x }
        """, "s.yaml:2:3: error: 'a' has no 'use:', which names its component")]
    [InlineData("""
        device:
          a: { use: test/everything }
        devices: {}
        """, "s.yaml:1:1: error: unknown section 'device'; did you mean 'devices'?; a stack file has stack, devices, exports, reactors")]
    [InlineData("""
        devices:
          a: { use: test/everything, readonly: true }
          b: { use: test/filter, on: a }
        """, "s.yaml:3:3: error: what it stands on is read-only")]
    [InlineData("", "s.yaml:1:1: error: the file is empty; a stack file has at least 'devices:'")]
    [InlineData("- a", "s.yaml:1:1: error: a stack file is a mapping with 'devices:', not a list")]
    public void A_mistake_is_one_message_with_its_place(string stack, string expected) => Assert.Equal([expected], Stacks.Problems(stack));

    [Fact]
    public void What_is_not_YAML_is_said_with_its_place()
    {
        var problem = Assert.Single(Stacks.Problems("devices:\n  a: { use: test/everything\n"));
        Assert.StartsWith("s.yaml:3:1: error: not YAML: ", problem);
    }

    [Fact]
    public void Every_mistake_of_a_file_is_found_and_they_come_in_the_order_of_the_file()
    {
        var problems = Stacks.Problems("""
            devices:
              a: { use: test/everything, count: 200, ratio: 3 }
              b: { use: test/nothing }
              c: { use: test/filter, on: b }
            exports:
              e: { use: test/export, on: d }
            """);
        Assert.Equal(4, problems.Length);
        Assert.Equal(["s.yaml:2:37", "s.yaml:2:49", "s.yaml:3:13", "s.yaml:6:30"], problems.Select(p => p[..11]));
    }

    [Fact]
    public void A_hostile_file_gives_an_error_and_not_a_crash()
    {
        Assert.Contains("nested more than", Assert.Single(Stacks.Problems("devices: " + new string('[', 100_000))));
        var laughs = "x-0: &a0 [a, a, a, a, a, a, a, a, a, a]\n" + string.Concat(
            Enumerable.Range(1, 8).Select(i => $"x-{i}: &a{i} [{string.Join(", ", Enumerable.Repeat($"*a{i - 1}", 10))}]\n")) + "devices: {}\n";
        Assert.Contains("larger than", Assert.Single(Stacks.Problems(laughs)));
        Assert.Contains("anchor", Assert.Single(Stacks.Problems("devices: { a: &x { use: test/everything, nested: *x } }")));
    }

    [Fact]
    public void A_warning_is_said_and_does_not_keep_a_stack_from_running()
    {
        var stack = Stacks.Check("devices: { a: { use: test/everything, count: 14 } }");
        Assert.Equal("s.yaml:1:46: warning: count: 14 is next to 13", Assert.Single(stack.Problems).ToString());
        Assert.True(stack.IsGood);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_stack_of_more_layers_than_can_be_is_one_message_however_long_it_is(bool topFirst)
    {
        var lines = Enumerable.Range(1, 5000).Select(i => $"  d{i}: {{ use: test/filter, on: d{i - 1} }}").Prepend("  d0: { use: test/everything }");
        var problem = Assert.Single(Stacks.Problems($"devices:\n{string.Join('\n', topFirst ? lines.Reverse() : lines)}\n"));
        Assert.Contains("is the top of more than 64 layers", problem);
    }

    [Fact]
    public void Control_characters_of_a_file_do_not_reach_the_terminal() =>
        Assert.Equal("s.yaml:2:8: error: unknown component '\\u001b[2J'", Stacks.Problems("devices:\n  a: { use: \"\\e[2J\" }\n")[0].Replace("2:13", "2:8"));

    [Fact]
    public void A_file_of_ten_thousand_mistakes_is_checked_in_seconds()
    {
        var clock = Stopwatch.StartNew();
        var devices = string.Concat(Enumerable.Range(0, 10_000).Select(i => $"  device{i}: {{ use: test/filter, on: deviec{i}, reactor: r{i} }}\n"));
        var problems = Stacks.Problems($"devices:\n{devices}reactors: {{ fast: {{}} }}\n");
        Assert.Equal(20_000, problems.Length);
        Assert.StartsWith("s.yaml:2:36: error: there is no device 'deviec0'; did you mean ", problems[0]);
        Assert.InRange(clock.Elapsed, TimeSpan.Zero, TimeSpan.FromSeconds(10));
    }
}
