using System.Runtime.Versioning;
using Comanche.App;

[assembly: SupportedOSPlatform("linux")]

return CommandLine.Run(args);
