// A component that is no block device itself: it owns a filter and answers for it by query (aggregation), and counts what lives.
#include "comanche.hpp"

using namespace comanche;

namespace {

std::atomic<int> live{0};

struct Counted {
    Counted() { live++; }
    ~Counted() { live--; }
};

class Part final : public BlockFilter {
public:
    using BlockFilter::BlockFilter;

private:
    Counted counted_;
};

class Whole final : public Object<IBase> {
public:
    static constexpr const char* description = R"({"id": "test/whole", "uuid": "5d0e7c1a-93b4-4d5e-8f60-7a8b9c0d1e2f", "interfaces": ["c0a4c4e0-0012-4b1e-9a51-6d6f6e746501"]})";

    Whole(IHost* host, const Options&) : part_(Ref<Part>::adopt(new Part(host))) {}

    int32_t query(const Guid& interface_id, IBase** result) noexcept override {
        if (!is_or_derives<IBase>(interface_id)) return part_->query(interface_id, result);
        *result = this;
        AddRef();
        return COMANCHE_OK;
    }
    uint32_t retain() noexcept override { return ++count_; }
    uint32_t release() noexcept override {
        uint32_t left = --count_;
        if (left == 0) part_->release();
        return left;
    }
    int32_t bind(IBase* component, const char* role) noexcept override { return part_->bind(component, role); }
    int32_t unbind() noexcept override { return part_->unbind(); }
    int32_t start() noexcept override { return part_->start(); }
    int32_t stop() noexcept override { return part_->stop(); }
    uint32_t get_version() noexcept override { return 1u << 16; }

private:
    Counted counted_;
    Ref<Part> part_;
    std::atomic<uint32_t> count_{1};
};

} // namespace

extern "C" __attribute__((visibility("default"))) int32_t whole_live() { return live; }

int32_t comanche_factory(void** factory) {
    constexpr Guid id = {0x5d0e7c1au, 0x93b4, 0x4d5e, {0x8f, 0x60, 0x7a, 0x8b, 0x9c, 0x0d, 0x1e, 0x2f}};
    return barrier(nullptr, [&] { *factory = static_cast<IFactory*>(new Factory<Whole>(id)); });
}
