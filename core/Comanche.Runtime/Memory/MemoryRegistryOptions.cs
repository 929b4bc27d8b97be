using Comanche.Linux;

namespace Comanche.Runtime;

/// <summary>What the system lets this process do with memory; tests give their own.</summary>
/// <param name="LockableBytes">How much may be locked in all; <see cref="ulong.MaxValue"/> for no limit.</param>
/// <param name="HugePages">Whether 2 MiB pages are to be tried.</param>
/// <param name="PhysicalAddresses">Whether physical addresses can be seen.</param>
public sealed record MemoryLimits(ulong LockableBytes, bool HugePages, bool PhysicalAddresses)
{
    /// <summary>How many bytes of addresses devices have for all regions together. The default ends at 39 bits, the narrowest address width of an IOMMU in use.</summary>
    public ulong DeviceAddressBytes { get; init; } = (1UL << 39) - (1UL << 32);

    /// <summary>The limits of this process now.</summary>
    public static MemoryLimits Detect() => new(Limits.LockableBytes, Limits.HugePages.Total > 0, Limits.MaySeePhysicalAddresses);
}

/// <summary>How a registry gets its memory.</summary>
public sealed record MemoryRegistryOptions
{
    /// <summary>Bytes of an ordinary pool, rounded up to 2 MiB. A buffer of more than half of it gets a pool of its own.</summary>
    public ulong PoolSize { get; init; } = 64 << 20;

    /// <summary>What the system permits; null to find out.</summary>
    public MemoryLimits? Limits { get; init; }

    /// <summary>Where the registry says, once, that it had to make do with less.</summary>
    public ILogSink? Log { get; init; }
}

/// <summary>What a registry holds at the moment.</summary>
/// <param name="ReservedBytes">Bytes of all pools.</param>
/// <param name="UsedBytes">Bytes of them in buffers, rounded up to cache lines.</param>
/// <param name="LockedBytes">Bytes that are locked, pools and registered memory.</param>
/// <param name="HugePageBytes">Bytes of pools on 2 MiB pages.</param>
/// <param name="RegisteredBytes">Bytes that owners registered themselves.</param>
/// <param name="Pools">How many pools there are.</param>
/// <param name="Buffers">How many buffers and registrations live.</param>
/// <param name="Regions">How many regions have a number.</param>
public readonly record struct MemoryStatistics(
    ulong ReservedBytes, ulong UsedBytes, ulong LockedBytes, ulong HugePageBytes, ulong RegisteredBytes, int Pools, int Buffers, int Regions);
