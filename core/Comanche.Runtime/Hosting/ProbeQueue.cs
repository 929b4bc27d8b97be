using System.Runtime.InteropServices.Marshalling;

namespace Comanche.Runtime;

/// <summary>
/// The queue between two layers when layers are measured: the time that the layer below the edge spends in Submit and Poll, less that of the measured layers below it, and the
/// descriptors that it gives back.
/// </summary>
/// <remarks>
/// Probes of one thread nest, so one cell per thread is enough: a probe sets it to 0, makes its call, finds in it the time that the probes below spent, and
/// leaves behind what was there plus the time of its own call. The two reads of the clock, about 25 ns each, are part of what is measured: layers are
/// measured to be compared, in batches, and the figures of a run with probes are not those of one without.
/// </remarks>
[GeneratedComClass]
internal sealed unsafe partial class ProbeQueue(Edge edge, IIoQueue below, uint depth, in VolumeInfo volume, bool counts, Func<ulong>? clock)
    : EdgeQueue(edge, below, depth, volume, latency: false)
{
    [ThreadStatic] private static ulong t_belowNs;

    /// <inheritdoc/>
    public override int Submit(IoDescriptor** batch, int count)
    {
        var outer = Begin(out var start);
        var taken = Below.Submit(batch, count);
        End(outer, start);
        InFlight += taken;
        return taken;
    }

    /// <inheritdoc/>
    public override int Poll(IoDescriptor** completed, int capacity)
    {
        var outer = Begin(out var start);
        var count = Below.Poll(completed, capacity);
        End(outer, start);
        Counters.Layer->Descriptors += (uint)count;
        if (counts)
        {
            for (var i = 0; i < count; i++) Count(Counters.Operations, completed[i]);
        }

        InFlight -= count;
        return count;
    }

    private ulong Begin(out ulong start)
    {
        var outer = t_belowNs;
        t_belowNs = 0;
        start = Now();
        return outer;
    }

    private void End(ulong outer, ulong start)
    {
        var spent = Now() - start;
        var layer = Counters.Layer;
        layer->ExclusiveNs += spent - Math.Min(spent, t_belowNs);
        layer->Calls++;
        t_belowNs = outer + spent;
    }

    private ulong Now() => clock is null ? MonotonicClock.Now : clock();
}
