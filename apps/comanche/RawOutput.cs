using System.Text;
using Comanche.Linux;

namespace Comanche.App;

/// <summary>Writes to a descriptor of the process as a program in C would: no buffer, and an error instead of an exception.</summary>
internal static unsafe class RawOutput
{
    public const int StandardOutput = 1, StandardError = 2;

    /// <summary>Writes a text whole; answers 0, or the error that ended it.</summary>
    /// <param name="descriptor">Where to.</param>
    /// <param name="text">The text, sent as UTF-8.</param>
    /// <param name="isTorn">Whether a part of it was written.</param>
    public static int Write(int descriptor, string text, out bool isTorn)
    {
        isTorn = false;
        var bytes = Encoding.UTF8.GetBytes(text);
        fixed (byte* start = bytes)
        {
            for (nint done = 0; done < bytes.Length;)
            {
                var written = PosixFile.Append(descriptor, start + done, (nuint)(bytes.Length - done));
                if (written < 0) return (int)-written;
                done += written;
                isTorn = done < bytes.Length;
            }
        }

        return 0;
    }
}
