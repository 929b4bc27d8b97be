namespace Comanche;

/// <summary>
/// What has a name in a stack, for messages: a composite names the member that it refuses. Managed only; a native component is called by its place.
/// </summary>
public interface INamed
{
    /// <summary>The name in the stack.</summary>
    string Name { get; }
}
