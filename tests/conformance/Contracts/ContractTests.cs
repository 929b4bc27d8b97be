using System.Reflection;
using System.Runtime.InteropServices;
using System.Runtime.InteropServices.Marshalling;
using Comanche.Header;

namespace Comanche.Conformance.Tests.Contracts;

/// <summary>The contracts are what was promised: nobody changes one by accident, or uses a UUID twice.</summary>
public sealed class ContractTests
{
    private static readonly ContractModel Model = ContractModel.Read(typeof(IBase).Assembly);

    [Fact]
    public void No_contract_changes_under_its_UUID()
    {
        var kept = File.ReadAllText(Source.Path("tests/conformance/contracts.txt")).Split('\n');
        var now = ContractList.Write(Model).Split('\n');
        var gone = kept.Except(now).Select(line => $"- {line}");
        var come = now.Except(kept).Select(line => $"+ {line}");
        Assert.True(kept.SequenceEqual(now), $"""
            The contracts differ from tests/conformance/contracts.txt:
            {string.Join('\n', gone.Concat(come))}
            A UUID fixes syntax and semantics: an interface that changes, or that reaches a structure or an enumeration that changes, is another interface.
            Give it a new UUID (`uuidgen`, or count the last group of c0a4c4e0-….-….-….-6d6f6e7465NN up), and bring the list and the header up to date:
              dotnet run --project eng/header -- --contracts tests/conformance/contracts.txt
              dotnet run --project eng/header -- native/comanche.h
            """);
    }

    [Fact]
    public void No_UUID_is_used_twice()
    {
        var twice = Model.Interfaces.GroupBy(i => i.Type.GUID).Where(g => g.Count() > 1).Select(g => string.Join(" = ", g.Select(i => i.Type.Name)));
        Assert.Equal([], twice);
    }

    [Fact]
    public void Every_interface_gives_its_UUID_itself()
    {
        // Without [Guid] one is made up from the name, and changes with it.
        Assert.Equal([], Model.Interfaces.Where(i => !i.Type.IsDefined(typeof(GuidAttribute), false)).Select(i => i.Type.Name));
    }

    [Fact]
    public void What_a_managed_component_throws_takes_its_words_over_the_border()
    {
        var speechless = Model.Interfaces.Where(i => i.Type.GetCustomAttribute<GeneratedComInterfaceAttribute>()!.ExceptionToUnmanagedMarshaller != typeof(FailureMarshaller));

        // For a method that keeps its signature and gives nothing the generator makes no code with a marshaller of ours.
        Assert.Equal([], speechless.Where(i => !i.Type.GetMethods().Any(m => m.ReturnType == typeof(void) && m.GetMethodImplementationFlags().HasFlag(MethodImplAttributes.PreserveSig))).Select(i => i.Type.Name));
    }

    [Fact]
    public void Every_method_has_the_slot_that_the_list_says()
    {
        foreach (var type in Model.Interfaces)
        {
            var listed = new List<string> { "QueryInterface_0", "AddRef_1", "Release_2" };
            foreach (var part in Chain(type)) listed.AddRange(part.Methods.Select(m => $"{m.Method.Name}_{m.Slot}"));
            Assert.Equal(listed, GeneratedSlots(type.Type));
        }
    }

    [Fact]
    public unsafe void A_derived_interface_begins_with_the_slots_of_its_base()
    {
        // As a caller in C++ sees it: one object, three interfaces, the same methods in the same places.
        var device = new Block.MemoryDevice(new Testing.TestHost(), new Block.MemoryOptions { Size = ByteSize.MiB(1) });
        void* asBase = ComInterfaceMarshaller<IBase>.ConvertToUnmanaged(device);
        void* asDevice = ComInterfaceMarshaller<IBlockDevice>.ConvertToUnmanaged(device);
        try
        {
            // Slot 10 is IBase::GetVersion, slot 4 Retain, slot 5 Release: calls through both views count on one counter.
            Assert.Equal(1u << 16, ((delegate* unmanaged<void*, uint>)(*(void***)asBase)[10])(asBase));
            Assert.Equal(1u << 16, ((delegate* unmanaged<void*, uint>)(*(void***)asDevice)[10])(asDevice));
            Assert.Equal(2u, ((delegate* unmanaged<void*, uint>)(*(void***)asBase)[4])(asBase));
            Assert.Equal(3u, ((delegate* unmanaged<void*, uint>)(*(void***)asDevice)[4])(asDevice));
            Assert.Equal(2u, ((delegate* unmanaged<void*, uint>)(*(void***)asBase)[5])(asBase));
            Assert.Equal(1u, ((delegate* unmanaged<void*, uint>)(*(void***)asDevice)[5])(asDevice));
        }
        finally
        {
            ComInterfaceMarshaller<IBase>.Free(asBase);
            ComInterfaceMarshaller<IBlockDevice>.Free(asDevice);
            device.Release();
        }
    }

    private static IEnumerable<ContractInterface> Chain(ContractInterface type)
    {
        if (Model.Interfaces.FirstOrDefault(i => i.Type == type.Base) is { } lower)
            foreach (var part in Chain(lower))
                yield return part;
        yield return type;
    }

    // What the generator really made: the fields of the vtable that it fills, in order.
    private static IEnumerable<string> GeneratedSlots(Type type)
    {
        var details = StrategyBasedComWrappers.DefaultIUnknownInterfaceDetailsStrategy.GetIUnknownDerivedDetails(type.TypeHandle);
        Assert.NotNull(details);
        var vtable = details.Implementation.GetField("Vtable", BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic);
        Assert.NotNull(vtable);
        return vtable.FieldType.GetFields().Select(f => f.Name);
    }
}
