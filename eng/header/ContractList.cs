using System.Text;

namespace Comanche.Header;

/// <summary>
/// The contracts as a list to keep: UUID, name and slots of every interface, layout of every structure, members of every enumeration.
/// What an interface means is fixed by its UUID, so this list changes only by growing.
/// </summary>
public static class ContractList
{
    /// <summary>The text of <c>tests/conformance/contracts.txt</c>.</summary>
    public static string Write(ContractModel model)
    {
        var text = new StringBuilder("# Held by a test. Written by: dotnet run --project eng/header -- --contracts tests/conformance/contracts.txt\n");
        foreach (var type in model.Interfaces.OrderBy(i => i.Type.GUID.ToString(), StringComparer.Ordinal))
        {
            text.Append($"\n{type.Type.GUID} {type.Type.Name} : {type.Base?.Name ?? "IUnknown"}\n");
            foreach (var slot in type.Methods)
            {
                var parameters = slot.Method.GetParameters().Select(p => $"{(p.ParameterType.IsByRef ? "in " : "")}{Name(p.ParameterType)} {p.Name}");
                text.Append($"  {slot.Slot,2} {(slot.IsPlain ? "" : "hresult ")}{Name(slot.Method.ReturnType)} {slot.Method.Name}({string.Join(", ", parameters)})\n");
            }
        }

        foreach (var type in model.Structs.OrderBy(s => s.Type.Name, StringComparer.Ordinal))
        {
            text.Append($"\nstruct {type.Type.Name} {type.Size}\n");
            foreach (var field in type.Fields) text.Append($"  {field.Offset,2} {Name(field.Type)} {field.Name}{(field.Count == 0 ? "" : $"[{field.Count}]")}\n");
        }

        foreach (var type in model.Enums.OrderBy(e => e.Name, StringComparer.Ordinal))
        {
            var underlying = Enum.GetUnderlyingType(type);
            text.Append($"\nenum {type.Name} : {underlying.Name}\n");
            foreach (var name in Enum.GetNames(type))
                text.Append($"  0x{ContractModel.Bits(Convert.ChangeType(Enum.Parse(type, name), underlying)):x} {name}\n");
        }

        return text.ToString();
    }

    private static string Name(Type type) => type.IsByRef ? Name(type.GetElementType()!) : type.IsPointer ? Name(type.GetElementType()!) + "*" : type.Name;
}
