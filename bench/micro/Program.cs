using BenchmarkDotNet.Running;
using Comanche.Micro;

if (args is ["--quick", ..])
{
    Quick.Run();
    return;
}

BenchmarkSwitcher.FromAssembly(typeof(Quick).Assembly).Run(args);
