namespace Comanche;

/// <summary>A client of an export, as people see it.</summary>
/// <param name="Id">Its number among all that the export ever had.</param>
/// <param name="Peer">Who it is: a process and a user, or an address.</param>
/// <param name="Device">The name of the device that it uses; empty while it has not chosen.</param>
/// <param name="Queues">How many queues or connections it has.</param>
/// <param name="InFlight">How many of its I/Os are not done.</param>
/// <param name="MemoryBytes">Memory of its own that is shared.</param>
public sealed record ClientInfo(ulong Id, string Peer, string Device, int Queues, int InFlight, ulong MemoryBytes)
{
    /// <summary>What it may use; null where the export has no limits.</summary>
    public ClientLimit? Limit { get; init; }
}

/// <summary>An export that says who uses it. Managed only; asked of the component by a cast.</summary>
public interface IServesClients
{
    /// <summary>The clients now. Any thread but a reactor's; it waits for the export's own.</summary>
    IReadOnlyList<ClientInfo> GetClients();
}
