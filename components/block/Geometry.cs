namespace Comanche.Block;

/// <summary>Checks of options that several devices of this row have.</summary>
internal static class Geometry
{
    /// <summary>Says where a block size or a length is no good, while a stack is checked.</summary>
    public static bool Check(PlanContext plan, ByteSize blockSize, ByteSize size)
    {
        var (option, message) = Problem(blockSize, size);
        if (option.Length == 0) return true;
        plan.Error(option, message);
        return false;
    }

    /// <summary>Throws where a block size or a length is no good.</summary>
    public static void Require(string name, ByteSize blockSize, ByteSize size)
    {
        var (option, message) = Problem(blockSize, size);
        if (option.Length != 0) throw new ComancheException($"{name}: {option}: {message}");
    }

    private static (string Option, string Message) Problem(ByteSize blockSize, ByteSize size)
    {
        if (!ulong.IsPow2(blockSize.Bytes) || blockSize.Bytes is < 512 or > 65536)
            return ("block-size", $"{blockSize} is not a power of two from 512 to 64KiB");
        if (size.Bytes == 0 || size.Bytes % blockSize.Bytes != 0)
            return ("size", $"{size} is not a multiple of the block size, {blockSize}");
        return ("", "");
    }
}
