using Comanche.Header;

// dotnet run --project eng/header -- native/comanche.h
// dotnet run --project eng/header -- --contracts tests/conformance/contracts.txt
if (args is not ([_] or ["--contracts", _]) || args[0] is "--help" or "-h")
{
    Console.Error.WriteLine("usage: Comanche.Header HEADER             writes the C and C++ header of the contracts");
    Console.Error.WriteLine("       Comanche.Header --contracts LIST   writes the list of UUIDs and shapes that a test holds");
    return 2;
}

var model = ContractModel.Read(typeof(Comanche.IBase).Assembly);
File.WriteAllText(args[^1], args.Length == 1 ? HeaderWriter.Write(model) : ContractList.Write(model));
return 0;
