namespace Comanche.Header;

/// <summary>Writes the header: what both languages share, then each form behind <c>__cplusplus</c>.</summary>
public static class HeaderWriter
{
    /// <summary>The text of <c>native/comanche.h</c>.</summary>
    public static string Write(ContractModel model)
    {
        var documentation = new Documentation(model.Interfaces[0].Type.Assembly);
        var text = Preamble + "\n#ifdef __cplusplus\n\n" + new CppDialect(documentation).Write(model) + "\n#else /* C */\n\n" + new CDialect(documentation).Write(model)
            + "\n#endif /* __cplusplus */\n#endif /* COMANCHE_H */\n";
        return text.Replace("\r\n", "\n");
    }

    private const string Preamble =
        """
        /*
         * The contracts of Comanche for C11 and C++17. Generated from core/Comanche by eng/header; do not edit:
         *   dotnet run --project eng/header -- native/comanche.h
         *
         * The binary form is COM's: an object begins with a pointer to its vtable, whose slots 0 to 2 are QueryInterface, AddRef and Release.
         *  - A method that returns int32_t and is not documented otherwise returns an HRESULT: 0 or more is good, less is a failure, whose text goes to
         *    IHost::fail just before. Its result, if any, goes to *result, which is always written (0 on failure). The others return their value.
         *  - Interface pointers that come in are borrowed: AddRef what is kept. Interface pointers that go out carry a reference for the caller.
         *  - Strings are UTF-8 and end with 0. Those that come in are borrowed; those that go out are made by malloc and freed by the caller.
         *  - AddRef and Release keep memory alive; IBase::retain and IBase::release are the component's own count, which closes it at 0.
         *  - No exception may leave a method: the C++ form says noexcept. native/comanche.hpp has the barrier, and bases to start from.
         */
        #ifndef COMANCHE_H
        #define COMANCHE_H

        #include <stddef.h>
        #include <stdint.h>
        #include <string.h>

        /* The HRESULTs that components use. */
        #define COMANCHE_OK ((int32_t)0)
        #define COMANCHE_E_NOINTERFACE ((int32_t)0x80004002)
        #define COMANCHE_E_POINTER ((int32_t)0x80004003)
        #define COMANCHE_E_FAIL ((int32_t)0x80004005)
        #define COMANCHE_E_INVALIDARG ((int32_t)0x80070057)
        #define COMANCHE_E_OUTOFMEMORY ((int32_t)0x8007000e)

        """;
}
