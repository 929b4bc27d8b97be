using System.Runtime.InteropServices;

namespace Comanche.Linux;

/// <summary>
/// Mappings, locks, NUMA placement and page tables: the system calls under DMA memory. Nothing here throws; a call that fails gives the
/// <c>errno</c> as a positive number, and 0 is success.
/// </summary>
public static unsafe partial class Memory
{
    /// <summary>Bytes of a huge page on x86-64 and of the alignment that every pool has.</summary>
    public const nuint HugePageSize = 2u << 20;

    private const int ProtNone = 0, ProtReadWrite = 3;
    private const int MapShared = 1, MapPrivate = 2, MapFixed = 0x10, MapAnonymous = 0x20, MapNoReserve = 0x4000;
    private const uint MfdCloexec = 1, MfdAllowSealing = 2, MfdHugeTlb = 4, MfdHuge2Mb = 21u << 26;
    private const int FcntlAddSeals = 1033, FcntlGetSeals = 1034, SealSeal = 1, SealShrink = 2, SealGrow = 4;
    private const int AdvicePopulateWrite = 23, AdviceDontFork = 10;
    private const int PolicyPreferred = 1;
    private const uint PolicyFlagNode = 1, PolicyFlagAddress = 2;
    private const nint SysMbind = 237, SysGetMempolicy = 239; // x86-64
    private const nint SysMbindArm64 = 235, SysGetMempolicyArm64 = 236;
    private const ulong PagemapPresent = 1UL << 63, PagemapFrame = (1UL << 55) - 1;
    private const int OpenReadOnly = 0, OpenCloexec = 0x80000;

    /// <summary>Bytes of an ordinary page.</summary>
    public static nuint PageSize { get; } = (nuint)Environment.SystemPageSize;

    /// <summary>
    /// Makes an anonymous file of a fixed size: what can be mapped here and, its descriptor being passed on, in another process. It is sealed
    /// against growing and shrinking, so that no mapping of it can be cut off by whoever holds the descriptor.
    /// </summary>
    /// <param name="name">A name for <c>/proc/self/maps</c>.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="huge">Whether it is made of 2 MiB pages.</param>
    /// <param name="descriptor">The file descriptor, or -1.</param>
    public static int CreateShared(string name, nuint length, bool huge, out int descriptor)
    {
        descriptor = memfd_create(name, MfdCloexec | MfdAllowSealing | (huge ? MfdHugeTlb | MfdHuge2Mb : 0));
        if (descriptor < 0) return Marshal.GetLastPInvokeError();
        if (ftruncate(descriptor, (long)length) == 0 && fcntl(descriptor, FcntlAddSeals, SealShrink | SealGrow | SealSeal) >= 0) return 0;
        var error = Marshal.GetLastPInvokeError();
        _ = close(descriptor);
        descriptor = -1;
        return error;
    }

    /// <summary>
    /// Checks a file that somebody else made to be mapped here: it can't be cut short under the mapping (sealed, as <see cref="CreateShared"/> does it), and is as long as said.
    /// Returns 0, EPERM for a seal that is missing, EINVAL for another length, or why it can't be asked.
    /// </summary>
    public static int CheckShared(int descriptor, ulong length)
    {
        var seals = fcntl(descriptor, FcntlGetSeals, 0);
        if (seals < 0) return Marshal.GetLastPInvokeError();
        if ((seals & SealShrink) == 0) return 1; // EPERM
        var error = PosixFile.Stat(descriptor, out var status);
        return error < 0 ? -error : status.stx_size == length ? 0 : 22; // EINVAL
    }

    /// <summary>Whether a shared file is made of huge pages. Whoever holds it can give those up again, sealed or not, and where none are left then, whoever touches a mapping of it is killed.</summary>
    public static bool IsOfHugePages(int descriptor) => PosixFile.Stat(descriptor, out var status) >= 0 && status.stx_blksize >= HugePageSize;

    /// <summary>
    /// Maps a whole shared file, readable and writable, at an address that is a multiple of <paramref name="alignment"/>.
    /// Huge pages are reserved here: where there are too few, this fails instead of a later access.
    /// </summary>
    public static int MapAligned(int descriptor, nuint length, nuint alignment, out void* address)
    {
        address = null;
        var reserved = (byte*)mmap(null, length + alignment, ProtNone, MapPrivate | MapAnonymous | MapNoReserve, -1, 0);
        if ((nint)reserved == -1) return Marshal.GetLastPInvokeError();
        var start = (byte*)(((nuint)reserved + alignment - 1) & ~(alignment - 1));
        var end = reserved + length + alignment;
        var mapped = (byte*)mmap(start, length, ProtReadWrite, MapShared | MapFixed, descriptor, 0);
        if ((nint)mapped == -1)
        {
            var error = Marshal.GetLastPInvokeError();
            _ = munmap(reserved, length + alignment);
            return error;
        }

        if (start > reserved) _ = munmap(reserved, (nuint)(start - reserved));
        if (end > start + length) _ = munmap(start + length, (nuint)(end - (start + length)));
        address = start;
        return 0;
    }

    /// <summary>Takes a mapping away.</summary>
    public static int Unmap(void* address, nuint length) => Errno(munmap(address, length));

    /// <summary>Locks pages in memory, all of them present when it returns.</summary>
    public static int Lock(void* address, nuint length) => Errno(mlock(address, length));

    /// <summary>Unlocks pages.</summary>
    public static int Unlock(void* address, nuint length) => Errno(munlock(address, length));

    /// <summary>Makes every page of a range present and writable, with an error instead of a signal where there is not enough memory.</summary>
    public static int Populate(void* address, nuint length) => Errno(madvise(address, length, AdvicePopulateWrite));

    /// <summary>Keeps a range out of child processes, so that copy-on-write never moves a page under a device.</summary>
    public static int KeepFromFork(void* address, nuint length) => Errno(madvise(address, length, AdviceDontFork));

    /// <summary>Prefers a NUMA node (0 to 63) for the pages of a range that are not present yet.</summary>
    public static int PreferNode(void* address, nuint length, int node)
    {
        if (node is < 0 or > 63) return 22; // EINVAL
        var mask = 1UL << node;
        return Errno((int)syscall6(IsArm64 ? SysMbindArm64 : SysMbind, (nint)address, (nint)length, PolicyPreferred, (nint)(&mask), 65, 0));
    }

    /// <summary>The NUMA node of the page at an address (which is present), or -1 where the kernel does not say.</summary>
    public static int NodeOf(void* address)
    {
        int node;
        var rc = syscall6(
            IsArm64 ? SysGetMempolicyArm64 : SysGetMempolicy, (nint)(&node), 0, 0, (nint)address, (nint)(PolicyFlagNode | PolicyFlagAddress), 0);
        return rc == 0 ? node : -1;
    }

    /// <summary>
    /// Reads the physical addresses of consecutive pages (of <see cref="PageSize"/>) from the page tables. An entry is 0 where the page is not present or
    /// the caller is not privileged enough to see it.
    /// </summary>
    public static int PhysicalPages(void* address, ulong* physical, int pages)
    {
        var descriptor = open("/proc/self/pagemap", OpenReadOnly | OpenCloexec);
        if (descriptor < 0) return Marshal.GetLastPInvokeError();
        var bytes = (nuint)pages * sizeof(ulong);
        var got = pread(descriptor, physical, bytes, (long)((nuint)address / PageSize * sizeof(ulong)));
        var error = got < 0 ? Marshal.GetLastPInvokeError() : (nuint)got < bytes ? 5 : 0; // EIO
        _ = close(descriptor);
        for (var i = 0; error == 0 && i < pages; i++)
            physical[i] = (physical[i] & PagemapPresent) == 0 ? 0 : (physical[i] & PagemapFrame) * PageSize;
        return error;
    }

    /// <summary>Closes a file descriptor.</summary>
    public static void Close(int descriptor) => _ = close(descriptor);

    /// <summary>The text of an <c>errno</c>.</summary>
    public static string Describe(int errno) => Marshal.GetPInvokeErrorMessage(errno);

    private static bool IsArm64 => RuntimeInformation.ProcessArchitecture == Architecture.Arm64;

    private static int Errno(int rc) => rc == 0 ? 0 : Marshal.GetLastPInvokeError();

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int memfd_create(string name, uint flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int ftruncate(int fd, long length);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fcntl(int fd, int command, nint argument);

    [LibraryImport("libc", SetLastError = true)]
    private static partial void* mmap(void* address, nuint length, int protection, int flags, int fd, long offset);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int munmap(void* address, nuint length);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int mlock(void* address, nuint length);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int munlock(void* address, nuint length);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int madvise(void* address, nuint length, int advice);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int open(string path, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint pread(int fd, void* buffer, nuint count, long offset);

    [LibraryImport("libc")]
    private static partial int close(int fd);

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial nint syscall6(nint number, nint a, nint b, nint c, nint d, nint e, nint f);
}
