using System.Runtime.InteropServices;

namespace Comanche.Runtime;

/// <summary>
/// Messages from any number of threads to one: a bounded ring without locks (after D. Vyukov's bounded queue).
/// </summary>
/// <remarks>
/// Each slot has a turn: <c>position</c> means that it can be written for that position, <c>position + 1</c> that it is written and can be read; reading makes it <c>position + capacity</c>, the turn of the
/// next lap. A sender takes a position by an exchange on the tail, writes, and publishes the turn with release; so a slow sender holds up those behind it only in being read, never in sending, and what one thread sends is read in
/// its order.
/// </remarks>
internal sealed class MessageRing
{
    /// <summary>The most messages that are under way.</summary>
    public const int Capacity = 1024; // A power of two.

    private const int Mask = Capacity - 1;

    private readonly Slot[] _slots = new Slot[Capacity];
    private PaddedIndex _tail; // Senders.
    private PaddedIndex _head; // The reader's own.

    /// <summary>Makes an empty ring.</summary>
    public MessageRing()
    {
        for (var i = 0; i < Capacity; i++) _slots[i].Turn = i;
    }

    /// <summary>Whether there is nothing to be read. The reader's.</summary>
    public bool IsEmpty => Volatile.Read(ref _slots[_head.Value & Mask].Turn) != _head.Value + 1;

    /// <summary>Puts a message in; false where there is no room. Any thread.</summary>
    public bool TrySend(IReceiver receiver, ulong message)
    {
        while (true)
        {
            var position = Volatile.Read(ref _tail.Value);
            ref var slot = ref _slots[position & Mask];
            var turn = Volatile.Read(ref slot.Turn);
            if (turn == position)
            {
                if (Interlocked.CompareExchange(ref _tail.Value, position + 1, position) != position) continue;
                slot.Receiver = receiver;
                slot.Message = message;
                Volatile.Write(ref slot.Turn, position + 1); // With release: whoever sees the turn sees the message.
                return true;
            }

            if (turn < position) return false; // Of the lap before, and not read yet.
        }
    }

    /// <summary>Takes the oldest message. The reader's.</summary>
    public bool TryTake(out IReceiver receiver, out ulong message)
    {
        var position = _head.Value;
        ref var slot = ref _slots[position & Mask];
        (receiver, message) = (null!, 0);
        if (Volatile.Read(ref slot.Turn) != position + 1) return false;
        (receiver, message) = (slot.Receiver!, slot.Message);
        slot.Receiver = null;
        _head.Value = position + 1;
        Volatile.Write(ref slot.Turn, position + Capacity); // With release: whoever writes it next finds it read.
        return true;
    }

    private struct Slot
    {
        public long Turn;
        public ulong Message;
        public IReceiver? Receiver;
    }

    // A cache line of its own, and the one behind it, which processors fetch along.
    [StructLayout(LayoutKind.Explicit, Size = 192)]
    private struct PaddedIndex
    {
        [FieldOffset(64)] public long Value;
    }
}
