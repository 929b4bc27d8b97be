using System.CommandLine;
using System.Globalization;
using Comanche.Linux;

namespace Comanche.App.Commands;

/// <summary><c>comanche doctor</c>: what this machine offers, and how to get what is missing. Nothing that is missing keeps a stack from running, so the exit code is 0.</summary>
internal static class DoctorCommand
{
    private enum Verdict
    {
        Good,
        Slower,
        Missing,
    }

    public static Command Make()
    {
        var command = new ExampleCommand(
            "doctor", "Says what this machine offers to stacks (io_uring, huge pages, lockable memory, FUSE, IOMMU) and how to get what is missing.",
            "comanche doctor");
        command.SetAction(_ =>
        {
            foreach (var line in Checks()) Console.WriteLine(line);
            return ExitCode.Success;
        });
        return command;
    }

    private static IEnumerable<string> Checks()
    {
        yield return Line(Verdict.Good, "system", $"{Environment.OSVersion.VersionString}, .NET {Environment.Version}, {Environment.ProcessorCount} cores");
        foreach (var line in Ring()) yield return line;
        yield return HugePages();
        yield return Lockable();
        yield return OpenFiles();
        yield return Fuse();
        foreach (var line in Vfio()) yield return line;
        yield return Features();
    }

    private static IEnumerable<string> Ring()
    {
        var probe = IoUring.Probe();
        if (!probe.IsAvailable)
        {
            yield return Line(Verdict.Slower, "io_uring", $"not available: {probe.Reason}; files are read and written by a slower way");
            yield break;
        }

        yield return Line(Verdict.Good, "io_uring", $"available, operations up to {probe.LastOperation}");
        yield return Has("  single issuer", probe.SingleIssuer, "Linux 6.0 or later has it");
        yield return Has("  deferred task run", probe.DeferredTaskRun, "Linux 6.1 or later has it");
        yield return Has("  submission polling", probe.SubmissionPolling, "it needs a kernel that allows SQPOLL");
        yield return Has("  sparse buffers", probe.SparseBuffers, "Linux 5.19 or later has them");
    }

    private static string HugePages()
    {
        var (total, free) = Limits.HugePages;
        return total > 0
            ? Line(Verdict.Good, "huge pages", $"{free} of {total} of 2 MiB are free")
            : Line(Verdict.Slower, "huge pages", "none; ordinary pages do. To have some: sudo sysctl vm.nr_hugepages=256");
    }

    private static string Lockable()
    {
        var bytes = Limits.LockableBytes;
        if (bytes > 1UL << 40) return Line(Verdict.Good, "lockable memory", "unlimited");
        var verdict = bytes >= 256UL << 20 ? Verdict.Good : Verdict.Slower;
        var advice = verdict == Verdict.Good ? "" : "; buffers beyond that are not locked. To raise it: ulimit -l, or '* - memlock unlimited' in /etc/security/limits.conf";
        return Line(verdict, "lockable memory", $"{Terminal.Size(bytes)}{advice}");
    }

    private static string OpenFiles()
    {
        var files = Limits.OpenFiles;
        return Line(files >= 1024 ? Verdict.Good : Verdict.Slower, "open files", $"{files.ToString(CultureInfo.InvariantCulture)}{(files >= 1024 ? "" : "; ulimit -n raises it")}");
    }

    private static string Fuse()
    {
        if (!File.Exists("/dev/fuse")) return Line(Verdict.Missing, "FUSE", "/dev/fuse is not there: sudo modprobe fuse; in a container: --device /dev/fuse --cap-add SYS_ADMIN");
        try
        {
            using var device = new FileStream("/dev/fuse", FileMode.Open, FileAccess.ReadWrite);
            return Line(Verdict.Good, "FUSE", "/dev/fuse can be opened");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return Line(Verdict.Missing, "FUSE", $"/dev/fuse can't be opened: {e.Message}");
        }
    }

    private static IEnumerable<string> Vfio()
    {
        var groups = Directory.Exists("/sys/kernel/iommu_groups") ? Directory.GetDirectories("/sys/kernel/iommu_groups").Length : 0;
        yield return groups > 0
            ? Line(Verdict.Good, "IOMMU", $"{groups} groups")
            : Line(Verdict.Missing, "IOMMU", "not in use. Switch it on in the firmware (VT-d, AMD-Vi) and boot with intel_iommu=on or amd_iommu=on");
        if (!File.Exists("/dev/vfio/vfio"))
        {
            yield return Line(Verdict.Missing, "VFIO", "/dev/vfio/vfio is not there: sudo modprobe vfio-pci. Devices of the PCI bus can't be driven without it");
            yield break;
        }

        var owned = Directory.GetFiles("/dev/vfio").Count(f => char.IsAsciiDigit(Path.GetFileName(f)[0]));
        yield return Line(Verdict.Good, "VFIO", owned > 0 ? $"{owned} groups are bound to it" : "available; no device is bound to it (driverctl set-override ADDRESS vfio-pci)");
    }

    private static string Features()
    {
        var found = new List<string>();
        if (System.Runtime.Intrinsics.X86.Sse42.IsSupported) found.Add("CRC32C");
        if (System.Runtime.Intrinsics.X86.Aes.IsSupported) found.Add("AES");
        if (System.Runtime.Intrinsics.X86.Avx2.IsSupported) found.Add("AVX2");
        if (System.Runtime.Intrinsics.X86.Avx512F.IsSupported) found.Add("AVX-512");
        if (System.Runtime.Intrinsics.X86.Pclmulqdq.V256.IsSupported) found.Add("VPCLMULQDQ");
        if (System.Runtime.Intrinsics.X86.Gfni.IsSupported) found.Add("GFNI");
        if (System.Runtime.Intrinsics.Arm.AdvSimd.IsSupported) found.Add("AdvSIMD");
        return Line(found.Count > 0 ? Verdict.Good : Verdict.Slower, "processor", found.Count > 0 ? string.Join(", ", found) : "no vector instructions that are used here");
    }

    private static string Has(string what, bool isThere, string advice) => Line(isThere ? Verdict.Good : Verdict.Slower, what, isThere ? "yes" : $"no; {advice}");

    private static string Line(Verdict verdict, string what, string text) =>
        $"{verdict switch { Verdict.Good => "ok     ", Verdict.Slower => "slower ", _ => "missing" }}  {what,-22} {text}";
}
