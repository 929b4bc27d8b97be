using System.Globalization;

namespace Comanche.Linux;

/// <summary>Who holds the lock of a file, as <c>/proc/locks</c> says.</summary>
public static class FileLocks
{
    /// <summary>The process that holds a <c>flock</c> lock on a file, or 0 where that can't be told. Set-up only.</summary>
    public static int Holder(in statx file)
    {
        try
        {
            return Holder(File.ReadLines("/proc/locks"), file.stx_dev_major, file.stx_dev_minor, file.stx_ino);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return 0;
        }
    }

    // 1: FLOCK  ADVISORY  WRITE 2711 fe:00:1048601 0 EOF        (device in hexadecimal, inode in decimal)
    internal static int Holder(IEnumerable<string> lines, uint major, uint minor, ulong inode)
    {
        var wanted = string.Create(CultureInfo.InvariantCulture, $"{major:x2}:{minor:x2}:{inode}");
        foreach (var line in lines)
        {
            var fields = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (fields.Length >= 6 && fields[1] == "FLOCK" && fields[5] == wanted && int.TryParse(fields[4], out var process) && process > 0)
                return process;
        }

        return 0;
    }
}
