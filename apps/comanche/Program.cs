using System.Runtime.Versioning;
using Comanche.App;

[assembly: SupportedOSPlatform("linux")]

Console.SetError(new ErrorOutput(Console.Error));
return CommandLine.Run(args);
