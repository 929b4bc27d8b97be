namespace Comanche;

/// <summary>Typed use of <see cref="IBase"/>.</summary>
public static class ComponentModel
{
    /// <summary>
    /// The object that implements <typeparamref name="T"/> for a component: itself, a part that it aggregates, or null. For set-up.
    /// </summary>
    public static T? Query<T>(this IBase component) where T : class => component as T ?? component.Query(typeof(T).GUID) as T;

    /// <summary>Whether an object's class implements the interface with this UUID.</summary>
    public static bool Implements(object component, in Guid interfaceId)
    {
        foreach (var type in component.GetType().GetInterfaces())
            if (type.GUID == interfaceId)
                return true;
        return false;
    }
}
