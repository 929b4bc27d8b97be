using Comanche.Header;

// dotnet run --project eng/header -- native/comanche.h
if (args.Length != 1)
{
    Console.Error.WriteLine("usage: Comanche.Header OUTPUT   (writes the C and C++ header of the contracts; '-' for standard output)");
    return 2;
}

var text = HeaderWriter.Write(ContractModel.Read(typeof(Comanche.IBase).Assembly));
if (args[0] == "-") Console.Out.Write(text);
else File.WriteAllText(args[0], text);
return 0;
