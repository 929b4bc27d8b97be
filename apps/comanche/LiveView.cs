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
internal sealed class LiveView(RunningStack stack, AppProcess process, ILogSink log)
{
    private const string HideCursor = "\e[?25l", ShowCursor = "\e[?25h", EraseLine = "\e[2K", EraseBelow = "\e[J";
    private const int MaxNameWidth = 20;

    private readonly List<RunningDevice> _devices = [.. stack.Devices.Where(d => d.Device is not null)];
    private readonly Dictionary<string, DeviceSample> _before = [];
    private readonly Stopwatch _clock = Stopwatch.StartNew();

    /// <summary>Shows until it is told to stop.</summary>
    /// <param name="stop">Set to end it.</param>
    /// <param name="interval">Seconds between two lines where there is no terminal; 0 for none.</param>
    public void Show(ManualResetEventSlim stop, int interval)
    {
        if (Terminal.IsInteractive) Draw(stop);
        else Print(stop, interval);
    }

    // The lines of before are gone over by moving up: nothing else on the screen is touched, whatever the terminal's size becomes.
    private void Draw(ManualResetEventSlim stop)
    {
        var lines = 0;
        Console.Out.Write(HideCursor);
        try
        {
            do
            {
                var table = Table();
                Console.Out.Write(Up(lines) + string.Concat(table.Select(line => $"\r{EraseLine}{Cut(line)}\n")));
                lines = table.Count;
            }
            while (!stop.Wait(1000));
        }
        finally
        {
            Console.Out.Write($"{Up(lines)}\r{EraseBelow}{ShowCursor}");
        }
    }

    private static string Up(int lines) => lines == 0 ? "" : $"\e[{lines}A";

    private static string Cut(string line)
    {
        var width = Console.WindowWidth;
        return width > 0 && line.Length >= width ? line[..(width - 1)] : line;
    }

    private void Print(ManualResetEventSlim stop, int interval)
    {
        while (!stop.Wait(interval <= 0 ? Timeout.Infinite : interval * 1000))
        {
            var seconds = Lap();
            foreach (var device in _devices)
            {
                var (delta, _) = Delta(device);
                if (delta.Ios == 0 && delta.Errors == 0) continue;
                log.Write(LogLevel.Information, device.Name, $"{delta.Ios / seconds:N0} IOPS, {Terminal.Size((ulong)(delta.Bytes / seconds))}/s{Latency(delta)}, {delta.Errors} errors");
            }
        }
    }

    // The widths are fixed, so that columns stay where they are whatever the figures.
    private List<string> Table()
    {
        var seconds = Lap();
        var names = Math.Min(_devices.Max(d => d.Name.Length), MaxNameWidth);
        var lines = new List<string>(_devices.Count + 1) { Row("device", "IOPS", "throughput", "latency", "errors", "state") };
        foreach (var device in _devices)
        {
            var (delta, total) = Delta(device);
            lines.Add(Row(
                device.Name, $"{delta.Ios / seconds:N0}", $"{Terminal.Size((ulong)(delta.Bytes / seconds))}/s",
                delta.Timed == 0 ? "-" : $"{delta.Nanoseconds / 1000.0 / delta.Timed:N1} µs", $"{total.Errors:N0}", State(device)));
        }

        return lines;

        string Row(string name, string iops, string throughput, string latency, string errors, string state) =>
            $"{(name.Length > names ? name[..(names - 1)] + '…' : name.PadRight(Math.Max(names, 6)))}  {iops,10}  {throughput,11}  {latency,11}  {errors,6}  {state}";
    }

    private double Lap()
    {
        var seconds = Math.Max(_clock.Elapsed.TotalSeconds, 1e-3);
        _clock.Restart();
        return seconds;
    }

    private (DeviceSample Delta, DeviceSample Total) Delta(RunningDevice device)
    {
        var now = process.Sample(device);
        var before = _before.GetValueOrDefault(device.Name);
        _before[device.Name] = now;
        return (new DeviceSample(now.Ios - before.Ios, now.Bytes - before.Bytes, now.Errors - before.Errors, now.Nanoseconds - before.Nanoseconds, now.Timed - before.Timed), now);
    }

    private static string Latency(DeviceSample delta) => delta.Timed == 0 ? "" : $", {delta.Nanoseconds / 1000.0 / delta.Timed:N1} µs";

    private static unsafe string State(RunningDevice device)
    {
        DeviceHealth health;
        device.Device!.GetHealth(&health);
        return health.State.ToString().ToLowerInvariant();
    }
}
