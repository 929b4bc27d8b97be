/*
 * The contracts of Comanche for C11 and C++17. Generated from core/Comanche by eng/header; do not edit:
 *   dotnet run --project eng/header -- native/comanche.h
 *
 * The binary form is COM's: an object begins with a pointer to its vtable, whose slots 0 to 2 are QueryInterface, AddRef and Release.
 *  - A method that returns int32_t and is not documented otherwise returns an HRESULT: 0 or more is good, less is a failure, whose text goes to
 *    IHost::fail just before. Its result, if any, goes to *result, which is always written (0 on failure). The others return their value.
 *  - Interface pointers that come in are borrowed: AddRef what is kept. Interface pointers that go out carry a reference for the caller.
 *  - Strings are UTF-8 and end with 0. Those that come in are borrowed; those that go out are made by malloc and freed by the caller.
 *  - AddRef and Release keep memory alive; IBase::retain and IBase::release are the component's own count, which closes it at 0.
 *  - No exception may leave a method: the C++ form says noexcept. native/comanche.hpp has the barrier, and bases to start from.
 */
#ifndef COMANCHE_H
#define COMANCHE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The HRESULTs that components use. */
#define COMANCHE_OK ((int32_t)0)
#define COMANCHE_E_NOINTERFACE ((int32_t)0x80004002)
#define COMANCHE_E_POINTER ((int32_t)0x80004003)
#define COMANCHE_E_FAIL ((int32_t)0x80004005)
#define COMANCHE_E_INVALIDARG ((int32_t)0x80070057)
#define COMANCHE_E_OUTOFMEMORY ((int32_t)0x8007000e)

#ifdef __cplusplus

namespace comanche {

/** A UUID: the number of an interface or of a component. */
struct Guid {
    uint32_t data1;
    uint16_t data2;
    uint16_t data3;
    uint8_t data4[8];
};
static_assert(sizeof(Guid) == 16, "Guid is 16 bytes");
inline bool operator==(const Guid& a, const Guid& b) noexcept { return memcmp(&a, &b, sizeof a) == 0; }
inline bool operator!=(const Guid& a, const Guid& b) noexcept { return !(a == b); }

/** The root of COM: keeps memory alive and finds interfaces. The component's own life is that of IBase. */
struct IUnknown {
    static constexpr Guid uuid = {0, 0, 0, {0xc0, 0, 0, 0, 0, 0, 0, 0x46}};
    virtual int32_t QueryInterface(const Guid& interface_id, void** result) noexcept = 0;
    virtual uint32_t AddRef() noexcept = 0;
    virtual uint32_t Release() noexcept = 0;

protected:
    ~IUnknown() = default;
};

/** What the stack file and the command line ask of every component. */
enum class HostFlags : uint32_t {
    /** Nothing special. */
    none = 0u,
    /** The component must not change its media: it opens them read-only, creates nothing, repairs nothing. */
    read_only = 1u,
};
constexpr HostFlags operator|(HostFlags a, HostFlags b) noexcept { return static_cast<HostFlags>(static_cast<uint32_t>(a) | static_cast<uint32_t>(b)); }
constexpr HostFlags operator&(HostFlags a, HostFlags b) noexcept { return static_cast<HostFlags>(static_cast<uint32_t>(a) & static_cast<uint32_t>(b)); }
constexpr HostFlags operator~(HostFlags a) noexcept { return static_cast<HostFlags>(~static_cast<uint32_t>(a)); }
/** Whether any of these is set. */
constexpr bool any(HostFlags a) noexcept { return static_cast<uint32_t>(a) != 0; }

/** How much a log line matters. */
enum class LogLevel : int32_t {
    /** For whoever looks into a problem. */
    debug = 0,
    /** What happened. */
    information = 1,
    /** Works, but not as asked, or not for long. */
    warning = 2,
    /** Something failed. */
    error = 3,
};

/** What a descriptor asks for. */
enum class IoOperation : uint8_t {
    /** Nothing: comes back with success. */
    none = 0u,
    /** Volume to buffer. */
    read = 1u,
    /** Buffer to volume. */
    write = 2u,
    /** Makes durable every change (write, discard, write-zeroes, fill, compare-and-write, copy), on any queue of the device, whose
     *  completion IIoQueue::poll had returned before the flush was submitted, and nothing else. */
    flush = 3u,
    /** The range's content is not needed any more. */
    discard = 4u,
    /** The range reads as zeroes afterwards. */
    write_zeroes = 5u,
    /** The range is filled with the 8 bytes of IoDescriptor::auxiliary, repeated. */
    fill = 6u,
    /** Compares the buffer with the volume; IoStatus::miscompare where they differ. */
    compare = 7u,
    /** Writes the buffer if the volume holds what IoDescriptor::auxiliary points to (as many bytes, contiguous, aligned like a buffer,
     *  in the same region), else IoStatus::miscompare; atomic against every other compare-and-write of the device. */
    compare_and_write = 8u,
    /** Copies within the volume, from the LBA in IoDescriptor::auxiliary to IoDescriptor::lba; the ranges do not overlap. */
    copy = 9u,
};

/** How a descriptor is to be done. */
enum class IoFlags : uint8_t {
    /** Plainly. */
    none = 0u,
    /** Force unit access: when it completes it is durable by itself. */
    force_unit_access = 1u,
    /** IoDescriptor::segments holds a list of IoDescriptor::segment_count segments instead of one buffer. */
    segments = 2u,
    /** Caches need not keep this data. */
    no_cache = 4u,
    /** A write-zeroes must keep its space allocated: it may not be turned into a hole. */
    no_unmap = 8u,
};
constexpr IoFlags operator|(IoFlags a, IoFlags b) noexcept { return static_cast<IoFlags>(static_cast<uint8_t>(a) | static_cast<uint8_t>(b)); }
constexpr IoFlags operator&(IoFlags a, IoFlags b) noexcept { return static_cast<IoFlags>(static_cast<uint8_t>(a) & static_cast<uint8_t>(b)); }
constexpr IoFlags operator~(IoFlags a) noexcept { return static_cast<IoFlags>(~static_cast<uint8_t>(a)); }
/** Whether any of these is set. */
constexpr bool any(IoFlags a) noexcept { return static_cast<uint8_t>(a) != 0; }

/** The outcome of an I/O: a closed set, version 1. */
enum class IoStatus : uint16_t {
    /** Done, whole: there are no short transfers. */
    success = 0u,
    /** A field of the descriptor breaks the contract (block count 0, too many blocks or segments, bad segment …). */
    invalid_argument = 1u,
    /** The range ends beyond the volume. */
    out_of_range = 2u,
    /** A buffer or segment is not aligned as the volume asks. */
    misaligned = 3u,
    /** The volume does not do this operation, or not in this form. */
    unsupported = 4u,
    /** The volume may not be changed. */
    read_only = 5u,
    /** The medium could not be read or written there. */
    media_error = 6u,
    /** What was read is not what was written: a checksum or label does not match. */
    data_corrupt = 7u,
    /** A compare found a difference. */
    miscompare = 8u,
    /** There is no space left for the write. */
    no_space = 9u,
    /** The device is gone. */
    device_removed = 0xau,
    /** The device failed in a way that has no status of its own. */
    device_failed = 0xbu,
    /** The access was not permitted. */
    permission_denied = 0xcu,
    /** Cancelled by IIoQueue::cancel. */
    cancelled = 0x8001u,
    /** The driver's time was up. */
    timed_out = 0x8002u,
    /** The device has no room for it now. */
    busy = 0x8003u,
    /** Ended by a reset or by IIoQueue::abandon. */
    aborted = 0x8004u,
};

/** How a device fares. */
enum class DeviceState : int32_t {
    /** As it should be. */
    healthy = 0,
    /** Works, with less redundancy or with errors corrected. */
    degraded = 1,
    /** Does not work any more. */
    failed = 2,
};

/** What a volume can do, beyond read, write and flush. */
enum class VolumeCapabilities : uint64_t {
    /** Read, write and flush only. */
    none = UINT64_C(0x0),
    /** Does IoOperation::discard. */
    discard = UINT64_C(0x1),
    /** Does IoOperation::write_zeroes. */
    write_zeroes = UINT64_C(0x2),
    /** Does IoOperation::fill. */
    fill = UINT64_C(0x4),
    /** Does IoOperation::compare. */
    compare = UINT64_C(0x8),
    /** Does IoOperation::compare_and_write, up to VolumeInfo::compare_and_write_blocks. */
    compare_and_write = UINT64_C(0x10),
    /** Does IoOperation::copy. */
    copy = UINT64_C(0x20),
    /** What was discarded reads as zeroes. */
    discard_reads_zero = UINT64_C(0x100),
    /** A completed write may be lost with the power until it is flushed. */
    volatile_cache = UINT64_C(0x200),
    /** Flush and FUA are honest: what they acknowledge survives a power cut. */
    durable_flush = UINT64_C(0x400),
    /** What was written is read again; without it (block/null) reads give anything. */
    retains_data = UINT64_C(0x800),
    /** What was written and flushed is still there after the process ends. */
    persistent = UINT64_C(0x1000),
    /** Every change is refused with IoStatus::read_only. */
    read_only = UINT64_C(0x2000),
    /** Zeroing costs less than writing the same range. */
    fast_zeroes = UINT64_C(0x4000),
};
constexpr VolumeCapabilities operator|(VolumeCapabilities a, VolumeCapabilities b) noexcept { return static_cast<VolumeCapabilities>(static_cast<uint64_t>(a) | static_cast<uint64_t>(b)); }
constexpr VolumeCapabilities operator&(VolumeCapabilities a, VolumeCapabilities b) noexcept { return static_cast<VolumeCapabilities>(static_cast<uint64_t>(a) & static_cast<uint64_t>(b)); }
constexpr VolumeCapabilities operator~(VolumeCapabilities a) noexcept { return static_cast<VolumeCapabilities>(~static_cast<uint64_t>(a)); }
/** Whether any of these is set. */
constexpr bool any(VolumeCapabilities a) noexcept { return static_cast<uint64_t>(a) != 0; }

/** How a queue is opened. */
enum class QueueFlags : uint32_t {
    /** One thread opens, uses and closes it. */
    none = 0u,
    /** The queue may be handed from thread to thread, under a lock that its users hold. */
    movable = 1u,
};
constexpr QueueFlags operator|(QueueFlags a, QueueFlags b) noexcept { return static_cast<QueueFlags>(static_cast<uint32_t>(a) | static_cast<uint32_t>(b)); }
constexpr QueueFlags operator&(QueueFlags a, QueueFlags b) noexcept { return static_cast<QueueFlags>(static_cast<uint32_t>(a) & static_cast<uint32_t>(b)); }
constexpr QueueFlags operator~(QueueFlags a) noexcept { return static_cast<QueueFlags>(~static_cast<uint32_t>(a)); }
/** Whether any of these is set. */
constexpr bool any(QueueFlags a) noexcept { return static_cast<uint32_t>(a) != 0; }

/** The value of IoBufferInfo::iova where there is none. */
constexpr uint64_t io_buffer_info_no_iova = UINT64_C(0xffffffffffffffff);
/** Bytes of a descriptor: one cache line, on whose boundary it lies. */
constexpr int32_t io_descriptor_size = 64;
/** The number of operations. */
constexpr int32_t io_operations_count = 10;
/** The bit that every status carries after which a retry makes sense. */
constexpr uint16_t io_status_extensions_retryable_bit = 0x8000u;
/** The number of slots; slot 0 is not used. */
constexpr int32_t memory_region_max_slots = 4096;
/** The largest depth of a queue. */
constexpr uint32_t queue_options_max_depth = 0x4000u;
/** What IIoQueue::arm returns where there is no deadline. */
constexpr int64_t wait_set_forever = INT64_C(9223372036854775807);

/** A list of file descriptors whose readability ends a sleep; its memory belongs to the reactor. */
struct WaitSet {
    /** The file descriptors. */
    int32_t* descriptors;
    /** Room in WaitSet::descriptors. */
    int32_t capacity;
    /** How many are in use. */
    int32_t count;
};
static_assert(sizeof(WaitSet) == 16, "WaitSet is 16 bytes");
static_assert(offsetof(WaitSet, descriptors) == 0, "WaitSet.descriptors lies at 0");
static_assert(offsetof(WaitSet, capacity) == 8, "WaitSet.capacity lies at 8");
static_assert(offsetof(WaitSet, count) == 12, "WaitSet.count lies at 12");

/** One piece of a scattered buffer: a multiple of the block size long, aligned to the volume's buffer alignment. */
struct IoSegment {
    /** First byte. */
    uint8_t* address;
    /** Length in bytes. */
    uint32_t length;
    /** The registered region that it lies in, or 0. */
    uint32_t region;
};
static_assert(sizeof(IoSegment) == 16, "IoSegment is 16 bytes");
static_assert(offsetof(IoSegment, address) == 0, "IoSegment.address lies at 0");
static_assert(offsetof(IoSegment, length) == 8, "IoSegment.length lies at 8");
static_assert(offsetof(IoSegment, region) == 12, "IoSegment.region lies at 12");

/** One I/O: a cache line of unmanaged memory, the same bytes in every language. */
struct IoDescriptor {
    /** What is asked. */
    IoOperation operation;
    /** How. */
    IoFlags flags;
    /** The outcome; valid once the descriptor is back from IIoQueue::poll. */
    IoStatus status;
    /** Number of segments, with IoFlags::segments. */
    uint16_t segment_count;
    /** Present holder: children that are not back yet. */
    uint16_t pending;
    /** Length in blocks, at least 1; 0 for a flush. */
    uint32_t block_count;
    /** The registered region in which IoDescriptor::buffer lies, or 0 where the submitter does not know. */
    uint32_t region;
    /** First block. */
    uint64_t lba;
    union {
        /** The data, contiguous: block count × block size bytes. */
        uint8_t* buffer;
        /** With IoFlags::segments: the list, caller-owned, unchanged in flight. */
        IoSegment* segments;
    };
    /** The submitter's own; unchanged when the descriptor is back. */
    uint64_t tag;
    /** In a child: the descriptor that it serves. */
    IoDescriptor* parent;
    /** Copy: source LBA. */
    uint64_t auxiliary;
    /** Free for whoever holds the descriptor now; anyone below may overwrite it. */
    uint64_t scratch;
};
static_assert(sizeof(IoDescriptor) == 64, "IoDescriptor is 64 bytes");
static_assert(offsetof(IoDescriptor, operation) == 0, "IoDescriptor.operation lies at 0");
static_assert(offsetof(IoDescriptor, flags) == 1, "IoDescriptor.flags lies at 1");
static_assert(offsetof(IoDescriptor, status) == 2, "IoDescriptor.status lies at 2");
static_assert(offsetof(IoDescriptor, segment_count) == 4, "IoDescriptor.segment_count lies at 4");
static_assert(offsetof(IoDescriptor, pending) == 6, "IoDescriptor.pending lies at 6");
static_assert(offsetof(IoDescriptor, block_count) == 8, "IoDescriptor.block_count lies at 8");
static_assert(offsetof(IoDescriptor, region) == 12, "IoDescriptor.region lies at 12");
static_assert(offsetof(IoDescriptor, lba) == 16, "IoDescriptor.lba lies at 16");
static_assert(offsetof(IoDescriptor, buffer) == 24, "IoDescriptor.buffer lies at 24");
static_assert(offsetof(IoDescriptor, segments) == 24, "IoDescriptor.segments lies at 24");
static_assert(offsetof(IoDescriptor, tag) == 32, "IoDescriptor.tag lies at 32");
static_assert(offsetof(IoDescriptor, parent) == 40, "IoDescriptor.parent lies at 40");
static_assert(offsetof(IoDescriptor, auxiliary) == 48, "IoDescriptor.auxiliary lies at 48");
static_assert(offsetof(IoDescriptor, scratch) == 56, "IoDescriptor.scratch lies at 56");

/** The handle of an I/O buffer, as the registry of the process knows it. 0 is no buffer. */
struct IoBuffer {
    /** Opaque. */
    uint64_t value;
};
static_assert(sizeof(IoBuffer) == 8, "IoBuffer is 8 bytes");
static_assert(offsetof(IoBuffer, value) == 0, "IoBuffer.value lies at 0");

/** Where an I/O buffer lies. */
struct IoBufferInfo {
    /** The virtual address of its first byte. */
    void* address;
    /** Its length in bytes. */
    uint64_t length;
    /** The address that devices use for its first byte (one IOVA, the same for every device); IoBufferInfo::no_iova without an IOMMU. */
    uint64_t iova;
    /** The registered region that it lies in, for IoDescriptor::region; 0 where the memory could not be registered. */
    uint32_t region;
    /** The NUMA node, or -1 where it is not known. */
    int32_t numa_node;
    /** The size of the pages under it, in bytes. */
    uint64_t page_size;
    /** The memfd that backs it, for sharing with another process; -1 where the caller owns the memory. */
    int32_t shared_descriptor;
    /** 1 where the memory is locked and never moves. */
    int32_t locked;
};
static_assert(sizeof(IoBufferInfo) == 48, "IoBufferInfo is 48 bytes");
static_assert(offsetof(IoBufferInfo, address) == 0, "IoBufferInfo.address lies at 0");
static_assert(offsetof(IoBufferInfo, length) == 8, "IoBufferInfo.length lies at 8");
static_assert(offsetof(IoBufferInfo, iova) == 16, "IoBufferInfo.iova lies at 16");
static_assert(offsetof(IoBufferInfo, region) == 24, "IoBufferInfo.region lies at 24");
static_assert(offsetof(IoBufferInfo, numa_node) == 28, "IoBufferInfo.numa_node lies at 28");
static_assert(offsetof(IoBufferInfo, page_size) == 32, "IoBufferInfo.page_size lies at 32");
static_assert(offsetof(IoBufferInfo, shared_descriptor) == 40, "IoBufferInfo.shared_descriptor lies at 40");
static_assert(offsetof(IoBufferInfo, locked) == 44, "IoBufferInfo.locked lies at 44");

/** A piece of memory that is contiguous for a device. */
struct MemoryRun {
    /** The device's address: an IOVA, or a physical address without an IOMMU. */
    uint64_t device_address;
    /** The length in bytes. */
    uint64_t length;
};
static_assert(sizeof(MemoryRun) == 16, "MemoryRun is 16 bytes");
static_assert(offsetof(MemoryRun, device_address) == 0, "MemoryRun.device_address lies at 0");
static_assert(offsetof(MemoryRun, length) == 8, "MemoryRun.length lies at 8");

/** A region of memory that devices may use: a pool, or memory that its owner registered. */
struct MemoryRegion {
    /** Its first byte. */
    void* address;
    /** Its length in bytes. */
    uint64_t length;
    /** Its number: a slot in the lower 12 bits (1 to 4095), above it how often that slot was used. */
    uint32_t region;
    /** Filler. */
    uint32_t reserved;
};
static_assert(sizeof(MemoryRegion) == 24, "MemoryRegion is 24 bytes");
static_assert(offsetof(MemoryRegion, address) == 0, "MemoryRegion.address lies at 0");
static_assert(offsetof(MemoryRegion, length) == 8, "MemoryRegion.length lies at 8");
static_assert(offsetof(MemoryRegion, region) == 16, "MemoryRegion.region lies at 16");
static_assert(offsetof(MemoryRegion, reserved) == 20, "MemoryRegion.reserved lies at 20");

/** Memory that another process can map: a whole anonymous file, sealed against shrinking, and where this process has mapped it. */
struct SharedRange {
    /** The address of its first byte; byte 0 of the file. */
    void* address;
    /** Its length in bytes. */
    uint64_t length;
    /** A number that no other range of this process ever had or will have; never 0. */
    uint64_t id;
    /** The file's descriptor. */
    int32_t descriptor;
    /** Filler, 0. */
    uint32_t reserved;
};
static_assert(sizeof(SharedRange) == 32, "SharedRange is 32 bytes");
static_assert(offsetof(SharedRange, address) == 0, "SharedRange.address lies at 0");
static_assert(offsetof(SharedRange, length) == 8, "SharedRange.length lies at 8");
static_assert(offsetof(SharedRange, id) == 16, "SharedRange.id lies at 16");
static_assert(offsetof(SharedRange, descriptor) == 24, "SharedRange.descriptor lies at 24");
static_assert(offsetof(SharedRange, reserved) == 28, "SharedRange.reserved lies at 28");

/** A partition as its table describes it. */
struct PartitionInfo {
    /** Its number, from 1: the place of its entry in the table. */
    uint32_t number;
    /** Filler. */
    uint32_t reserved;
    /** First block. */
    uint64_t first_lba;
    /** Length in blocks. */
    uint64_t block_count;
    /** Attribute bits as the table has them. */
    uint64_t attributes;
    /** What it is for. */
    Guid type;
    /** Its own identity. */
    Guid unique;
    /** Its name in UTF-8, ending with a zero byte. */
    uint8_t name[112];
};
static_assert(sizeof(PartitionInfo) == 176, "PartitionInfo is 176 bytes");
static_assert(offsetof(PartitionInfo, number) == 0, "PartitionInfo.number lies at 0");
static_assert(offsetof(PartitionInfo, reserved) == 4, "PartitionInfo.reserved lies at 4");
static_assert(offsetof(PartitionInfo, first_lba) == 8, "PartitionInfo.first_lba lies at 8");
static_assert(offsetof(PartitionInfo, block_count) == 16, "PartitionInfo.block_count lies at 16");
static_assert(offsetof(PartitionInfo, attributes) == 24, "PartitionInfo.attributes lies at 24");
static_assert(offsetof(PartitionInfo, type) == 32, "PartitionInfo.type lies at 32");
static_assert(offsetof(PartitionInfo, unique) == 48, "PartitionInfo.unique lies at 48");
static_assert(offsetof(PartitionInfo, name) == 64, "PartitionInfo.name lies at 64");

/** A named region of a device. */
struct RegionInfo {
    /** First block on the device below. */
    uint64_t first_lba;
    /** Length in blocks. */
    uint64_t block_count;
    /** Its identity, given when it was made. */
    Guid unique;
    /** Its name in UTF-8, ending with a zero byte. */
    uint8_t name[112];
};
static_assert(sizeof(RegionInfo) == 144, "RegionInfo is 144 bytes");
static_assert(offsetof(RegionInfo, first_lba) == 0, "RegionInfo.first_lba lies at 0");
static_assert(offsetof(RegionInfo, block_count) == 8, "RegionInfo.block_count lies at 8");
static_assert(offsetof(RegionInfo, unique) == 16, "RegionInfo.unique lies at 16");
static_assert(offsetof(RegionInfo, name) == 32, "RegionInfo.name lies at 32");

/** A composite of member devices. */
struct RaidInfo {
    /** The set's identity, written in every member's label. */
    Guid set;
    /** The number of members of the whole set. */
    uint32_t member_count;
    /** The number of members that may be missing without loss. */
    uint32_t redundancy;
    /** The stripe unit (chunk) in blocks. */
    uint32_t chunk_blocks;
    /** How the set fares. */
    DeviceState state;
};
static_assert(sizeof(RaidInfo) == 32, "RaidInfo is 32 bytes");
static_assert(offsetof(RaidInfo, set) == 0, "RaidInfo.set lies at 0");
static_assert(offsetof(RaidInfo, member_count) == 16, "RaidInfo.member_count lies at 16");
static_assert(offsetof(RaidInfo, redundancy) == 20, "RaidInfo.redundancy lies at 20");
static_assert(offsetof(RaidInfo, chunk_blocks) == 24, "RaidInfo.chunk_blocks lies at 24");
static_assert(offsetof(RaidInfo, state) == 28, "RaidInfo.state lies at 28");

/** A member of a composite. */
struct RaidMember {
    /** Its place in the set, from 0. */
    uint32_t index;
    /** How it fares. */
    DeviceState state;
    /** Its identity, written in its label. */
    Guid unique;
    /** The first block of its data. */
    uint64_t data_lba;
    /** The length of its data in blocks. */
    uint64_t data_blocks;
};
static_assert(sizeof(RaidMember) == 40, "RaidMember is 40 bytes");
static_assert(offsetof(RaidMember, index) == 0, "RaidMember.index lies at 0");
static_assert(offsetof(RaidMember, state) == 4, "RaidMember.state lies at 4");
static_assert(offsetof(RaidMember, unique) == 8, "RaidMember.unique lies at 8");
static_assert(offsetof(RaidMember, data_lba) == 24, "RaidMember.data_lba lies at 24");
static_assert(offsetof(RaidMember, data_blocks) == 32, "RaidMember.data_blocks lies at 32");

/** The geometry and limits of a volume. */
struct VolumeInfo {
    /** Bytes of a block: a power of two from 512 to 65536. */
    uint32_t block_size;
    /** The most blocks that a read, write or compare moves, at least 1. */
    uint32_t max_transfer_blocks;
    /** The volume's length in blocks. */
    uint64_t block_count;
    /** Alignment of buffers and segments in bytes: a power of two, 1 where any address will do. */
    uint32_t buffer_alignment;
    /** The most segments of a descriptor, at least 1. */
    uint32_t max_segments;
    /** Blocks, naturally aligned, that a power cut never tears; at least 1. */
    uint32_t atomic_write_blocks;
    /** The transfer in blocks at whose multiples the volume works best, or 0. */
    uint32_t optimal_io_blocks;
    /** The most blocks of a discard, write-zeroes, fill or copy. */
    uint32_t max_range_blocks;
    /** Discards of less than this, or not aligned to it, may do nothing; in blocks, at least 1. */
    uint32_t discard_granularity_blocks;
    /** The most blocks of a compare-and-write, whose range may not cross a multiple of this; 0 without the capability. */
    uint32_t compare_and_write_blocks;
    /** Filler, 0. */
    uint32_t reserved;
    /** What it can do. */
    VolumeCapabilities capabilities;
    /** Filler, 0. */
    uint8_t reserved_end[8];
};
static_assert(sizeof(VolumeInfo) == 64, "VolumeInfo is 64 bytes");
static_assert(offsetof(VolumeInfo, block_size) == 0, "VolumeInfo.block_size lies at 0");
static_assert(offsetof(VolumeInfo, max_transfer_blocks) == 4, "VolumeInfo.max_transfer_blocks lies at 4");
static_assert(offsetof(VolumeInfo, block_count) == 8, "VolumeInfo.block_count lies at 8");
static_assert(offsetof(VolumeInfo, buffer_alignment) == 16, "VolumeInfo.buffer_alignment lies at 16");
static_assert(offsetof(VolumeInfo, max_segments) == 20, "VolumeInfo.max_segments lies at 20");
static_assert(offsetof(VolumeInfo, atomic_write_blocks) == 24, "VolumeInfo.atomic_write_blocks lies at 24");
static_assert(offsetof(VolumeInfo, optimal_io_blocks) == 28, "VolumeInfo.optimal_io_blocks lies at 28");
static_assert(offsetof(VolumeInfo, max_range_blocks) == 32, "VolumeInfo.max_range_blocks lies at 32");
static_assert(offsetof(VolumeInfo, discard_granularity_blocks) == 36, "VolumeInfo.discard_granularity_blocks lies at 36");
static_assert(offsetof(VolumeInfo, compare_and_write_blocks) == 40, "VolumeInfo.compare_and_write_blocks lies at 40");
static_assert(offsetof(VolumeInfo, reserved) == 44, "VolumeInfo.reserved lies at 44");
static_assert(offsetof(VolumeInfo, capabilities) == 48, "VolumeInfo.capabilities lies at 48");

/** What is asked of a queue when it opens. */
struct QueueOptions {
    /** The most descriptors in flight, 1 to QueueOptions::max_depth. */
    uint32_t depth;
    /** How it is used. */
    QueueFlags flags;
    /** Filler, 0. */
    uint8_t reserved_end[56];
};
static_assert(sizeof(QueueOptions) == 64, "QueueOptions is 64 bytes");
static_assert(offsetof(QueueOptions, depth) == 0, "QueueOptions.depth lies at 0");
static_assert(offsetof(QueueOptions, flags) == 4, "QueueOptions.flags lies at 4");

/** A device's health and error counts since its start. */
struct DeviceHealth {
    /** How it fares. */
    DeviceState state;
    /** Filler. */
    uint32_t reserved;
    /** Reads that failed. */
    uint64_t read_errors;
    /** Changes that failed. */
    uint64_t write_errors;
    /** Flushes that failed. */
    uint64_t flush_errors;
    /** I/Os whose time was up. */
    uint64_t timeouts;
    /** Resets of the device or of a queue. */
    uint64_t resets;
    /** Filler, 0. */
    uint8_t reserved_end[16];
};
static_assert(sizeof(DeviceHealth) == 64, "DeviceHealth is 64 bytes");
static_assert(offsetof(DeviceHealth, state) == 0, "DeviceHealth.state lies at 0");
static_assert(offsetof(DeviceHealth, reserved) == 4, "DeviceHealth.reserved lies at 4");
static_assert(offsetof(DeviceHealth, read_errors) == 8, "DeviceHealth.read_errors lies at 8");
static_assert(offsetof(DeviceHealth, write_errors) == 16, "DeviceHealth.write_errors lies at 16");
static_assert(offsetof(DeviceHealth, flush_errors) == 24, "DeviceHealth.flush_errors lies at 24");
static_assert(offsetof(DeviceHealth, timeouts) == 32, "DeviceHealth.timeouts lies at 32");
static_assert(offsetof(DeviceHealth, resets) == 40, "DeviceHealth.resets lies at 40");

struct IBase;
struct IFactory;
struct IHost;
struct IIoQueue;
struct IZerocopyMemory;
struct ISharedMemory;
struct IPartitionedDevice;
struct IRegionManager;
struct IRaid;
struct IBlockDevice;

/** The root of every component: interface query, reference count, bindings, life cycle. */
struct IBase : IUnknown {
    static constexpr Guid uuid = {0xc0a4c4e0u, 0x0001, 0x4b1e, {0x9a, 0x51, 0x6d, 0x6f, 0x6e, 0x74, 0x65, 0x01}}; // c0a4c4e0-0001-4b1e-9a51-6d6f6e746501
    using base_interface = IUnknown;
    /** Answers the object that implements an interface for this component: the component itself, or, by aggregation, one that it owns. */
    virtual int32_t query(const Guid& interface_id, IBase** result) noexcept = 0; // slot 3
    /** Adds one to the component's count and returns the new count. */
    virtual uint32_t retain() noexcept = 0; // slot 4
    /** Takes one from the component's count and returns what is left; at zero the component is closed before the call returns. */
    virtual uint32_t release() noexcept = 0; // slot 5
    /** Binds this component to another one below it. */
    virtual int32_t bind(IBase* component, const char* role) noexcept = 0; // slot 6
    /** Releases every binding. */
    virtual int32_t unbind() noexcept = 0; // slot 7
    /** Makes the component ready: opens what it stands on, reads and checks labels. */
    virtual int32_t start() noexcept = 0; // slot 8
    /** Ends the component's work and makes its state durable. */
    virtual int32_t stop() noexcept = 0; // slot 9
    /** The version of the component: major in the upper 16 bits, minor in the lower ones. */
    virtual uint32_t get_version() noexcept = 0; // slot 10

protected:
    ~IBase() = default;
};

/** Makes one or more kinds of component. */
struct IFactory : IUnknown {
    static constexpr Guid uuid = {0xc0a4c4e0u, 0x0002, 0x4b1e, {0x9a, 0x51, 0x6d, 0x6f, 0x6e, 0x74, 0x65, 0x01}}; // c0a4c4e0-0002-4b1e-9a51-6d6f6e746501
    using base_interface = IUnknown;
    /** The number of kinds that this factory makes. */
    virtual int32_t get_count() noexcept = 0; // slot 3
    /** Describes one kind as a JSON object: id, uuid, summary, interfaces (UUIDs), binds
     *  ([{"role":"","interface":"uuid","min":1,"max":1}]) and options ([{"name","type","default","min","max","summary","required"}],
     *  where type is one of string, bool, integer, number, size, duration). */
    virtual int32_t describe(int32_t index, char** result) noexcept = 0; // slot 4
    /** Makes a component. */
    virtual int32_t create(const Guid& component_id, IHost* host, const char* options_json, IBase** result) noexcept = 0; // slot 5

protected:
    ~IFactory() = default;
};

/** What a component may use of the process around it: memory, clock, randomness, log, counters, and a way to wait. */
struct IHost : IUnknown {
    static constexpr Guid uuid = {0xc0a4c4e0u, 0x0003, 0x4b1e, {0x9a, 0x51, 0x6d, 0x6f, 0x6e, 0x74, 0x65, 0x01}}; // c0a4c4e0-0003-4b1e-9a51-6d6f6e746501
    using base_interface = IUnknown;
    /** The component's name in its stack, for messages. */
    virtual int32_t get_name(char** result) noexcept = 0; // slot 3
    /** What the stack asks of the component. */
    virtual HostFlags get_flags() noexcept = 0; // slot 4
    /** The one memory registry of the process. */
    virtual int32_t get_memory(IZerocopyMemory** result) noexcept = 0; // slot 5
    /** Monotonic time in nanoseconds since an arbitrary moment. */
    virtual uint64_t get_time() noexcept = 0; // slot 6
    /** Fills memory with random bytes, good enough for identifiers; seeded in a simulated run. */
    virtual void fill_random(void* buffer, size_t length) noexcept = 0; // slot 7
    /** Writes one line to the log. */
    virtual int32_t log(LogLevel level, const char* message) noexcept = 0; // slot 8
    /** Gives a counter: one 8-byte cell in native memory, alone on its cache line, that one thread at a time adds to with plain stores,
     *  and that the host reads and publishes. */
    virtual uint64_t* add_counter(const char* name, const char* unit, const char* description) noexcept = 0; // slot 9
    /** Sleeps until one of the descriptors is readable or the time is up. */
    virtual void wait(WaitSet* wait_set, int64_t timeout_ns) noexcept = 0; // slot 10
    /** Leaves the text of an error behind for the calling thread, so that the failing HRESULT which the component returns next reaches
     *  people with that text. */
    virtual int32_t fail(const char* message) noexcept = 0; // slot 11

protected:
    ~IHost() = default;
};

/** A queue pair: descriptors go down by IIoQueue::submit, and every one that was accepted comes up exactly once, by IIoQueue::poll. */
struct IIoQueue : IUnknown {
    static constexpr Guid uuid = {0xc0a4c4e0u, 0x0011, 0x4b1e, {0x9a, 0x51, 0x6d, 0x6f, 0x6e, 0x74, 0x65, 0x01}}; // c0a4c4e0-0011-4b1e-9a51-6d6f6e746501
    using base_interface = IUnknown;
    /** Takes descriptors from the front of the batch and returns how many it took. */
    virtual int32_t submit(IoDescriptor** batch, int32_t count) noexcept = 0; // slot 3
    /** Drives progress without blocking, stores finished descriptors and returns their number, at most capacity. */
    virtual int32_t poll(IoDescriptor** completed, int32_t capacity) noexcept = 0; // slot 4
    /** Asks that an accepted descriptor end early. */
    virtual int32_t cancel(IoDescriptor* descriptor) noexcept = 0; // slot 5
    /** Readies the queue for a sleep: turns notices on, adds the descriptors whose readability ends the sleep, its children's too, then
     *  looks once more, and returns the nanoseconds to the next deadline: 0 where IIoQueue::poll has something to do now,
     *  WaitSet::forever where only a descriptor or a new submission can bring work. */
    virtual int64_t arm(WaitSet* wait_set) noexcept = 0; // slot 6
    /** Gives up on everything in flight: each comes back from IIoQueue::poll in bounded time, with IoStatus::aborted where it was not
     *  done by then. */
    virtual void abandon() noexcept = 0; // slot 7
    /** Closes the queue. */
    virtual int32_t close() noexcept = 0; // slot 8

protected:
    ~IIoQueue() = default;
};

/** Memory that is made for DMA: locked, never moved, known to every device of the process (the paper's appendix A). */
struct IZerocopyMemory : IBase {
    static constexpr Guid uuid = {0xc0a4c4e0u, 0x0010, 0x4b1e, {0x9a, 0x51, 0x6d, 0x6f, 0x6e, 0x74, 0x65, 0x01}}; // c0a4c4e0-0010-4b1e-9a51-6d6f6e746501
    using base_interface = IBase;
    /** Allocates an I/O buffer. */
    virtual int32_t allocate_io_buffer(size_t size, uint32_t alignment, int32_t numa_node, IoBuffer* result) noexcept = 0; // slot 11
    /** Changes the size of a buffer; the handle stays, the address may change, the content is kept up to the smaller size and is zero
     *  beyond. */
    virtual int32_t reallocate_io_buffer(IoBuffer buffer, size_t size, uint32_t alignment) noexcept = 0; // slot 12
    /** Frees a buffer that was allocated here. */
    virtual int32_t free_io_buffer(IoBuffer buffer) noexcept = 0; // slot 13
    /** Registers memory that the caller owns and keeps in place until IZerocopyMemory::unregister_memory: locked, and mapped for every
     *  device. */
    virtual int32_t register_memory(void* address, size_t length, IoBuffer* result) noexcept = 0; // slot 14
    /** Takes registered memory back. */
    virtual int32_t unregister_memory(IoBuffer buffer) noexcept = 0; // slot 15
    /** Says where a buffer lies. */
    virtual int32_t get_buffer_info(IoBuffer buffer, IoBufferInfo* info) noexcept = 0; // slot 16
    /** Gives the pieces of a range of registered memory that are contiguous for a device, in order. */
    virtual int32_t translate(void* address, size_t length, MemoryRun* runs, int32_t capacity, int32_t* result) noexcept = 0; // slot 17
    /** Lists the regions that live, for a device that opens late. */
    virtual int32_t get_regions(MemoryRegion* regions, int32_t capacity, int32_t* result) noexcept = 0; // slot 18
    /** The address of a counter that changes with every region that comes or goes: a queue reads it once per batch and fetches
     *  IZerocopyMemory::get_regions anew when it moved. */
    virtual uint64_t* get_generation() noexcept = 0; // slot 19

protected:
    ~IZerocopyMemory() = default;
};

/** What memory offers that can be shared with other processes; asked of IHost::get_memory by IBase::query. */
struct ISharedMemory : IBase {
    static constexpr Guid uuid = {0xc0a4c4e0u, 0x0013, 0x4b1e, {0x9a, 0x51, 0x6d, 0x6f, 0x6e, 0x74, 0x65, 0x01}}; // c0a4c4e0-0013-4b1e-9a51-6d6f6e746501
    using base_interface = IBase;
    /** Finds the range that an address lies in; returns 1, or 0 where it lies in none. */
    virtual int32_t find_shared(void* address, SharedRange* range) noexcept = 0; // slot 11

protected:
    ~ISharedMemory() = default;
};

/** A device that is divided into numbered partitions, each of which is a block device. */
struct IPartitionedDevice : IBase {
    static constexpr Guid uuid = {0xc0a4c4e0u, 0x0020, 0x4b1e, {0x9a, 0x51, 0x6d, 0x6f, 0x6e, 0x74, 0x65, 0x01}}; // c0a4c4e0-0020-4b1e-9a51-6d6f6e746501
    using base_interface = IBase;
    /** The number of partitions in use. */
    virtual int32_t get_partition_count(int32_t* result) noexcept = 0; // slot 11
    /** Describes a partition by its place in the list, in order of number. */
    virtual int32_t get_partition(int32_t index, PartitionInfo* info) noexcept = 0; // slot 12
    /** Opens a partition by number. */
    virtual int32_t open_partition(uint32_t number, IBlockDevice** result) noexcept = 0; // slot 13
    /** Makes a partition and returns its number. */
    virtual int32_t create_partition(const char* name, uint64_t first_lba, uint64_t block_count, const Guid& type, uint32_t* result) noexcept = 0; // slot 14
    /** Takes a partition out of the table. */
    virtual int32_t delete_partition(uint32_t number) noexcept = 0; // slot 15

protected:
    ~IPartitionedDevice() = default;
};

/** Divides a device into regions that are known by name. */
struct IRegionManager : IBase {
    static constexpr Guid uuid = {0xc0a4c4e0u, 0x0021, 0x4b1e, {0x9a, 0x51, 0x6d, 0x6f, 0x6e, 0x74, 0x65, 0x01}}; // c0a4c4e0-0021-4b1e-9a51-6d6f6e746501
    using base_interface = IBase;
    /** Opens the region of this name if there is one of at least this length, else makes one. */
    virtual int32_t reuse_or_allocate(const char* name, uint64_t block_count, uint64_t alignment, IBlockDevice** result) noexcept = 0; // slot 11
    /** Opens the region of this name. */
    virtual int32_t open_region(const char* name, IBlockDevice** result) noexcept = 0; // slot 12
    /** Deletes a region. */
    virtual int32_t delete_region(const char* name) noexcept = 0; // slot 13
    /** The number of regions. */
    virtual int32_t get_region_count(int32_t* result) noexcept = 0; // slot 14
    /** Describes a region by its place in the list, in order of first block. */
    virtual int32_t get_region(int32_t index, RegionInfo* info) noexcept = 0; // slot 15
    /** Blocks that belong to no region. */
    virtual int32_t get_free_blocks(uint64_t* result) noexcept = 0; // slot 16
    /** The longest range of such blocks. */
    virtual int32_t get_largest_free_range(uint64_t* result) noexcept = 0; // slot 17

protected:
    ~IRegionManager() = default;
};

/** What can be asked of a device that is made of members. */
struct IRaid : IBase {
    static constexpr Guid uuid = {0xc0a4c4e0u, 0x0022, 0x4b1e, {0x9a, 0x51, 0x6d, 0x6f, 0x6e, 0x74, 0x65, 0x01}}; // c0a4c4e0-0022-4b1e-9a51-6d6f6e746501
    using base_interface = IBase;
    /** Describes the set. */
    virtual int32_t get_raid_info(RaidInfo* info) noexcept = 0; // slot 11
    /** Describes a member. */
    virtual int32_t get_member(uint32_t index, RaidMember* member) noexcept = 0; // slot 12

protected:
    ~IRaid() = default;
};

/** A volume of blocks. */
struct IBlockDevice : IZerocopyMemory {
    static constexpr Guid uuid = {0xc0a4c4e0u, 0x0012, 0x4b1e, {0x9a, 0x51, 0x6d, 0x6f, 0x6e, 0x74, 0x65, 0x01}}; // c0a4c4e0-0012-4b1e-9a51-6d6f6e746501
    using base_interface = IZerocopyMemory;
    /** Gives geometry and limits. */
    virtual int32_t get_volume_info(VolumeInfo* info) noexcept = 0; // slot 20
    /** Opens a queue, owned by the calling thread. */
    virtual int32_t open_queue(QueueOptions* options, IIoQueue** result) noexcept = 0; // slot 21
    /** A number that grows with every notice of this device or one below it: resized, degraded, restored, removed. */
    virtual uint64_t get_event_number() noexcept = 0; // slot 22
    /** Says how the device fares. */
    virtual int32_t get_health(DeviceHealth* health) noexcept = 0; // slot 23

protected:
    ~IBlockDevice() = default;
};

} // namespace comanche

/** The one function that a component library exports: answers its factory, with a reference that the caller owns. */
extern "C" __attribute__((visibility("default"))) int32_t comanche_factory(void** factory);

#else /* C */

/** A UUID: the number of an interface or of a component. */
typedef struct comanche_guid {
    uint32_t data1;
    uint16_t data2;
    uint16_t data3;
    uint8_t data4[8];
} comanche_guid_t;
_Static_assert(sizeof(comanche_guid_t) == 16, "comanche_guid_t is 16 bytes");

static const comanche_guid_t COMANCHE_IID_UNKNOWN = {0, 0, 0, {0xc0, 0, 0, 0, 0, 0, 0, 0x46}};

/** What the stack file and the command line ask of every component. */
typedef uint32_t comanche_host_flags_t;
/** Nothing special. */
#define COMANCHE_HOST_FLAGS_NONE ((comanche_host_flags_t)0u)
/** The component must not change its media: it opens them read-only, creates nothing, repairs nothing. */
#define COMANCHE_HOST_FLAGS_READ_ONLY ((comanche_host_flags_t)1u)

/** How much a log line matters. */
typedef int32_t comanche_log_level_t;
/** For whoever looks into a problem. */
#define COMANCHE_LOG_LEVEL_DEBUG ((comanche_log_level_t)0)
/** What happened. */
#define COMANCHE_LOG_LEVEL_INFORMATION ((comanche_log_level_t)1)
/** Works, but not as asked, or not for long. */
#define COMANCHE_LOG_LEVEL_WARNING ((comanche_log_level_t)2)
/** Something failed. */
#define COMANCHE_LOG_LEVEL_ERROR ((comanche_log_level_t)3)

/** What a descriptor asks for. */
typedef uint8_t comanche_io_operation_t;
/** Nothing: comes back with success. */
#define COMANCHE_IO_OPERATION_NONE ((comanche_io_operation_t)0u)
/** Volume to buffer. */
#define COMANCHE_IO_OPERATION_READ ((comanche_io_operation_t)1u)
/** Buffer to volume. */
#define COMANCHE_IO_OPERATION_WRITE ((comanche_io_operation_t)2u)
/** Makes durable every change (write, discard, write-zeroes, fill, compare-and-write, copy), on any queue of the device, whose
 *  completion IIoQueue::poll had returned before the flush was submitted, and nothing else. */
#define COMANCHE_IO_OPERATION_FLUSH ((comanche_io_operation_t)3u)
/** The range's content is not needed any more. */
#define COMANCHE_IO_OPERATION_DISCARD ((comanche_io_operation_t)4u)
/** The range reads as zeroes afterwards. */
#define COMANCHE_IO_OPERATION_WRITE_ZEROES ((comanche_io_operation_t)5u)
/** The range is filled with the 8 bytes of IoDescriptor::auxiliary, repeated. */
#define COMANCHE_IO_OPERATION_FILL ((comanche_io_operation_t)6u)
/** Compares the buffer with the volume; IoStatus::miscompare where they differ. */
#define COMANCHE_IO_OPERATION_COMPARE ((comanche_io_operation_t)7u)
/** Writes the buffer if the volume holds what IoDescriptor::auxiliary points to (as many bytes, contiguous, aligned like a buffer, in
 *  the same region), else IoStatus::miscompare; atomic against every other compare-and-write of the device. */
#define COMANCHE_IO_OPERATION_COMPARE_AND_WRITE ((comanche_io_operation_t)8u)
/** Copies within the volume, from the LBA in IoDescriptor::auxiliary to IoDescriptor::lba; the ranges do not overlap. */
#define COMANCHE_IO_OPERATION_COPY ((comanche_io_operation_t)9u)

/** How a descriptor is to be done. */
typedef uint8_t comanche_io_flags_t;
/** Plainly. */
#define COMANCHE_IO_FLAGS_NONE ((comanche_io_flags_t)0u)
/** Force unit access: when it completes it is durable by itself. */
#define COMANCHE_IO_FLAGS_FORCE_UNIT_ACCESS ((comanche_io_flags_t)1u)
/** IoDescriptor::segments holds a list of IoDescriptor::segment_count segments instead of one buffer. */
#define COMANCHE_IO_FLAGS_SEGMENTS ((comanche_io_flags_t)2u)
/** Caches need not keep this data. */
#define COMANCHE_IO_FLAGS_NO_CACHE ((comanche_io_flags_t)4u)
/** A write-zeroes must keep its space allocated: it may not be turned into a hole. */
#define COMANCHE_IO_FLAGS_NO_UNMAP ((comanche_io_flags_t)8u)

/** The outcome of an I/O: a closed set, version 1. */
typedef uint16_t comanche_io_status_t;
/** Done, whole: there are no short transfers. */
#define COMANCHE_IO_STATUS_SUCCESS ((comanche_io_status_t)0u)
/** A field of the descriptor breaks the contract (block count 0, too many blocks or segments, bad segment …). */
#define COMANCHE_IO_STATUS_INVALID_ARGUMENT ((comanche_io_status_t)1u)
/** The range ends beyond the volume. */
#define COMANCHE_IO_STATUS_OUT_OF_RANGE ((comanche_io_status_t)2u)
/** A buffer or segment is not aligned as the volume asks. */
#define COMANCHE_IO_STATUS_MISALIGNED ((comanche_io_status_t)3u)
/** The volume does not do this operation, or not in this form. */
#define COMANCHE_IO_STATUS_UNSUPPORTED ((comanche_io_status_t)4u)
/** The volume may not be changed. */
#define COMANCHE_IO_STATUS_READ_ONLY ((comanche_io_status_t)5u)
/** The medium could not be read or written there. */
#define COMANCHE_IO_STATUS_MEDIA_ERROR ((comanche_io_status_t)6u)
/** What was read is not what was written: a checksum or label does not match. */
#define COMANCHE_IO_STATUS_DATA_CORRUPT ((comanche_io_status_t)7u)
/** A compare found a difference. */
#define COMANCHE_IO_STATUS_MISCOMPARE ((comanche_io_status_t)8u)
/** There is no space left for the write. */
#define COMANCHE_IO_STATUS_NO_SPACE ((comanche_io_status_t)9u)
/** The device is gone. */
#define COMANCHE_IO_STATUS_DEVICE_REMOVED ((comanche_io_status_t)0xau)
/** The device failed in a way that has no status of its own. */
#define COMANCHE_IO_STATUS_DEVICE_FAILED ((comanche_io_status_t)0xbu)
/** The access was not permitted. */
#define COMANCHE_IO_STATUS_PERMISSION_DENIED ((comanche_io_status_t)0xcu)
/** Cancelled by IIoQueue::cancel. */
#define COMANCHE_IO_STATUS_CANCELLED ((comanche_io_status_t)0x8001u)
/** The driver's time was up. */
#define COMANCHE_IO_STATUS_TIMED_OUT ((comanche_io_status_t)0x8002u)
/** The device has no room for it now. */
#define COMANCHE_IO_STATUS_BUSY ((comanche_io_status_t)0x8003u)
/** Ended by a reset or by IIoQueue::abandon. */
#define COMANCHE_IO_STATUS_ABORTED ((comanche_io_status_t)0x8004u)

/** How a device fares. */
typedef int32_t comanche_device_state_t;
/** As it should be. */
#define COMANCHE_DEVICE_STATE_HEALTHY ((comanche_device_state_t)0)
/** Works, with less redundancy or with errors corrected. */
#define COMANCHE_DEVICE_STATE_DEGRADED ((comanche_device_state_t)1)
/** Does not work any more. */
#define COMANCHE_DEVICE_STATE_FAILED ((comanche_device_state_t)2)

/** What a volume can do, beyond read, write and flush. */
typedef uint64_t comanche_volume_capabilities_t;
/** Read, write and flush only. */
#define COMANCHE_VOLUME_CAPABILITIES_NONE ((comanche_volume_capabilities_t)UINT64_C(0x0))
/** Does IoOperation::discard. */
#define COMANCHE_VOLUME_CAPABILITIES_DISCARD ((comanche_volume_capabilities_t)UINT64_C(0x1))
/** Does IoOperation::write_zeroes. */
#define COMANCHE_VOLUME_CAPABILITIES_WRITE_ZEROES ((comanche_volume_capabilities_t)UINT64_C(0x2))
/** Does IoOperation::fill. */
#define COMANCHE_VOLUME_CAPABILITIES_FILL ((comanche_volume_capabilities_t)UINT64_C(0x4))
/** Does IoOperation::compare. */
#define COMANCHE_VOLUME_CAPABILITIES_COMPARE ((comanche_volume_capabilities_t)UINT64_C(0x8))
/** Does IoOperation::compare_and_write, up to VolumeInfo::compare_and_write_blocks. */
#define COMANCHE_VOLUME_CAPABILITIES_COMPARE_AND_WRITE ((comanche_volume_capabilities_t)UINT64_C(0x10))
/** Does IoOperation::copy. */
#define COMANCHE_VOLUME_CAPABILITIES_COPY ((comanche_volume_capabilities_t)UINT64_C(0x20))
/** What was discarded reads as zeroes. */
#define COMANCHE_VOLUME_CAPABILITIES_DISCARD_READS_ZERO ((comanche_volume_capabilities_t)UINT64_C(0x100))
/** A completed write may be lost with the power until it is flushed. */
#define COMANCHE_VOLUME_CAPABILITIES_VOLATILE_CACHE ((comanche_volume_capabilities_t)UINT64_C(0x200))
/** Flush and FUA are honest: what they acknowledge survives a power cut. */
#define COMANCHE_VOLUME_CAPABILITIES_DURABLE_FLUSH ((comanche_volume_capabilities_t)UINT64_C(0x400))
/** What was written is read again; without it (block/null) reads give anything. */
#define COMANCHE_VOLUME_CAPABILITIES_RETAINS_DATA ((comanche_volume_capabilities_t)UINT64_C(0x800))
/** What was written and flushed is still there after the process ends. */
#define COMANCHE_VOLUME_CAPABILITIES_PERSISTENT ((comanche_volume_capabilities_t)UINT64_C(0x1000))
/** Every change is refused with IoStatus::read_only. */
#define COMANCHE_VOLUME_CAPABILITIES_READ_ONLY ((comanche_volume_capabilities_t)UINT64_C(0x2000))
/** Zeroing costs less than writing the same range. */
#define COMANCHE_VOLUME_CAPABILITIES_FAST_ZEROES ((comanche_volume_capabilities_t)UINT64_C(0x4000))

/** How a queue is opened. */
typedef uint32_t comanche_queue_flags_t;
/** One thread opens, uses and closes it. */
#define COMANCHE_QUEUE_FLAGS_NONE ((comanche_queue_flags_t)0u)
/** The queue may be handed from thread to thread, under a lock that its users hold. */
#define COMANCHE_QUEUE_FLAGS_MOVABLE ((comanche_queue_flags_t)1u)

/** The value of IoBufferInfo::iova where there is none. */
#define COMANCHE_IO_BUFFER_INFO_NO_IOVA ((uint64_t)UINT64_C(0xffffffffffffffff))
/** Bytes of a descriptor: one cache line, on whose boundary it lies. */
#define COMANCHE_IO_DESCRIPTOR_SIZE ((int32_t)64)
/** The number of operations. */
#define COMANCHE_IO_OPERATIONS_COUNT ((int32_t)10)
/** The bit that every status carries after which a retry makes sense. */
#define COMANCHE_IO_STATUS_EXTENSIONS_RETRYABLE_BIT ((uint16_t)0x8000u)
/** The number of slots; slot 0 is not used. */
#define COMANCHE_MEMORY_REGION_MAX_SLOTS ((int32_t)4096)
/** The largest depth of a queue. */
#define COMANCHE_QUEUE_OPTIONS_MAX_DEPTH ((uint32_t)0x4000u)
/** What IIoQueue::arm returns where there is no deadline. */
#define COMANCHE_WAIT_SET_FOREVER ((int64_t)INT64_C(9223372036854775807))

/** A list of file descriptors whose readability ends a sleep; its memory belongs to the reactor. */
typedef struct comanche_wait_set comanche_wait_set_t;
struct comanche_wait_set {
    /** The file descriptors. */
    int32_t* descriptors;
    /** Room in WaitSet::descriptors. */
    int32_t capacity;
    /** How many are in use. */
    int32_t count;
};
_Static_assert(sizeof(comanche_wait_set_t) == 16, "comanche_wait_set_t is 16 bytes");
_Static_assert(offsetof(comanche_wait_set_t, descriptors) == 0, "comanche_wait_set_t.descriptors lies at 0");
_Static_assert(offsetof(comanche_wait_set_t, capacity) == 8, "comanche_wait_set_t.capacity lies at 8");
_Static_assert(offsetof(comanche_wait_set_t, count) == 12, "comanche_wait_set_t.count lies at 12");

/** One piece of a scattered buffer: a multiple of the block size long, aligned to the volume's buffer alignment. */
typedef struct comanche_io_segment comanche_io_segment_t;
struct comanche_io_segment {
    /** First byte. */
    uint8_t* address;
    /** Length in bytes. */
    uint32_t length;
    /** The registered region that it lies in, or 0. */
    uint32_t region;
};
_Static_assert(sizeof(comanche_io_segment_t) == 16, "comanche_io_segment_t is 16 bytes");
_Static_assert(offsetof(comanche_io_segment_t, address) == 0, "comanche_io_segment_t.address lies at 0");
_Static_assert(offsetof(comanche_io_segment_t, length) == 8, "comanche_io_segment_t.length lies at 8");
_Static_assert(offsetof(comanche_io_segment_t, region) == 12, "comanche_io_segment_t.region lies at 12");

/** One I/O: a cache line of unmanaged memory, the same bytes in every language. */
typedef struct comanche_io_descriptor comanche_io_descriptor_t;
struct comanche_io_descriptor {
    /** What is asked. */
    comanche_io_operation_t operation;
    /** How. */
    comanche_io_flags_t flags;
    /** The outcome; valid once the descriptor is back from IIoQueue::poll. */
    comanche_io_status_t status;
    /** Number of segments, with IoFlags::segments. */
    uint16_t segment_count;
    /** Present holder: children that are not back yet. */
    uint16_t pending;
    /** Length in blocks, at least 1; 0 for a flush. */
    uint32_t block_count;
    /** The registered region in which IoDescriptor::buffer lies, or 0 where the submitter does not know. */
    uint32_t region;
    /** First block. */
    uint64_t lba;
    union {
        /** The data, contiguous: block count × block size bytes. */
        uint8_t* buffer;
        /** With IoFlags::segments: the list, caller-owned, unchanged in flight. */
        comanche_io_segment_t* segments;
    };
    /** The submitter's own; unchanged when the descriptor is back. */
    uint64_t tag;
    /** In a child: the descriptor that it serves. */
    comanche_io_descriptor_t* parent;
    /** Copy: source LBA. */
    uint64_t auxiliary;
    /** Free for whoever holds the descriptor now; anyone below may overwrite it. */
    uint64_t scratch;
};
_Static_assert(sizeof(comanche_io_descriptor_t) == 64, "comanche_io_descriptor_t is 64 bytes");
_Static_assert(offsetof(comanche_io_descriptor_t, operation) == 0, "comanche_io_descriptor_t.operation lies at 0");
_Static_assert(offsetof(comanche_io_descriptor_t, flags) == 1, "comanche_io_descriptor_t.flags lies at 1");
_Static_assert(offsetof(comanche_io_descriptor_t, status) == 2, "comanche_io_descriptor_t.status lies at 2");
_Static_assert(offsetof(comanche_io_descriptor_t, segment_count) == 4, "comanche_io_descriptor_t.segment_count lies at 4");
_Static_assert(offsetof(comanche_io_descriptor_t, pending) == 6, "comanche_io_descriptor_t.pending lies at 6");
_Static_assert(offsetof(comanche_io_descriptor_t, block_count) == 8, "comanche_io_descriptor_t.block_count lies at 8");
_Static_assert(offsetof(comanche_io_descriptor_t, region) == 12, "comanche_io_descriptor_t.region lies at 12");
_Static_assert(offsetof(comanche_io_descriptor_t, lba) == 16, "comanche_io_descriptor_t.lba lies at 16");
_Static_assert(offsetof(comanche_io_descriptor_t, buffer) == 24, "comanche_io_descriptor_t.buffer lies at 24");
_Static_assert(offsetof(comanche_io_descriptor_t, segments) == 24, "comanche_io_descriptor_t.segments lies at 24");
_Static_assert(offsetof(comanche_io_descriptor_t, tag) == 32, "comanche_io_descriptor_t.tag lies at 32");
_Static_assert(offsetof(comanche_io_descriptor_t, parent) == 40, "comanche_io_descriptor_t.parent lies at 40");
_Static_assert(offsetof(comanche_io_descriptor_t, auxiliary) == 48, "comanche_io_descriptor_t.auxiliary lies at 48");
_Static_assert(offsetof(comanche_io_descriptor_t, scratch) == 56, "comanche_io_descriptor_t.scratch lies at 56");

/** The handle of an I/O buffer, as the registry of the process knows it. 0 is no buffer. */
typedef struct comanche_io_buffer comanche_io_buffer_t;
struct comanche_io_buffer {
    /** Opaque. */
    uint64_t value;
};
_Static_assert(sizeof(comanche_io_buffer_t) == 8, "comanche_io_buffer_t is 8 bytes");
_Static_assert(offsetof(comanche_io_buffer_t, value) == 0, "comanche_io_buffer_t.value lies at 0");

/** Where an I/O buffer lies. */
typedef struct comanche_io_buffer_info comanche_io_buffer_info_t;
struct comanche_io_buffer_info {
    /** The virtual address of its first byte. */
    void* address;
    /** Its length in bytes. */
    uint64_t length;
    /** The address that devices use for its first byte (one IOVA, the same for every device); IoBufferInfo::no_iova without an IOMMU. */
    uint64_t iova;
    /** The registered region that it lies in, for IoDescriptor::region; 0 where the memory could not be registered. */
    uint32_t region;
    /** The NUMA node, or -1 where it is not known. */
    int32_t numa_node;
    /** The size of the pages under it, in bytes. */
    uint64_t page_size;
    /** The memfd that backs it, for sharing with another process; -1 where the caller owns the memory. */
    int32_t shared_descriptor;
    /** 1 where the memory is locked and never moves. */
    int32_t locked;
};
_Static_assert(sizeof(comanche_io_buffer_info_t) == 48, "comanche_io_buffer_info_t is 48 bytes");
_Static_assert(offsetof(comanche_io_buffer_info_t, address) == 0, "comanche_io_buffer_info_t.address lies at 0");
_Static_assert(offsetof(comanche_io_buffer_info_t, length) == 8, "comanche_io_buffer_info_t.length lies at 8");
_Static_assert(offsetof(comanche_io_buffer_info_t, iova) == 16, "comanche_io_buffer_info_t.iova lies at 16");
_Static_assert(offsetof(comanche_io_buffer_info_t, region) == 24, "comanche_io_buffer_info_t.region lies at 24");
_Static_assert(offsetof(comanche_io_buffer_info_t, numa_node) == 28, "comanche_io_buffer_info_t.numa_node lies at 28");
_Static_assert(offsetof(comanche_io_buffer_info_t, page_size) == 32, "comanche_io_buffer_info_t.page_size lies at 32");
_Static_assert(offsetof(comanche_io_buffer_info_t, shared_descriptor) == 40, "comanche_io_buffer_info_t.shared_descriptor lies at 40");
_Static_assert(offsetof(comanche_io_buffer_info_t, locked) == 44, "comanche_io_buffer_info_t.locked lies at 44");

/** A piece of memory that is contiguous for a device. */
typedef struct comanche_memory_run comanche_memory_run_t;
struct comanche_memory_run {
    /** The device's address: an IOVA, or a physical address without an IOMMU. */
    uint64_t device_address;
    /** The length in bytes. */
    uint64_t length;
};
_Static_assert(sizeof(comanche_memory_run_t) == 16, "comanche_memory_run_t is 16 bytes");
_Static_assert(offsetof(comanche_memory_run_t, device_address) == 0, "comanche_memory_run_t.device_address lies at 0");
_Static_assert(offsetof(comanche_memory_run_t, length) == 8, "comanche_memory_run_t.length lies at 8");

/** A region of memory that devices may use: a pool, or memory that its owner registered. */
typedef struct comanche_memory_region comanche_memory_region_t;
struct comanche_memory_region {
    /** Its first byte. */
    void* address;
    /** Its length in bytes. */
    uint64_t length;
    /** Its number: a slot in the lower 12 bits (1 to 4095), above it how often that slot was used. */
    uint32_t region;
    /** Filler. */
    uint32_t reserved;
};
_Static_assert(sizeof(comanche_memory_region_t) == 24, "comanche_memory_region_t is 24 bytes");
_Static_assert(offsetof(comanche_memory_region_t, address) == 0, "comanche_memory_region_t.address lies at 0");
_Static_assert(offsetof(comanche_memory_region_t, length) == 8, "comanche_memory_region_t.length lies at 8");
_Static_assert(offsetof(comanche_memory_region_t, region) == 16, "comanche_memory_region_t.region lies at 16");
_Static_assert(offsetof(comanche_memory_region_t, reserved) == 20, "comanche_memory_region_t.reserved lies at 20");

/** Memory that another process can map: a whole anonymous file, sealed against shrinking, and where this process has mapped it. */
typedef struct comanche_shared_range comanche_shared_range_t;
struct comanche_shared_range {
    /** The address of its first byte; byte 0 of the file. */
    void* address;
    /** Its length in bytes. */
    uint64_t length;
    /** A number that no other range of this process ever had or will have; never 0. */
    uint64_t id;
    /** The file's descriptor. */
    int32_t descriptor;
    /** Filler, 0. */
    uint32_t reserved;
};
_Static_assert(sizeof(comanche_shared_range_t) == 32, "comanche_shared_range_t is 32 bytes");
_Static_assert(offsetof(comanche_shared_range_t, address) == 0, "comanche_shared_range_t.address lies at 0");
_Static_assert(offsetof(comanche_shared_range_t, length) == 8, "comanche_shared_range_t.length lies at 8");
_Static_assert(offsetof(comanche_shared_range_t, id) == 16, "comanche_shared_range_t.id lies at 16");
_Static_assert(offsetof(comanche_shared_range_t, descriptor) == 24, "comanche_shared_range_t.descriptor lies at 24");
_Static_assert(offsetof(comanche_shared_range_t, reserved) == 28, "comanche_shared_range_t.reserved lies at 28");

/** A partition as its table describes it. */
typedef struct comanche_partition_info comanche_partition_info_t;
struct comanche_partition_info {
    /** Its number, from 1: the place of its entry in the table. */
    uint32_t number;
    /** Filler. */
    uint32_t reserved;
    /** First block. */
    uint64_t first_lba;
    /** Length in blocks. */
    uint64_t block_count;
    /** Attribute bits as the table has them. */
    uint64_t attributes;
    /** What it is for. */
    comanche_guid_t type;
    /** Its own identity. */
    comanche_guid_t unique;
    /** Its name in UTF-8, ending with a zero byte. */
    uint8_t name[112];
};
_Static_assert(sizeof(comanche_partition_info_t) == 176, "comanche_partition_info_t is 176 bytes");
_Static_assert(offsetof(comanche_partition_info_t, number) == 0, "comanche_partition_info_t.number lies at 0");
_Static_assert(offsetof(comanche_partition_info_t, reserved) == 4, "comanche_partition_info_t.reserved lies at 4");
_Static_assert(offsetof(comanche_partition_info_t, first_lba) == 8, "comanche_partition_info_t.first_lba lies at 8");
_Static_assert(offsetof(comanche_partition_info_t, block_count) == 16, "comanche_partition_info_t.block_count lies at 16");
_Static_assert(offsetof(comanche_partition_info_t, attributes) == 24, "comanche_partition_info_t.attributes lies at 24");
_Static_assert(offsetof(comanche_partition_info_t, type) == 32, "comanche_partition_info_t.type lies at 32");
_Static_assert(offsetof(comanche_partition_info_t, unique) == 48, "comanche_partition_info_t.unique lies at 48");
_Static_assert(offsetof(comanche_partition_info_t, name) == 64, "comanche_partition_info_t.name lies at 64");

/** A named region of a device. */
typedef struct comanche_region_info comanche_region_info_t;
struct comanche_region_info {
    /** First block on the device below. */
    uint64_t first_lba;
    /** Length in blocks. */
    uint64_t block_count;
    /** Its identity, given when it was made. */
    comanche_guid_t unique;
    /** Its name in UTF-8, ending with a zero byte. */
    uint8_t name[112];
};
_Static_assert(sizeof(comanche_region_info_t) == 144, "comanche_region_info_t is 144 bytes");
_Static_assert(offsetof(comanche_region_info_t, first_lba) == 0, "comanche_region_info_t.first_lba lies at 0");
_Static_assert(offsetof(comanche_region_info_t, block_count) == 8, "comanche_region_info_t.block_count lies at 8");
_Static_assert(offsetof(comanche_region_info_t, unique) == 16, "comanche_region_info_t.unique lies at 16");
_Static_assert(offsetof(comanche_region_info_t, name) == 32, "comanche_region_info_t.name lies at 32");

/** A composite of member devices. */
typedef struct comanche_raid_info comanche_raid_info_t;
struct comanche_raid_info {
    /** The set's identity, written in every member's label. */
    comanche_guid_t set;
    /** The number of members of the whole set. */
    uint32_t member_count;
    /** The number of members that may be missing without loss. */
    uint32_t redundancy;
    /** The stripe unit (chunk) in blocks. */
    uint32_t chunk_blocks;
    /** How the set fares. */
    comanche_device_state_t state;
};
_Static_assert(sizeof(comanche_raid_info_t) == 32, "comanche_raid_info_t is 32 bytes");
_Static_assert(offsetof(comanche_raid_info_t, set) == 0, "comanche_raid_info_t.set lies at 0");
_Static_assert(offsetof(comanche_raid_info_t, member_count) == 16, "comanche_raid_info_t.member_count lies at 16");
_Static_assert(offsetof(comanche_raid_info_t, redundancy) == 20, "comanche_raid_info_t.redundancy lies at 20");
_Static_assert(offsetof(comanche_raid_info_t, chunk_blocks) == 24, "comanche_raid_info_t.chunk_blocks lies at 24");
_Static_assert(offsetof(comanche_raid_info_t, state) == 28, "comanche_raid_info_t.state lies at 28");

/** A member of a composite. */
typedef struct comanche_raid_member comanche_raid_member_t;
struct comanche_raid_member {
    /** Its place in the set, from 0. */
    uint32_t index;
    /** How it fares. */
    comanche_device_state_t state;
    /** Its identity, written in its label. */
    comanche_guid_t unique;
    /** The first block of its data. */
    uint64_t data_lba;
    /** The length of its data in blocks. */
    uint64_t data_blocks;
};
_Static_assert(sizeof(comanche_raid_member_t) == 40, "comanche_raid_member_t is 40 bytes");
_Static_assert(offsetof(comanche_raid_member_t, index) == 0, "comanche_raid_member_t.index lies at 0");
_Static_assert(offsetof(comanche_raid_member_t, state) == 4, "comanche_raid_member_t.state lies at 4");
_Static_assert(offsetof(comanche_raid_member_t, unique) == 8, "comanche_raid_member_t.unique lies at 8");
_Static_assert(offsetof(comanche_raid_member_t, data_lba) == 24, "comanche_raid_member_t.data_lba lies at 24");
_Static_assert(offsetof(comanche_raid_member_t, data_blocks) == 32, "comanche_raid_member_t.data_blocks lies at 32");

/** The geometry and limits of a volume. */
typedef struct comanche_volume_info comanche_volume_info_t;
struct comanche_volume_info {
    /** Bytes of a block: a power of two from 512 to 65536. */
    uint32_t block_size;
    /** The most blocks that a read, write or compare moves, at least 1. */
    uint32_t max_transfer_blocks;
    /** The volume's length in blocks. */
    uint64_t block_count;
    /** Alignment of buffers and segments in bytes: a power of two, 1 where any address will do. */
    uint32_t buffer_alignment;
    /** The most segments of a descriptor, at least 1. */
    uint32_t max_segments;
    /** Blocks, naturally aligned, that a power cut never tears; at least 1. */
    uint32_t atomic_write_blocks;
    /** The transfer in blocks at whose multiples the volume works best, or 0. */
    uint32_t optimal_io_blocks;
    /** The most blocks of a discard, write-zeroes, fill or copy. */
    uint32_t max_range_blocks;
    /** Discards of less than this, or not aligned to it, may do nothing; in blocks, at least 1. */
    uint32_t discard_granularity_blocks;
    /** The most blocks of a compare-and-write, whose range may not cross a multiple of this; 0 without the capability. */
    uint32_t compare_and_write_blocks;
    /** Filler, 0. */
    uint32_t reserved;
    /** What it can do. */
    comanche_volume_capabilities_t capabilities;
    /** Filler, 0. */
    uint8_t reserved_end[8];
};
_Static_assert(sizeof(comanche_volume_info_t) == 64, "comanche_volume_info_t is 64 bytes");
_Static_assert(offsetof(comanche_volume_info_t, block_size) == 0, "comanche_volume_info_t.block_size lies at 0");
_Static_assert(offsetof(comanche_volume_info_t, max_transfer_blocks) == 4, "comanche_volume_info_t.max_transfer_blocks lies at 4");
_Static_assert(offsetof(comanche_volume_info_t, block_count) == 8, "comanche_volume_info_t.block_count lies at 8");
_Static_assert(offsetof(comanche_volume_info_t, buffer_alignment) == 16, "comanche_volume_info_t.buffer_alignment lies at 16");
_Static_assert(offsetof(comanche_volume_info_t, max_segments) == 20, "comanche_volume_info_t.max_segments lies at 20");
_Static_assert(offsetof(comanche_volume_info_t, atomic_write_blocks) == 24, "comanche_volume_info_t.atomic_write_blocks lies at 24");
_Static_assert(offsetof(comanche_volume_info_t, optimal_io_blocks) == 28, "comanche_volume_info_t.optimal_io_blocks lies at 28");
_Static_assert(offsetof(comanche_volume_info_t, max_range_blocks) == 32, "comanche_volume_info_t.max_range_blocks lies at 32");
_Static_assert(offsetof(comanche_volume_info_t, discard_granularity_blocks) == 36, "comanche_volume_info_t.discard_granularity_blocks lies at 36");
_Static_assert(offsetof(comanche_volume_info_t, compare_and_write_blocks) == 40, "comanche_volume_info_t.compare_and_write_blocks lies at 40");
_Static_assert(offsetof(comanche_volume_info_t, reserved) == 44, "comanche_volume_info_t.reserved lies at 44");
_Static_assert(offsetof(comanche_volume_info_t, capabilities) == 48, "comanche_volume_info_t.capabilities lies at 48");

/** What is asked of a queue when it opens. */
typedef struct comanche_queue_options comanche_queue_options_t;
struct comanche_queue_options {
    /** The most descriptors in flight, 1 to QueueOptions::max_depth. */
    uint32_t depth;
    /** How it is used. */
    comanche_queue_flags_t flags;
    /** Filler, 0. */
    uint8_t reserved_end[56];
};
_Static_assert(sizeof(comanche_queue_options_t) == 64, "comanche_queue_options_t is 64 bytes");
_Static_assert(offsetof(comanche_queue_options_t, depth) == 0, "comanche_queue_options_t.depth lies at 0");
_Static_assert(offsetof(comanche_queue_options_t, flags) == 4, "comanche_queue_options_t.flags lies at 4");

/** A device's health and error counts since its start. */
typedef struct comanche_device_health comanche_device_health_t;
struct comanche_device_health {
    /** How it fares. */
    comanche_device_state_t state;
    /** Filler. */
    uint32_t reserved;
    /** Reads that failed. */
    uint64_t read_errors;
    /** Changes that failed. */
    uint64_t write_errors;
    /** Flushes that failed. */
    uint64_t flush_errors;
    /** I/Os whose time was up. */
    uint64_t timeouts;
    /** Resets of the device or of a queue. */
    uint64_t resets;
    /** Filler, 0. */
    uint8_t reserved_end[16];
};
_Static_assert(sizeof(comanche_device_health_t) == 64, "comanche_device_health_t is 64 bytes");
_Static_assert(offsetof(comanche_device_health_t, state) == 0, "comanche_device_health_t.state lies at 0");
_Static_assert(offsetof(comanche_device_health_t, reserved) == 4, "comanche_device_health_t.reserved lies at 4");
_Static_assert(offsetof(comanche_device_health_t, read_errors) == 8, "comanche_device_health_t.read_errors lies at 8");
_Static_assert(offsetof(comanche_device_health_t, write_errors) == 16, "comanche_device_health_t.write_errors lies at 16");
_Static_assert(offsetof(comanche_device_health_t, flush_errors) == 24, "comanche_device_health_t.flush_errors lies at 24");
_Static_assert(offsetof(comanche_device_health_t, timeouts) == 32, "comanche_device_health_t.timeouts lies at 32");
_Static_assert(offsetof(comanche_device_health_t, resets) == 40, "comanche_device_health_t.resets lies at 40");

typedef struct comanche_base comanche_base_t;
typedef struct comanche_factory comanche_factory_t;
typedef struct comanche_host comanche_host_t;
typedef struct comanche_io_queue comanche_io_queue_t;
typedef struct comanche_zerocopy_memory comanche_zerocopy_memory_t;
typedef struct comanche_shared_memory comanche_shared_memory_t;
typedef struct comanche_partitioned_device comanche_partitioned_device_t;
typedef struct comanche_region_manager comanche_region_manager_t;
typedef struct comanche_raid comanche_raid_t;
typedef struct comanche_block_device comanche_block_device_t;

static const comanche_guid_t COMANCHE_IID_BASE = {0xc0a4c4e0u, 0x0001, 0x4b1e, {0x9a, 0x51, 0x6d, 0x6f, 0x6e, 0x74, 0x65, 0x01}}; /* c0a4c4e0-0001-4b1e-9a51-6d6f6e746501 */
typedef struct comanche_base_vtable {
    int32_t (*QueryInterface)(comanche_base_t* self, const comanche_guid_t* interface_id, void** result);
    uint32_t (*AddRef)(comanche_base_t* self);
    uint32_t (*Release)(comanche_base_t* self);
    /** Answers the object that implements an interface for this component: the component itself, or, by aggregation, one that it owns. */
    int32_t (*query)(comanche_base_t* self, const comanche_guid_t* interface_id, comanche_base_t** result); /* slot 3 */
    /** Adds one to the component's count and returns the new count. */
    uint32_t (*retain)(comanche_base_t* self); /* slot 4 */
    /** Takes one from the component's count and returns what is left; at zero the component is closed before the call returns. */
    uint32_t (*release)(comanche_base_t* self); /* slot 5 */
    /** Binds this component to another one below it. */
    int32_t (*bind)(comanche_base_t* self, comanche_base_t* component, const char* role); /* slot 6 */
    /** Releases every binding. */
    int32_t (*unbind)(comanche_base_t* self); /* slot 7 */
    /** Makes the component ready: opens what it stands on, reads and checks labels. */
    int32_t (*start)(comanche_base_t* self); /* slot 8 */
    /** Ends the component's work and makes its state durable. */
    int32_t (*stop)(comanche_base_t* self); /* slot 9 */
    /** The version of the component: major in the upper 16 bits, minor in the lower ones. */
    uint32_t (*get_version)(comanche_base_t* self); /* slot 10 */
} comanche_base_vtable_t;
_Static_assert(sizeof(comanche_base_vtable_t) == 11 * sizeof(void*), "comanche_base_t has 11 slots");
/** The root of every component: interface query, reference count, bindings, life cycle. */
struct comanche_base {
    const comanche_base_vtable_t* vtable;
};

static const comanche_guid_t COMANCHE_IID_FACTORY = {0xc0a4c4e0u, 0x0002, 0x4b1e, {0x9a, 0x51, 0x6d, 0x6f, 0x6e, 0x74, 0x65, 0x01}}; /* c0a4c4e0-0002-4b1e-9a51-6d6f6e746501 */
typedef struct comanche_factory_vtable {
    int32_t (*QueryInterface)(comanche_factory_t* self, const comanche_guid_t* interface_id, void** result);
    uint32_t (*AddRef)(comanche_factory_t* self);
    uint32_t (*Release)(comanche_factory_t* self);
    /** The number of kinds that this factory makes. */
    int32_t (*get_count)(comanche_factory_t* self); /* slot 3 */
    /** Describes one kind as a JSON object: id, uuid, summary, interfaces (UUIDs), binds
     *  ([{"role":"","interface":"uuid","min":1,"max":1}]) and options ([{"name","type","default","min","max","summary","required"}],
     *  where type is one of string, bool, integer, number, size, duration). */
    int32_t (*describe)(comanche_factory_t* self, int32_t index, char** result); /* slot 4 */
    /** Makes a component. */
    int32_t (*create)(comanche_factory_t* self, const comanche_guid_t* component_id, comanche_host_t* host, const char* options_json, comanche_base_t** result); /* slot 5 */
} comanche_factory_vtable_t;
_Static_assert(sizeof(comanche_factory_vtable_t) == 6 * sizeof(void*), "comanche_factory_t has 6 slots");
/** Makes one or more kinds of component. */
struct comanche_factory {
    const comanche_factory_vtable_t* vtable;
};

static const comanche_guid_t COMANCHE_IID_HOST = {0xc0a4c4e0u, 0x0003, 0x4b1e, {0x9a, 0x51, 0x6d, 0x6f, 0x6e, 0x74, 0x65, 0x01}}; /* c0a4c4e0-0003-4b1e-9a51-6d6f6e746501 */
typedef struct comanche_host_vtable {
    int32_t (*QueryInterface)(comanche_host_t* self, const comanche_guid_t* interface_id, void** result);
    uint32_t (*AddRef)(comanche_host_t* self);
    uint32_t (*Release)(comanche_host_t* self);
    /** The component's name in its stack, for messages. */
    int32_t (*get_name)(comanche_host_t* self, char** result); /* slot 3 */
    /** What the stack asks of the component. */
    comanche_host_flags_t (*get_flags)(comanche_host_t* self); /* slot 4 */
    /** The one memory registry of the process. */
    int32_t (*get_memory)(comanche_host_t* self, comanche_zerocopy_memory_t** result); /* slot 5 */
    /** Monotonic time in nanoseconds since an arbitrary moment. */
    uint64_t (*get_time)(comanche_host_t* self); /* slot 6 */
    /** Fills memory with random bytes, good enough for identifiers; seeded in a simulated run. */
    void (*fill_random)(comanche_host_t* self, void* buffer, size_t length); /* slot 7 */
    /** Writes one line to the log. */
    int32_t (*log)(comanche_host_t* self, comanche_log_level_t level, const char* message); /* slot 8 */
    /** Gives a counter: one 8-byte cell in native memory, alone on its cache line, that one thread at a time adds to with plain stores,
     *  and that the host reads and publishes. */
    uint64_t* (*add_counter)(comanche_host_t* self, const char* name, const char* unit, const char* description); /* slot 9 */
    /** Sleeps until one of the descriptors is readable or the time is up. */
    void (*wait)(comanche_host_t* self, comanche_wait_set_t* wait_set, int64_t timeout_ns); /* slot 10 */
    /** Leaves the text of an error behind for the calling thread, so that the failing HRESULT which the component returns next reaches
     *  people with that text. */
    int32_t (*fail)(comanche_host_t* self, const char* message); /* slot 11 */
} comanche_host_vtable_t;
_Static_assert(sizeof(comanche_host_vtable_t) == 12 * sizeof(void*), "comanche_host_t has 12 slots");
/** What a component may use of the process around it: memory, clock, randomness, log, counters, and a way to wait. */
struct comanche_host {
    const comanche_host_vtable_t* vtable;
};

static const comanche_guid_t COMANCHE_IID_IO_QUEUE = {0xc0a4c4e0u, 0x0011, 0x4b1e, {0x9a, 0x51, 0x6d, 0x6f, 0x6e, 0x74, 0x65, 0x01}}; /* c0a4c4e0-0011-4b1e-9a51-6d6f6e746501 */
typedef struct comanche_io_queue_vtable {
    int32_t (*QueryInterface)(comanche_io_queue_t* self, const comanche_guid_t* interface_id, void** result);
    uint32_t (*AddRef)(comanche_io_queue_t* self);
    uint32_t (*Release)(comanche_io_queue_t* self);
    /** Takes descriptors from the front of the batch and returns how many it took. */
    int32_t (*submit)(comanche_io_queue_t* self, comanche_io_descriptor_t** batch, int32_t count); /* slot 3 */
    /** Drives progress without blocking, stores finished descriptors and returns their number, at most capacity. */
    int32_t (*poll)(comanche_io_queue_t* self, comanche_io_descriptor_t** completed, int32_t capacity); /* slot 4 */
    /** Asks that an accepted descriptor end early. */
    int32_t (*cancel)(comanche_io_queue_t* self, comanche_io_descriptor_t* descriptor); /* slot 5 */
    /** Readies the queue for a sleep: turns notices on, adds the descriptors whose readability ends the sleep, its children's too, then
     *  looks once more, and returns the nanoseconds to the next deadline: 0 where IIoQueue::poll has something to do now,
     *  WaitSet::forever where only a descriptor or a new submission can bring work. */
    int64_t (*arm)(comanche_io_queue_t* self, comanche_wait_set_t* wait_set); /* slot 6 */
    /** Gives up on everything in flight: each comes back from IIoQueue::poll in bounded time, with IoStatus::aborted where it was not
     *  done by then. */
    void (*abandon)(comanche_io_queue_t* self); /* slot 7 */
    /** Closes the queue. */
    int32_t (*close)(comanche_io_queue_t* self); /* slot 8 */
} comanche_io_queue_vtable_t;
_Static_assert(sizeof(comanche_io_queue_vtable_t) == 9 * sizeof(void*), "comanche_io_queue_t has 9 slots");
/** A queue pair: descriptors go down by IIoQueue::submit, and every one that was accepted comes up exactly once, by IIoQueue::poll. */
struct comanche_io_queue {
    const comanche_io_queue_vtable_t* vtable;
};

static const comanche_guid_t COMANCHE_IID_ZEROCOPY_MEMORY = {0xc0a4c4e0u, 0x0010, 0x4b1e, {0x9a, 0x51, 0x6d, 0x6f, 0x6e, 0x74, 0x65, 0x01}}; /* c0a4c4e0-0010-4b1e-9a51-6d6f6e746501 */
typedef struct comanche_zerocopy_memory_vtable {
    int32_t (*QueryInterface)(comanche_zerocopy_memory_t* self, const comanche_guid_t* interface_id, void** result);
    uint32_t (*AddRef)(comanche_zerocopy_memory_t* self);
    uint32_t (*Release)(comanche_zerocopy_memory_t* self);
    /** Answers the object that implements an interface for this component: the component itself, or, by aggregation, one that it owns. */
    int32_t (*query)(comanche_zerocopy_memory_t* self, const comanche_guid_t* interface_id, comanche_base_t** result); /* slot 3 */
    /** Adds one to the component's count and returns the new count. */
    uint32_t (*retain)(comanche_zerocopy_memory_t* self); /* slot 4 */
    /** Takes one from the component's count and returns what is left; at zero the component is closed before the call returns. */
    uint32_t (*release)(comanche_zerocopy_memory_t* self); /* slot 5 */
    /** Binds this component to another one below it. */
    int32_t (*bind)(comanche_zerocopy_memory_t* self, comanche_base_t* component, const char* role); /* slot 6 */
    /** Releases every binding. */
    int32_t (*unbind)(comanche_zerocopy_memory_t* self); /* slot 7 */
    /** Makes the component ready: opens what it stands on, reads and checks labels. */
    int32_t (*start)(comanche_zerocopy_memory_t* self); /* slot 8 */
    /** Ends the component's work and makes its state durable. */
    int32_t (*stop)(comanche_zerocopy_memory_t* self); /* slot 9 */
    /** The version of the component: major in the upper 16 bits, minor in the lower ones. */
    uint32_t (*get_version)(comanche_zerocopy_memory_t* self); /* slot 10 */
    /** Allocates an I/O buffer. */
    int32_t (*allocate_io_buffer)(comanche_zerocopy_memory_t* self, size_t size, uint32_t alignment, int32_t numa_node, comanche_io_buffer_t* result); /* slot 11 */
    /** Changes the size of a buffer; the handle stays, the address may change, the content is kept up to the smaller size and is zero
     *  beyond. */
    int32_t (*reallocate_io_buffer)(comanche_zerocopy_memory_t* self, comanche_io_buffer_t buffer, size_t size, uint32_t alignment); /* slot 12 */
    /** Frees a buffer that was allocated here. */
    int32_t (*free_io_buffer)(comanche_zerocopy_memory_t* self, comanche_io_buffer_t buffer); /* slot 13 */
    /** Registers memory that the caller owns and keeps in place until IZerocopyMemory::unregister_memory: locked, and mapped for every
     *  device. */
    int32_t (*register_memory)(comanche_zerocopy_memory_t* self, void* address, size_t length, comanche_io_buffer_t* result); /* slot 14 */
    /** Takes registered memory back. */
    int32_t (*unregister_memory)(comanche_zerocopy_memory_t* self, comanche_io_buffer_t buffer); /* slot 15 */
    /** Says where a buffer lies. */
    int32_t (*get_buffer_info)(comanche_zerocopy_memory_t* self, comanche_io_buffer_t buffer, comanche_io_buffer_info_t* info); /* slot 16 */
    /** Gives the pieces of a range of registered memory that are contiguous for a device, in order. */
    int32_t (*translate)(comanche_zerocopy_memory_t* self, void* address, size_t length, comanche_memory_run_t* runs, int32_t capacity, int32_t* result); /* slot 17 */
    /** Lists the regions that live, for a device that opens late. */
    int32_t (*get_regions)(comanche_zerocopy_memory_t* self, comanche_memory_region_t* regions, int32_t capacity, int32_t* result); /* slot 18 */
    /** The address of a counter that changes with every region that comes or goes: a queue reads it once per batch and fetches
     *  IZerocopyMemory::get_regions anew when it moved. */
    uint64_t* (*get_generation)(comanche_zerocopy_memory_t* self); /* slot 19 */
} comanche_zerocopy_memory_vtable_t;
_Static_assert(sizeof(comanche_zerocopy_memory_vtable_t) == 20 * sizeof(void*), "comanche_zerocopy_memory_t has 20 slots");
/** Memory that is made for DMA: locked, never moved, known to every device of the process (the paper's appendix A). */
struct comanche_zerocopy_memory {
    const comanche_zerocopy_memory_vtable_t* vtable;
};

static const comanche_guid_t COMANCHE_IID_SHARED_MEMORY = {0xc0a4c4e0u, 0x0013, 0x4b1e, {0x9a, 0x51, 0x6d, 0x6f, 0x6e, 0x74, 0x65, 0x01}}; /* c0a4c4e0-0013-4b1e-9a51-6d6f6e746501 */
typedef struct comanche_shared_memory_vtable {
    int32_t (*QueryInterface)(comanche_shared_memory_t* self, const comanche_guid_t* interface_id, void** result);
    uint32_t (*AddRef)(comanche_shared_memory_t* self);
    uint32_t (*Release)(comanche_shared_memory_t* self);
    /** Answers the object that implements an interface for this component: the component itself, or, by aggregation, one that it owns. */
    int32_t (*query)(comanche_shared_memory_t* self, const comanche_guid_t* interface_id, comanche_base_t** result); /* slot 3 */
    /** Adds one to the component's count and returns the new count. */
    uint32_t (*retain)(comanche_shared_memory_t* self); /* slot 4 */
    /** Takes one from the component's count and returns what is left; at zero the component is closed before the call returns. */
    uint32_t (*release)(comanche_shared_memory_t* self); /* slot 5 */
    /** Binds this component to another one below it. */
    int32_t (*bind)(comanche_shared_memory_t* self, comanche_base_t* component, const char* role); /* slot 6 */
    /** Releases every binding. */
    int32_t (*unbind)(comanche_shared_memory_t* self); /* slot 7 */
    /** Makes the component ready: opens what it stands on, reads and checks labels. */
    int32_t (*start)(comanche_shared_memory_t* self); /* slot 8 */
    /** Ends the component's work and makes its state durable. */
    int32_t (*stop)(comanche_shared_memory_t* self); /* slot 9 */
    /** The version of the component: major in the upper 16 bits, minor in the lower ones. */
    uint32_t (*get_version)(comanche_shared_memory_t* self); /* slot 10 */
    /** Finds the range that an address lies in; returns 1, or 0 where it lies in none. */
    int32_t (*find_shared)(comanche_shared_memory_t* self, void* address, comanche_shared_range_t* range); /* slot 11 */
} comanche_shared_memory_vtable_t;
_Static_assert(sizeof(comanche_shared_memory_vtable_t) == 12 * sizeof(void*), "comanche_shared_memory_t has 12 slots");
/** What memory offers that can be shared with other processes; asked of IHost::get_memory by IBase::query. */
struct comanche_shared_memory {
    const comanche_shared_memory_vtable_t* vtable;
};

static const comanche_guid_t COMANCHE_IID_PARTITIONED_DEVICE = {0xc0a4c4e0u, 0x0020, 0x4b1e, {0x9a, 0x51, 0x6d, 0x6f, 0x6e, 0x74, 0x65, 0x01}}; /* c0a4c4e0-0020-4b1e-9a51-6d6f6e746501 */
typedef struct comanche_partitioned_device_vtable {
    int32_t (*QueryInterface)(comanche_partitioned_device_t* self, const comanche_guid_t* interface_id, void** result);
    uint32_t (*AddRef)(comanche_partitioned_device_t* self);
    uint32_t (*Release)(comanche_partitioned_device_t* self);
    /** Answers the object that implements an interface for this component: the component itself, or, by aggregation, one that it owns. */
    int32_t (*query)(comanche_partitioned_device_t* self, const comanche_guid_t* interface_id, comanche_base_t** result); /* slot 3 */
    /** Adds one to the component's count and returns the new count. */
    uint32_t (*retain)(comanche_partitioned_device_t* self); /* slot 4 */
    /** Takes one from the component's count and returns what is left; at zero the component is closed before the call returns. */
    uint32_t (*release)(comanche_partitioned_device_t* self); /* slot 5 */
    /** Binds this component to another one below it. */
    int32_t (*bind)(comanche_partitioned_device_t* self, comanche_base_t* component, const char* role); /* slot 6 */
    /** Releases every binding. */
    int32_t (*unbind)(comanche_partitioned_device_t* self); /* slot 7 */
    /** Makes the component ready: opens what it stands on, reads and checks labels. */
    int32_t (*start)(comanche_partitioned_device_t* self); /* slot 8 */
    /** Ends the component's work and makes its state durable. */
    int32_t (*stop)(comanche_partitioned_device_t* self); /* slot 9 */
    /** The version of the component: major in the upper 16 bits, minor in the lower ones. */
    uint32_t (*get_version)(comanche_partitioned_device_t* self); /* slot 10 */
    /** The number of partitions in use. */
    int32_t (*get_partition_count)(comanche_partitioned_device_t* self, int32_t* result); /* slot 11 */
    /** Describes a partition by its place in the list, in order of number. */
    int32_t (*get_partition)(comanche_partitioned_device_t* self, int32_t index, comanche_partition_info_t* info); /* slot 12 */
    /** Opens a partition by number. */
    int32_t (*open_partition)(comanche_partitioned_device_t* self, uint32_t number, comanche_block_device_t** result); /* slot 13 */
    /** Makes a partition and returns its number. */
    int32_t (*create_partition)(comanche_partitioned_device_t* self, const char* name, uint64_t first_lba, uint64_t block_count, const comanche_guid_t* type, uint32_t* result); /* slot 14 */
    /** Takes a partition out of the table. */
    int32_t (*delete_partition)(comanche_partitioned_device_t* self, uint32_t number); /* slot 15 */
} comanche_partitioned_device_vtable_t;
_Static_assert(sizeof(comanche_partitioned_device_vtable_t) == 16 * sizeof(void*), "comanche_partitioned_device_t has 16 slots");
/** A device that is divided into numbered partitions, each of which is a block device. */
struct comanche_partitioned_device {
    const comanche_partitioned_device_vtable_t* vtable;
};

static const comanche_guid_t COMANCHE_IID_REGION_MANAGER = {0xc0a4c4e0u, 0x0021, 0x4b1e, {0x9a, 0x51, 0x6d, 0x6f, 0x6e, 0x74, 0x65, 0x01}}; /* c0a4c4e0-0021-4b1e-9a51-6d6f6e746501 */
typedef struct comanche_region_manager_vtable {
    int32_t (*QueryInterface)(comanche_region_manager_t* self, const comanche_guid_t* interface_id, void** result);
    uint32_t (*AddRef)(comanche_region_manager_t* self);
    uint32_t (*Release)(comanche_region_manager_t* self);
    /** Answers the object that implements an interface for this component: the component itself, or, by aggregation, one that it owns. */
    int32_t (*query)(comanche_region_manager_t* self, const comanche_guid_t* interface_id, comanche_base_t** result); /* slot 3 */
    /** Adds one to the component's count and returns the new count. */
    uint32_t (*retain)(comanche_region_manager_t* self); /* slot 4 */
    /** Takes one from the component's count and returns what is left; at zero the component is closed before the call returns. */
    uint32_t (*release)(comanche_region_manager_t* self); /* slot 5 */
    /** Binds this component to another one below it. */
    int32_t (*bind)(comanche_region_manager_t* self, comanche_base_t* component, const char* role); /* slot 6 */
    /** Releases every binding. */
    int32_t (*unbind)(comanche_region_manager_t* self); /* slot 7 */
    /** Makes the component ready: opens what it stands on, reads and checks labels. */
    int32_t (*start)(comanche_region_manager_t* self); /* slot 8 */
    /** Ends the component's work and makes its state durable. */
    int32_t (*stop)(comanche_region_manager_t* self); /* slot 9 */
    /** The version of the component: major in the upper 16 bits, minor in the lower ones. */
    uint32_t (*get_version)(comanche_region_manager_t* self); /* slot 10 */
    /** Opens the region of this name if there is one of at least this length, else makes one. */
    int32_t (*reuse_or_allocate)(comanche_region_manager_t* self, const char* name, uint64_t block_count, uint64_t alignment, comanche_block_device_t** result); /* slot 11 */
    /** Opens the region of this name. */
    int32_t (*open_region)(comanche_region_manager_t* self, const char* name, comanche_block_device_t** result); /* slot 12 */
    /** Deletes a region. */
    int32_t (*delete_region)(comanche_region_manager_t* self, const char* name); /* slot 13 */
    /** The number of regions. */
    int32_t (*get_region_count)(comanche_region_manager_t* self, int32_t* result); /* slot 14 */
    /** Describes a region by its place in the list, in order of first block. */
    int32_t (*get_region)(comanche_region_manager_t* self, int32_t index, comanche_region_info_t* info); /* slot 15 */
    /** Blocks that belong to no region. */
    int32_t (*get_free_blocks)(comanche_region_manager_t* self, uint64_t* result); /* slot 16 */
    /** The longest range of such blocks. */
    int32_t (*get_largest_free_range)(comanche_region_manager_t* self, uint64_t* result); /* slot 17 */
} comanche_region_manager_vtable_t;
_Static_assert(sizeof(comanche_region_manager_vtable_t) == 18 * sizeof(void*), "comanche_region_manager_t has 18 slots");
/** Divides a device into regions that are known by name. */
struct comanche_region_manager {
    const comanche_region_manager_vtable_t* vtable;
};

static const comanche_guid_t COMANCHE_IID_RAID = {0xc0a4c4e0u, 0x0022, 0x4b1e, {0x9a, 0x51, 0x6d, 0x6f, 0x6e, 0x74, 0x65, 0x01}}; /* c0a4c4e0-0022-4b1e-9a51-6d6f6e746501 */
typedef struct comanche_raid_vtable {
    int32_t (*QueryInterface)(comanche_raid_t* self, const comanche_guid_t* interface_id, void** result);
    uint32_t (*AddRef)(comanche_raid_t* self);
    uint32_t (*Release)(comanche_raid_t* self);
    /** Answers the object that implements an interface for this component: the component itself, or, by aggregation, one that it owns. */
    int32_t (*query)(comanche_raid_t* self, const comanche_guid_t* interface_id, comanche_base_t** result); /* slot 3 */
    /** Adds one to the component's count and returns the new count. */
    uint32_t (*retain)(comanche_raid_t* self); /* slot 4 */
    /** Takes one from the component's count and returns what is left; at zero the component is closed before the call returns. */
    uint32_t (*release)(comanche_raid_t* self); /* slot 5 */
    /** Binds this component to another one below it. */
    int32_t (*bind)(comanche_raid_t* self, comanche_base_t* component, const char* role); /* slot 6 */
    /** Releases every binding. */
    int32_t (*unbind)(comanche_raid_t* self); /* slot 7 */
    /** Makes the component ready: opens what it stands on, reads and checks labels. */
    int32_t (*start)(comanche_raid_t* self); /* slot 8 */
    /** Ends the component's work and makes its state durable. */
    int32_t (*stop)(comanche_raid_t* self); /* slot 9 */
    /** The version of the component: major in the upper 16 bits, minor in the lower ones. */
    uint32_t (*get_version)(comanche_raid_t* self); /* slot 10 */
    /** Describes the set. */
    int32_t (*get_raid_info)(comanche_raid_t* self, comanche_raid_info_t* info); /* slot 11 */
    /** Describes a member. */
    int32_t (*get_member)(comanche_raid_t* self, uint32_t index, comanche_raid_member_t* member); /* slot 12 */
} comanche_raid_vtable_t;
_Static_assert(sizeof(comanche_raid_vtable_t) == 13 * sizeof(void*), "comanche_raid_t has 13 slots");
/** What can be asked of a device that is made of members. */
struct comanche_raid {
    const comanche_raid_vtable_t* vtable;
};

static const comanche_guid_t COMANCHE_IID_BLOCK_DEVICE = {0xc0a4c4e0u, 0x0012, 0x4b1e, {0x9a, 0x51, 0x6d, 0x6f, 0x6e, 0x74, 0x65, 0x01}}; /* c0a4c4e0-0012-4b1e-9a51-6d6f6e746501 */
typedef struct comanche_block_device_vtable {
    int32_t (*QueryInterface)(comanche_block_device_t* self, const comanche_guid_t* interface_id, void** result);
    uint32_t (*AddRef)(comanche_block_device_t* self);
    uint32_t (*Release)(comanche_block_device_t* self);
    /** Answers the object that implements an interface for this component: the component itself, or, by aggregation, one that it owns. */
    int32_t (*query)(comanche_block_device_t* self, const comanche_guid_t* interface_id, comanche_base_t** result); /* slot 3 */
    /** Adds one to the component's count and returns the new count. */
    uint32_t (*retain)(comanche_block_device_t* self); /* slot 4 */
    /** Takes one from the component's count and returns what is left; at zero the component is closed before the call returns. */
    uint32_t (*release)(comanche_block_device_t* self); /* slot 5 */
    /** Binds this component to another one below it. */
    int32_t (*bind)(comanche_block_device_t* self, comanche_base_t* component, const char* role); /* slot 6 */
    /** Releases every binding. */
    int32_t (*unbind)(comanche_block_device_t* self); /* slot 7 */
    /** Makes the component ready: opens what it stands on, reads and checks labels. */
    int32_t (*start)(comanche_block_device_t* self); /* slot 8 */
    /** Ends the component's work and makes its state durable. */
    int32_t (*stop)(comanche_block_device_t* self); /* slot 9 */
    /** The version of the component: major in the upper 16 bits, minor in the lower ones. */
    uint32_t (*get_version)(comanche_block_device_t* self); /* slot 10 */
    /** Allocates an I/O buffer. */
    int32_t (*allocate_io_buffer)(comanche_block_device_t* self, size_t size, uint32_t alignment, int32_t numa_node, comanche_io_buffer_t* result); /* slot 11 */
    /** Changes the size of a buffer; the handle stays, the address may change, the content is kept up to the smaller size and is zero
     *  beyond. */
    int32_t (*reallocate_io_buffer)(comanche_block_device_t* self, comanche_io_buffer_t buffer, size_t size, uint32_t alignment); /* slot 12 */
    /** Frees a buffer that was allocated here. */
    int32_t (*free_io_buffer)(comanche_block_device_t* self, comanche_io_buffer_t buffer); /* slot 13 */
    /** Registers memory that the caller owns and keeps in place until IZerocopyMemory::unregister_memory: locked, and mapped for every
     *  device. */
    int32_t (*register_memory)(comanche_block_device_t* self, void* address, size_t length, comanche_io_buffer_t* result); /* slot 14 */
    /** Takes registered memory back. */
    int32_t (*unregister_memory)(comanche_block_device_t* self, comanche_io_buffer_t buffer); /* slot 15 */
    /** Says where a buffer lies. */
    int32_t (*get_buffer_info)(comanche_block_device_t* self, comanche_io_buffer_t buffer, comanche_io_buffer_info_t* info); /* slot 16 */
    /** Gives the pieces of a range of registered memory that are contiguous for a device, in order. */
    int32_t (*translate)(comanche_block_device_t* self, void* address, size_t length, comanche_memory_run_t* runs, int32_t capacity, int32_t* result); /* slot 17 */
    /** Lists the regions that live, for a device that opens late. */
    int32_t (*get_regions)(comanche_block_device_t* self, comanche_memory_region_t* regions, int32_t capacity, int32_t* result); /* slot 18 */
    /** The address of a counter that changes with every region that comes or goes: a queue reads it once per batch and fetches
     *  IZerocopyMemory::get_regions anew when it moved. */
    uint64_t* (*get_generation)(comanche_block_device_t* self); /* slot 19 */
    /** Gives geometry and limits. */
    int32_t (*get_volume_info)(comanche_block_device_t* self, comanche_volume_info_t* info); /* slot 20 */
    /** Opens a queue, owned by the calling thread. */
    int32_t (*open_queue)(comanche_block_device_t* self, comanche_queue_options_t* options, comanche_io_queue_t** result); /* slot 21 */
    /** A number that grows with every notice of this device or one below it: resized, degraded, restored, removed. */
    uint64_t (*get_event_number)(comanche_block_device_t* self); /* slot 22 */
    /** Says how the device fares. */
    int32_t (*get_health)(comanche_block_device_t* self, comanche_device_health_t* health); /* slot 23 */
} comanche_block_device_vtable_t;
_Static_assert(sizeof(comanche_block_device_vtable_t) == 24 * sizeof(void*), "comanche_block_device_t has 24 slots");
/** A volume of blocks. */
struct comanche_block_device {
    const comanche_block_device_vtable_t* vtable;
};

/** The one function that a component library exports: answers its factory, with a reference that the caller owns. */
__attribute__((visibility("default"))) int32_t comanche_factory(void** factory);

#endif /* __cplusplus */
#endif /* COMANCHE_H */
