// example/xor: an in-line filter in C++. What is written is XORed with a key of eight bytes on its way down, what is read on its way up.
// It protects nothing; it shows how a data path in another language looks, and stands between C# components in the tests.
//
// The idea: a write's buffer is the submitter's and may be in flight elsewhere at the same time, so the changed data goes down in a buffer of the queue's own,
// to which the descriptor points until it is back. A read's buffer belongs to this descriptor alone: it is changed where it lies.
//
//  read                XOR on the way up, if it succeeded (else the buffer is undefined anyway)
//  write, compare      XORed into a buffer of the pool; where none is free the batch ends there, and goes on when one is back
//  flush, copy         passed on: the key repeats within each block, so a copied block still fits it
//  discard             passed on, but what was discarded does not read as zeroes through the key
//  write-zeroes, fill  not offered: the volume below would hold plain zeroes, which read as the key
//  compare-and-write   not offered: it has a second buffer, which would need a second one here
//
// Bounds: a buffer holds the largest transfer, at most 128 KiB, and there are at most 32: 4 MiB a queue.
#include "comanche.hpp"

using namespace comanche;

namespace {

constexpr Guid xor_id = {0x6b0c2f5eu, 0x8a41, 0x4c6d, {0x9b, 0x77, 0x1f, 0x2e, 0x3d, 0x4c, 0x5b, 0x6a}};

constexpr uint32_t max_bytes = 128 * 1024;
constexpr uint32_t max_buffers = 32;

class XorQueue final : public InPlaceQueue {
public:
    XorQueue(BlockFilter* device, Ref<IIoQueue> below, uint32_t depth, uint64_t key, const VolumeInfo& volume)
        : InPlaceQueue(device, std::move(below), depth), key_(key), block_size_(volume.block_size), count_(depth < max_buffers ? depth : max_buffers),
          pool_(device, count_, volume.max_transfer_blocks * volume.block_size, volume.buffer_alignment), given_(new Given[count_]) {}

protected:
    IoStatus accept(const IoDescriptor* d) noexcept override {
        bool refused = d->operation == IoOperation::write_zeroes || d->operation == IoOperation::fill || d->operation == IoOperation::compare_and_write;
        if (refused) return IoStatus::unsupported;
        return goes_down(d) && uint64_t{d->block_count} * block_size_ > pool_.bytes() ? IoStatus::invalid_argument : IoStatus::success;
    }

    bool has_room(const IoDescriptor* d) noexcept override { return !goes_down(d) || pool_.available() != 0; }

    void down(IoDescriptor* d) noexcept override {
        if (!goes_down(d)) return;
        uint8_t* own = pool_.take();
        apply(d, own);
        given_[pool_.index_of(own)] = {d->buffer, d->region, d->flags, d->segment_count};
        d->buffer = own;
        d->region = pool_.region();
        d->flags = d->flags & ~IoFlags::segments;
        d->segment_count = 0;
    }

    void up(IoDescriptor* d, bool refused) noexcept override {
        if (goes_down(d)) return restore(d);
        if (d->operation == IoOperation::read && !refused && d->status == IoStatus::success) apply(d, nullptr);
    }

private:
    // What the submitter's descriptor said of its data.
    struct Given {
        uint8_t* buffer;
        uint32_t region;
        IoFlags flags;
        uint16_t segment_count;
    };

    static bool goes_down(const IoDescriptor* d) noexcept { return d->operation == IoOperation::write || d->operation == IoOperation::compare; }

    void restore(IoDescriptor* d) noexcept {
        uint8_t* own = d->buffer;
        const Given& given = given_[pool_.index_of(own)];
        d->buffer = given.buffer;
        d->region = given.region;
        d->flags = given.flags;
        d->segment_count = given.segment_count;
        pool_.give_back(own);
    }

    // XORs a descriptor's data, into a buffer or, without one, where it lies.
    void apply(const IoDescriptor* d, uint8_t* to) noexcept {
        if (!any(d->flags & IoFlags::segments)) return apply(d->buffer, to ? to : d->buffer, uint64_t{d->block_count} * block_size_);
        for (uint32_t i = 0; i < d->segment_count; i++) {
            const IoSegment& segment = d->segments[i];
            apply(segment.address, to ? to : segment.address, segment.length);
            if (to) to += segment.length;
        }
    }

    // Lengths are multiples of the block size, which is a multiple of 8; addresses may be odd, hence memcpy.
    void apply(const uint8_t* from, uint8_t* to, uint64_t length) noexcept {
        for (uint64_t i = 0; i < length; i += sizeof key_) {
            uint64_t word;
            memcpy(&word, from + i, sizeof word);
            word ^= key_;
            memcpy(to + i, &word, sizeof word);
        }
    }

    uint64_t key_;
    uint32_t block_size_;
    uint32_t count_;
    BufferPool pool_;
    std::unique_ptr<Given[]> given_; // By the index of the buffer.
};

class XorFilter final : public BlockFilter {
public:
    static constexpr const char* description = R"({
        "id": "example/xor",
        "uuid": "6b0c2f5e-8a41-4c6d-9b77-1f2e3d4c5b6a",
        "summary": "XORs what passes with a key; an example in C++",
        "interfaces": ["c0a4c4e0-0012-4b1e-9a51-6d6f6e746501", "c0a4c4e0-0010-4b1e-9a51-6d6f6e746501"],
        "binds": [{"role": "", "interface": "c0a4c4e0-0012-4b1e-9a51-6d6f6e746501", "min": 1, "max": 1}],
        "options": [{"name": "key", "type": "string", "default": "5aa5c33c0ff09669", "summary": "The key: 16 hexadecimal digits. Another key reads other data"}]
    })";

    XorFilter(IHost* host, const Options& options) : BlockFilter(host), key_(parse(options.get("key", std::string("5aa5c33c0ff09669")))) {}

protected:
    VolumeInfo describe() override {
        VolumeInfo info = BlockFilter::describe();
        info.capabilities = info.capabilities & ~(VolumeCapabilities::write_zeroes | VolumeCapabilities::fill | VolumeCapabilities::compare_and_write
            | VolumeCapabilities::discard_reads_zero);
        info.compare_and_write_blocks = 0;
        uint32_t most = max_bytes / info.block_size; // Blocks are 64 KiB at most.
        if (info.max_transfer_blocks > most) info.max_transfer_blocks = most;
        return info;
    }

    Ref<IIoQueue> create_queue(const QueueOptions& options) override {
        return Ref<IIoQueue>::adopt(new XorQueue(this, open_below(options), options.depth, key_, describe()));
    }

private:
    static uint64_t parse(const std::string& text) {
        if (text.size() != 16 || text.find_first_not_of("0123456789abcdefABCDEF") != std::string::npos)
            throw Error("key: '" + text + "' is not 16 hexadecimal digits", COMANCHE_E_INVALIDARG);
        return std::strtoull(text.c_str(), nullptr, 16);
    }

    uint64_t key_;
};

} // namespace

int32_t comanche_factory(void** factory) {
    return barrier(nullptr, [&] { *factory = static_cast<IFactory*>(new Factory<XorFilter>(xor_id)); });
}
