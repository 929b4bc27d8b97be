using Comanche.Testing;

namespace Comanche.Network.Tests;

/// <summary>What <c>comanche check</c> says of an export.</summary>
public sealed class PlanTests
{
    private static readonly VolumeInfo Volume = new() { BlockSize = 512, BlockCount = 2048 };

    private static TestPlan Plan(NbdOptions options, int volumes = 1) => TestPlan.Of<NbdExport>(options, [.. Enumerable.Repeat<VolumeInfo?>(Volume, volumes)]);

    [Fact]
    public void A_good_export_claims_where_it_listens()
    {
        var plan = Plan(new NbdOptions { Listen = ["unix:data/v.sock", "tcp:127.0.0.1:10809", "tcp:127.0.0.1:0"] });
        Assert.Equal([], plan.Errors);
        Assert.Equal([], plan.Warnings);
        Assert.Equal([$"socket {Path.GetFullPath("data/v.sock")}", "port 10809 of 127.0.0.1"], plan.Claims);
    }

    [Fact]
    public void A_port_that_all_can_reach_in_the_clear_is_warned_of() =>
        Assert.Equal("listen", Assert.Single(Plan(new NbdOptions { Listen = ["tcp:0.0.0.0:10809"] }).Warnings).Option);

    [Fact]
    public void Each_mistake_is_told_at_its_option()
    {
        NbdOptions good = new() { Listen = ["unix:data/v.sock"] };
        (string Option, NbdOptions Options, int Volumes)[] bad =
        [
            ("listen", good with { Listen = [] }, 1),
            ("listen", good with { Listen = ["data/v.sock"] }, 1),
            ("listen", good with { Listen = ["unix:" + new string('x', 108)] }, 1),
            ("mode", good with { Mode = "rw" }, 1),
            ("mode", good with { Mode = "1777" }, 1),
            ("name", good with { Name = "x" }, 0),
            ("names", good with { Names = ["a", "b"] }, 1),
            ("names", good with { Names = ["a"] }, 2),
            ("names", good, 2),
            ("names", good with { Names = ["a", "a"] }, 2),
            ("names", good with { Names = [new string('x', 256)] }, 1),
            ("description", good with { Description = new string('x', 513) }, 1),
            ("tls", good with { Tls = new NbdTlsOptions { Certificate = "/nowhere", Key = "/dev/null" } }, 1),
        ];
        foreach (var (option, options, volumes) in bad) Assert.Equal(option, Assert.Single(Plan(options, volumes).Errors).Option);
    }
}
