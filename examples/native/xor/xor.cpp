// example/xor: an in-line filter in C++. What is written is XORed with a key of eight bytes on its way down, what is read on its way up.
// It protects nothing; it shows how a data path in another language looks, and stands between C# components in the tests.
//
// The idea: a buffer belongs to the queue from submit until poll returns it, so a write's data is changed where it lies, and changed back before the
// submitter sees it again; also when the queue below is full and refuses it. Nothing is copied, no memory is needed. The price: one buffer
// must not be in flight twice at a time below this filter (a mirror that sends one buffer to two such filters would need a filter with buffers of its own).
//
//  read                XOR on the way up, if it succeeded (else the buffer is undefined anyway)
//  write, compare      XOR on the way down, and again on the way up
//  flush, copy         passed on: the key repeats within each block, so a copied block still fits it
//  discard             passed on, but what was discarded does not read as zeroes through the key
//  write-zeroes, fill  not offered: the volume below would hold plain zeroes, which read as the key
//  compare-and-write   not offered: it has a second buffer, which may be the first one
#include "comanche.hpp"

using namespace comanche;

namespace {

constexpr Guid xor_id = {0x6b0c2f5eu, 0x8a41, 0x4c6d, {0x9b, 0x77, 0x1f, 0x2e, 0x3d, 0x4c, 0x5b, 0x6a}};

class XorQueue final : public InPlaceQueue {
public:
    XorQueue(BlockFilter* device, Ref<IIoQueue> below, uint32_t depth, uint64_t key, uint32_t block_size)
        : InPlaceQueue(device, std::move(below), depth), key_(key), block_size_(block_size) {}

protected:
    IoStatus accept(const IoDescriptor* d) noexcept override {
        bool refused = d->operation == IoOperation::write_zeroes || d->operation == IoOperation::fill || d->operation == IoOperation::compare_and_write;
        return refused ? IoStatus::unsupported : IoStatus::success;
    }

    void down(IoDescriptor* d) noexcept override {
        if (goes_down(d)) apply(d);
    }

    void up(IoDescriptor* d, bool refused) noexcept override {
        bool was_read = d->operation == IoOperation::read && !refused && d->status == IoStatus::success;
        if (goes_down(d) || was_read) apply(d);
    }

private:
    static bool goes_down(const IoDescriptor* d) noexcept { return d->operation == IoOperation::write || d->operation == IoOperation::compare; }

    void apply(const IoDescriptor* d) noexcept {
        if (!any(d->flags & IoFlags::segments)) return apply(d->buffer, uint64_t{d->block_count} * block_size_);
        for (uint32_t i = 0; i < d->segment_count; i++) apply(d->segments[i].address, d->segments[i].length);
    }

    // Lengths are multiples of the block size, which is a multiple of 8; addresses may be odd, hence memcpy.
    void apply(uint8_t* data, uint64_t length) noexcept {
        for (uint64_t i = 0; i < length; i += sizeof key_) {
            uint64_t word;
            memcpy(&word, data + i, sizeof word);
            word ^= key_;
            memcpy(data + i, &word, sizeof word);
        }
    }

    uint64_t key_;
    uint32_t block_size_;
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
        return info;
    }

    Ref<IIoQueue> create_queue(const QueueOptions& options) override {
        uint32_t block_size = describe().block_size;
        return Ref<IIoQueue>::adopt(new XorQueue(this, open_below(options), options.depth, key_, block_size));
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
