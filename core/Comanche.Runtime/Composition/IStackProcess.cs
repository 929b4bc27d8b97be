namespace Comanche.Runtime.Composition;

/// <summary>What the composer needs of the process that a stack lives in.</summary>
public interface IStackProcess
{
    /// <summary>Starts a reactor that the stack file defines. Throws <see cref="ComancheException"/> where it can't be had.</summary>
    void AddReactor(StackReactor reactor);

    /// <summary>Makes the host of one component.</summary>
    /// <param name="name">The component's name in the stack.</param>
    /// <param name="flags">What the stack asks of it.</param>
    /// <param name="reactor">The reactor that it names, or null for the default one.</param>
    IHost CreateHost(string name, HostFlags flags, string? reactor);

    /// <summary>
    /// Puts an edge in front of a device: where its contract is checked, read-only enforced and its I/O counted. The edge takes over the
    /// component's one count and is what others bind to. Answers the component itself where it is no block device.
    /// </summary>
    /// <param name="name">The component's name in the stack.</param>
    /// <param name="component">The component.</param>
    /// <param name="flags">What the stack asks of it.</param>
    /// <param name="isEntry">Whether no other device stands on it: exports and applications use it.</param>
    IBase Wrap(string name, IBase component, HostFlags flags, bool isEntry);
}
