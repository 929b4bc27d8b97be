namespace Comanche.Header;

/// <summary>C++17: a namespace, scoped enumerations, pure virtual classes.</summary>
public sealed class CppDialect(Documentation documentation) : Dialect(documentation)
{
    protected override string Guid => "Guid";

    protected override string Named(Type type) => type.Name;

    protected override string Interface(Type type) => type.Name;

    protected override string ByReference(Type type) => $"const {Spell(type)}&";

    protected override void Begin() => Text.AppendLine(
        """
        namespace comanche {

        /** A UUID: the number of an interface or of a component. */
        struct Guid {
            uint32_t data1;
            uint16_t data2;
            uint16_t data3;
            uint8_t data4[8];
        };
        static_assert(sizeof(Guid) == 16, "Guid is 16 bytes");
        inline bool operator==(const Guid& a, const Guid& b) noexcept { return memcmp(&a, &b, sizeof a) == 0; }
        inline bool operator!=(const Guid& a, const Guid& b) noexcept { return !(a == b); }

        /** The root of COM: keeps memory alive and finds interfaces. The component's own life is that of IBase. */
        struct IUnknown {
            static constexpr Guid uuid = {0, 0, 0, {0xc0, 0, 0, 0, 0, 0, 0, 0x46}};
            virtual int32_t QueryInterface(const Guid& interface_id, void** result) noexcept = 0;
            virtual uint32_t AddRef() noexcept = 0;
            virtual uint32_t Release() noexcept = 0;

        protected:
            ~IUnknown() = default;
        };

        """);

    protected override void End() => Text.AppendLine(
        """
        } // namespace comanche

        /** The one function that a component library exports: answers its factory, with a reference that the caller owns. */
        extern "C" __attribute__((visibility("default"))) int32_t comanche_factory(void** factory);
        """);

    protected override void WriteEnum(Type type)
    {
        var underlying = Enum.GetUnderlyingType(type);
        Comment("", Documentation.Of(type));
        Text.AppendLine($"enum class {type.Name} : {Spell(underlying)} {{");
        foreach (var name in Enum.GetNames(type))
        {
            Comment("    ", Documentation.Of(type, name));
            Text.AppendLine($"    {Names.Snake(name)} = {Number(ContractModel.Bits(Convert.ChangeType(Enum.Parse(type, name), underlying)), underlying)},");
        }

        Text.AppendLine("};");
        if (type.IsDefined(typeof(FlagsAttribute), false))
        {
            var (n, u) = (type.Name, Spell(underlying));
            foreach (var op in "|&")
                Text.AppendLine($"constexpr {n} operator{op}({n} a, {n} b) noexcept {{ return static_cast<{n}>(static_cast<{u}>(a) {op} static_cast<{u}>(b)); }}");
            Text.AppendLine($"constexpr {n} operator~({n} a) noexcept {{ return static_cast<{n}>(~static_cast<{u}>(a)); }}");
            Text.AppendLine($"/** Whether any of these is set. */\nconstexpr bool any({n} a) noexcept {{ return static_cast<{u}>(a) != 0; }}");
        }

        Text.AppendLine();
    }

    protected override void WriteConstant(ContractConstant constant)
    {
        var type = constant.Field.DeclaringType!;
        Comment("", Documentation.Of(type, constant.Field.Name));
        Text.AppendLine($"constexpr {Spell(constant.Field.FieldType)} {Names.Snake(type.Name)}_{Names.Snake(constant.Field.Name)} = {Number(constant.Value, constant.Field.FieldType)};");
    }

    protected override void WriteStruct(ContractStruct type)
    {
        Comment("", Documentation.Of(type.Type));
        Text.AppendLine($"struct {type.Type.Name} {{");
        WriteMembers(type);
        Text.AppendLine("};");
        WriteAssertions(type, "static_assert");
    }

    protected override void BeforeInterfaces(ContractModel model)
    {
        foreach (var type in model.Interfaces) Text.AppendLine($"struct {type.Type.Name};");
        Text.AppendLine();
    }

    protected override void WriteInterface(ContractInterface type, ContractModel model)
    {
        Comment("", Documentation.Of(type.Type));
        Text.AppendLine($"struct {type.Type.Name} : {type.Base?.Name ?? "IUnknown"} {{");
        Text.AppendLine($"    static constexpr Guid uuid = {Initialiser(type.Type.GUID)}; // {type.Type.GUID}");
        Text.AppendLine($"    using base_interface = {type.Base?.Name ?? "IUnknown"};");
        foreach (var method in type.Methods)
        {
            Comment("    ", Documentation.Of(method.Method));
            Text.AppendLine($"    virtual {Result(method)} {Names.Snake(method.Method.Name)}({Parameters(method, null)}) noexcept = 0; // slot {method.Slot}");
        }

        Text.AppendLine($"\nprotected:\n    ~{type.Type.Name}() = default;\n}};\n");
    }
}
