namespace Comanche;

/// <summary>
/// A device object that stands for another one: the same blocks, reached through checks and counters. Whoever must know whether two objects are one
/// volume asks for what they stand for. Managed only.
/// </summary>
public interface IEdge
{
    /// <summary>The device behind it, which may be an edge again.</summary>
    IBlockDevice Device { get; }
}
