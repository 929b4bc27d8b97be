using Comanche;
using Comanche.Peers;

var peers = typeof(IPeer).Assembly.GetTypes()
    .Where(t => t is { IsClass: true, IsAbstract: false } && t.IsAssignableTo(typeof(IPeer)))
    .Select(t => (IPeer)Activator.CreateInstance(t)!)
    .OrderBy(p => p.Name, StringComparer.Ordinal)
    .ToList();

if (args.Length == 0 || peers.FirstOrDefault(p => p.Name == args[0]) is not { } peer)
{
    Console.Error.WriteLine("usage: Comanche.Peers PEER [--option value …]");
    foreach (var known in peers) Console.Error.WriteLine($"  {known.Name,-8} {known.Summary}");
    return 2;
}

try
{
    return peer.Run(new Arguments(args[1..]));
}
catch (ComancheException e)
{
    Console.Error.WriteLine(e.Message);
    return 2;
}
