namespace Comanche.Runtime;
public sealed unsafe class ProcessStatistics : IDisposable
{
    public void Dispose() { }
    internal ulong* AddCounter(string host, string name, string unit, string description) => (ulong*)System.Runtime.InteropServices.NativeMemory.AllocZeroed(64);
}
