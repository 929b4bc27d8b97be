using System.Runtime.InteropServices;
using Comanche.Linux;

namespace Comanche.Network;

/// <summary>
/// The pieces that wait to be sent on a socket, in order, each with the slot that is free once it is sent. Owner thread only; bounded.
/// </summary>
internal sealed unsafe class OutputQueue(int capacity) : IDisposable
{
    /// <summary>The tag of a piece that frees nothing.</summary>
    public const int NoSlot = -1;

    private readonly IoVector* _pieces = (IoVector*)NativeMemory.Alloc((nuint)capacity, (nuint)sizeof(IoVector));
    private readonly int* _slots = (int*)NativeMemory.Alloc((nuint)capacity, sizeof(int));
    private int _head;
    private int _tail;

    /// <summary>Whether everything is sent.</summary>
    public bool IsEmpty => _head == _tail;

    /// <summary>How many pieces wait.</summary>
    public int Count => _tail - _head;

    /// <summary>Adds a piece. The owner's bounds on slots keep the number of pieces below the capacity.</summary>
    public void Push(byte* address, uint length, int slot)
    {
        if (_tail == capacity) Compact();
        _pieces[_tail] = new IoVector { Address = address, Length = length };
        _slots[_tail++] = slot;
    }

    /// <summary>
    /// Sends what the socket takes. Returns the bytes sent or a negative errno; slots that are free now are stored, their number in <paramref name="freed"/>.
    /// </summary>
    /// <param name="socket">Where to.</param>
    /// <param name="free">Room for as many slots as pieces wait.</param>
    /// <param name="freed">How many slots were stored.</param>
    public nint Send(int socket, int* free, out int freed)
    {
        freed = 0;
        var sent = Sockets.Send(socket, _pieces + _head, Math.Min(_tail - _head, Sockets.MaxVectors));
        if (sent <= 0) return sent;
        var left = (nuint)sent;
        while (_head != _tail)
        {
            var piece = _pieces + _head;
            if (left < piece->Length)
            {
                piece->Address += left;
                piece->Length -= left;
                break;
            }

            left -= piece->Length;
            if (_slots[_head] != NoSlot) free[freed++] = _slots[_head];
            _head++;
        }

        if (_head == _tail) _head = _tail = 0;
        return sent;
    }

    /// <summary>Moves what waits to a longer queue.</summary>
    public void MoveTo(OutputQueue longer)
    {
        for (; _head != _tail; _head++) longer.Push(_pieces[_head].Address, (uint)_pieces[_head].Length, _slots[_head]);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        NativeMemory.Free(_pieces);
        NativeMemory.Free(_slots);
    }

    private void Compact()
    {
        var count = _tail - _head;
        NativeMemory.Copy(_pieces + _head, _pieces, (nuint)count * (nuint)sizeof(IoVector));
        NativeMemory.Copy(_slots + _head, _slots, (nuint)count * sizeof(int));
        _head = 0;
        _tail = count;
    }
}
