namespace Comanche.Network;

/// <summary>The options of <c>network/nbd</c>.</summary>
public sealed record NbdOptions
{
    /// <summary>Where to listen.</summary>
    [Option("Where to listen: unix:PATH or tcp:ADDRESS:PORT, one or several; port 0 lets the kernel choose and logs it. Without tls whoever reaches a TCP port "
        + "reads and writes the volume", Required = true)]
    public IReadOnlyList<string> Listen { get; init; } = [];

    /// <summary>The name of the only export.</summary>
    [Option("The name under which clients ask for the volume, where there is one", Default = "the empty name only")]
    public string Name { get; init; } = "";

    /// <summary>The names of the exports.</summary>
    [Option("The names of the volumes, in the order of on:, where there are several. The empty name always means the first")]
    public IReadOnlyList<string> Names { get; init; } = [];

    /// <summary>What people see beside the names.</summary>
    [Option("A line for people that clients may show")]
    public string Description { get; init; } = "";

    /// <summary>Connections at a time.</summary>
    [Option("Connections at a time; more wait to be accepted", Min = "1", Max = "4096")]
    public int MaxConnections { get; init; } = 64;

    /// <summary>Requests in flight per connection.</summary>
    [Option("Requests in flight per connection; more wait in the socket", Min = "4", Max = "4096")]
    public int QueueDepth { get; init; } = 128;

    /// <summary>The DMA memory of a connection.</summary>
    [Option("DMA memory per connection, for the data of requests in flight", Min = "512KiB", Max = "256MiB")]
    public ByteSize Buffer { get; init; } = ByteSize.MiB(4);

    /// <summary>The longest read or write.</summary>
    [Option("The longest read or write; longer ones are refused. Clients that agree on no size may send 32MiB", Min = "64KiB", Max = "64MiB")]
    public ByteSize MaxRequest { get; init; } = ByteSize.MiB(32);

    /// <summary>The mode of Unix sockets.</summary>
    [Option("Permissions of Unix sockets, in octal: who may write to the socket may connect")]
    public string Mode { get; init; } = "0600";

    /// <summary>How long a client may take to choose an export.</summary>
    [Option("How long a client may take until it has chosen an export", Min = "1s", Max = "10m")]
    public TimeSpan HandshakeTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>How long a stop may take.</summary>
    [Option("How long a stop waits for requests in flight before it gives them up", Min = "100ms", Max = "10m")]
    public TimeSpan StopTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Encryption.</summary>
    [Option("Encryption, and who may connect", Default = "none")]
    public NbdTlsOptions? Tls { get; init; }
}

/// <summary>Encryption of <c>network/nbd</c>.</summary>
public sealed record NbdTlsOptions
{
    /// <summary>The server's certificate.</summary>
    [Option("PEM file with the server's certificate, and those between it and its root", Required = true, Path = true)]
    public string Certificate { get; init; } = "";

    /// <summary>The private key.</summary>
    [Option("PEM file with the private key of the certificate", Required = true, Path = true)]
    public string Key { get; init; } = "";

    /// <summary>Who signs clients' certificates.</summary>
    [Option("PEM file with the authorities that sign clients' certificates: only clients with such a one may connect", Default = "any client", Path = true)]
    public string ClientCa { get; init; } = "";

    /// <summary>Whether plain connections are refused.</summary>
    [Option("Refuse clients that do not encrypt. With false, anyone may connect in the clear, past client-ca")]
    public bool Required { get; init; } = true;
}
