/*
 * I/O buffers in memory that the server knows: anonymous files of a multiple of 2 MiB, sealed so that neither side can change their length, mapped on a boundary of 2 MiB (as the server
 * does, so that huge pages fit on both sides). Each is divided into small pages, of which buffers take whole ones, first fit.
 */
#define _GNU_SOURCE

#include "comanche_client_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static uintptr_t round_up(uintptr_t value, uintptr_t unit) { return (value + unit - 1) & ~(unit - 1); }

/* Makes a file of this length, with all of its memory reserved: a later access does not fail. Returns it, or -1 with errno. */
static int make_file(size_t length)
{
    int file = memfd_create("comanche-client", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (file < 0) return -1;
    if (ftruncate(file, (off_t)length) == 0 && fallocate(file, 0, 0, (off_t)length) == 0 && fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
        return file;
    int code = errno;
    close(file);
    errno = code;
    return -1;
}

/* Maps a file on a boundary of REGION_UNIT, by reserving more than that and giving back what is on both sides; 0 with errno on failure. */
static uintptr_t map_aligned(int file, size_t length)
{
    size_t reserved = length + REGION_UNIT;
    void* anywhere = mmap(NULL, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (anywhere == MAP_FAILED) return 0;
    uintptr_t from = (uintptr_t)anywhere, start = round_up(from, REGION_UNIT);
    if (mmap((void*)start, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0) == MAP_FAILED) {
        int code = errno;
        munmap(anywhere, reserved);
        errno = code;
        return 0;
    }

    if (start != from) munmap(anywhere, start - from);
    if (start + length != from + reserved) munmap((void*)(start + length), from + reserved - start - length);
    return start;
}

/* Makes a region of at least these bytes and brings it to the server; returns it, or NULL with errno. Under the lock. */
static region_t* add_region(comanche_client_t* client, size_t bytes)
{
    uint32_t place = 0;
    while (place < MAX_REGIONS && atomic_load_explicit(&client->regions[place].start, memory_order_relaxed) != 0) place++;
    size_t length = round_up(bytes, REGION_UNIT);
    if (place == MAX_REGIONS) {
        errno = ENOMEM;
        return NULL;
    }

    region_t* region = &client->regions[place];
    uint32_t* runs = calloc(length / SMALL_PAGE, sizeof *runs);
    int file = runs == NULL ? -1 : make_file(length);
    uintptr_t start = file < 0 ? 0 : map_aligned(file, length);
    int code = errno;
    if (start != 0) {
        message_t message = comanche_private_message(REQUEST_ADD_REGION);
        message.number = place + 1;
        message.length = length;
        code = comanche_private_ask(client, &message, file, NULL, 0, NULL, 0);
    }

    if (file >= 0) close(file);
    if (start == 0 || code != 0) {
        if (start != 0) munmap((void*)start, length);
        free(runs);
        errno = code;
        return NULL;
    }

    region->runs = runs;
    region->used = 0;

    /* Release, the length before the start: see region_t. */
    atomic_store_explicit(&region->length, length, memory_order_release);
    atomic_store_explicit(&region->start, start, memory_order_release);
    if (place >= atomic_load_explicit(&client->region_limit, memory_order_relaxed)) atomic_store_explicit(&client->region_limit, place + 1, memory_order_release);
    return region;
}

/* Takes a region back, which holds no buffer. Under the lock. */
static void remove_region(comanche_client_t* client, region_t* region)
{
    uintptr_t start = atomic_load_explicit(&region->start, memory_order_relaxed);
    size_t length = atomic_load_explicit(&region->length, memory_order_relaxed);
    message_t message = comanche_private_message(REQUEST_REMOVE_REGION);
    message.number = (uint32_t)(region - client->regions) + 1;

    /* The number stays in use until the server has answered. It does not answer where it is gone: then its mapping is gone too, or is none of ours. */
    comanche_private_ask(client, &message, -1, NULL, 0, NULL, 0);
    atomic_store_explicit(&region->start, 0, memory_order_release);
    munmap((void*)start, length);
    free(region->runs);
    region->runs = NULL;
}

/* Takes so many small pages from a region, at a multiple of the alignment in pages; returns the first one's number, or UINT32_MAX. */
static uint32_t take_pages(region_t* region, uint32_t count, uint32_t alignment)
{
    uint32_t total = (uint32_t)(atomic_load_explicit(&region->length, memory_order_relaxed) / SMALL_PAGE);
    if (count > total - region->used) return UINT32_MAX;
    for (uint32_t from = 0; from < total;) {
        uint32_t end = from; /* Of the free pages that begin at from. */
        while (end < total && region->runs[end] == 0) end++;
        uint32_t first = (uint32_t)round_up(from, alignment);
        if (first <= end && count <= end - first) {
            region->runs[first] = count;
            region->used += count;
            return first;
        }

        from = end < total ? end + region->runs[end] : total;
    }

    return UINT32_MAX;
}

void* comanche_allocate(comanche_client_t* client, size_t bytes, size_t alignment)
{
    if (bytes == 0 || alignment > REGION_UNIT || (alignment & (alignment - 1)) != 0) {
        errno = EINVAL;
        return NULL;
    }

    size_t pages = bytes / SMALL_PAGE + (bytes % SMALL_PAGE != 0);
    if (pages > (size_t)1 << 28) { /* 1 TiB, which is more than any server takes; and page numbers have 32 bits. */
        errno = ENOMEM;
        return NULL;
    }

    uint32_t step = alignment <= SMALL_PAGE ? 1 : (uint32_t)(alignment / SMALL_PAGE);
    char* found = NULL;
    pthread_mutex_lock(&client->lock);
    uint32_t limit = atomic_load_explicit(&client->region_limit, memory_order_relaxed);
    region_t* region = NULL;
    uint32_t first = UINT32_MAX;
    for (uint32_t place = 0; place < limit && first == UINT32_MAX; place++) {
        region = &client->regions[place];
        if (atomic_load_explicit(&region->start, memory_order_relaxed) != 0) first = take_pages(region, (uint32_t)pages, step);
    }

    if (first == UINT32_MAX && (region = add_region(client, pages * SMALL_PAGE)) != NULL) first = take_pages(region, (uint32_t)pages, step);
    int code = errno;
    if (first != UINT32_MAX) found = (char*)atomic_load_explicit(&region->start, memory_order_relaxed) + (size_t)first * SMALL_PAGE;
    pthread_mutex_unlock(&client->lock);
    errno = code;
    return found;
}

int comanche_free(comanche_client_t* client, void* buffer)
{
    if (buffer == NULL) return 0;
    uint64_t offset;
    int code = EINVAL;
    pthread_mutex_lock(&client->lock);
    uint32_t number = comanche_private_find(client, buffer, 1, 0, &offset);
    if (number != 0 && offset % SMALL_PAGE == 0) {
        region_t* region = &client->regions[number - 1];
        uint32_t* run = &region->runs[offset / SMALL_PAGE];
        if (*run != 0) {
            region->used -= *run;
            *run = 0;
            code = 0;
            if (region->used == 0) remove_region(client, region);
        }
    }

    pthread_mutex_unlock(&client->lock);
    return code;
}

uint32_t comanche_private_find(comanche_client_t* client, const void* address, uint64_t length, uint32_t first, uint64_t* offset)
{
    uintptr_t at = (uintptr_t)address;

    /* Acquire: the table's entries below the limit are written. */
    uint32_t limit = atomic_load_explicit(&client->region_limit, memory_order_acquire);
    for (uint32_t i = 0, place = first < limit ? first : 0; i < limit; i++, place = place + 1 == limit ? 0 : place + 1) {
        region_t* region = &client->regions[place];

        /* Acquire, in this order: see region_t. Where the length is a later region's, the second look at the start sees at least the 0 that came before that length. */
        uintptr_t start = atomic_load_explicit(&region->start, memory_order_acquire);
        if (start == 0 || at < start) continue;
        size_t bytes = atomic_load_explicit(&region->length, memory_order_acquire);
        if (at - start >= bytes || length > bytes - (at - start)) continue;
        if (atomic_load_explicit(&region->start, memory_order_relaxed) != start) continue;
        *offset = at - start;
        return place + 1;
    }

    return 0;
}

bool comanche_is_shared(comanche_client_t* client, const void* address, size_t bytes)
{
    uint64_t offset;
    return comanche_private_find(client, address, bytes, 0, &offset) != 0;
}

void comanche_private_drop_memory(comanche_client_t* client)
{
    for (uint32_t place = 0; place < MAX_REGIONS; place++) {
        region_t* region = &client->regions[place];
        uintptr_t start = atomic_load_explicit(&region->start, memory_order_relaxed);
        if (start == 0) continue;
        munmap((void*)start, atomic_load_explicit(&region->length, memory_order_relaxed));
        free(region->runs);
    }
}
