using System.Globalization;
using System.Runtime.InteropServices;

namespace Comanche.Linux;

/// <summary>What the system grants this process.</summary>
public static unsafe partial class Limits
{
    private const int ResourceMemlock = 8, ResourceOpenFiles = 7;
    private const int CapIpcLock = 14, CapSysAdmin = 21;

    [StructLayout(LayoutKind.Sequential)]
    private struct RLimit
    {
        public ulong Current;
        public ulong Maximum;
    }

    /// <summary>Bytes that this process may lock: its RLIMIT_MEMLOCK, or <see cref="ulong.MaxValue"/> where it may lock everything.</summary>
    public static ulong LockableBytes => HasCapability(CapIpcLock) ? ulong.MaxValue : Get(ResourceMemlock);

    /// <summary>The most file descriptors that this process may open.</summary>
    public static ulong OpenFiles => Get(ResourceOpenFiles);

    /// <summary>The user in whose name this process acts.</summary>
    public static uint EffectiveUser => geteuid();

    /// <summary>Whether this process may see physical addresses.</summary>
    public static bool MaySeePhysicalAddresses => HasCapability(CapSysAdmin);

    /// <summary>The 2 MiB pages of the system, all of them and those that are free.</summary>
    public static (long Total, long Free) HugePages
    {
        get
        {
            const string Folder = "/sys/kernel/mm/hugepages/hugepages-2048kB/";
            return (ReadNumber(Folder + "nr_hugepages"), ReadNumber(Folder + "free_hugepages"));
        }
    }

    /// <summary>
    /// Bytes of memory that can be had without taking them from somebody: what the kernel calls available, and free huge pages, which it does not count there.
    /// <see cref="ulong.MaxValue"/> where it does not say.
    /// </summary>
    public static ulong AvailableMemory
    {
        get
        {
            try
            {
                foreach (var line in File.ReadLines("/proc/meminfo"))
                {
                    // "MemAvailable:   22806060 kB"
                    if (!line.StartsWith("MemAvailable:", StringComparison.Ordinal)) continue;
                    return ulong.Parse(line.AsSpan(13).Trim().TrimEnd("kB").Trim(), CultureInfo.InvariantCulture) * 1024 + ((ulong)HugePages.Free << 21);
                }
            }
            catch (Exception e) when (e is IOException or FormatException or UnauthorizedAccessException)
            {
                // Without /proc nothing is known.
            }

            return ulong.MaxValue;
        }
    }

    /// <summary>Whether a NUMA node is online.</summary>
    public static bool HasNode(int node) => node >= 0 && Directory.Exists(string.Create(CultureInfo.InvariantCulture, $"/sys/devices/system/node/node{node}"));

    /// <summary>Whether the effective set holds a capability.</summary>
    private static bool HasCapability(int capability)
    {
        try
        {
            foreach (var line in File.ReadLines("/proc/self/status"))
            {
                if (!line.StartsWith("CapEff:", StringComparison.Ordinal)) continue;
                return ulong.TryParse(line.AsSpan(7).Trim(), NumberStyles.HexNumber, CultureInfo.InvariantCulture, out var set)
                    && (set >> capability & 1) != 0;
            }
        }
        catch (IOException)
        {
            // Without /proc nothing is known: count as an ordinary user.
        }

        return false;
    }

    private static ulong Get(int resource)
    {
        RLimit limit;
        return getrlimit(resource, &limit) == 0 ? limit.Current : 0;
    }

    private static long ReadNumber(string path)
    {
        try
        {
            return long.Parse(File.ReadAllText(path).AsSpan().Trim(), CultureInfo.InvariantCulture);
        }
        catch (Exception e) when (e is IOException or FormatException or UnauthorizedAccessException)
        {
            return 0;
        }
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int getrlimit(int resource, RLimit* limit);

    [LibraryImport("libc")]
    private static partial uint geteuid();
}
