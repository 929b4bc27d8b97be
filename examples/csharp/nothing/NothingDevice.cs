using System.Runtime.InteropServices.Marshalling;

namespace Comanche.Examples;

[Component("example/nothing", "0f1c2b3a-7d64-4a55-9a0e-3b1f5c8d2e47", "A filter that passes everything on")]
[Binds(typeof(IBlockDevice))]
[GeneratedComClass]
public sealed partial class NothingDevice(IHost host) : BlockFilter(host);
