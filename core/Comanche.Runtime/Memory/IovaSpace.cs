namespace Comanche.Runtime;

/// <summary>
/// The addresses that devices use, one range for each region, the same for every device of the process. The caller holds the registry's lock.
/// </summary>
/// <param name="first">The first address that may be used, on a 2 MiB boundary.</param>
/// <param name="length">How many bytes of addresses there are.</param>
internal sealed class IovaSpace(ulong first, ulong length)
{
    // Every region starts on a 2 MiB boundary, so that an IOMMU can map huge pages by huge entries.
    private const ulong Alignment = 2 << 20;

    private readonly Extents _extents = new(length);

    /// <summary>Takes addresses for so many bytes.</summary>
    public bool TryTake(ulong bytes, out ulong iova)
    {
        var taken = _extents.TryTake(Round(bytes), Alignment, out var start);
        iova = taken ? first + start : IoBufferInfo.NoIova;
        return taken;
    }

    /// <summary>Gives addresses back.</summary>
    public void Return(ulong iova, ulong bytes) => _extents.Return(iova - first, Round(bytes));

    private static ulong Round(ulong bytes) => (bytes + Alignment - 1) & ~(Alignment - 1);
}
