using Comanche.Runtime.Composition;
using Comanche.Runtime.Loading;
using Comanche.Runtime;

namespace Comanche.App;

/// <summary><c>check --probe</c>: opens what exists, read-only, and says what it is, and what a run would make. Changes nothing.</summary>
/// <remarks>
/// What can't be opened and what is not there yet look alike from outside, in that both fail. But what makes its labels where there are none does so on blank media
/// only, which are zero in their first and last MiB: so what fails on blank media, and may make things, would be made.
/// </remarks>
internal sealed unsafe class Probe : IDisposable
{
    private const ulong EdgeBytes = 1 << 20;

    private readonly AppProcess _process = new(LogSink.None);
    private readonly CheckedStack _stack;
    private readonly Dictionary<CheckedDevice, Outcome> _outcomes = [];

    private Probe(CheckedStack stack) => _stack = stack;

    private enum Outcome
    {
        Opens,
        WouldBeMade,
        NotProbed,
        Bad,
    }

    /// <summary>Probes every device bottom-up; the exit code is 2 where one is not as the file says.</summary>
    public static int Run(CheckedStack stack)
    {
        using var probe = new Probe(stack);
        foreach (var device in stack.Devices.Where(d => !d.Definition.IsExport)) probe._outcomes[device] = probe.Look(device);
        return probe._outcomes.ContainsValue(Outcome.Bad) ? ExitCode.BadInput : ExitCode.Success;
    }

    public void Dispose() => _process.Dispose();

    private Outcome Look(CheckedDevice device)
    {
        var below = device.Bindings.Select(b => _outcomes[b.Device]).ToList();
        if (below.Contains(Outcome.Bad)) return Say(device, Outcome.Bad, "not probed: what it stands on is not as it should be");
        if (below.Contains(Outcome.WouldBeMade) && MayCreate(device) && device.Bindings.TrueForAll(b => IsBlank(b.Device)))
            return Say(device, Outcome.WouldBeMade, "would be made, with what it stands on");
        if (below.Exists(o => o != Outcome.Opens)) return Say(device, Outcome.NotProbed, "not probed: what it stands on is not there yet");
        var paths = PathsOf(device).ToList();
        if (paths.Find(p => !Path.Exists(p)) is not { } missing) return Open(device, paths.Count == 0 ? null : paths[0]);
        return MayCreate(device)
            ? Say(device, Outcome.WouldBeMade, $"would be made: {missing} is not there yet")
            : Say(device, Outcome.NotProbed, $"not probed: {missing} is not there yet");
    }

    private Outcome Open(CheckedDevice device, string? path)
    {
        try
        {
            using var running = Start(device);
            if (running.Find(device.Name)!.Device is not { } volume) return Say(device, Outcome.Opens, "opens");
            VolumeInfo info;
            volume.GetVolumeInfo(&info);
            Say(device, Outcome.Opens, Terminal.Describe(info));
            if (device.Volume is not { } planned || planned.ByteLength <= info.ByteLength) return Outcome.Opens;
            TextLog.Say($"{device.Definition.At}: error: {device.Name}: {info.ByteLength} bytes long; the file asks for {planned.ByteLength}");
            return Outcome.Bad;
        }
        catch (ComancheException e)
        {
            if (MayCreate(device) && path is not null && new FileInfo(path) is { Exists: true } file && device.Volume is { } planned && (ulong)file.Length < planned.ByteLength)
                return Say(device, Outcome.NotProbed, $"would be extended: {path} is {Terminal.Size((ulong)file.Length)} long, and {Terminal.Size(planned.ByteLength)} are asked for");
            if (MayCreate(device) && device.Bindings.Count != 0 && device.Bindings.TrueForAll(b => IsBlank(b.Device)))
                return Say(device, Outcome.WouldBeMade, "would be made: what it stands on is blank");
            TextLog.Say(e.Message);
            return Outcome.Bad;
        }
    }

    private RunningStack Start(CheckedDevice device) => RunningStack.Start(_stack, _process.Stack, new ComposeOptions { Only = [device.Name], ReadOnly = true });

    private bool IsBlank(CheckedDevice device)
    {
        if (_outcomes[device] != Outcome.Opens) return _outcomes[device] == Outcome.WouldBeMade;
        try
        {
            using var running = Start(device);
            var found = running.Find(device.Name)!;
            if (found.Device is not { } volume) return false;
            using var io = new SyncIo(volume, found.Host, device.Name);
            var edge = new byte[Math.Min(io.Volume.BlockCount, EdgeBytes / io.Volume.BlockSize) * io.Volume.BlockSize];
            foreach (var lba in new[] { 0UL, io.Volume.BlockCount - (ulong)edge.Length / io.Volume.BlockSize })
            {
                io.Read(lba, edge);
                if (edge.AsSpan().ContainsAnyExcept((byte)0)) return false;
            }

            return true;
        }
        catch (ComancheException)
        {
            return false;
        }
    }

    private static Outcome Say(CheckedDevice device, Outcome outcome, string text)
    {
        Terminal.Print($"{device.Name}: {text}");
        return outcome;
    }

    // By the file or, where that does not say, by the component's default.
    private static bool MayCreate(CheckedDevice device) =>
        !device.Definition.IsReadOnly && device.Kind!.Description.Options.FirstOrDefault(o => o is { Name: "create", Kind: OptionKind.Boolean }) is { } option
        && (device.Options.Values.TryGetValue("create", out var given) ? given.Value is true : option.Default == "true");

    // What options of a device name, there or not.
    private static IEnumerable<string> PathsOf(CheckedDevice device) =>
        from option in device.Kind!.Description.Options
        where option is { IsPath: true, Kind: OptionKind.Text, Secret: false }
        select device.Options.Values.GetValueOrDefault(option.Name)?.Value as string into path
        where path is not null
        select path;
}
