using Comanche.Reference;

// dotnet run --project eng/reference -- docs/reference
if (args is not [var folder] || folder is "--help" or "-h")
{
    Console.Error.WriteLine("usage: Comanche.Reference FOLDER   writes a page for each row of components, and an index");
    return 2;
}

Directory.CreateDirectory(folder);
var pages = ReferenceWriter.Write(ReferenceWriter.OpenCatalog(AppContext.BaseDirectory));
foreach (var (name, text) in pages) File.WriteAllText(Path.Combine(folder, name), text);
foreach (var stale in Directory.EnumerateFiles(folder, "*.md").Where(f => !pages.ContainsKey(Path.GetFileName(f)))) File.Delete(stale);
return 0;
