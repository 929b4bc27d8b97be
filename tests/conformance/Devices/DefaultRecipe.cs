using System.Reflection;

namespace Comanche.Conformance.Tests;

/// <summary>
/// Makes a component by its defaults: required options by convention (a path is a file in the bench's folder, a size is 8 MiB, a text is a name), <c>Create</c> is
/// true, and each role is bound to memory devices, to three where it takes as many.
/// </summary>
public sealed class DefaultRecipe(Type type, string component) : IConformanceRecipe
{
    private const int Members = 3;

    /// <inheritdoc/>
    public string Name => component;

    /// <inheritdoc/>
    public string? Component => component;

    /// <inheritdoc/>
    public Prepared Prepare(Workbench bench)
    {
        var constructor = type.GetConstructors().Single();
        var options = constructor.GetParameters() is [_, { } parameter] ? MakeOptions(parameter.ParameterType, bench) : null;
        var bindings = from binds in type.GetCustomAttributes<BindsAttribute>()
                       from _ in Enumerable.Range(0, Math.Max(binds.Min, Math.Min(binds.Max, Members)))
                       select (binds.Role, (IBase)bench.AddMemory());
        return new Prepared(
            host => (IBase)constructor.Invoke(BindingFlags.DoNotWrapExceptions, null, options is null ? [host] : [host, options], null), [.. bindings]);
    }

    private object MakeOptions(Type record, Workbench bench)
    {
        var options = Activator.CreateInstance(record)!;
        foreach (var property in record.GetProperties())
        {
            if (property.GetCustomAttribute<OptionAttribute>() is not { } option) continue;
            if (property is { Name: "Create" } && property.PropertyType == typeof(bool)) property.SetValue(options, true);
            if (property.PropertyType == typeof(ByteSize) && property.Name == "Size" && NeedsSize(record, option, property.GetValue(options)))
                property.SetValue(options, ByteSize.MiB(8));
            else if (option.Required && option.Path) property.SetValue(options, Path.Combine(bench.Folder, "volume"));
            else if (option.Required && property.PropertyType == typeof(string)) property.SetValue(options, "conformance");
        }

        return options;
    }

    // A size is given where it must be, and where there is a path: a file that is to be made needs one.
    private static bool NeedsSize(Type record, OptionAttribute option, object? value) =>
        option.Required || value is ByteSize { Bytes: 0 } && record.GetProperties().Any(p => p.GetCustomAttribute<OptionAttribute>() is { Path: true, Required: true });
}
