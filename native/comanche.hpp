/*
 * What a component in C++ starts from, on top of the generated comanche.h: reference counting, the exception barrier, the life of a component,
 * a filter in which whatever is not defined is passed to the device below, and a factory. Header only, C++17, no dependencies.
 *
 *   Error            what set-up code throws; the barrier turns it into an HRESULT and hands its text to IHost::fail
 *   Ref<T>           holds a COM reference
 *   Object<I>        QueryInterface, AddRef, Release for one interface and those that it derives from
 *   Options          the options of a component, out of their JSON
 *   BlockFilter      a component over one block device; override what is to be different
 *   BufferPool       a fixed number of DMA buffers of one size
 *   InPlaceQueue     a queue that changes descriptors on their way down and restores them on their way up
 *   Factory<C>       makes components of one class
 *
 * Set-up code may throw; the data path (InPlaceQueue::accept, down, up) is noexcept. See docs/guide/component-cpp.md.
 */
#ifndef COMANCHE_HPP
#define COMANCHE_HPP

#include "comanche.h"
#include "comanche_options.hpp"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <type_traits>
#include <utility>

namespace comanche {

/** Runs set-up code of a component; whatever it throws becomes an HRESULT, its text goes to the host. No exception leaves a component. */
template <class F>
int32_t barrier(IHost* host, F&& code) noexcept {
    int32_t result = COMANCHE_E_FAIL;
    try {
        try {
            code();
            return COMANCHE_OK;
        } catch (const Error& e) {
            result = e.result();
            if (host) host->fail(e.what());
        } catch (const std::bad_alloc&) {
            result = COMANCHE_E_OUTOFMEMORY;
            if (host) host->fail("out of memory");
        } catch (const std::exception& e) {
            if (host) host->fail(e.what());
        }
    } catch (...) {
    }
    return result;
}

/** Throws where a call into another component failed. The other component left its own words with the host, if it had any. */
inline void check(int32_t result, const std::string& what) {
    if (result >= 0) return;
    static const char digits[] = "0123456789abcdef";
    std::string code = "0x";
    for (int shift = 28; shift >= 0; shift -= 4) code += digits[(static_cast<uint32_t>(result) >> shift) & 15];
    throw Error(what + " failed (" + code + ")", result);
}

/** Holds a COM reference, which keeps memory alive; a component's own count is retain and release. */
template <class T>
class Ref {
public:
    Ref() noexcept = default;
    /** Takes over a reference that the caller owns, like one that a method gave out. */
    static Ref adopt(T* owned) noexcept { return Ref(owned); }
    /** Adds a reference to something borrowed, like a parameter. */
    static Ref share(T* borrowed) noexcept {
        if (borrowed) borrowed->AddRef();
        return Ref(borrowed);
    }
    Ref(const Ref& other) noexcept : object_(other.object_) {
        if (object_) object_->AddRef();
    }
    Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
    Ref& operator=(Ref other) noexcept {
        std::swap(object_, other.object_);
        return *this;
    }
    ~Ref() {
        if (object_) object_->Release();
    }
    T* get() const noexcept { return object_; }
    T* operator->() const noexcept { return object_; }
    explicit operator bool() const noexcept { return object_ != nullptr; }
    /** Gives the reference to the caller. */
    T* detach() noexcept { return std::exchange(object_, nullptr); }

private:
    explicit Ref(T* object) noexcept : object_(object) {}
    T* object_ = nullptr;
};

/** Asks an object for an interface; empty where it has none. */
template <class T>
Ref<T> query_interface(IUnknown* object) noexcept {
    void* found = nullptr;
    if (!object || object->QueryInterface(T::uuid, &found) < 0) return {};
    return Ref<T>::adopt(static_cast<T*>(found));
}

/** Whether an interface is I or one that I derives from. */
template <class I>
bool is_or_derives(const Guid& id) noexcept {
    if (id == I::uuid) return true;
    if constexpr (std::is_same_v<I, IUnknown>) return false;
    else return is_or_derives<typename I::base_interface>(id);
}

/** An object with one interface and those that it derives from, born with one reference. Any thread. */
template <class I>
class Object : public I {
public:
    Object() = default;
    Object(const Object&) = delete;
    Object& operator=(const Object&) = delete;

    int32_t QueryInterface(const Guid& interface_id, void** result) noexcept override {
        if (!result) return COMANCHE_E_POINTER;
        *result = nullptr;
        if constexpr (!std::is_same_v<I, IUnknown>) {
            if (!is_or_derives<I>(interface_id)) return COMANCHE_E_NOINTERFACE;
        }
        *result = static_cast<I*>(this);
        AddRef();
        return COMANCHE_OK;
    }
    uint32_t AddRef() noexcept override { return references_.fetch_add(1, std::memory_order_relaxed) + 1; }
    uint32_t Release() noexcept override {
        uint32_t left = references_.fetch_sub(1, std::memory_order_acq_rel) - 1;
        if (left == 0) delete this;
        return left;
    }

protected:
    virtual ~Object() = default; // After the slots of the interface: it takes none of them.

private:
    std::atomic<uint32_t> references_{1};
};

/**
 * A component over one block device. What a filter does not define is passed on; one that defines nothing costs nothing, since its queues are
 * those of the device below. Override on_start, on_stop, describe, create_queue.
 */
class BlockFilter : public Object<IBlockDevice> {
public:
    explicit BlockFilter(IHost* host) : host_(Ref<IHost>::share(host)) {
        char* name = nullptr;
        check(host->get_name(&name), "asking the host for the component's name");
        std::unique_ptr<char, void (*)(void*)> owned(name, std::free);
        name_ = name ? name : "";
        IZerocopyMemory* memory = nullptr;
        check(host->get_memory(&memory), "asking the host for memory");
        memory_ = Ref<IZerocopyMemory>::adopt(memory);
    }

    /** The component's name in its stack. */
    const std::string& name() const noexcept { return name_; }
    /** What the component may use of its process. */
    IHost* host() const noexcept { return host_.get(); }
    /** The device below. Valid while started. */
    IBlockDevice* below() const noexcept { return below_.get(); }

    // A queue of this device's own counts itself while it is open. Any thread.
    void queue_opened() noexcept { open_queues_++; }
    void queue_closed() noexcept { open_queues_--; }

protected:
    /** Opens what the filter needs; the device below is started. When it throws, nothing may be left open. */
    virtual void on_start() {}
    /** Ends the filter's work; no queue is open. */
    virtual void on_stop() {}
    /** The volume that the filter is; by default that of the device below. */
    virtual VolumeInfo describe() {
        VolumeInfo info{};
        check(below_->get_volume_info(&info), "asking the device below for its geometry");
        return info;
    }
    /** Opens a queue; by default one of the device below. */
    virtual Ref<IIoQueue> create_queue(const QueueOptions& options) { return open_below(options); }

    /** Opens a queue of the device below. */
    Ref<IIoQueue> open_below(QueueOptions options) {
        IIoQueue* queue = nullptr;
        check(below_->open_queue(&options, &queue), "opening a queue of the device below");
        return Ref<IIoQueue>::adopt(queue);
    }

public:
    // IBase
    int32_t query(const Guid& interface_id, IBase** result) noexcept override {
        if (!result) return COMANCHE_E_POINTER;
        *result = nullptr;
        if (is_or_derives<IBlockDevice>(interface_id)) *result = this, AddRef();
        return COMANCHE_OK;
    }
    uint32_t retain() noexcept override {
        for (uint32_t count = count_; count != 0;)
            if (count_.compare_exchange_weak(count, count + 1)) return count + 1;
        return 0; // It is closed, and stays so.
    }
    uint32_t release() noexcept override {
        for (uint32_t count = count_; count != 0;)
            if (count_.compare_exchange_weak(count, count - 1)) return count == 1 ? close() : count - 1;
        return 0;
    }
    int32_t bind(IBase* component, const char* role) noexcept override {
        return guard([&] {
            if (!component || !role) throw Error("bound to nothing", COMANCHE_E_POINTER);
            if (started_) throw Error("bound while it is started");
            if (*role) throw Error(std::string("takes no binding as ") + role, COMANCHE_E_INVALIDARG);
            if (bound_) throw Error("stands on one device only");
            IBase* found = nullptr;
            check(component->query(IBlockDevice::uuid, &found), "asking what is bound for its interface");
            auto owner = Ref<IBase>::adopt(found);
            auto device = query_interface<IBlockDevice>(owner.get());
            if (!device) throw Error("what is bound is no block device", COMANCHE_E_NOINTERFACE);
            component->retain();
            bound_ = Ref<IBase>::share(component);
            below_ = std::move(device);
        });
    }
    int32_t unbind() noexcept override {
        return guard([&] {
            if (started_) throw Error("unbound while it is started");
            drop_binding();
        });
    }
    int32_t start() noexcept override {
        return guard([&] {
            if (started_) return;
            if (!below_) throw Error("nothing is bound");
            on_start();
            started_ = true;
        });
    }
    int32_t stop() noexcept override {
        return guard([&] {
            if (!started_) return;
            if (uint32_t open = open_queues_) throw Error("stopped with " + std::to_string(open) + " open queues");
            on_stop();
            started_ = false;
        });
    }
    uint32_t get_version() noexcept override { return 1u << 16; }

    // IZerocopyMemory: the one registry of the process.
    int32_t allocate_io_buffer(size_t size, uint32_t alignment, int32_t numa_node, IoBuffer* result) noexcept override {
        return memory_->allocate_io_buffer(size, alignment, numa_node, result);
    }
    int32_t reallocate_io_buffer(IoBuffer buffer, size_t size, uint32_t alignment) noexcept override {
        return memory_->reallocate_io_buffer(buffer, size, alignment);
    }
    int32_t free_io_buffer(IoBuffer buffer) noexcept override { return memory_->free_io_buffer(buffer); }
    int32_t register_memory(void* address, size_t length, IoBuffer* result) noexcept override { return memory_->register_memory(address, length, result); }
    int32_t unregister_memory(IoBuffer buffer) noexcept override { return memory_->unregister_memory(buffer); }
    int32_t get_buffer_info(IoBuffer buffer, IoBufferInfo* info) noexcept override { return memory_->get_buffer_info(buffer, info); }
    int32_t translate(void* address, size_t length, MemoryRun* runs, int32_t capacity, int32_t* result) noexcept override {
        return memory_->translate(address, length, runs, capacity, result);
    }
    int32_t get_regions(MemoryRegion* regions, int32_t capacity, int32_t* result) noexcept override { return memory_->get_regions(regions, capacity, result); }
    uint64_t* get_generation() noexcept override { return memory_->get_generation(); }

    // IBlockDevice
    int32_t get_volume_info(VolumeInfo* info) noexcept override {
        return guard([&] {
            if (!info) throw Error("no place for the geometry", COMANCHE_E_POINTER);
            *info = {};
            if (!started_) throw Error("asked for its geometry before it is started");
            *info = describe();
        });
    }
    int32_t open_queue(QueueOptions* options, IIoQueue** result) noexcept override {
        if (!options || !result) return COMANCHE_E_POINTER;
        *result = nullptr;
        return guard([&] {
            if (!started_) throw Error("a queue was opened before it is started");
            if (options->depth == 0 || options->depth > queue_options_max_depth)
                throw Error("a queue of depth " + std::to_string(options->depth) + " was asked for; 1 to " + std::to_string(queue_options_max_depth) + " can be had");
            *result = create_queue(*options).detach();
        });
    }
    uint64_t get_event_number() noexcept override { return below_ ? below_->get_event_number() : 0; }
    int32_t get_health(DeviceHealth* health) noexcept override {
        return guard([&] {
            if (!health) throw Error("no place for the health", COMANCHE_E_POINTER);
            *health = {};
            if (!started_) throw Error("asked how it fares before it is started");
            check(below_->get_health(health), "asking the device below how it fares");
        });
    }

private:
    template <class F>
    int32_t guard(F&& code) noexcept {
        return barrier(host_.get(), std::forward<F>(code));
    }
    // What can't be stopped is still used, by an open queue for example: it stays open, with its count. The host has the text.
    uint32_t close() noexcept {
        if (stop() < 0) return count_ = 1;
        drop_binding();
        return 0;
    }
    void drop_binding() noexcept {
        below_ = {};
        if (bound_) bound_->release();
        bound_ = {};
    }

    Ref<IHost> host_;
    Ref<IZerocopyMemory> memory_;
    std::string name_;
    Ref<IBase> bound_;
    Ref<IBlockDevice> below_;
    std::atomic<uint32_t> count_{1};
    std::atomic<uint32_t> open_queues_{0};
    std::atomic<bool> started_{false};
};

/**
 * A fixed number of DMA buffers of one size: for a layer that changes what is written, since a write's own buffer is not to be changed. One thread at a
 * time; nothing is allocated after the constructor.
 */
class BufferPool {
public:
    /** Takes the memory from a device's memory interface, which outlives the pool. */
    BufferPool(IZerocopyMemory* memory, uint32_t count, uint32_t bytes, uint32_t alignment) : memory_(memory), bytes_(bytes), free_(new uint8_t*[count]) {
        check(memory->allocate_io_buffer(size_t{count} * bytes, alignment, -1, &buffer_), "allocating I/O buffers");
        IoBufferInfo info{};
        int32_t result = memory->get_buffer_info(buffer_, &info);
        if (result < 0) memory->free_io_buffer(buffer_);
        check(result, "asking where an I/O buffer lies");
        first_ = static_cast<uint8_t*>(info.address);
        end_ = first_ + size_t{count} * bytes;
        region_ = info.region;
        for (uint8_t* buffer = end_; buffer != first_;) free_[available_++] = buffer -= bytes;
    }
    ~BufferPool() { memory_->free_io_buffer(buffer_); }
    BufferPool(const BufferPool&) = delete;
    BufferPool& operator=(const BufferPool&) = delete;

    /** How many are free. */
    uint32_t available() const noexcept { return available_; }
    /** The bytes of each. */
    uint32_t bytes() const noexcept { return bytes_; }
    /** The registered region of all. */
    uint32_t region() const noexcept { return region_; }
    /** The index of a buffer, at most count - 1; the buffer is the pool's. */
    uint32_t index_of(const uint8_t* buffer) const noexcept { return static_cast<uint32_t>(static_cast<size_t>(buffer - first_) / bytes_); }
    /** Whether an address is that of one of these buffers. */
    bool owns(const uint8_t* buffer) const noexcept { return buffer >= first_ && buffer < end_; }
    /** Takes one; the caller has looked at available. */
    uint8_t* take() noexcept { return free_[--available_]; }
    /** Gives one back. */
    void give_back(uint8_t* buffer) noexcept { free_[available_++] = buffer; }

private:
    IZerocopyMemory* memory_;
    IoBuffer buffer_{};
    uint32_t bytes_;
    uint8_t* first_ = nullptr;
    uint8_t* end_ = nullptr;
    uint32_t region_ = 0;
    uint32_t available_ = 0;
    std::unique_ptr<uint8_t*[]> free_;
};

/**
 * A queue of a filter that changes descriptors in place: down on their way down, up on their way up, which also undoes what down did to one that was
 * refused below. Descriptors that accept refuses never go down: they come back with the status that it gave. Owner thread only; nothing is allocated
 * after the constructor.
 */
class InPlaceQueue : public Object<IIoQueue> {
public:
    InPlaceQueue(BlockFilter* device, Ref<IIoQueue> below, uint32_t depth)
        : device_(Ref<BlockFilter>::share(device)), below_(std::move(below)), depth_(static_cast<int32_t>(depth)), answered_(new IoDescriptor*[depth]) {
        device_->queue_opened();
    }
    ~InPlaceQueue() override {
        if (!closed_) device_->queue_closed();
    }

    int32_t submit(IoDescriptor** batch, int32_t count) noexcept override {
        if (abandoned_ || closed_) return 0;
        count = count < depth_ - in_flight_ ? count : depth_ - in_flight_;
        int32_t taken = 0;
        while (taken < count) {
            // A run of descriptors that may go down, up to one that is answered here.
            int32_t end = taken;
            IoStatus status = IoStatus::success;
            bool room = true;
            while (end < count && (status = accept(batch[end])) == IoStatus::success && (room = has_room(batch[end]))) down(batch[end++]);
            int32_t run = end - taken;
            int32_t below = run == 0 ? 0 : below_->submit(batch + taken, run);
            for (int32_t i = taken + below; i < end; i++) up(batch[i], true);
            taken += below;
            if (below < run || taken == count || !room) break;
            batch[taken]->status = status;
            answered_[answered_count_++] = batch[taken++];
        }
        in_flight_ += taken;
        return taken;
    }

    int32_t poll(IoDescriptor** completed, int32_t capacity) noexcept override {
        if (closed_) return 0;
        int32_t count = 0;
        while (count < capacity && answered_count_ > 0) completed[count++] = answered_[--answered_count_];
        if (count < capacity) {
            int32_t from_below = below_->poll(completed + count, capacity - count);
            for (int32_t i = 0; i < from_below; i++) up(completed[count + i], false);
            count += from_below;
        }
        in_flight_ -= count;
        return count;
    }

    int32_t cancel(IoDescriptor* descriptor) noexcept override { return closed_ ? 0 : below_->cancel(descriptor); }

    int64_t arm(WaitSet* wait_set) noexcept override {
        if (closed_) return wait_set_forever;
        return answered_count_ > 0 ? 0 : below_->arm(wait_set);
    }

    void abandon() noexcept override {
        if (abandoned_ || closed_) return;
        abandoned_ = true;
        below_->abandon();
    }

    int32_t close() noexcept override {
        if (closed_) return COMANCHE_OK;
        return barrier(device_->host(), [&] {
            if (in_flight_ != 0) throw Error("a queue was closed with " + std::to_string(in_flight_) + " descriptors in flight");
            check(below_->close(), "closing the queue below");
            below_ = {};
            closed_ = true;
            device_->queue_closed();
        });
    }

protected:
    /** Whether a descriptor may go down; any other status is its answer. It must not be changed here. */
    virtual IoStatus accept(const IoDescriptor*) noexcept { return IoStatus::success; }
    /** Whether what down needs for a descriptor is free now. False ends the batch there; it is submitted again when something has come back. */
    virtual bool has_room(const IoDescriptor*) noexcept { return true; }
    /** Changes a descriptor on its way down, or takes other data for it; the data of a write or compare is the submitter's and stays as it is. */
    virtual void down(IoDescriptor* descriptor) noexcept = 0;
    /** Restores it on its way up. refused: it was not done, because the queue below is full, and will be submitted again. */
    virtual void up(IoDescriptor* descriptor, bool refused) noexcept = 0;

private:
    Ref<BlockFilter> device_;
    Ref<IIoQueue> below_;
    int32_t depth_;
    int32_t in_flight_ = 0;
    std::unique_ptr<IoDescriptor*[]> answered_; // Answered by accept, not polled yet; at most depth_.
    int32_t answered_count_ = 0;
    bool abandoned_ = false;
    bool closed_ = false;
};

/** Makes components of one class C, which has a constructor C(IHost*, const Options&) and a static const char* description (JSON, see IFactory). */
template <class C>
class Factory final : public Object<IFactory> {
public:
    explicit Factory(const Guid& id) : id_(id) {}

    int32_t get_count() noexcept override { return 1; }

    int32_t describe(int32_t index, char** result) noexcept override {
        if (!result) return COMANCHE_E_POINTER;
        *result = nullptr;
        if (index != 0) return COMANCHE_E_INVALIDARG;
        *result = strdup(C::description);
        return *result ? COMANCHE_OK : COMANCHE_E_OUTOFMEMORY;
    }

    int32_t create(const Guid& component_id, IHost* host, const char* options_json, IBase** result) noexcept override {
        if (!result || !host) return COMANCHE_E_POINTER;
        *result = nullptr;
        return barrier(host, [&] {
            if (component_id != id_) throw Error("this library makes no component of that UUID", COMANCHE_E_INVALIDARG);
            *result = new C(host, Options(options_json));
        });
    }

private:
    Guid id_;
};

} // namespace comanche

#endif /* COMANCHE_HPP */
