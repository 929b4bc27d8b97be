using System.Reflection;
using System.Text;

namespace Comanche.Header;

/// <summary>How one of the two languages spells the contracts.</summary>
public abstract class Dialect(Documentation documentation)
{
    /// <summary>What is written so far.</summary>
    protected StringBuilder Text { get; } = new();

    /// <summary>First sentences.</summary>
    protected Documentation Documentation { get; } = documentation;

    /// <summary>Writes the whole model.</summary>
    public string Write(ContractModel model)
    {
        Begin();
        foreach (var type in model.Enums) WriteEnum(type);
        foreach (var constant in model.Constants) WriteConstant(constant);
        Text.AppendLine();
        foreach (var type in model.Structs) WriteStruct(type);
        BeforeInterfaces(model);
        foreach (var type in model.Interfaces) WriteInterface(type, model);
        End();
        return Text.ToString();
    }

    /// <summary>The spelling of a type of a field, a parameter or a result.</summary>
    public string Spell(Type type)
    {
        if (type.IsPointer) return Spell(type.GetElementType()!) + "*";
        if (type.IsByRef) return ByReference(type.GetElementType()!);
        if (type.IsInterface) return Interface(type) + "*";
        if (type == typeof(Guid)) return Guid;
        if (type.IsEnum || type is { IsValueType: true, IsPrimitive: false } && type != typeof(void)) return Named(type);
        return type switch
        {
            _ when type == typeof(void) => "void",
            _ when type == typeof(string) => "const char*",
            _ when type == typeof(byte) => "uint8_t",
            _ when type == typeof(sbyte) => "int8_t",
            _ when type == typeof(ushort) => "uint16_t",
            _ when type == typeof(short) => "int16_t",
            _ when type == typeof(uint) => "uint32_t",
            _ when type == typeof(int) => "int32_t",
            _ when type == typeof(ulong) => "uint64_t",
            _ when type == typeof(long) => "int64_t",
            _ when type == typeof(nuint) => "size_t",
            _ when type == typeof(nint) => "intptr_t",
            _ => throw new NotSupportedException($"{type} can't be told to other languages"),
        };
    }

    /// <summary>The name of the UUID's type.</summary>
    protected abstract string Guid { get; }

    /// <summary>The name of a structure or an enumeration.</summary>
    protected abstract string Named(Type type);

    /// <summary>The name of an interface.</summary>
    protected abstract string Interface(Type type);

    /// <summary>The spelling of an <c>in</c> parameter.</summary>
    protected abstract string ByReference(Type type);

    /// <summary>What stands before everything.</summary>
    protected abstract void Begin();

    /// <summary>What stands after everything.</summary>
    protected abstract void End();

    /// <summary>Writes an enumeration.</summary>
    protected abstract void WriteEnum(Type type);

    /// <summary>Writes a constant.</summary>
    protected abstract void WriteConstant(ContractConstant constant);

    /// <summary>Writes a structure with its assertions.</summary>
    protected abstract void WriteStruct(ContractStruct type);

    /// <summary>Declares the interfaces before they are used.</summary>
    protected abstract void BeforeInterfaces(ContractModel model);

    /// <summary>Writes an interface.</summary>
    protected abstract void WriteInterface(ContractInterface type, ContractModel model);

    /// <summary>Writes a comment, or nothing.</summary>
    protected void Comment(string indent, string text)
    {
        if (text.Length == 0) return;
        var line = $"{indent}/** ";
        foreach (var word in text.Split(' '))
        {
            if (line.Length + word.Length > 136)
            {
                Text.AppendLine(line.TrimEnd());
                line = $"{indent} *  ";
            }

            line += word + " ";
        }

        Text.AppendLine($"{line}*/");
    }

    /// <summary>The parameters of a method, with that of the result where there is one.</summary>
    protected string Parameters(ContractMethod method, string? self)
    {
        var list = method.Method.GetParameters().Select(p => $"{Spell(p.ParameterType)} {Names.Snake(p.Name!)}").ToList();
        if (self is not null) list.Insert(0, self);
        var result = method.Method.ReturnType;
        if (!method.IsPlain && result != typeof(void)) list.Add($"{(result == typeof(string) ? "char*" : Spell(result))}* result");
        return string.Join(", ", list);
    }

    /// <summary>The result of a method.</summary>
    protected string Result(ContractMethod method) => method.IsPlain ? Spell(method.Method.ReturnType) : "int32_t";

    /// <summary>The members of a structure: overlapping ones in unions, filler made visible.</summary>
    protected void WriteMembers(ContractStruct type)
    {
        var end = 0;
        foreach (var place in type.Fields.GroupBy(f => f.Offset).OrderBy(g => g.Key))
        {
            var overlap = place.Count() > 1;
            if (overlap) Text.AppendLine("    union {");
            foreach (var field in place)
            {
                var indent = overlap ? "        " : "    ";
                Comment(indent, Documentation.Of(type.Type, field.Name));
                Text.AppendLine($"{indent}{Spell(field.Type)} {Names.Snake(field.Name)}{(field.Count == 0 ? "" : $"[{field.Count}]")};");
                end = Math.Max(end, field.Offset + SizeOf(field.Type) * Math.Max(field.Count, 1));
            }

            if (overlap) Text.AppendLine("    };");
        }

        if (end < type.Size) Text.AppendLine($"    /** Filler, 0. */\n    uint8_t reserved_end[{type.Size - end}];");
    }

    /// <summary>The assertions that hold a structure's layout.</summary>
    protected void WriteAssertions(ContractStruct type, string assert)
    {
        var name = Named(type.Type);
        Text.AppendLine($"{assert}(sizeof({name}) == {type.Size}, \"{name} is {type.Size} bytes\");");
        foreach (var field in type.Fields)
        {
            var member = Names.Snake(field.Name);
            Text.AppendLine($"{assert}(offsetof({name}, {member}) == {field.Offset}, \"{name}.{member} lies at {field.Offset}\");");
        }

        Text.AppendLine();
    }

    /// <summary>A number as both languages read it.</summary>
    protected static string Number(ulong bits, Type type)
    {
        if (type == typeof(ulong)) return $"UINT64_C(0x{bits:x})";
        if (type == typeof(long)) return $"INT64_C({(long)bits})";
        if (type == typeof(int) || type == typeof(short) || type == typeof(sbyte)) return $"{(long)bits}";
        return bits > 9 ? $"0x{bits:x}u" : $"{bits}u";
    }

    /// <summary>The initialiser of a UUID.</summary>
    protected static string Initialiser(Guid guid)
    {
        var bytes = guid.ToByteArray();
        var tail = string.Join(", ", bytes[8..].Select(b => $"0x{b:x2}"));
        return $"{{0x{BitConverter.ToUInt32(bytes, 0):x8}u, 0x{BitConverter.ToUInt16(bytes, 4):x4}, 0x{BitConverter.ToUInt16(bytes, 6):x4}, {{{tail}}}}}";
    }

    private static int SizeOf(Type type) =>
        type.IsPointer ? 8 : System.Runtime.InteropServices.Marshal.SizeOf(type.IsEnum ? Enum.GetUnderlyingType(type) : type);
}
