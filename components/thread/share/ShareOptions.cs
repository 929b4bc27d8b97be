namespace Comanche.Threading;

/// <summary>The options of <c>thread/share</c>.</summary>
public sealed record ShareOptions
{
    /// <summary>Where to listen.</summary>
    [Option("The path of the socket by which other processes attach", Required = true, Path = true)]
    public string Socket { get; init; } = "";

    /// <summary>Under which names.</summary>
    [Option("The names under which the devices are shared, in the order of on:", Default = "their own")]
    public IReadOnlyList<string> Names { get; init; } = [];

    /// <summary>Who may attach.</summary>
    [Option("Who may attach besides the user that runs this and root: names or numbers of users, and 'group:' with the name or number of a group", Default = "nobody else")]
    public IReadOnlyList<string> Allow { get; init; } = [];

    /// <summary>The mode of the socket.</summary>
    [Option("Permissions of the socket, in octal: who may write to it may try to attach", Default = "0600, and 0666 with allow")]
    public string Mode { get; init; } = "";

    /// <summary>Depth of the devices' queues.</summary>
    [Option("The most I/Os that all clients together have in flight at each device", Min = "1", Max = "16384")]
    public int Depth { get; init; } = 256;

    /// <summary>A client's turn.</summary>
    [Option("How many I/Os of one queue are taken before the next has its turn", Min = "1", Max = "128")]
    public int Burst { get; init; } = 32;

    /// <summary>Clients at a time.</summary>
    [Option("Clients at a time; more are refused", Min = "1", Max = "4096")]
    public int MaxClients { get; init; } = 64;

    /// <summary>Queues of a client.</summary>
    [Option("Queues of one client; more are refused", Min = "1", Max = "1024")]
    public int MaxQueues { get; init; } = 64;

    /// <summary>Depth of a client's queue.</summary>
    [Option("The largest depth of a client's queue", Min = "1", Max = "16384")]
    public int MaxDepth { get; init; } = 1024;

    /// <summary>Memory of a client.</summary>
    [Option("The most memory that one client may bring, which is locked where that is possible", Min = "2MiB", Max = "1TiB")]
    public ByteSize MaxMemory { get; init; } = ByteSize.GiB(1);

    /// <summary>I/Os per second of a client.</summary>
    [Option("I/Os per second that one client may have, all its queues together; 0 is no limit", Min = "0", Max = "1000000000")]
    public long ClientIops { get; init; }

    /// <summary>Bytes per second of a client.</summary>
    [Option("Bytes per second that one client may move, all its queues together; 0 is no limit", Max = "1TiB")]
    public ByteSize ClientBandwidth { get; init; }

    /// <summary>Saved-up tokens of a client.</summary>
    [Option("For how long an idle client saves up tokens, which then pass at once; it also makes up for late wake-ups, so that 0s gives less than the limits", Min = "0s", Max = "1h")]
    public TimeSpan ClientBurst { get; init; } = TimeSpan.FromMilliseconds(100);
}
