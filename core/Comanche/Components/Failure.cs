using System.Runtime.InteropServices;

namespace Comanche;

/// <summary>
/// How the words of a failure cross a language border, over which only an HRESULT goes: they are left behind for the calling thread, and taken by whoever made the call.
/// </summary>
/// <remarks>
/// <para>A component in another language leaves its words by <see cref="IHost.Fail"/> (<see cref="Set"/>). A managed one throws, and its exception leaves words and
/// HRESULT where it goes over the border (<see cref="FailureMarshaller"/>). <see cref="Guard{T}"/> makes a call and puts both together again: the words of what failed below
/// belong to the failure if its HRESULT was passed on; otherwise the component had got over that.</para>
/// <para>All of it is the calling thread's own.</para>
/// </remarks>
public static class Failure
{
    [ThreadStatic] private static string? t_said;
    [ThreadStatic] private static (int Result, string? Text) t_crossed;

    /// <summary>Leaves a text for this thread.</summary>
    public static void Set(string message) => t_said = message;

    /// <summary>Takes the text that a component left for this thread, or null.</summary>
    public static string? Take() => Take(0);

    /// <summary>
    /// Makes a call into a component and turns what it throws into an exception for people: a <see cref="ComancheException"/> stays as it is, a failed HRESULT gets the
    /// text that was left behind.
    /// </summary>
    /// <param name="component">The component's name, for the message.</param>
    /// <param name="call">The call.</param>
    public static T Guard<T>(string component, Func<T> call)
    {
        Take();
        try
        {
            return call();
        }
        catch (Exception e) when (e is not (ComancheException or OutOfMemoryException))
        {
            throw Explain(component, e);
        }
    }

    /// <inheritdoc cref="Guard{T}"/>
    public static void Guard(string component, Action call) => Guard(component, () =>
    {
        call();
        return 0;
    });

    /// <summary>The exception for people that an exception of a component stands for.</summary>
    public static ComancheException Explain(string component, Exception exception)
    {
        var text = Take(exception.HResult);
        if (exception is ComancheException known) return known;
        text ??= exception is COMException ? $"failed with HRESULT 0x{(uint)exception.HResult:x8}" : exception.Message;
        return new ComancheException(text.StartsWith($"{component}: ", StringComparison.Ordinal) ? text : $"{component}: {text}", exception);
    }

    /// <summary>Leaves the words of an exception that goes over the border; returns the HRESULT that goes instead of it.</summary>
    internal static int Cross(Exception exception)
    {
        const int Fail = unchecked((int)0x80004005); // E_FAIL, for an exception whose own is none.
        var result = exception.HResult < 0 ? exception.HResult : Fail;
        t_crossed = (result, exception.Message);
        return result;
    }

    private static string? Take(int result)
    {
        var (said, crossed) = (t_said, t_crossed);
        (t_said, t_crossed) = (null, default);
        if (crossed.Text is not { } cause || crossed.Result != result) return said;
        return said is null ? cause : $"{said}: {cause}";
    }
}
