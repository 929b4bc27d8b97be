namespace Comanche.Header;

/// <summary>C11: prefixed names, macros for the members of enumerations, structures that begin with a pointer to their vtable.</summary>
public sealed class CDialect(Documentation documentation) : Dialect(documentation)
{
    protected override string Guid => "comanche_guid_t";

    protected override string Named(Type type) => Tag(type) + "_t";

    protected override string Interface(Type type) => Tag(type) + "_t";

    protected override string ByReference(Type type) => $"const {Spell(type)}*";

    protected override void Begin() => Text.AppendLine(
        """
        /** A UUID: the number of an interface or of a component. */
        typedef struct comanche_guid {
            uint32_t data1;
            uint16_t data2;
            uint16_t data3;
            uint8_t data4[8];
        } comanche_guid_t;
        _Static_assert(sizeof(comanche_guid_t) == 16, "comanche_guid_t is 16 bytes");

        static const comanche_guid_t COMANCHE_IID_UNKNOWN = {0, 0, 0, {0xc0, 0, 0, 0, 0, 0, 0, 0x46}};

        """);

    protected override void End() => Text.AppendLine(
        """
        /** The one function that a component library exports: answers its factory, with a reference that the caller owns. */
        __attribute__((visibility("default"))) int32_t comanche_factory(void** factory);
        """);

    protected override void WriteEnum(Type type)
    {
        var underlying = Enum.GetUnderlyingType(type);
        Comment("", Documentation.Of(type));
        Text.AppendLine($"typedef {Spell(underlying)} {Named(type)};");
        foreach (var name in Enum.GetNames(type))
        {
            Comment("", Documentation.Of(type, name));
            var value = Number(ContractModel.Bits(Convert.ChangeType(Enum.Parse(type, name), underlying)), underlying);
            Text.AppendLine($"#define {Macro(type, name)} (({Named(type)}){value})");
        }

        Text.AppendLine();
    }

    protected override void WriteConstant(ContractConstant constant)
    {
        Comment("", Documentation.Of(constant.Field.DeclaringType!, constant.Field.Name));
        var type = constant.Field.FieldType;
        Text.AppendLine($"#define {Macro(constant.Field.DeclaringType!, constant.Field.Name)} (({Spell(type)}){Number(constant.Value, type)})");
    }

    protected override void WriteStruct(ContractStruct type)
    {
        Comment("", Documentation.Of(type.Type));
        Text.AppendLine($"typedef struct {Tag(type.Type)} {Named(type.Type)};");
        Text.AppendLine($"struct {Tag(type.Type)} {{");
        WriteMembers(type);
        Text.AppendLine("};");
        WriteAssertions(type, "_Static_assert");
    }

    protected override void BeforeInterfaces(ContractModel model)
    {
        foreach (var type in model.Interfaces) Text.AppendLine($"typedef struct {Tag(type.Type)} {Interface(type.Type)};");
        Text.AppendLine();
    }

    protected override void WriteInterface(ContractInterface type, ContractModel model)
    {
        var (tag, name) = (Tag(type.Type), Interface(type.Type));
        Text.AppendLine($"static const comanche_guid_t COMANCHE_IID_{Names.Bare(type.Type).ToUpperInvariant()} = {Initialiser(type.Type.GUID)}; /* {type.Type.GUID} */");
        Text.AppendLine($"typedef struct {tag}_vtable {{");
        Text.AppendLine($"    int32_t (*QueryInterface)({name}* self, const comanche_guid_t* interface_id, void** result);");
        Text.AppendLine($"    uint32_t (*AddRef)({name}* self);");
        Text.AppendLine($"    uint32_t (*Release)({name}* self);");
        var chain = new Stack<ContractInterface>();
        for (var at = type; at is not null; at = model.Interfaces.FirstOrDefault(i => i.Type == at.Base)) chain.Push(at);
        foreach (var method in chain.SelectMany(i => i.Methods))
        {
            Comment("    ", Documentation.Of(method.Method));
            Text.AppendLine($"    {Result(method)} (*{Names.Snake(method.Method.Name)})({Parameters(method, $"{name}* self")}); /* slot {method.Slot} */");
        }

        Text.AppendLine($"}} {tag}_vtable_t;");
        var slots = chain.Sum(i => i.Methods.Count) + 3;
        Text.AppendLine($"_Static_assert(sizeof({tag}_vtable_t) == {slots} * sizeof(void*), \"{name} has {slots} slots\");");
        Comment("", Documentation.Of(type.Type));
        Text.AppendLine($"struct {tag} {{\n    const {tag}_vtable_t* vtable;\n}};\n");
    }

    private static string Tag(Type type) => $"comanche_{Names.Bare(type)}";

    private static string Macro(Type type, string name) => $"COMANCHE_{Names.Snake(type.Name)}_{Names.Snake(name)}".TrimEnd('_').ToUpperInvariant();
}
