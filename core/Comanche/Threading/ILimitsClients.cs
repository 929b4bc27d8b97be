namespace Comanche;

/// <summary>What a client may use, all its queues together.</summary>
/// <param name="Iops">I/Os per second, up to <see cref="MaxIops"/>; 0 is no limit.</param>
/// <param name="Bandwidth">Bytes per second, up to <see cref="MaxBandwidth"/>; 0 is no limit.</param>
/// <param name="Burst">For how long an idle client saves up tokens; an hour at most.</param>
public sealed record ClientLimit(long Iops, ByteSize Bandwidth, TimeSpan Burst)
{
    /// <summary>The most I/Os per second that can be told apart from no limit.</summary>
    public const long MaxIops = 1_000_000_000;

    /// <summary>The most bytes per second.</summary>
    public static readonly ByteSize MaxBandwidth = new(1UL << 40);

    /// <summary>Whether nothing is limited.</summary>
    public bool IsNone => Iops == 0 && Bandwidth.Bytes == 0;

    /// <summary>What is wrong with it, or null.</summary>
    public string? Problem =>
        Iops is < 0 or > MaxIops ? $"iops: {Iops} is not from 0 to {MaxIops}"
        : Bandwidth.Bytes > MaxBandwidth.Bytes ? $"bandwidth: {Bandwidth} is more than {MaxBandwidth}"
        : Burst < TimeSpan.Zero || Burst > TimeSpan.FromHours(1) ? $"burst: {Burst} is not from 0s to 1h" : null;
}

/// <summary>An export that limits what each of its clients may use. Managed only; asked of the component by a cast.</summary>
public interface ILimitsClients
{
    /// <summary>Changes the limit of a client from now on, with full buckets; its number is that of <see cref="ClientInfo.Id"/>. Any thread but a reactor's; it waits for the export's own.</summary>
    /// <param name="client">The client; null for all there are, and those to come.</param>
    /// <param name="change">Makes the new limit of the old.</param>
    /// <exception cref="ComancheException">There is no such client, or the limit has a <see cref="ClientLimit.Problem"/>; then nothing is changed.</exception>
    void SetLimit(ulong? client, Func<ClientLimit, ClientLimit> change);
}
