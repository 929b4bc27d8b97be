using System.Reflection;
using System.Runtime.InteropServices;
using System.Runtime.InteropServices.Marshalling;

namespace Comanche.Header;

/// <summary>A method of an interface, in its place.</summary>
/// <param name="Slot">Its place in the vtable; 0 to 2 are those of IUnknown.</param>
/// <param name="Method">The method.</param>
/// <param name="IsPlain">Whether it returns its value itself; otherwise an HRESULT, with the value in a last out parameter.</param>
public sealed record ContractMethod(int Slot, MethodInfo Method, bool IsPlain);

/// <summary>An interface with the methods that it adds to its base.</summary>
public sealed record ContractInterface(Type Type, Type? Base, IReadOnlyList<ContractMethod> Methods)
{
    /// <summary>The first slot after its own.</summary>
    public int EndSlot => Methods.Count == 0 ? 0 : Methods[^1].Slot + 1;
}

/// <summary>A field of a structure, where it lies.</summary>
/// <param name="Name">Its name in C#.</param>
/// <param name="Type">Its type; for an array in place, that of the elements.</param>
/// <param name="Offset">Bytes from the start.</param>
/// <param name="Count">Elements of an array in place; 0 for a plain field.</param>
public sealed record ContractField(string Name, Type Type, int Offset, int Count);

/// <summary>A structure.</summary>
public sealed record ContractStruct(Type Type, int Size, IReadOnlyList<ContractField> Fields);

/// <summary>A public constant.</summary>
public sealed record ContractConstant(FieldInfo Field, ulong Value);

/// <summary>
/// The contracts as other languages see them: every generated COM interface of an assembly, and every structure, enumeration and constant that these reach.
/// </summary>
public sealed class ContractModel
{
    private readonly List<ContractInterface> _interfaces = [];
    private readonly List<ContractStruct> _structs = [];
    private readonly List<Type> _enums = [];
    private readonly HashSet<Type> _seen = [];

    /// <summary>The interfaces, each after its base, otherwise by UUID.</summary>
    public IReadOnlyList<ContractInterface> Interfaces => _interfaces;

    /// <summary>The structures, each after those that it holds.</summary>
    public IReadOnlyList<ContractStruct> Structs => _structs;

    /// <summary>The enumerations.</summary>
    public IReadOnlyList<Type> Enums => _enums;

    /// <summary>The constants.</summary>
    public required IReadOnlyList<ContractConstant> Constants { get; init; }

    /// <summary>Reads an assembly.</summary>
    public static ContractModel Read(Assembly assembly)
    {
        var types = assembly.GetExportedTypes();
        var constants =
            from type in types
            where type.IsValueType && !type.IsEnum || type is { IsAbstract: true, IsSealed: true }
            from field in type.GetFields(BindingFlags.Public | BindingFlags.Static | BindingFlags.DeclaredOnly)
            where field.IsLiteral && field.FieldType.IsPrimitive && field.FieldType != typeof(bool) && field.FieldType != typeof(double)
            orderby type.Name, field.MetadataToken
            select new ContractConstant(field, Bits(field.GetRawConstantValue()!));
        var model = new ContractModel { Constants = [.. constants] };
        foreach (var type in types.Where(IsContract).OrderBy(t => Depth(t)).ThenBy(t => t.GUID.ToString(), StringComparer.Ordinal)) model.Add(type);
        return model;
    }

    /// <summary>The bits of a constant or of an enumeration's member, as an unsigned number.</summary>
    public static ulong Bits(object value) => value switch
    {
        sbyte v => (ulong)v,
        short v => (ulong)v,
        int v => (ulong)v,
        long v => (ulong)v,
        _ => Convert.ToUInt64(value, System.Globalization.CultureInfo.InvariantCulture),
    };

    private static bool IsContract(Type type) => type.IsInterface && type.IsDefined(typeof(GeneratedComInterfaceAttribute), false);

    private static int Depth(Type type) => type.GetInterfaces().Count(IsContract);

    private void Add(Type type)
    {
        var @base = type.GetInterfaces().Where(IsContract).OrderByDescending(Depth).FirstOrDefault();
        var slot = 3 + type.GetInterfaces().Where(IsContract).Sum(b => _interfaces.Single(i => i.Type == b).Methods.Count);
        var methods = new List<ContractMethod>();
        foreach (var method in type.GetMethods(BindingFlags.Public | BindingFlags.Instance | BindingFlags.DeclaredOnly).OrderBy(m => m.MetadataToken))
        {
            // The COM generator repeats what is inherited.
            if (type.GetInterfaces().Any(b => b.GetMethods().Any(m => Same(m, method)))) continue;
            methods.Add(new ContractMethod(slot++, method, (method.MethodImplementationFlags & MethodImplAttributes.PreserveSig) != 0));
            Reach(method.ReturnType);
            foreach (var parameter in method.GetParameters()) Reach(parameter.ParameterType);
        }

        _interfaces.Add(new ContractInterface(type, @base, methods));
    }

    private static bool Same(MethodInfo a, MethodInfo b) =>
        a.Name == b.Name && a.GetParameters().Select(p => p.ParameterType).SequenceEqual(b.GetParameters().Select(p => p.ParameterType));

    private void Reach(Type type)
    {
        while (type.HasElementType) type = type.GetElementType()!;
        if (type.IsPrimitive || type == typeof(void) || type == typeof(Guid) || !type.IsValueType || !_seen.Add(type)) return;
        if (type.IsEnum)
        {
            _enums.Add(type);
            return;
        }

        var fields = new List<ContractField>();
        foreach (var field in type.GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic).OrderBy(f => f.MetadataToken))
        {
            var array = field.GetCustomAttribute<System.Runtime.CompilerServices.FixedBufferAttribute>();
            var fieldType = array?.ElementType ?? field.FieldType;
            Reach(fieldType);
            var name = field.Name.StartsWith('<') ? field.Name[1..field.Name.IndexOf('>')] : field.Name;
            fields.Add(new ContractField(name, fieldType, (int)Marshal.OffsetOf(type, field.Name), array?.Length ?? 0));
        }

        _structs.Add(new ContractStruct(type, Marshal.SizeOf(type), fields));
    }
}
