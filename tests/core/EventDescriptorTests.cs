using Comanche.Linux;

namespace Comanche.Core.Tests;

public sealed class EventDescriptorTests
{
    [Fact]
    public void A_signal_is_there_until_it_is_drained()
    {
        using var made = Make();
        Assert.False(Threads.DrainEvent(made.Number));
        made.Signal();
        made.Signal();
        Assert.True(Threads.DrainEvent(made.Number));
        Assert.False(Threads.DrainEvent(made.Number));
    }

    [Fact]
    public void A_signal_after_the_close_goes_to_nobody()
    {
        // The number of a closed descriptor goes to whoever comes next: here to one of these, unless another test was faster.
        for (var attempt = 0; attempt < 100; attempt++)
        {
            var closed = Make();
            var number = closed.Number;
            closed.Dispose();
            var strangers = Enumerable.Range(0, 16).Select(_ => Make()).ToList();
            closed.Signal();
            var signalled = strangers.Count(s => Threads.DrainEvent(s.Number));
            var isTaken = strangers.Any(s => s.Number == number);
            strangers.ForEach(s => s.Dispose());
            Assert.Equal(0, signalled);
            if (isTaken) return;
        }

        Assert.Fail("the number was never given again");
    }

    [Fact]
    public void A_signal_that_races_the_close_goes_to_nobody()
    {
        EventDescriptor? current = null;
        var isOver = false;
        var rounds = 0;
        var signaller = new Thread(() =>
        {
            while (!Volatile.Read(ref isOver))
            {
                Volatile.Read(ref current)?.Signal();
                Volatile.Write(ref rounds, rounds + 1);
            }
        }) { IsBackground = true };
        signaller.Start();
        Assert.True(SpinWait.SpinUntil(() => Volatile.Read(ref rounds) != 0, 5000));
        for (var i = 0; i < 3000; i++)
        {
            var raced = Make();
            Volatile.Write(ref current, raced);
            raced.Dispose();
            using var stranger = Make();
            Assert.False(Threads.DrainEvent(stranger.Number), $"round {i}");
        }

        Volatile.Write(ref isOver, true);
        signaller.Join();
    }

    private static EventDescriptor Make()
    {
        Assert.Equal(0, EventDescriptor.Create(out var made));
        return made!;
    }
}
