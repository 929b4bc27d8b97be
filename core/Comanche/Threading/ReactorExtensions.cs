namespace Comanche;

/// <summary>What every reactor can do by means of the others.</summary>
public static class ReactorExtensions
{
    /// <summary>Runs work on the reactor's thread and waits for its end; what it throws is thrown here. Called on that thread it runs at once. For set-up.</summary>
    public static void Invoke(this IReactor reactor, Action work)
    {
        if (reactor.IsCurrent)
        {
            work();
            return;
        }

        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        reactor.Post(() =>
        {
            try
            {
                work();
                done.SetResult();
            }
            catch (Exception e)
            {
                done.SetException(e);
            }
        });
        done.Task.GetAwaiter().GetResult();
    }
}
