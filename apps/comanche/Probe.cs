using Comanche.Runtime.Composition;
using Comanche.Runtime.Loading;
using Comanche.Runtime;

namespace Comanche.App;

/// <summary><c>check --probe</c>: opens what exists, read-only, and says what it is. Changes nothing.</summary>
internal static unsafe class Probe
{
    /// <summary>Probes every device bottom-up; the exit code is 2 where one is not as the file says.</summary>
    public static int Run(CheckedStack stack)
    {
        using var process = new AppProcess(LogSink.None);
        var failed = new HashSet<string>();
        var isBad = false;
        foreach (var device in stack.Devices.Where(d => !d.Definition.IsExport))
        {
            if (device.Bindings.Any(b => failed.Contains(b.Device.Name)))
            {
                failed.Add(device.Name);
                Terminal.Print($"{device.Name}: not probed: what it stands on is not there");
            }
            else if (Missing(device) is { } path)
            {
                failed.Add(device.Name);
                Terminal.Print($"{device.Name}: not probed: {path} is not there yet");
            }
            else if (!ProbeOne(stack, process, device))
            {
                failed.Add(device.Name);
                isBad = true;
            }
        }

        return isBad ? ExitCode.BadInput : ExitCode.Success;
    }

    private static bool ProbeOne(CheckedStack stack, AppProcess process, CheckedDevice device)
    {
        try
        {
            using var running = RunningStack.Start(stack, process.Stack, new ComposeOptions { Only = device.Name, ReadOnly = true });
            var found = running.Find(device.Name)!;
            if (found.Device is not { } volume)
            {
                Terminal.Print($"{device.Name}: opens");
                return true;
            }

            VolumeInfo info;
            volume.GetVolumeInfo(&info);
            Terminal.Print($"{device.Name}: {Terminal.Describe(info)}");
            if (device.Volume is not { } planned || planned.ByteLength <= info.ByteLength) return true;
            TextLog.Say($"{device.Definition.At}: error: {device.Name}: {info.ByteLength} bytes long; the file asks for {planned.ByteLength}");
            return false;
        }
        catch (ComancheException e)
        {
            if (device.Options.Values.TryGetValue("create", out var create) && create.Value is true)
            {
                Terminal.Print($"{device.Name}: not there as it should be; 'create: true' may make it ({e.Message})");
                return false;
            }

            TextLog.Say(e.Message);
            return false;
        }
    }

    // A path that is not there, of an option that names one.
    private static string? Missing(CheckedDevice device)
    {
        foreach (var option in device.Kind!.Description.Options.Where(o => o is { IsPath: true, Kind: OptionKind.Text, Secret: false }))
            if (device.Options.Values.TryGetValue(option.Name, out var given) && given.Value is string path && !Path.Exists(path))
                return path;
        return null;
    }
}
