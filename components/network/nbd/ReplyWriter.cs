using System.Buffers.Binary;

namespace Comanche.Network;

/// <summary>Writes the big-endian fields of a reply one after the other. The caller knows that there is room.</summary>
internal unsafe ref struct ReplyWriter(byte* at)
{
    private readonly byte* _start = at;
    private byte* _at = at;

    /// <summary>How many bytes were written.</summary>
    public readonly uint Length => (uint)(_at - _start);

    public void Put16(ushort value)
    {
        *(ushort*)_at = BinaryPrimitives.ReverseEndianness(value);
        _at += 2;
    }

    public void Put32(uint value)
    {
        *(uint*)_at = BinaryPrimitives.ReverseEndianness(value);
        _at += 4;
    }

    public void Put64(ulong value)
    {
        *(ulong*)_at = BinaryPrimitives.ReverseEndianness(value);
        _at += 8;
    }

    /// <summary>A cookie: as it came.</summary>
    public void PutRaw64(ulong value)
    {
        *(ulong*)_at = value;
        _at += 8;
    }

    public void Put(scoped ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(new Span<byte>(_at, bytes.Length));
        _at += bytes.Length;
    }
}
