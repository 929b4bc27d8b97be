using Comanche.Linux;

namespace Comanche.Block;

/// <summary>The kernel's form of a descriptor's memory.</summary>
internal static unsafe class FileVectors
{
    /// <summary>
    /// Lists the memory of a transfer of <paramref name="length"/> bytes from byte <paramref name="done"/> on; returns the number of pieces, at most one for each segment.
    /// </summary>
    public static int Fill(IoDescriptor* descriptor, ulong done, ulong length, iovec* into)
    {
        if ((descriptor->Flags & IoFlags.Segments) == 0)
        {
            into[0] = new iovec { iov_base = descriptor->Buffer + done, iov_len = (nuint)(length - done) };
            return 1;
        }

        var count = 0;
        ulong at = 0;
        for (var i = 0; i < descriptor->SegmentCount && at < length; i++)
        {
            ref readonly var segment = ref descriptor->Segments[i];
            var skip = done > at ? Math.Min(done - at, segment.Length) : 0;
            var take = Math.Min(segment.Length, length - at) - skip;
            at += segment.Length;
            if (take == 0) continue;
            into[count++] = new iovec { iov_base = segment.Address + skip, iov_len = (nuint)take };
        }

        return count;
    }
}
