using System.Globalization;
using System.Net;

namespace Comanche.Network;

/// <summary>Where a server listens: a path, or an address and a port.</summary>
/// <param name="Path">The path of a Unix socket, or null.</param>
/// <param name="Ip">The address of a TCP socket, or null.</param>
/// <param name="Port">Its port; 0 for any.</param>
internal sealed record ListenAddress(string? Path, IPAddress? Ip, int Port)
{
    /// <summary>Reads <c>unix:PATH</c> or <c>tcp:ADDRESS:PORT</c>; gives what is wrong where it is none.</summary>
    public static ListenAddress? TryParse(string text, out string problem)
    {
        problem = "";
        if (text.StartsWith("unix:", StringComparison.Ordinal))
        {
            var path = text["unix:".Length..];
            var bytes = System.Text.Encoding.UTF8.GetByteCount(path);
            if (bytes is > 0 and < 108 && !path.Contains('\0')) return new ListenAddress(path, null, 0);
            problem = $"the path of {text} has {bytes} bytes; a Unix socket's has 1 to 107";
            return null;
        }

        if (text.StartsWith("tcp:", StringComparison.Ordinal))
        {
            var rest = text["tcp:".Length..];
            var colon = rest.LastIndexOf(':');
            var host = colon < 0 ? rest : rest[..colon];
            if (host == "localhost") host = "127.0.0.1";
            if (colon >= 0 && IPAddress.TryParse(host.Trim('[', ']'), out var ip)
                && ulong.TryParse(rest[(colon + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out var port))
            {
                if (port <= ushort.MaxValue) return new ListenAddress(null, ip, (int)port);
                problem = $"port out of range: {text} has {port}, and 0 to {ushort.MaxValue} are possible";
                return null;
            }

            problem = $"{text} is not tcp:ADDRESS:PORT with a numeric address, like tcp:127.0.0.1:10809 or tcp:[::1]:10809";
            return null;
        }

        problem = $"{text} is neither unix:PATH nor tcp:ADDRESS:PORT";
        return null;
    }

    /// <summary>As it is written in a stack file.</summary>
    public override string ToString() => Path is not null ? $"unix:{Path}"
        : Ip!.AddressFamily == System.Net.Sockets.AddressFamily.InterNetworkV6 ? $"tcp:[{Ip}]:{Port}" : $"tcp:{Ip}:{Port}";
}
