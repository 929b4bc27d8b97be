/*
 * A queue: a submission ring of whole descriptors and a completion ring of 8-byte entries in memory that the server made, and the two words by which each side says that it sleeps.
 *
 * Submission p lies in slot p mod slots. The client writes the first 56 bytes, then, as the last and with release, the stamp p + 1 in place of scratch, for which the server looks. There are
 * at least twice as many slots as the depth, since a cancellation takes one too.
 *
 * Completion p is one word, written by one store: the lower 32 bits of p + 1, the client's index of the descriptor (16 bits), its status (16 bits). There are never more outstanding than slots.
 *
 * The index is the descriptor's place in a table of this process. Invariant: indices free + in flight = depth. What the server writes is not believed: an index is one of the table's, or
 * the entry is skipped; what it says to have taken is no more than there was, and no less than before.
 *
 * Owner thread only, but for the list of queues.
 */
#define _GNU_SOURCE

#include "comanche_client_private.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum {
    CLIENT_SLEEPS_OFFSET = 64, SERVER_SLEEPS_OFFSET = 128, TAKEN_OFFSET = 192, HEADER_BYTES = 256, /* Each word on a cache line of its own. */
    MIN_COMPLETION_SLOTS = 8,                                                                      /* A whole cache line. */
    MAX_QUEUE_DEPTH = 16384,
    OPERATION_CANCEL = 0xFF,      /* In the ring only: asks for the end of the descriptor whose index is the tag. It has no completion. */
    OPERATION_NONE_SUCH = 0xFE,
    WIRE_FLAGS = 0x0F,
    POLLS_PER_LOOK = 1 << 14,     /* Empty polls between two looks whether the server lives, each a system call. */
    SPINS_PER_CLOCK = 64,         /* Looks at the ring between two at the clock, which costs as much as some dozens of them. */
    BOUNCE_BYTES = 1 << 20,
    CANCEL_PATIENCE_ROUNDS = 10000, CANCEL_ROUND_NS = 100000 /* One second. */
};

struct comanche_client_queue {
    comanche_client_t* client;
    comanche_client_queue_t* next; /* In the client's list; under its lock. */
    unsigned char* memory;
    size_t memory_bytes;
    int event;                     /* The server signals it. */
    uint32_t number, depth, submission_slots, completion_slots, segments;
    uint64_t next_submission, next_completion;
    uint64_t taken;                /* What the server had taken when it was last asked. */
    comanche_io_descriptor_t** table;
    uint16_t* free_indices;
    uint32_t free_count;
    uint32_t last_place;           /* In the table of regions: where the last buffer lay. */
    uint32_t empty_polls;
    uint32_t block_shift;
    bool armed, abandoned;
    bool over;                     /* The server is gone, and all that it wrote has been read: the rings are not looked at any more. */
    void* bounce;                  /* For comanche_read and comanche_write; NULL before it is needed. */
    size_t bounce_bytes;
};

static uint32_t round_up_to_power_of_two(uint32_t value)
{
    uint32_t power = 1;
    while (power < value) power *= 2;
    return power;
}

static word32_t* client_sleeps(const comanche_client_queue_t* queue) { return (word32_t*)(void*)(queue->memory + CLIENT_SLEEPS_OFFSET); }

static word32_t* server_sleeps(const comanche_client_queue_t* queue) { return (word32_t*)(void*)(queue->memory + SERVER_SLEEPS_OFFSET); }

static comanche_io_descriptor_t* submission(const comanche_client_queue_t* queue, uint64_t position)
{
    return (comanche_io_descriptor_t*)(void*)(queue->memory + HEADER_BYTES) + (position & (queue->submission_slots - 1));
}

static word64_t* completion(const comanche_client_queue_t* queue, uint64_t position)
{
    return (word64_t*)(void*)(queue->memory + HEADER_BYTES + (size_t)queue->submission_slots * sizeof(comanche_io_descriptor_t)) + (position & (queue->completion_slots - 1));
}

static comanche_io_segment_t* segments_of(const comanche_client_queue_t* queue, uint32_t index)
{
    unsigned char* all = queue->memory + HEADER_BYTES + (size_t)queue->submission_slots * sizeof(comanche_io_descriptor_t) + (size_t)queue->completion_slots * sizeof(word64_t);
    return (comanche_io_segment_t*)(void*)all + (size_t)index * queue->segments;
}

/* Makes a slot visible whose first 56 bytes are those of a descriptor. */
static void publish(comanche_client_queue_t* queue, const comanche_io_descriptor_t* content)
{
    uint64_t position = queue->next_submission++;
    comanche_io_descriptor_t* slot = submission(queue, position);
    memcpy(slot, content, offsetof(comanche_io_descriptor_t, scratch));

    /* Release: whoever sees the stamp sees what was written before it, the segment list and the data too. */
    atomic_store_explicit((word64_t*)(void*)&slot->scratch, position + 1, memory_order_release);
}

static bool has_completion(const comanche_client_queue_t* queue, uint64_t* entry)
{
    /* Acquire: what was read into the buffers is visible to whoever sees the entry. */
    *entry = atomic_load_explicit(completion(queue, queue->next_completion), memory_order_acquire);
    return (uint32_t)(*entry >> 32) == (uint32_t)(queue->next_completion + 1);
}

static void signal_event(int event)
{
    uint64_t one = 1;
    while (write(event, &one, sizeof one) < 0 && errno == EINTR) { }
}

static void wake_server(comanche_client_queue_t* queue)
{
    /* Full: orders the stamps before the look at the word. The server sets the word, puts such a fence, and looks at the ring once more: so at least one sees the other's store. */
    atomic_thread_fence(memory_order_seq_cst);
    word32_t* sleeps = server_sleeps(queue);
    if (atomic_load_explicit(sleeps, memory_order_relaxed) == 0) return;

    /* Visible before the wake-up is: a store that came late would undo what the server says when it sleeps the next time. */
    atomic_exchange_explicit(sleeps, 0, memory_order_seq_cst);
    signal_event(queue->client->server_event);
}

/* How many more submissions the ring takes, at most as many as asked for. */
static uint32_t room_for(comanche_client_queue_t* queue, uint32_t wanted)
{
    uint64_t outstanding = queue->next_submission - queue->taken;
    if (queue->submission_slots - outstanding >= wanted) return wanted;

    /* Acquire: the server has copied the slots that it says to have taken, before they are written again. */
    uint64_t taken = atomic_load_explicit((word64_t*)(void*)(queue->memory + TAKEN_OFFSET), memory_order_acquire);
    if (taken > queue->taken && taken <= queue->next_submission) queue->taken = taken;
    outstanding = queue->next_submission - queue->taken;
    return queue->submission_slots - outstanding < wanted ? (uint32_t)(queue->submission_slots - outstanding) : wanted;
}

static uint32_t find(comanche_client_queue_t* queue, const void* address, uint64_t length, uint64_t* offset)
{
    uint32_t number = comanche_private_find(queue->client, address, length, queue->last_place, offset);
    if (number != 0) queue->last_place = number - 1;
    return number;
}

/* Makes offsets of a descriptor's addresses; false where they can't be passed on. */
static bool translate(comanche_client_queue_t* queue, comanche_io_descriptor_t* wire, uint32_t index)
{
    uint64_t length = (uint64_t)wire->block_count << queue->block_shift, offset = 0, compared = 0;
    uint32_t region = 0;
    bool is_compare_and_write = wire->operation == COMANCHE_IO_OPERATION_COMPARE_AND_WRITE;
    if (is_compare_and_write) {
        region = find(queue, (void*)(uintptr_t)wire->auxiliary, length, &compared);
        if (region == 0) return false;
        wire->auxiliary = compared;
    }

    if ((wire->flags & COMANCHE_IO_FLAGS_SEGMENTS) == 0) {
        wire->region = find(queue, wire->buffer, length, &offset);
        wire->buffer = (uint8_t*)(uintptr_t)offset;
        return wire->region != 0 && (!is_compare_and_write || wire->region == region);
    }

    if (wire->segment_count > queue->segments || wire->segments == NULL) return false;
    comanche_io_segment_t* to = segments_of(queue, index);
    for (uint32_t i = 0; i < wire->segment_count; i++) {
        comanche_io_segment_t segment = wire->segments[i];
        segment.region = find(queue, segment.address, segment.length, &offset);
        if (segment.region == 0) return false;
        segment.address = (uint8_t*)(uintptr_t)offset;
        to[i] = segment;
    }

    wire->region = region;
    wire->segments = NULL; /* Where they lie is known. */
    return true;
}

/* Writes a descriptor into the ring. */
static void put(comanche_client_queue_t* queue, const comanche_io_descriptor_t* descriptor, uint32_t index)
{
    comanche_io_descriptor_t wire = *descriptor;
    wire.tag = index;
    wire.flags &= WIRE_FLAGS;
    wire.status = COMANCHE_IO_STATUS_SUCCESS;
    wire.pending = 0;
    wire.parent = NULL;
    if (wire.operation == OPERATION_CANCEL) wire.operation = OPERATION_NONE_SUCH;
    bool has_buffer = wire.operation == COMANCHE_IO_OPERATION_READ || wire.operation == COMANCHE_IO_OPERATION_WRITE || wire.operation == COMANCHE_IO_OPERATION_COMPARE
        || wire.operation == COMANCHE_IO_OPERATION_COMPARE_AND_WRITE;
    if (!has_buffer) {
        wire.region = 0;
        wire.buffer = NULL;
    } else if (!translate(queue, &wire, index)) {
        /* Region 0 is none: it comes back as an invalid argument, in its turn. */
        wire.flags &= (comanche_io_flags_t)~COMANCHE_IO_FLAGS_SEGMENTS;
        wire.segment_count = 0;
        wire.region = 0;
        wire.buffer = NULL;
    }

    publish(queue, &wire);
}

int comanche_submit(comanche_client_queue_t* queue, comanche_io_descriptor_t* const* batch, int count)
{
    if (queue->abandoned || count <= 0) return 0;
    uint32_t most = (uint32_t)count < queue->free_count ? (uint32_t)count : queue->free_count;
    if (!queue->over) most = room_for(queue, most);
    for (uint32_t i = 0; i < most; i++) {
        uint32_t index = queue->free_indices[--queue->free_count];
        queue->table[index] = batch[i];
        if (!queue->over) put(queue, batch[i], index); /* Else it comes back with the next poll. */
        batch[i]->scratch = index;
    }

    if (most != 0 && !queue->over) wake_server(queue);
    return (int)most;
}

/* Stores what the ring holds. */
static int take_completions(comanche_client_queue_t* queue, comanche_io_descriptor_t** completed, int capacity)
{
    int count = 0;
    uint64_t entry;
    while (count < capacity && has_completion(queue, &entry)) {
        queue->next_completion++;
        uint32_t index = (uint16_t)(entry >> 16);
        comanche_io_descriptor_t* descriptor = index < queue->depth ? queue->table[index] : NULL;
        if (descriptor == NULL) continue;
        queue->table[index] = NULL;
        queue->free_indices[queue->free_count++] = (uint16_t)index;
        descriptor->status = (comanche_io_status_t)entry;
        completed[count++] = descriptor;
    }

    return count;
}

/* Gives back what the server will not complete any more. */
static int give_back(comanche_client_queue_t* queue, comanche_io_descriptor_t** completed, int capacity)
{
    int count = 0;
    for (uint32_t index = 0; index < queue->depth && count < capacity; index++) {
        comanche_io_descriptor_t* descriptor = queue->table[index];
        if (descriptor == NULL) continue;
        queue->table[index] = NULL;
        queue->free_indices[queue->free_count++] = (uint16_t)index;
        descriptor->status = COMANCHE_IO_STATUS_DEVICE_REMOVED;
        completed[count++] = descriptor;
    }

    return count;
}

/* Whether the server is known to be gone; looks only now and then. */
static bool is_lost(comanche_client_queue_t* queue)
{
    if (++queue->empty_polls % POLLS_PER_LOOK == 0) return comanche_is_gone(queue->client);
    return atomic_load_explicit(&queue->client->gone, memory_order_acquire);
}

static void disarm(comanche_client_queue_t* queue)
{
    uint64_t signals;
    queue->armed = false;
    atomic_store_explicit(client_sleeps(queue), 0, memory_order_relaxed); /* Needs no order: a signal too many ends one sleep early. */
    while (read(queue->event, &signals, sizeof signals) < 0 && errno == EINTR) { }
}

int comanche_poll(comanche_client_queue_t* queue, comanche_io_descriptor_t** completed, int capacity)
{
    if (queue->armed) disarm(queue);
    if (capacity <= 0) return 0;
    if (queue->over) return give_back(queue, completed, capacity);
    int count = take_completions(queue, completed, capacity);
    if (count != 0 || queue->free_count == queue->depth || !is_lost(queue)) return count;

    /* What the ring holds now is all that it ever will: it is read to the end before indices are used again, lest an old entry be taken for the end of a new descriptor. */
    count = take_completions(queue, completed, capacity);
    if (count != 0) return count;
    queue->over = true;
    return give_back(queue, completed, capacity);
}

int comanche_cancel(comanche_client_queue_t* queue, comanche_io_descriptor_t* descriptor)
{
    uint64_t index = descriptor->scratch;
    if (queue->over || index >= queue->depth || queue->table[index] != descriptor || room_for(queue, 1) == 0) return 0;
    comanche_io_descriptor_t wire;
    memset(&wire, 0, sizeof wire);
    wire.operation = OPERATION_CANCEL;
    wire.tag = index;
    publish(queue, &wire);
    wake_server(queue);
    return 1;
}

int comanche_get_in_flight(comanche_client_queue_t* queue) { return (int)(queue->depth - queue->free_count); }

int comanche_arm(comanche_client_queue_t* queue, comanche_client_sleep_t* sleep)
{
    uint64_t entry;
    sleep->event = queue->event;
    sleep->socket = queue->client->socket;
    bool in_flight = queue->free_count != queue->depth;
    if (queue->over || comanche_is_gone(queue->client)) return in_flight;
    queue->armed = true;
    atomic_store_explicit(client_sleeps(queue), 1, memory_order_relaxed);

    /* Full: orders the word before the last look at the ring. The server writes to the ring, puts such a fence, and looks at the word: so at least one sees the other's store. */
    atomic_thread_fence(memory_order_seq_cst);
    return has_completion(queue, &entry);
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

int comanche_wait(comanche_client_queue_t* queue, uint64_t spin_ns, int64_t timeout_ns)
{
    uint64_t entry;
    if (queue->free_count == queue->depth) return 0;
    if (queue->over || has_completion(queue, &entry)) return 1;
    uint64_t began = spin_ns != 0 || timeout_ns >= 0 ? now_ns() : 0;
    if (timeout_ns >= 0 && (uint64_t)timeout_ns < spin_ns) spin_ns = (uint64_t)timeout_ns;
    while (spin_ns != 0 && now_ns() - began < spin_ns) {
        for (int i = 0; i < SPINS_PER_CLOCK; i++) {
            relax();
            if (has_completion(queue, &entry)) return 1;
        }
    }

    while (true) {
        comanche_client_sleep_t sleep;
        if (comanche_arm(queue, &sleep) != 0) return 1;
        struct pollfd files[2] = { { .fd = sleep.event, .events = POLLIN }, { .fd = sleep.socket } };
        struct timespec left = { 0 };
        if (timeout_ns >= 0) {
            uint64_t passed = now_ns() - began, rest = passed < (uint64_t)timeout_ns ? (uint64_t)timeout_ns - passed : 0;
            left.tv_sec = (time_t)(rest / 1000000000u);
            left.tv_nsec = (long)(rest % 1000000000u);
        }

        int ended = ppoll(files, 2, timeout_ns >= 0 ? &left : NULL, NULL);
        if (has_completion(queue, &entry) || comanche_is_gone(queue->client)) return 1;
        if (ended <= 0) return 0;
        disarm(queue); /* A signal that was meant for an earlier sleep. */
    }
}

/* Tells the server of the queue; the code is that of the answer. */
static int tell(comanche_client_queue_t* queue, uint16_t request)
{
    message_t message = comanche_private_message(request);
    message.number = queue->number;
    pthread_mutex_lock(&queue->client->lock);
    int code = comanche_private_ask(queue->client, &message, -1, NULL, 0, NULL, 0);
    pthread_mutex_unlock(&queue->client->lock);
    return code;
}

int comanche_abandon(comanche_client_queue_t* queue)
{
    queue->abandoned = true;
    return tell(queue, REQUEST_ABANDON);
}

void comanche_private_drop_queue(comanche_client_queue_t* queue)
{
    comanche_client_queue_t** place = &queue->client->queues;
    while (*place != NULL && *place != queue) place = &(*place)->next;
    if (*place != NULL) *place = queue->next;
    if (queue->memory != NULL) munmap(queue->memory, queue->memory_bytes);
    if (queue->event >= 0) close(queue->event);
    free(queue->table);
    free(queue->free_indices);
    free(queue);
}

int comanche_close_queue(comanche_client_queue_t* queue)
{
    if (queue->free_count != queue->depth) return EBUSY;

    /* The server refuses to close a queue in whose ring a cancellation waits, which may come behind the completion that it was meant for. */
    for (int round = 0; round < CANCEL_PATIENCE_ROUNDS && !queue->abandoned && !queue->over; round++) {
        room_for(queue, queue->submission_slots);
        if (queue->taken == queue->next_submission || comanche_is_gone(queue->client)) break;
        struct timespec pause = { .tv_nsec = CANCEL_ROUND_NS };
        nanosleep(&pause, NULL);
    }

    if (tell(queue, REQUEST_CLOSE_QUEUE) == EPERM) return EBUSY;
    comanche_client_t* client = queue->client;
    comanche_free(client, queue->bounce);
    pthread_mutex_lock(&client->lock);
    comanche_private_drop_queue(queue);
    pthread_mutex_unlock(&client->lock);
    return 0;
}

/* Lays the rings over what the server sent; takes the files over in any case. */
static int lay(comanche_client_queue_t* queue, const message_t* answer, const int* files)
{
    queue->event = files[1];
    queue->number = answer->number;
    queue->segments = answer->segments;
    queue->submission_slots = round_up_to_power_of_two(2 * queue->depth);
    queue->completion_slots = round_up_to_power_of_two(queue->depth < MIN_COMPLETION_SLOTS ? MIN_COMPLETION_SLOTS : queue->depth);
    size_t needed = HEADER_BYTES + (size_t)queue->submission_slots * sizeof(comanche_io_descriptor_t) + (size_t)queue->completion_slots * sizeof(word64_t)
        + (size_t)queue->depth * (queue->segments <= MAX_SEGMENTS ? queue->segments : 0) * sizeof(comanche_io_segment_t);
    void* memory = NULL;
    int code = answer->segments == 0 || answer->segments > MAX_SEGMENTS || answer->length < needed || answer->length > SIZE_MAX / 2 ? EPROTO
        : comanche_private_map(files[0], (size_t)answer->length, PROT_READ | PROT_WRITE, &memory);
    close(files[0]);
    if (code != 0) return code;
    queue->memory = memory;
    queue->memory_bytes = (size_t)answer->length;

    /* It is read before every look at a ring that was slept on, which must not block. */
    int flags = fcntl(queue->event, F_GETFL);
    return flags < 0 || ((flags & O_NONBLOCK) == 0 && fcntl(queue->event, F_SETFL, flags | O_NONBLOCK) != 0) ? errno : 0;
}

comanche_client_queue_t* comanche_open_queue(comanche_client_t* client, uint32_t depth, char* error, size_t error_bytes)
{
    if (depth == 0 || depth > MAX_QUEUE_DEPTH) {
        errno = comanche_private_fail(error, error_bytes, EINVAL, "a queue has a depth of 1 to %d", MAX_QUEUE_DEPTH);
        return NULL;
    }

    comanche_client_queue_t* queue = calloc(1, sizeof *queue);
    if (queue != NULL) {
        queue->table = calloc(depth, sizeof(comanche_io_descriptor_t*));
        queue->free_indices = calloc(depth, sizeof *queue->free_indices);
    }

    if (queue == NULL || queue->table == NULL || queue->free_indices == NULL) {
        if (queue != NULL) {
            free(queue->table);
            free(queue->free_indices);
            free(queue);
        }

        errno = comanche_private_fail(error, error_bytes, ENOMEM, "there is no memory");
        return NULL;
    }

    queue->client = client;
    queue->depth = depth;
    queue->event = -1;
    while (client->block_size >> queue->block_shift != 1) queue->block_shift++;
    for (; queue->free_count < depth; queue->free_count++) queue->free_indices[queue->free_count] = (uint16_t)(depth - 1 - queue->free_count);
    message_t message = comanche_private_message(REQUEST_OPEN_QUEUE);
    message.length = depth;
    int files[2];
    pthread_mutex_lock(&client->lock);
    int code = comanche_private_ask(client, &message, -1, files, 2, error, error_bytes);
    if (code == 0) {
        code = lay(queue, &message, files);
        if (code != 0) {
            comanche_private_fail(error, error_bytes, code, code == EPROTO ? "the server's rings are not what they should be" : "the rings can't be mapped: %s", strerror(code));
            message = comanche_private_message(REQUEST_CLOSE_QUEUE);
            message.number = queue->number;
            comanche_private_ask(client, &message, -1, NULL, 0, NULL, 0);
        }
    }

    if (code == 0) {
        queue->next = client->queues;
        client->queues = queue;
    } else {
        comanche_private_drop_queue(queue);
        queue = NULL;
        errno = code;
    }

    pthread_mutex_unlock(&client->lock);
    return queue;
}

/* Does one request on a queue at rest, and waits for its end. */
static comanche_io_status_t execute(comanche_client_queue_t* queue, comanche_io_descriptor_t* request)
{
    comanche_io_descriptor_t* done = NULL;
    if (queue->free_count != queue->depth || comanche_submit(queue, &request, 1) == 0) return COMANCHE_IO_STATUS_BUSY;
    while (comanche_poll(queue, &done, 1) == 0) comanche_wait(queue, COMANCHE_CLIENT_SPIN_NS, -1);
    return done->status;
}

/* Reads or writes whole blocks, piece by piece. Writes nothing to the memory where it is a write. */
static comanche_io_status_t transfer(comanche_client_queue_t* queue, comanche_io_operation_t operation, comanche_io_flags_t flags, uint64_t lba, uint64_t block_count, uint8_t* memory)
{
    comanche_volume_info_t volume;
    comanche_get_volume(queue->client, &volume);
    if (block_count > SIZE_MAX >> queue->block_shift) return COMANCHE_IO_STATUS_INVALID_ARGUMENT;
    uint64_t most = volume.max_transfer_blocks;

    /* Pieces of a buffer that is used directly begin at multiples of the alignment too, which may be more than a block. */
    uint64_t aligned = volume.buffer_alignment >> queue->block_shift > 1 ? volume.buffer_alignment >> queue->block_shift : 1;
    bool is_direct = aligned <= most && ((uintptr_t)memory & (volume.buffer_alignment - 1)) == 0
        && comanche_is_shared(queue->client, memory, (size_t)block_count << queue->block_shift);
    if (is_direct) most -= most % aligned;
    if (!is_direct && queue->bounce == NULL && block_count != 0) {
        uint64_t bytes = most << queue->block_shift;
        queue->bounce_bytes = bytes < BOUNCE_BYTES ? (size_t)bytes : BOUNCE_BYTES;
        queue->bounce = comanche_allocate(queue->client, queue->bounce_bytes, volume.buffer_alignment);
        if (queue->bounce == NULL) return comanche_is_gone(queue->client) ? COMANCHE_IO_STATUS_DEVICE_REMOVED : COMANCHE_IO_STATUS_BUSY;
    }

    if (!is_direct && most > queue->bounce_bytes >> queue->block_shift) most = queue->bounce_bytes >> queue->block_shift;
    while (block_count != 0) {
        uint32_t blocks = (uint32_t)(block_count < most ? block_count : most);
        size_t bytes = (size_t)blocks << queue->block_shift;
        comanche_io_descriptor_t request;
        memset(&request, 0, sizeof request);
        request.operation = operation;
        request.flags = flags;
        request.lba = lba;
        request.block_count = blocks;
        request.buffer = is_direct ? memory : queue->bounce;
        if (!is_direct && operation == COMANCHE_IO_OPERATION_WRITE) memcpy(queue->bounce, memory, bytes);
        comanche_io_status_t status = execute(queue, &request);
        if (status != COMANCHE_IO_STATUS_SUCCESS) return status;
        if (!is_direct && operation == COMANCHE_IO_OPERATION_READ) memcpy(memory, queue->bounce, bytes);
        memory += bytes;
        lba += blocks;
        block_count -= blocks;
    }

    return COMANCHE_IO_STATUS_SUCCESS;
}

comanche_io_status_t comanche_read(comanche_client_queue_t* queue, uint64_t lba, uint64_t block_count, void* into)
{
    return transfer(queue, COMANCHE_IO_OPERATION_READ, COMANCHE_IO_FLAGS_NONE, lba, block_count, into);
}

comanche_io_status_t comanche_write(comanche_client_queue_t* queue, uint64_t lba, uint64_t block_count, const void* from, comanche_io_flags_t flags)
{
    flags &= COMANCHE_IO_FLAGS_FORCE_UNIT_ACCESS | COMANCHE_IO_FLAGS_NO_CACHE;
    return transfer(queue, COMANCHE_IO_OPERATION_WRITE, flags, lba, block_count, (uint8_t*)(uintptr_t)from);
}

comanche_io_status_t comanche_flush(comanche_client_queue_t* queue)
{
    comanche_io_descriptor_t request;
    memset(&request, 0, sizeof request);
    request.operation = COMANCHE_IO_OPERATION_FLUSH;
    return execute(queue, &request);
}
