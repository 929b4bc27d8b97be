namespace Comanche.Block;

/// <summary>How <c>block/file</c> speaks to the kernel.</summary>
public enum FileEngine
{
    /// <summary>io_uring where it can be had, otherwise <see cref="Sync"/> with a line in the log.</summary>
    Auto = 0,

    /// <summary>io_uring, or no start.</summary>
    Uring = 1,

    /// <summary>One system call for each I/O, during which the queue's thread waits.</summary>
    Sync = 2,
}

/// <summary>The options of <c>block/file</c>.</summary>
public sealed record FileDeviceOptions
{
    /// <summary>Where it is.</summary>
    [Option("The file or block device that holds the volume", Required = true, Path = true)]
    public string Path { get; init; } = "";

    /// <summary>Length.</summary>
    [Option("Length of the volume. A file that is absent is made, a shorter one is extended; one that is longer is refused, never shrunk",
        Min = "512", Default = "the length of the file or device")]
    public ByteSize Size { get; init; }

    /// <summary>Whether it may be made.</summary>
    [Option("Whether a file that is absent or shorter than size is made or extended, its folder too")]
    public bool Create { get; init; } = true;

    /// <summary>Block size.</summary>
    [Option("Bytes of a block: a power of two, at least what direct I/O on the medium is aligned to", Max = "64KiB",
        Default = "512, or what direct I/O needs where that is more")]
    public ByteSize BlockSize { get; init; }

    /// <summary>Whether the page cache is passed by.</summary>
    [Option("Direct I/O, past the kernel's page cache; where the file system refuses it, I/O is buffered and the log says so")]
    public bool Direct { get; init; } = true;

    /// <summary>Whether space is allocated at once.</summary>
    [Option("Allocate the whole file at start, so that a write does not run out of space, and keep it allocated: zeroing leaves the space, and discards are not offered")]
    public bool Preallocate { get; init; }

    /// <summary>The interface to the kernel.</summary>
    [Option("auto: io_uring, or sync with a warning where it is forbidden; uring: io_uring or no start; sync: one blocking system call for each I/O")]
    public FileEngine Engine { get; init; }

    /// <summary>Whether a kernel thread submits.</summary>
    [Option("A kernel thread fetches the submissions of each queue (SQPOLL): no system calls while it is awake, but it takes a core of its own")]
    public bool Sqpoll { get; init; }

    /// <summary>The longest time of an I/O.</summary>
    [Option("An I/O that takes longer is cancelled and ends with TimedOut, as soon as the kernel lets go of its memory; 0 for no limit", Max = "1h")]
    public TimeSpan Timeout { get; init; }
}
