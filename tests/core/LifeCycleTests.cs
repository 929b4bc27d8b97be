using System.Runtime.InteropServices;
using Comanche.Testing;

namespace Comanche.Core.Tests;

public sealed class LifeCycleTests
{
    [Guid("7d1dbb0c-6f0a-4f2e-9c7c-222222222222")]
    private interface ILamp
    {
        int Lux { get; }
    }

    private sealed class Part(IHost host, List<string> events, string name) : Component(host), ILamp
    {
        public int Lux => 40;

        protected override void OnStart() => events.Add($"{name} starts");

        protected override void OnStop() => events.Add($"{name} stops");

        protected override void OnClose() => events.Add($"{name} closes");
    }

    private sealed class Whole : Component
    {
        private readonly List<string> _events;

        public Whole(IHost host, List<string> events, bool withPart) : base(host)
        {
            _events = events;
            if (withPart) Aggregate(new Part(host, events, "part"));
        }

        public bool FailsToStart { get; init; }

        public bool StopFails { get; set; }

        public IEnumerable<IBase> InRole(string role) => Bound(role);

        public ILamp Lamp() => BoundOne<ILamp>();

        protected override void OnBind(IBase component, string role)
        {
            if (role == "never") throw new ComancheException("takes none");
        }

        protected override void OnStart()
        {
            if (FailsToStart) throw new ComancheException("no light");
            _events.Add("whole starts");
        }

        protected override void OnStop()
        {
            if (StopFails) throw new InvalidOperationException("it is used");
            _events.Add("whole stops");
        }

        protected override void OnClose() => _events.Add("whole closes");
    }

    private static (Whole Whole, Part Below, List<string> Events) Make(bool withPart = false)
    {
        var events = new List<string>();
        var host = new TestHost();
        var below = new Part(host, events, "below");
        var whole = new Whole(host, events, withPart);
        whole.Bind(below, "");
        return (whole, below, events);
    }

    [Fact]
    public void The_last_release_closes_at_once_stopping_first_and_releasing_its_bindings_last()
    {
        var (whole, below, events) = Make(withPart: true);
        below.Start();
        whole.Start();
        Assert.Equal(1u, below.Release()); // The binding holds it.
        Assert.Equal(2u, whole.Retain());
        Assert.Equal(1u, whole.Release());
        Assert.Equal(["below starts", "whole starts"], events);
        Assert.Equal(0u, whole.Release());
        Assert.Equal(["below starts", "whole starts", "whole stops", "whole closes", "below stops", "below closes", "part closes"], events);
        Assert.Throws<ComancheException>(() => whole.Release());
    }

    [Fact]
    public void Unbind_releases_what_was_bound()
    {
        var (whole, below, events) = Make();
        Assert.Equal(1u, below.Release());
        whole.Unbind();
        Assert.Equal(["below closes"], events);
        Assert.Empty(whole.InRole(""));
        Assert.Throws<ComancheException>(() => whole.Lamp());
    }

    [Fact]
    public void Bindings_are_found_by_role_and_refused_ones_are_not_retained()
    {
        var (whole, below, _) = Make();
        whole.Bind(below, "spare");
        Assert.Same(below, Assert.Single(whole.InRole("spare")));
        Assert.Equal(40, whole.Lamp().Lux);
        Assert.Throws<ComancheException>(() => whole.Bind(below, "never"));
        Assert.Equal(4u, below.Retain()); // Its maker's, two bindings', and this one.
        Assert.Throws<ComancheException>(() => whole.Bind(whole, ""));
    }

    [Fact]
    public void A_component_that_can_not_be_stopped_stays_open_with_its_count()
    {
        var (whole, below, events) = Make();
        below.Release();
        whole.Start();
        whole.StopFails = true;
        var refusal = Assert.Throws<ComancheException>(() => whole.Release());
        Assert.Equal("test: it is used; it is not closed, and keeps what it holds", refusal.Message);
        Assert.Equal(["whole starts"], events); // Neither it nor what it stands on.
        Assert.Equal(2u, whole.Retain());
        Assert.Equal(1u, whole.Release());
        whole.StopFails = false;
        Assert.Equal(0u, whole.Release());
        Assert.Equal(["whole starts", "whole stops", "whole closes", "below closes"], events);
    }

    [Fact]
    public void A_closed_component_is_neither_retained_nor_closed_again()
    {
        var (whole, _, events) = Make();
        Assert.Equal(0u, whole.Release());
        Assert.Contains("retained after it was closed", Assert.Throws<ComancheException>(() => whole.Retain()).Message, StringComparison.Ordinal);
        Assert.Throws<ComancheException>(() => whole.Release());
        Assert.Equal(["whole closes"], events);
    }

    [Fact]
    public void Whatever_one_of_them_throws_all_that_is_bound_is_released()
    {
        var events = new List<string>();
        var whole = new Whole(new TestHost(), events, withPart: true);
        var stuck = new Whole(new TestHost("stuck"), events, withPart: false) { StopFails = true };
        var first = new Part(new TestHost(), events, "first");
        foreach (var below in new IBase[] { first, stuck })
        {
            whole.Bind(below, "");
            below.Release();
        }

        stuck.Start();
        events.Clear();
        Assert.Contains("stuck: ", Assert.Throws<ComancheException>(() => whole.Release()).Message, StringComparison.Ordinal);
        Assert.Equal(["whole closes", "first closes", "part closes"], events);
    }

    [Fact]
    public void Bindings_are_fixed_while_started()
    {
        var (whole, below, _) = Make();
        whole.Start();
        Assert.Throws<ComancheException>(() => whole.Bind(below, ""));
        Assert.Throws<ComancheException>(whole.Unbind);
        whole.Stop();
        whole.Unbind();
    }

    [Fact]
    public void Starting_and_stopping_twice_does_it_once_and_a_failed_start_leaves_it_stopped()
    {
        var (whole, _, events) = Make();
        whole.Start();
        whole.Start();
        whole.Stop();
        whole.Stop();
        Assert.Equal(["whole starts", "whole stops"], events);
        var failing = new Whole(new TestHost(), events, withPart: false) { FailsToStart = true };
        Assert.Throws<ComancheException>(failing.Start);
        Assert.Equal(0u, failing.Release());
        Assert.Equal(["whole starts", "whole stops", "whole closes"], events);
    }

    [Fact]
    public void A_part_is_found_by_its_interface_through_the_whole()
    {
        var (whole, _, _) = Make(withPart: true);
        Assert.IsType<Part>(whole.Query(typeof(ILamp).GUID));
        Assert.Equal(40, whole.Query<ILamp>()!.Lux);
        Assert.Same(whole, whole.Query(typeof(IBase).GUID));
        Assert.Null(whole.Query(Guid.NewGuid()));
        var (plain, _, _) = Make();
        Assert.Null(plain.Query<ILamp>());
    }
}
