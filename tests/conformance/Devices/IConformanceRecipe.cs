namespace Comanche.Conformance.Tests;

/// <summary>
/// How to make a device that the conformance suite is run against. A component that is made by its defaults needs none (see <see cref="DefaultRecipe"/>). One that needs more has a
/// class of this interface in a file <c>tests/ROW/Conformance/…Recipe.cs</c>, which the suite compiles in; nothing central is edited.
/// </summary>
public interface IConformanceRecipe
{
    /// <summary>Its name in the names of tests: the component's id, and more where a component has several recipes.</summary>
    string Name { get; }

    /// <summary>The id of the component that it makes, or null for a stack of several.</summary>
    string? Component { get; }

    /// <summary>Prepares what the device stands on, and says how the device itself is made.</summary>
    Prepared Prepare(Workbench bench);
}

/// <summary>A device that can be made, and made again over the same things below, as after a restart.</summary>
/// <param name="Make">Makes the component, not started.</param>
/// <param name="Bindings">What it is bound to, started.</param>
public sealed record Prepared(Func<IHost, IBase> Make, params (string Role, IBase Below)[] Bindings);
