using System.Collections;
using System.Reflection;

namespace Comanche.Runtime.Loading;

/// <summary>Describes an options record by its attributes, and fills one from checked values.</summary>
internal static class ManagedOptions
{
    /// <summary>Describes a record's options in the order of their declaration.</summary>
    public static IReadOnlyList<OptionDescription> Describe(Type record)
    {
        var defaults = Activator.CreateInstance(record)
            ?? throw new ComancheException($"{record}: an options record needs a constructor without parameters");
        var options = new List<OptionDescription>();
        foreach (var property in Properties(record)) options.Add(Describe(property, defaults));
        return options;
    }

    /// <summary>Makes a record of the values that are given; the others keep their defaults.</summary>
    public static object Make(Type record, OptionSet values, bool fetchSecrets)
    {
        var result = Activator.CreateInstance(record)!;
        foreach (var property in Properties(record))
        {
            if (!values.Values.TryGetValue(Spelling.ToKebab(property.Name), out var given)) continue;
            var value = given.Value;
            if (fetchSecrets && property.GetCustomAttribute<OptionAttribute>()!.Secret) value = Secrets.Fetch((string)value, given.At);
            property.SetValue(result, Convert(value, property.PropertyType, fetchSecrets));
        }

        return result;
    }

    private static IEnumerable<PropertyInfo> Properties(Type record) =>
        record.GetProperties(BindingFlags.Public | BindingFlags.Instance)
            .Where(p => p.GetCustomAttribute<OptionAttribute>() is not null)
            .OrderBy(p => p.MetadataToken);

    private static OptionDescription Describe(PropertyInfo property, object defaults)
    {
        var attribute = property.GetCustomAttribute<OptionAttribute>()!;
        var element = ElementOf(property.PropertyType);
        var type = Unwrap(element ?? property.PropertyType);
        var kind = KindOf(type) ?? throw new ComancheException($"{property.DeclaringType}.{property.Name}: {type} can't be an option");
        var (lowest, highest) = LimitsOf(type);
        return new OptionDescription(Spelling.ToKebab(property.Name), kind, attribute.Summary)
        {
            IsList = element is not null,
            Default = attribute.Required ? null : attribute.Default ?? DefaultText(property.GetValue(defaults), element is not null, kind),
            Min = attribute.Min ?? lowest,
            Max = attribute.Max ?? highest,
            Required = attribute.Required,
            Secret = attribute.Secret,
            IsPath = attribute.Path,
            Choices = kind == OptionKind.Choice ? [.. Enum.GetNames(type).Select(Spelling.ToKebab)] : [],
            Options = kind == OptionKind.Record ? Describe(type) : [],
        };
    }

    private static string? DefaultText(object? value, bool isList, OptionKind kind)
    {
        if (value is null || kind == OptionKind.Record) return null;
        if (!isList) return value is string { Length: 0 } ? null : OptionText.Format(value);
        var elements = ((IEnumerable)value).Cast<object>().Select(OptionText.Format).ToList();
        return elements.Count == 0 ? null : $"[{string.Join(", ", elements)}]";
    }

    private static Type Unwrap(Type type) => Nullable.GetUnderlyingType(type) ?? type;

    private static Type? ElementOf(Type type)
    {
        if (type.IsArray) return type.GetElementType();
        if (!type.IsGenericType) return null;
        var definition = type.GetGenericTypeDefinition();
        return definition == typeof(IReadOnlyList<>) || definition == typeof(List<>) || definition == typeof(IReadOnlyCollection<>)
            || definition == typeof(IEnumerable<>) || definition == typeof(IList<>)
            ? type.GetGenericArguments()[0]
            : null;
    }

    private static OptionKind? KindOf(Type type)
    {
        if (type == typeof(string) || type == typeof(Guid)) return OptionKind.Text;
        if (type == typeof(bool)) return OptionKind.Boolean;
        if (type == typeof(double) || type == typeof(float)) return OptionKind.Number;
        if (type == typeof(ByteSize)) return OptionKind.Size;
        if (type == typeof(TimeSpan)) return OptionKind.Duration;
        if (type.IsEnum) return OptionKind.Choice;
        if (IsInteger(type)) return OptionKind.Integer;
        return type.IsClass && Properties(type).Any() ? OptionKind.Record : null;
    }

    private static bool IsInteger(Type type) => Type.GetTypeCode(type) is TypeCode.Byte or TypeCode.SByte or TypeCode.Int16 or TypeCode.UInt16
        or TypeCode.Int32 or TypeCode.UInt32 or TypeCode.Int64 or TypeCode.UInt64;

    // What fits the type; 64-bit limits say nothing to people, but 0 does.
    private static (string? Min, string? Max) LimitsOf(Type type) => type.IsEnum ? (null, null) : Type.GetTypeCode(type) switch
    {
        TypeCode.Byte => ("0", "255"),
        TypeCode.SByte => ("-128", "127"),
        TypeCode.Int16 => ("-32768", "32767"),
        TypeCode.UInt16 => ("0", "65535"),
        TypeCode.Int32 => ("-2147483648", "2147483647"),
        TypeCode.UInt32 => ("0", "4294967295"),
        TypeCode.Int64 => ("-9223372036854775808", "9223372036854775807"),
        TypeCode.UInt64 => ("0", "18446744073709551615"),
        _ => (null, null),
    };

    private static object Convert(object value, Type target, bool fetchSecrets)
    {
        if (ElementOf(target) is { } element)
        {
            var values = (IReadOnlyList<object>)value;
            var array = Array.CreateInstance(element, values.Count);
            for (var i = 0; i < values.Count; i++) array.SetValue(Convert(values[i], element, fetchSecrets), i);
            return target.IsGenericType && target.GetGenericTypeDefinition() == typeof(List<>) ? Activator.CreateInstance(target, array)! : array;
        }

        target = Unwrap(target);
        return value switch
        {
            OptionSet nested => Make(target, nested, fetchSecrets),
            string word when target.IsEnum => Enum.GetValues(target).Cast<object>().First(v => Spelling.ToKebab(v.ToString()!) == word),
            string text when target == typeof(Guid) => Guid.TryParse(text, out var guid) ? guid : throw new ComancheException($"'{text}' is not a UUID"),
            Int128 number => FromInteger(number, Type.GetTypeCode(target)),
            double number when target == typeof(float) => (float)number,
            _ => value,
        };
    }

    private static object FromInteger(Int128 number, TypeCode target) => target switch
    {
        TypeCode.Byte => (byte)number,
        TypeCode.SByte => (sbyte)number,
        TypeCode.Int16 => (short)number,
        TypeCode.UInt16 => (ushort)number,
        TypeCode.Int32 => (int)number,
        TypeCode.UInt32 => (uint)number,
        TypeCode.UInt64 => (ulong)number,
        _ => (long)number,
    };
}
