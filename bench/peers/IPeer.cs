namespace Comanche.Peers;

/// <summary>
/// A side-by-side measurement with what a user would pick instead. A class with a constructor without parameters that implements this is found by itself.
/// </summary>
internal interface IPeer
{
    /// <summary>The word on the command line.</summary>
    string Name { get; }

    /// <summary>One line that says what is compared with what.</summary>
    string Summary { get; }

    /// <summary>Measures and prints; returns the exit code: 0, 1 where the goal was missed, 2 for bad arguments.</summary>
    int Run(Arguments arguments);
}
