using Comanche.App;

return CommandLine.Run(args);
