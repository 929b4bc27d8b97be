using System.Diagnostics;
using Comanche.Runtime;
using Comanche.Runtime.Composition;

namespace Comanche.App;

/// <summary>What a device did between two looks.</summary>
/// <param name="Ios">I/Os that came back since it was started.</param>
/// <param name="Bytes">Bytes that they moved.</param>
/// <param name="Errors">How many of them failed.</param>
/// <param name="Nanoseconds">The sum of their latencies; 0 where it is not measured.</param>
/// <param name="Timed">How many I/Os that sum is of.</param>
internal readonly record struct DeviceSample(ulong Ios, ulong Bytes, ulong Errors, ulong Nanoseconds, ulong Timed);

/// <summary>Shows a stack at work: on a terminal a table that is drawn anew every second, elsewhere a line per device now and then.</summary>
internal sealed class LiveView
{
    // Columns keep their width, whatever stands in them, so that figures stay where the eye left them: at 80 columns the names have 25.
    private const int IopsWidth = 12, RateWidth = 12, LatencyWidth = 11, ErrorsWidth = 9, StateWidth = 8;
    private const int FiguresWidth = IopsWidth + RateWidth + LatencyWidth + ErrorsWidth + 2 + StateWidth;
    private const int MinNameWidth = 8;

    private readonly AppProcess _process;
    private readonly ILogSink _log;
    private readonly RunningStack _stack;
    private readonly Lock _gate; // Held while the stack is looked at, which others may change.
    private List<RunningDevice> _devices = []; // As the stack is drawn: the tops come first.
    private readonly Dictionary<string, DeviceSample> _before = [];
    private readonly Stopwatch _clock = Stopwatch.StartNew();

    public LiveView(RunningStack stack, AppProcess process, ILogSink log, Lock gate) => (_stack, _process, _log, _gate) = (stack, process, log, gate);

    /// <summary>Shows until it is told to stop.</summary>
    /// <param name="stop">Set to end it.</param>
    /// <param name="interval">Seconds between two lines where there is no terminal; 0 for none.</param>
    public void Show(ManualResetEventSlim stop, int interval)
    {
        if (Terminal.IsInteractive) Draw(stop);
        else Print(stop, interval);
    }

    private void Draw(ManualResetEventSlim stop)
    {
        using var lines = new LiveLines(RawOutput.StandardOutput);
        do
        {
            List<string> table;
            lock (_gate) table = Table();
            lines.Draw(table);
        }
        while (!stop.Wait(1000));
    }

    private void Print(ManualResetEventSlim stop, int interval)
    {
        while (!stop.Wait(interval == 0 ? Timeout.InfiniteTimeSpan : TimeSpan.FromSeconds(interval)))
        {
            lock (_gate) PrintOnce();
        }
    }

    private void PrintOnce()
    {
        Refresh();
        var seconds = Lap();
        foreach (var device in _devices)
        {
            var (delta, _) = Delta(device);
            if (delta.Ios == 0 && delta.Errors == 0) continue;
            var latency = delta.Timed == 0 ? "" : $", {Latency(delta)}";
            _log.Write(LogLevel.Information, device.Name, $"{delta.Ios / seconds:N0} IOPS, {Terminal.Rate(delta.Bytes / seconds)}{latency}, {delta.Errors} errors");
        }
    }

    private void Refresh()
    {
        var byName = _stack.Devices.Where(d => d.Device is not null).ToDictionary(d => d.Name);
        _devices = [.. Terminal.TopDown(_stack.Stack).Where(l => !l.IsAgain && byName.ContainsKey(l.Device.Name)).Select(l => byName[l.Device.Name])];
    }

    private List<string> Table()
    {
        Refresh();
        var seconds = Lap();
        var room = Math.Max(1, LiveLines.Rows - 1); // The other one is the heading.
        var shown = _devices.Count <= room ? _devices.Count : room - 1;
        var longest = _devices.Select(d => d.Name.Length).DefaultIfEmpty(0).Max();
        var width = Math.Max(MinNameWidth, Math.Min(longest, LiveLines.Columns - FiguresWidth));
        var lines = new List<string> { Row(width, "device", "IOPS", "throughput", "latency", "errors", "state") };
        foreach (var device in _devices.Take(shown))
        {
            var (delta, total) = Delta(device);
            lines.Add(Row(
                width, device.Name, $"{delta.Ios / seconds:N0}", Terminal.Rate(delta.Bytes / seconds), delta.Timed == 0 ? "-" : Latency(delta), $"{total.Errors:N0}",
                State(device)));
        }

        if (_stack.IsPaused) lines.Add("paused: clients wait until 'comanche ctl resume'");
        if (shown != _devices.Count) lines.Add($"… and {_devices.Count - shown} more");
        return lines;
    }

    private static string Row(int width, string name, string iops, string rate, string latency, string errors, string state)
    {
        // Names that begin alike often end in a number.
        if (name.Length > width) name = $"{name[..(width / 2)]}…{name[^(width - width / 2 - 1)..]}";
        return $"{name.PadRight(width)}{iops.PadLeft(IopsWidth)}{rate.PadLeft(RateWidth)}{latency.PadLeft(LatencyWidth)}{errors.PadLeft(ErrorsWidth)}  {state}";
    }

    private double Lap()
    {
        var seconds = Math.Max(_clock.Elapsed.TotalSeconds, 1e-3);
        _clock.Restart();
        return seconds;
    }

    private (DeviceSample Delta, DeviceSample Total) Delta(RunningDevice device)
    {
        var now = _process.Sample(device);
        var before = _before.GetValueOrDefault(device.Name);
        _before[device.Name] = now;
        return (new DeviceSample(now.Ios - before.Ios, now.Bytes - before.Bytes, now.Errors - before.Errors, now.Nanoseconds - before.Nanoseconds, now.Timed - before.Timed), now);
    }

    private static string Latency(DeviceSample delta) => Terminal.Time((double)delta.Nanoseconds / delta.Timed);

    private static unsafe string State(RunningDevice device)
    {
        DeviceHealth health;
        device.Device!.GetHealth(&health);
        return health.State.ToString().ToLowerInvariant();
    }
}
