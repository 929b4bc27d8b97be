// A filter that fails as its option asks, and counts what lives: what the tests of the native loader look through.
#include "comanche.hpp"

using namespace comanche;

namespace {

std::atomic<int> live{0};

struct Counted {
    Counted() { live++; }
    ~Counted() { live--; }
};

class ProbeQueue final : public InPlaceQueue {
public:
    ProbeQueue(BlockFilter* device, Ref<IIoQueue> below, uint32_t depth, int32_t lie) : InPlaceQueue(device, std::move(below), depth), lie_(lie) {}

    // As code in C does by mistake: an errno, or a number of something else, in the place of a count.
    int32_t submit(IoDescriptor** batch, int32_t count) noexcept override { return lie_ ? lie_ : InPlaceQueue::submit(batch, count); }
    int32_t poll(IoDescriptor** completed, int32_t capacity) noexcept override { return lie_ ? lie_ : InPlaceQueue::poll(completed, capacity); }

protected:
    void down(IoDescriptor*) noexcept override {}
    void up(IoDescriptor*, bool) noexcept override {}

private:
    Counted counted_;
    int32_t lie_;
};

class Probe final : public BlockFilter {
public:
    static constexpr const char* description = R"({
        "id": "test/probe", "uuid": "b8a5f1d0-3f0e-4e52-9a1c-0a1b2c3d4e5f", "summary": "fails as asked", "interfaces": ["c0a4c4e0-0012-4b1e-9a51-6d6f6e746501"],
        "binds": [{"interface": "c0a4c4e0-0012-4b1e-9a51-6d6f6e746501"}],
        "options": [{"name": "fail", "type": "string", "default": "", "summary": "where"}, {"name": "count", "type": "integer", "default": 3, "min": 0, "max": 9},
                    {"name": "size", "type": "size", "default": "4KiB", "required": true}, {"name": "wait", "type": "duration"}, {"name": "key", "type": "string", "secret": true}]
    })";

    Probe(IHost* host, const Options& options) : BlockFilter(host), fail_(options.get("fail", std::string())) {
        if (options.has("echo")) throw Error(options.get("echo", std::string()) + "|" + std::to_string(options.get("number", uint64_t{7})) + (options.get("flag", false) ? "|yes" : "|no"));
        if (fail_ == "create") throw Error("no room for it", COMANCHE_E_INVALIDARG);
    }

protected:
    void on_start() override {
        if (fail_ == "start") throw Error("the disk is upside down");
        if (fail_ == "standard") throw std::runtime_error("an exception of the standard library");
        if (fail_ == "number") throw 42;
    }
    Ref<IIoQueue> create_queue(const QueueOptions& options) override {
        if (fail_ == "null") return {};
        return Ref<IIoQueue>::adopt(new ProbeQueue(this, open_below(options), options.depth, fail_ == "errno" ? -22 : fail_ == "many" ? 1000 : 0));
    }
    // "BlockCount=7" says something else of that field.
    VolumeInfo describe() override {
        VolumeInfo info = BlockFilter::describe();
        size_t sign = fail_.find('=');
        if (sign == std::string::npos) return info;
        std::string field = fail_.substr(0, sign);
        uint64_t value = std::stoull(fail_.substr(sign + 1));
        if (field == "BlockSize") info.block_size = static_cast<uint32_t>(value);
        if (field == "BlockCount") info.block_count = value;
        if (field == "BufferAlignment") info.buffer_alignment = static_cast<uint32_t>(value);
        if (field == "MaxTransferBlocks") info.max_transfer_blocks = static_cast<uint32_t>(value);
        if (field == "MaxSegments") info.max_segments = static_cast<uint32_t>(value);
        if (field == "AtomicWriteBlocks") info.atomic_write_blocks = static_cast<uint32_t>(value);
        if (field == "DiscardGranularityBlocks") info.discard_granularity_blocks = static_cast<uint32_t>(value);
        if (field == "MaxRangeBlocks") info.max_range_blocks = static_cast<uint32_t>(value);
        if (field == "CompareAndWriteBlocks") info.compare_and_write_blocks = static_cast<uint32_t>(value);
        return info;
    }

private:
    Counted counted_;
    std::string fail_;
};

} // namespace

extern "C" __attribute__((visibility("default"))) int32_t probe_live() { return live; }

int32_t comanche_factory(void** factory) {
    constexpr Guid id = {0xb8a5f1d0u, 0x3f0e, 0x4e52, {0x9a, 0x1c, 0x0a, 0x1b, 0x2c, 0x3d, 0x4e, 0x5f}};
    return barrier(nullptr, [&] { *factory = static_cast<IFactory*>(new Factory<Probe>(id)); });
}
