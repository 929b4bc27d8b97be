namespace Comanche.App.Bench;

/// <summary>One of the jobs of a bench, as a thread drives it.</summary>
internal interface IBenchJob : IDisposable
{
    /// <summary>Bytes so far. Any thread.</summary>
    (ulong Read, ulong Written) Progress { get; }

    /// <summary>What came of it. Valid once <see cref="Run"/> has returned.</summary>
    JobOutcome Outcome { get; }

    /// <summary>Does it, on the calling thread.</summary>
    void Run();

    /// <summary>Asks it to end soon. Any thread.</summary>
    void Stop();
}
