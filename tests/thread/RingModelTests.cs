namespace Comanche.Threading.Tests;

/// <summary>
/// The rings' protocol as a model, of which every interleaving is tried under the memory order of x86 (each thread's stores pass through a buffer of its own and become visible to the
/// other at any later moment, in order). What is shown of the model: no request is lost, none is seen before its content, and nobody sleeps while there is work for him. Each
/// barrier is shown to be needed by taking it away.
/// </summary>
public sealed class RingModelTests
{
    // Words of shared memory.
    private const int Data0 = 0, Stamp0 = 1, Data1 = 2, Stamp1 = 3, ServerSleeps = 4, Completion0 = 5, Completion1 = 6, ClientSleeps = 7, Words = 8;

    [Fact]
    public void No_interleaving_loses_a_request_or_a_wake_up()
    {
        var found = Explore(new Rules());
        Assert.Null(found.Problem);
        Assert.True(found.States > 1000, $"only {found.States} states: the model does not model");
    }

    [Theory]
    [InlineData("client's barrier")]
    [InlineData("server's barrier")]
    [InlineData("server's second look")]
    [InlineData("client's second look")]
    [InlineData("stamp last")]
    [InlineData("exchange")]
    public void Without_a_part_of_it_something_is_lost(string part)
    {
        var rules = part switch
        {
            "client's barrier" => new Rules { ClientBarrier = false },
            "server's barrier" => new Rules { ServerBarrier = false },
            "server's second look" => new Rules { ServerLooksAgain = false },
            "exchange" => new Rules { Exchanges = false },
            "client's second look" => new Rules { ClientLooksAgain = false },
            _ => new Rules { StampLast = false },
        };
        Assert.NotNull(Explore(rules).Problem);
    }

    // What of the protocol is kept.
    private sealed record Rules
    {
        public bool ClientBarrier { get; init; } = true;

        public bool ServerBarrier { get; init; } = true;

        public bool ServerLooksAgain { get; init; } = true;

        public bool ClientLooksAgain { get; init; } = true;

        public bool StampLast { get; init; } = true;

        public bool Exchanges { get; init; } = true;
    }

    // A thread: where it is, what it holds, and the stores that the other does not see yet.
    private readonly record struct Thread(int Step, int Position, int Register, string Buffer, bool Asleep);

    private readonly record struct State(string Memory, Thread Client, Thread Server, bool ServerSignal, bool ClientSignal);

    private static (string? Problem, int States) Explore(Rules rules)
    {
        var first = new State(new string('\0', Words), new Thread(0, 0, 0, "", false), new Thread(0, 0, 0, "", false), false, false);
        var seen = new HashSet<State> { first };
        var open = new Stack<State>();
        open.Push(first);
        while (open.TryPop(out var state))
        {
            var any = false;
            foreach (var (next, problem) in Next(state, rules))
            {
                if (problem is not null) return (problem, seen.Count);
                any = true;
                if (seen.Add(next)) open.Push(next);
            }

            // The client is at its end when it has taken both completions; the server then sleeps for good, which is right.
            if (!any && state.Client.Step != ClientEnd) return ($"nobody goes on: {state}", seen.Count);
        }

        return (null, seen.Count);
    }

    private const int ClientEnd = 100;

    private static IEnumerable<(State Next, string? Problem)> Next(State state, Rules rules)
    {
        // A store becomes visible.
        if (Drain(state.Client.Buffer, state.Memory) is var (clientBuffer, memory)) yield return (state with { Memory = memory, Client = state.Client with { Buffer = clientBuffer } }, null);
        if (Drain(state.Server.Buffer, state.Memory) is var (serverBuffer, after)) yield return (state with { Memory = after, Server = state.Server with { Buffer = serverBuffer } }, null);
        if (ClientStep(state, rules) is { } client) yield return client;
        if (ServerStep(state, rules) is { } server) yield return server;
    }

    // Two requests, one after the other, each: write it, publish it, wake the server, then wait for its completion, asleep where it is not there.
    private static (State, string?)? ClientStep(State state, Rules rules)
    {
        var me = state.Client;
        var (data, stamp, completion) = me.Position == 0 ? (Data0, Stamp0, Completion0) : (Data1, Stamp1, Completion1);
        switch (me.Step)
        {
            case 0:
                return (With(state, Store(me, rules.StampLast ? data : stamp, 1) with { Step = 1 }), null);
            case 1:
                return (With(state, Store(me, rules.StampLast ? stamp : data, 1) with { Step = 2 }), null);
            case 2: // The barrier: the buffer is empty.
                return rules.ClientBarrier && me.Buffer.Length != 0 ? null : (With(state, me with { Step = 3 }), null);
            case 3:
                return (With(state, me with { Step = Load(me, state, ServerSleeps) == 1 ? 4 : 5 }), null);
            case 4:
                return Exchange(state, me, ServerSleeps, rules) is var (cleared, client) ? (With(cleared, client with { Step = 5 }) with { ServerSignal = true }, null) : null;
            case 5:
                return (With(state, Load(me, state, completion) == 1 ? Arrived(me) : me with { Step = 6 }), null);
            case 6:
                return (With(state, Store(me, ClientSleeps, 1) with { Step = 7 }), null);
            case 7:
                return me.Buffer.Length != 0 ? null : (With(state, me with { Step = 8 }), null);
            case 8:
                return (With(state, rules.ClientLooksAgain && Load(me, state, completion) == 1 ? me with { Step = 10 } : me with { Step = 9 }), null);
            case 9: // Asleep until the eventfd is readable, which stays so until it is drained.
                return state.ClientSignal ? (With(state, me with { Step = 10 }) with { ClientSignal = false }, null) : null;
            case 10:
                return (With(state, Store(me, ClientSleeps, 0) with { Step = 5 }), null);
            default:
                return null;
        }
    }

    // For ever: look for a request; where there is one, read it, complete it, wake the client; else say that it sleeps, look again, sleep.
    private static (State, string?)? ServerStep(State state, Rules rules)
    {
        var me = state.Server;
        var (data, stamp, completion) = me.Position == 0 ? (Data0, Stamp0, Completion0) : (Data1, Stamp1, Completion1);
        if (me.Position == 2 && me.Step == 0) return null;
        switch (me.Step)
        {
            case 0:
                return (With(state, me with { Step = Load(me, state, stamp) == 1 ? 1 : 6 }), null);
            case 1:
                return Load(me, state, data) != 1 ? (state, "a request was seen before its content") : (With(state, me with { Step = 2 }), null);
            case 2:
                return (With(state, Store(me, completion, 1) with { Step = 3 }), null);
            case 3:
                return rules.ServerBarrier && me.Buffer.Length != 0 ? null : (With(state, me with { Step = 4 }), null);
            case 4:
                return (With(state, Load(me, state, ClientSleeps) == 1 ? me with { Step = 5 } : me with { Step = 0, Position = me.Position + 1 }), null);
            case 5:
                return Exchange(state, me, ClientSleeps, rules) is var (cleared, server)
                    ? (With(cleared, server with { Step = 0, Position = me.Position + 1 }) with { ClientSignal = true }, null) : null;
            case 6:
                return (With(state, Store(me, ServerSleeps, 1) with { Step = 7 }), null);
            case 7:
                return rules.ServerBarrier && me.Buffer.Length != 0 ? null : (With(state, me with { Step = 8 }), null);
            case 8:
                return (With(state, me with { Step = rules.ServerLooksAgain && Load(me, state, stamp) == 1 ? 10 : 9 }), null);
            case 9:
                return state.ServerSignal ? (With(state, me with { Step = 10 }) with { ServerSignal = false }, null) : null;
            case 10:
                return (With(state, Store(me, ServerSleeps, 0) with { Step = 0 }), null);
            default:
                return null;
        }

        State With(State of, Thread server) => of with { Server = server };
    }

    private static State With(State of, Thread client) => of with { Client = client };

    private static Thread Arrived(Thread client) => client.Position == 1 ? client with { Step = ClientEnd } : client with { Step = 0, Position = 1 };

    private static Thread Store(Thread thread, int word, int value) => thread with { Buffer = thread.Buffer + (char)(word * 2 + value) };

    // Clears a word: by an atomic exchange, which waits for the stores before it, or by a store like any other.
    private static (State, Thread)? Exchange(State state, Thread thread, int word, Rules rules)
    {
        if (!rules.Exchanges) return (state, Store(thread, word, 0));
        if (thread.Buffer.Length != 0) return null;
        var words = state.Memory.ToCharArray();
        words[word] = '\0';
        return (state with { Memory = new string(words) }, thread);
    }

    // A thread sees its own stores at once.
    private static int Load(Thread thread, State state, int word)
    {
        for (var i = thread.Buffer.Length - 1; i >= 0; i--)
            if (thread.Buffer[i] / 2 == word)
                return thread.Buffer[i] % 2;
        return state.Memory[word];
    }

    private static (string Buffer, string Memory)? Drain(string buffer, string memory)
    {
        if (buffer.Length == 0) return null;
        var words = memory.ToCharArray();
        words[buffer[0] / 2] = (char)(buffer[0] % 2);
        return (buffer[1..], new string(words));
    }
}
