/*
 * Uses a shared device by the C client library, for the tests and by hand:
 *
 *   client_test SOCKET DEVICE info
 *   client_test SOCKET DEVICE write  LBA BLOCKS SEED plain|vector|copy
 *   client_test SOCKET DEVICE read   LBA BLOCKS plain|vector|copy          prints the CRC32C of the range and its first bytes
 *   client_test SOCKET DEVICE verify LBA BLOCKS SEED plain|vector|copy
 *   client_test SOCKET DEVICE random SEED COUNT SPIN_NS                    reads and writes at depth 32, all verified, on the first 16384 blocks
 *   client_test SOCKET DEVICE refuse                                       requests that are wrong, each with its status
 *   client_test SOCKET DEVICE cancel ROUNDS                                cancels and abandons
 *   client_test SOCKET DEVICE memory ROUNDS                                buffers and regions that come and go
 *   client_test SOCKET DEVICE fork                                         goes on where a child gave up what it inherited
 *   client_test SOCKET DEVICE hold                                         reads until the server ends
 *
 * "plain" is one buffer a request, at odd offsets in shared memory; "vector" is segments of 1 to 3 blocks that lie apart; "copy" is ordinary memory, by the calls that wait.
 * Ends with 0 where all is as it should be, else with 1 and a line that says what is not.
 */
#define _GNU_SOURCE

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "comanche_client.h"

enum { DEPTH = 32, MAX_PIECES = 16, SPAN_BLOCKS = 16384, RANDOM_MOST = 8 };

static _Noreturn __attribute__((format(printf, 1, 2))) void die(const char* format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
    fflush(stdout);
    exit(1);
}

static void need(bool holds, const char* what)
{
    if (!holds) die("not so: %s", what);
}

/* Word i of the pattern of a seed; the same function is in CClientTests. */
static uint64_t pattern_word(uint64_t seed, uint64_t i)
{
    uint64_t z = seed + (i + 1) * UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

/* Memory need not be aligned. */
static void fill(void* to, size_t bytes, uint64_t offset, uint64_t seed)
{
    for (size_t at = 0; at < bytes; at += 8) {
        uint64_t word = pattern_word(seed, (offset + at) / 8);
        memcpy((char*)to + at, &word, 8);
    }
}

static void check(const void* from, size_t bytes, uint64_t offset, uint64_t seed)
{
    for (size_t at = 0; at < bytes; at += 8) {
        uint64_t word = pattern_word(seed, (offset + at) / 8), found;
        memcpy(&found, (const char*)from + at, 8);
        if (found != word) die("byte %llu has %016llx instead of %016llx", (unsigned long long)(offset + at), (unsigned long long)found, (unsigned long long)word);
    }
}

static uint32_t crc32c(const unsigned char* bytes, size_t length)
{
    uint32_t crc = ~0u;
    for (size_t i = 0; i < length; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78u : 0);
    }

    return ~crc;
}

typedef struct request {
    comanche_io_descriptor_t descriptor;
    comanche_io_segment_t segments[MAX_PIECES];
    uint8_t* memory;
    uint64_t seed;
} request_t;

static comanche_client_t* client;
static comanche_client_queue_t* queue;
static comanche_volume_info_t volume;
static uint64_t spin_ns = COMANCHE_CLIENT_SPIN_NS;

static uint64_t state;

static uint32_t below(uint32_t most)
{
    state++;
    return (uint32_t)(pattern_word(0x5eed, state) % most);
}

static void* shared(size_t bytes)
{
    void* memory = comanche_allocate(client, bytes, 0);
    if (memory == NULL) die("%zu bytes can't be allocated: %s", bytes, strerror(errno));
    return memory;
}

static void submit(comanche_io_descriptor_t* descriptor)
{
    if (comanche_submit(queue, &descriptor, 1) != 1) die("a request was refused with %d in flight", comanche_get_in_flight(queue));
}

/* Waits for one request. */
static comanche_io_descriptor_t* take(void)
{
    comanche_io_descriptor_t* done;
    while (comanche_poll(queue, &done, 1) == 0)
        if (comanche_wait(queue, spin_ns, INT64_C(20000000000)) == 0) die("nothing came back for 20 s, with %d in flight", comanche_get_in_flight(queue));
    return done;
}

static void expect_success(const comanche_io_descriptor_t* done)
{
    if (done->status != COMANCHE_IO_STATUS_SUCCESS)
        die("operation %u of %u blocks at %llu: %s", done->operation, done->block_count, (unsigned long long)done->lba, comanche_describe_status(done->status));
}

static size_t align(size_t bytes, size_t alignment) { return (bytes + alignment - 1) & ~(alignment - 1); }

/* Moves a range between the volume and the linear memory, by many requests at a time whose buffers are in one shared allocation. */
static void move(comanche_io_operation_t operation, uint64_t lba, uint64_t blocks, uint8_t* linear, bool is_vector)
{
    const size_t block = volume.block_size, alignment = volume.buffer_alignment, gap = 24 < alignment ? alignment : 24;
    const uint32_t pieces = volume.max_segments < MAX_PIECES ? volume.max_segments : MAX_PIECES;
    const size_t room = align(MAX_PIECES * (3 * block + gap + alignment) + gap, alignment);
    uint8_t* memory = shared(DEPTH * room);
    request_t* requests = calloc(DEPTH, sizeof *requests);
    int free_places[DEPTH], free_count = 0, in_flight = 0;
    for (int i = 0; i < DEPTH; i++) free_places[free_count++] = i;
    uint64_t begin = lba;
    while (blocks != 0 || in_flight != 0) {
        if (blocks != 0 && free_count != 0) {
            request_t* request = &requests[free_places[--free_count]];
            uint8_t* at = memory + (size_t)(request - requests) * room + align(gap, alignment);
            memset(request, 0, sizeof *request);
            request->descriptor.operation = operation;
            request->descriptor.lba = lba;
            request->descriptor.tag = (uint64_t)(request - requests);
            uint32_t count = is_vector ? 1 + below(pieces) : 1, sum = 0, i = 0;
            for (; i < count && sum < blocks; i++) {
                uint32_t length = is_vector ? 1 + below(3) : 1 + below(MAX_PIECES);
                if (length > blocks - sum) length = (uint32_t)(blocks - sum);
                if (operation == COMANCHE_IO_OPERATION_WRITE) memcpy(at, linear + (lba - begin + sum) * block, length * block);
                request->segments[i] = (comanche_io_segment_t){ .address = at, .length = (uint32_t)(length * block) };
                sum += length;
                at += align(length * block + gap, alignment);
            }

            request->descriptor.block_count = sum;
            if (is_vector) {
                request->descriptor.flags = COMANCHE_IO_FLAGS_SEGMENTS;
                request->descriptor.segment_count = (uint16_t)i;
                request->descriptor.segments = request->segments;
            } else {
                request->descriptor.buffer = request->segments[0].address;
            }

            submit(&request->descriptor);
            in_flight++;
            lba += sum;
            blocks -= sum;
            continue;
        }

        comanche_io_descriptor_t* done = take();
        expect_success(done);
        request_t* request = &requests[done->tag];
        need(&request->descriptor == done, "a request comes back with its tag");
        if (operation == COMANCHE_IO_OPERATION_READ) {
            size_t to = (done->lba - begin) * block;
            for (size_t left = done->block_count * block, i = 0; left != 0; left -= request->segments[i].length, to += request->segments[i].length, i++)
                memcpy(linear + to, request->segments[i].address, request->segments[i].length);
        }

        free_places[free_count++] = (int)done->tag;
        in_flight--;
    }

    need(comanche_free(client, memory) == 0, "the buffer is freed");
    free(requests);
}

static void transfer(comanche_io_operation_t operation, uint64_t lba, uint64_t blocks, uint8_t* linear, const char* mode)
{
    if (strcmp(mode, "copy") != 0) {
        move(operation, lba, blocks, linear, strcmp(mode, "vector") == 0);
        return;
    }

    comanche_io_status_t status = operation == COMANCHE_IO_OPERATION_READ ? comanche_read(queue, lba, blocks, linear)
        : comanche_write(queue, lba, blocks, linear, COMANCHE_IO_FLAGS_FORCE_UNIT_ACCESS);
    if (status != COMANCHE_IO_STATUS_SUCCESS) die("%s", comanche_describe_status(status));
}

static void range(const char* command, char** arguments, int count)
{
    bool has_seed = strcmp(command, "read") != 0;
    need(count == (has_seed ? 4 : 3), "the arguments are LBA BLOCKS [SEED] MODE");
    uint64_t lba = strtoull(arguments[0], NULL, 0), blocks = strtoull(arguments[1], NULL, 0), seed = has_seed ? strtoull(arguments[2], NULL, 0) : 0;
    const char* mode = arguments[count - 1];
    size_t bytes = blocks * volume.block_size;

    /* One byte beside every alignment. */
    uint8_t* memory = malloc(bytes + 1);
    need(memory != NULL, "there is memory");
    uint8_t* linear = memory + 1;
    if (strcmp(command, "write") == 0) {
        fill(linear, bytes, lba * volume.block_size, seed);
        transfer(COMANCHE_IO_OPERATION_WRITE, lba, blocks, linear, mode);
        need(comanche_flush(queue) == COMANCHE_IO_STATUS_SUCCESS, "it is flushed");
        printf("wrote %llu blocks\n", (unsigned long long)blocks);
    } else {
        memset(linear, 0xEE, bytes);
        transfer(COMANCHE_IO_OPERATION_READ, lba, blocks, linear, mode);
        if (has_seed) check(linear, bytes, lba * volume.block_size, seed);
        if (has_seed) printf("verified %llu blocks\n", (unsigned long long)blocks);
        else printf("crc32c %08x first ", crc32c(linear, bytes));
        for (int i = 0; !has_seed && i < 16; i++) printf("%02x", linear[i]);
        if (!has_seed) printf("\n");
    }

    free(memory);
}

/* The seed of a block's content of a version; version 0 was never written here. */
static uint64_t seed_of(uint64_t block, uint32_t version) { return block << 32 | version; }

static void random_requests(uint64_t seed, uint64_t count, uint64_t spin)
{
    spin_ns = spin;
    state = seed;
    uint32_t* versions = calloc(SPAN_BLOCKS, sizeof *versions);
    bool* busy = calloc(SPAN_BLOCKS, sizeof *busy);
    request_t* requests = calloc(DEPTH, sizeof *requests);
    size_t room = align((RANDOM_MOST + 1) * (size_t)volume.block_size, volume.buffer_alignment);
    uint8_t* memory = shared(DEPTH * room);
    uint64_t submitted = 0, written = 0, most = 0;
    int in_flight = 0;
    bool used[DEPTH] = { false };
    need(volume.block_count >= SPAN_BLOCKS, "the volume has 16384 blocks");
    while (submitted < count || in_flight != 0) {
        comanche_io_descriptor_t* batch[DEPTH];
        int prepared = 0;
        for (int place = 0; place < DEPTH && submitted < count; place++) {
            if (used[place]) continue;
            uint32_t length = 1 + below(RANDOM_MOST), lba = below(SPAN_BLOCKS - RANDOM_MOST);
            bool is_free = true;
            for (uint32_t i = 0; i < length; i++) is_free = is_free && !busy[lba + i];
            if (!is_free) continue;
            request_t* request = &requests[place];
            memset(request, 0, sizeof *request);
            request->memory = memory + (size_t)place * room + (volume.buffer_alignment == 1 ? below(volume.block_size) : 0);
            request->descriptor.operation = below(2) == 0 ? COMANCHE_IO_OPERATION_WRITE : COMANCHE_IO_OPERATION_READ;
            request->descriptor.lba = lba;
            request->descriptor.block_count = length;
            request->descriptor.buffer = request->memory;
            request->descriptor.tag = (uint64_t)place;
            for (uint32_t i = 0; i < length; i++) {
                busy[lba + i] = true;
                if (request->descriptor.operation != COMANCHE_IO_OPERATION_WRITE) continue;
                fill(request->memory + (size_t)i * volume.block_size, volume.block_size, 0, seed_of(lba + i, ++versions[lba + i]));
                written++;
            }

            batch[prepared++] = &request->descriptor;
            used[place] = true;
            submitted++;
        }

        for (int from = 0; from < prepared;) from += comanche_submit(queue, batch + from, prepared - from);
        in_flight += prepared;
        most = (uint64_t)in_flight > most ? (uint64_t)in_flight : most;
        if (in_flight == 0) continue;
        comanche_io_descriptor_t* done[DEPTH];
        int back = comanche_poll(queue, done, DEPTH);
        if (back == 0 && comanche_wait(queue, spin_ns, INT64_C(20000000000)) == 0) die("nothing came back for 20 s");
        for (int i = 0; i < back; i++) {
            expect_success(done[i]);
            request_t* request = &requests[done[i]->tag];
            for (uint32_t b = 0; b < done[i]->block_count; b++) {
                uint64_t lba = done[i]->lba + b;
                busy[lba] = false;
                if (done[i]->operation == COMANCHE_IO_OPERATION_READ && versions[lba] != 0)
                    check(request->memory + (size_t)b * volume.block_size, volume.block_size, 0, seed_of(lba, versions[lba]));
            }

            used[done[i]->tag] = false;
            in_flight--;
        }
    }

    printf("did %llu requests, %llu blocks written, %llu at a time\n", (unsigned long long)submitted, (unsigned long long)written, (unsigned long long)most);
    comanche_free(client, memory);
    free(versions);
    free(busy);
    free(requests);
}

static void expect(const char* what, comanche_io_descriptor_t descriptor)
{
    submit(&descriptor);
    comanche_io_descriptor_t* done = take();
    need(done == &descriptor, "the request comes back");
    printf("%s: %s\n", what, comanche_describe_status(done->status));
}

static void refuse(void)
{
    uint8_t* memory = shared(volume.block_size);
    uint8_t* strange = malloc(volume.block_size);
    comanche_io_segment_t outside = { .address = strange, .length = volume.block_size };
    expect("nothing", (comanche_io_descriptor_t){ .operation = COMANCHE_IO_OPERATION_NONE });
    expect("beyond the end", (comanche_io_descriptor_t){ .operation = COMANCHE_IO_OPERATION_READ, .lba = volume.block_count, .block_count = 1, .buffer = memory });
    expect("no blocks", (comanche_io_descriptor_t){ .operation = COMANCHE_IO_OPERATION_READ, .buffer = memory });
    expect("not shared", (comanche_io_descriptor_t){ .operation = COMANCHE_IO_OPERATION_READ, .block_count = 1, .buffer = strange });
    expect("a segment not shared", (comanche_io_descriptor_t){
        .operation = COMANCHE_IO_OPERATION_WRITE, .flags = COMANCHE_IO_FLAGS_SEGMENTS, .segment_count = 1, .block_count = 1, .segments = &outside });
    expect("operation 255", (comanche_io_descriptor_t){ .operation = 255 });
    comanche_client_queue_t* deep = comanche_open_queue(client, comanche_get_max_depth(client) + 1, NULL, 0);
    need(deep == NULL && errno == EPERM, "a queue that is too deep is refused by the server");
    need(comanche_free(client, strange) == EINVAL && comanche_free(client, memory + 1) == EINVAL, "what is no buffer is not freed");
    need(comanche_allocate(client, 1, 3) == NULL && errno == EINVAL, "an alignment is a power of two");
    free(strange);
    comanche_free(client, memory);
}

static void cancel(uint64_t rounds)
{
    uint8_t* memory = shared(DEPTH * (size_t)volume.block_size);
    request_t* requests = calloc(DEPTH, sizeof *requests);
    uint64_t cancelled = 0, done = 0, aborted = 0;
    for (uint64_t round = 0; round < rounds; round++) {
        bool is_last = round % 2 == 1;
        for (int i = 0; i < DEPTH; i++) {
            requests[i].descriptor = (comanche_io_descriptor_t){
                .operation = COMANCHE_IO_OPERATION_READ, .lba = (uint64_t)i, .block_count = 1, .buffer = memory + (size_t)i * volume.block_size, .tag = (uint64_t)i };
            submit(&requests[i].descriptor);
        }

        for (int i = 0; i < DEPTH; i++) comanche_cancel(queue, &requests[i].descriptor);
        if (is_last) need(comanche_abandon(queue) == 0, "the queue is abandoned");
        for (int i = 0; i < DEPTH; i++) {
            comanche_io_descriptor_t* back = take();
            cancelled += back->status == COMANCHE_IO_STATUS_CANCELLED;
            done += back->status == COMANCHE_IO_STATUS_SUCCESS;
            aborted += back->status == COMANCHE_IO_STATUS_ABORTED;
            need(comanche_cancel(queue, back) == 0, "what is back can't be cancelled");
        }

        need(comanche_get_in_flight(queue) == 0, "all are back");
        comanche_io_descriptor_t* refused = &requests[0].descriptor;
        if (is_last) need(comanche_submit(queue, &refused, 1) == 0, "an abandoned queue takes nothing");

        /* Closed right behind cancellations that may still wait in the ring. */
        need(comanche_close_queue(queue) == 0, "the queue is closed");
        queue = comanche_open_queue(client, DEPTH, NULL, 0);
        need(queue != NULL, "there is another queue");
    }

    need(cancelled + done + aborted == rounds * DEPTH, "each is done, cancelled or aborted");
    printf("gave up %llu rounds\n", (unsigned long long)rounds);
    comanche_free(client, memory);
    free(requests);
}

static void memory(uint64_t rounds)
{
    enum { BUFFERS = 24 };
    struct { uint8_t* address; size_t bytes; uint64_t seed; } buffers[BUFFERS] = { { NULL, 0, 0 } };
    for (uint64_t round = 0; round < rounds; round++) {
        int i = (int)below(BUFFERS);
        if (buffers[i].address != NULL) {
            check(buffers[i].address, buffers[i].bytes, 0, buffers[i].seed);
            need(comanche_read(queue, 0, buffers[i].bytes / volume.block_size, buffers[i].address) == COMANCHE_IO_STATUS_SUCCESS, "the server knows the memory");
            need(comanche_free(client, buffers[i].address) == 0, "the buffer is freed");
            buffers[i].address = NULL;
            continue;
        }

        size_t alignment = (size_t)1 << below(22), bytes = 8 * (1 + (size_t)below(below(4) == 0 ? 700000 : 5000));
        if (bytes < volume.block_size) bytes = volume.block_size;
        buffers[i].address = comanche_allocate(client, bytes, alignment);
        need(buffers[i].address != NULL && (uintptr_t)buffers[i].address % alignment == 0, "there is an aligned buffer");
        need(comanche_is_shared(client, buffers[i].address, bytes), "it is shared");
        buffers[i].bytes = bytes;
        buffers[i].seed = round;
        fill(buffers[i].address, bytes, 0, round);
    }

    for (int i = 0; i < BUFFERS; i++) {
        if (buffers[i].address == NULL) continue;
        check(buffers[i].address, buffers[i].bytes, 0, buffers[i].seed);
        need(comanche_free(client, buffers[i].address) == 0, "the buffer is freed");
    }

    printf("allocated for %llu rounds\n", (unsigned long long)rounds);
}

static void split(void)
{
    uint8_t* buffer = shared(volume.block_size);
    comanche_io_descriptor_t descriptor = { .operation = COMANCHE_IO_OPERATION_WRITE, .lba = 5, .block_count = 1, .buffer = buffer };
    fill(buffer, volume.block_size, 0, 5);
    pid_t child = fork();
    need(child >= 0, "there is a child");
    if (child == 0) {
        comanche_disown(client);
        _exit(7);
    }

    int ended;
    need(waitpid(child, &ended, 0) == child && WIFEXITED(ended) && WEXITSTATUS(ended) == 7, "the child ends in order");
    submit(&descriptor);
    expect_success(take());
    memset(buffer, 0, volume.block_size);
    descriptor.operation = COMANCHE_IO_OPERATION_READ;
    submit(&descriptor);
    expect_success(take());
    check(buffer, volume.block_size, 0, 5);
    need(comanche_free(client, buffer) == 0, "the buffer is freed");
    printf("the parent goes on\n");
}

static void hold(void)
{
    char error[COMANCHE_CLIENT_ERROR_BYTES];
    uint8_t* buffers = shared(DEPTH * (size_t)volume.block_size);
    request_t* requests = calloc(DEPTH, sizeof *requests);
    for (int i = 0; i < DEPTH; i++) {
        requests[i].descriptor = (comanche_io_descriptor_t){ .operation = COMANCHE_IO_OPERATION_READ, .block_count = 1, .buffer = buffers + (size_t)i * volume.block_size };
        submit(&requests[i].descriptor);
    }

    printf("holds\n");
    fflush(stdout);
    spin_ns = 0;
    uint64_t removed = 0, aborted = 0;
    while (comanche_get_in_flight(queue) != 0) {
        comanche_io_descriptor_t* done = take();
        if (done->status == COMANCHE_IO_STATUS_SUCCESS || done->status == COMANCHE_IO_STATUS_ABORTED) {
            aborted += done->status == COMANCHE_IO_STATUS_ABORTED;
            submit(done);
        } else if (done->status == COMANCHE_IO_STATUS_DEVICE_REMOVED) {
            removed++;
        } else {
            die("a read ended as %s", comanche_describe_status(done->status));
        }
    }

    need(removed == DEPTH && comanche_is_gone(client), "every read came back as removed");
    need(comanche_describe(client, NULL, NULL, error, sizeof error) == ECONNRESET, "nothing more can be asked");
    need(comanche_flush(queue) == COMANCHE_IO_STATUS_DEVICE_REMOVED, "nothing more can be done");
    need(comanche_read(queue, 0, 1, error) == COMANCHE_IO_STATUS_DEVICE_REMOVED, "nothing can be read into memory of one's own");
    printf("%d reads ended: %s; %s\n", (int)removed, comanche_describe_status(COMANCHE_IO_STATUS_DEVICE_REMOVED), error);
    comanche_free(client, buffers);
    free(requests);
}

int main(int count, char** arguments)
{
    char error[COMANCHE_CLIENT_ERROR_BYTES];
    need(count >= 4, "the arguments are SOCKET DEVICE COMMAND");
    client = comanche_attach(arguments[1], arguments[2], error, sizeof error);
    if (client == NULL) die("refused: %s", error);
    comanche_get_volume(client, &volume);
    queue = comanche_open_queue(client, DEPTH, error, sizeof error);
    if (queue == NULL) die("no queue: %s", error);
    const char* command = arguments[3];
    if (strcmp(command, "info") == 0) {
        comanche_device_health_t health;
        need(comanche_describe(client, &volume, &health, error, sizeof error) == 0, "the server describes the device");
        printf("%llu blocks of %u, state %d, depth %u\n", (unsigned long long)volume.block_count, volume.block_size, (int)health.state, comanche_get_max_depth(client));
    } else if (strcmp(command, "random") == 0 && count == 7) {
        random_requests(strtoull(arguments[4], NULL, 0), strtoull(arguments[5], NULL, 0), strtoull(arguments[6], NULL, 0));
    } else if (strcmp(command, "refuse") == 0) {
        refuse();
    } else if (strcmp(command, "cancel") == 0 && count == 5) {
        cancel(strtoull(arguments[4], NULL, 0));
    } else if (strcmp(command, "memory") == 0 && count == 5) {
        memory(strtoull(arguments[4], NULL, 0));
    } else if (strcmp(command, "fork") == 0) {
        split();
    } else if (strcmp(command, "hold") == 0) {
        hold();
    } else if (strcmp(command, "read") == 0 || strcmp(command, "write") == 0 || strcmp(command, "verify") == 0) {
        range(command, arguments + 4, count - 4);
    } else {
        die("there is no command '%s' with so many arguments", command);
    }

    need(comanche_close_queue(queue) == 0, "the queue is closed");
    comanche_detach(client);
    return 0;
}
