using Comanche.Runtime;
using Comanche.Runtime.Composition;

namespace Comanche.Composition.Tests;

/// <summary>Whatever fails in a component while a stack is composed, started or stopped is one line: the place in the file, the device, and the component's own words once.</summary>
public sealed class FailureTests
{
    public static TheoryData<FailureMoment, FailureKind> Failures
    {
        get
        {
            var data = new TheoryData<FailureMoment, FailureKind>();
            foreach (var moment in Enum.GetValues<FailureMoment>())
                foreach (var kind in Enum.GetValues<FailureKind>())
                    data.Add(moment, kind);
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Failures))]
    public void A_failure_is_one_line_with_its_place_and_the_components_words(FailureMoment moment, FailureKind kind)
    {
        using var process = new ComancheProcess();
        using var stack = new StackProcess(process);
        process.CreateHost("other", HostFlags.None, null).Fail("words of a call that is over");
        var expected = kind == FailureKind.ForeignSilent ? "failed with HRESULT 0x80004005" : "the disk is upside down";
        Assert.Equal($"s.yaml:3:3: error: bad: {expected}", Fails(moment, kind, stack));
    }

    [Fact]
    public void A_secret_that_is_not_there_is_said_with_its_own_place()
    {
        using var process = new ComancheProcess();
        using var stack = new StackProcess(process);
        var failure = Assert.Throws<ComancheException>(() =>
            RunningStack.Start(Stacks.Check("devices:\n  a: { use: test/everything, password: \"env:NO_SUCH_SECRET\" }\n"), stack, new ComposeOptions()));
        Assert.Equal("s.yaml:2:40: error: the environment variable NO_SUCH_SECRET, which holds a secret, is not set", failure.Message);
    }

    // Also what comes of the teardown after it does not hide what failed first.
    private static string Fails(FailureMoment moment, FailureKind kind, StackProcess process)
    {
        var text = $$"""
            devices:
              disk: { use: test/everything }
              bad: { use: test/failing, on: disk, moment: {{moment.ToString().ToLowerInvariant()}}, kind: {{Spelled(kind)}} }
            """;
        if (moment != FailureMoment.Stop) return Assert.Throws<ComancheException>(() => RunningStack.Start(Stacks.Check(text), process, new ComposeOptions())).Message;
        var running = RunningStack.Start(Stacks.Check(text), process, new ComposeOptions());
        return Assert.Throws<ComancheException>(running.Stop).Message.Split('\n')[0];
    }

    private static string Spelled(FailureKind kind) => Comanche.Runtime.Loading.Spelling.ToKebab(kind.ToString());
}
