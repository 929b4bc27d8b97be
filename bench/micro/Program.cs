using BenchmarkDotNet.Running;
using Comanche.Micro;

if (args is ["--quick", .. var depths])
{
    Quick.Run(depths.Length == 0 ? [32, 1, 128] : [.. depths.Select(int.Parse)]);
    return;
}

BenchmarkSwitcher.FromAssembly(typeof(Quick).Assembly).Run(args);
