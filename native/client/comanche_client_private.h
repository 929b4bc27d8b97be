/* What the parts of the client library know of each other. Nothing here is for programs that use it. */
#ifndef COMANCHE_CLIENT_PRIVATE_H
#define COMANCHE_CLIENT_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "comanche_client.h"

#define HIDDEN __attribute__((visibility("hidden")))

/* Words in shared memory are used through these types; they are the plain ones with the same size, and never locks. */
typedef _Atomic uint64_t word64_t;
typedef _Atomic uint32_t word32_t;
_Static_assert(sizeof(word64_t) == 8 && sizeof(word32_t) == 4, "atomic words are plain words");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2, "atomic words take no lock");

/* What a message asks; docs/formats/share.md. */
enum { REQUEST_ATTACH = 1, REQUEST_OPEN_QUEUE, REQUEST_CLOSE_QUEUE, REQUEST_ABANDON, REQUEST_ADD_REGION, REQUEST_REMOVE_REGION, REQUEST_DESCRIBE };

enum { TEXT_BYTES = 96, MAX_SEGMENTS = 1024, MAX_REGIONS = 1024, SMALL_PAGE = 4096, REGION_UNIT = 2 << 20 };

/* A message of the control socket, either way. */
typedef struct message {
    uint32_t magic;
    uint16_t version;
    uint16_t request;
    uint32_t refused;
    uint32_t number;
    uint64_t length;
    uint32_t segments;
    uint32_t reserved;
    comanche_volume_info_t volume;
    comanche_device_health_t health;
    char text[TEXT_BYTES];
} message_t;
_Static_assert(sizeof(message_t) == 256, "a message is 256 bytes");
_Static_assert(offsetof(message_t, length) == 16 && offsetof(message_t, volume) == 32, "the geometry lies at 32");
_Static_assert(offsetof(message_t, health) == 96 && offsetof(message_t, text) == 160, "the text lies at 160");

/*
 * A piece of memory that the server knows. Its number is its place in the table plus 1.
 *
 * Start and length are read by the threads of all queues without the lock. Who changes them writes start = 0, then the length, then the start; who reads them reads start, length and start
 * again, and believes what it read where both starts are the same and not 0.
 */
typedef struct region {
    _Atomic uintptr_t start; /* 0 where there is no region. */
    _Atomic size_t length;   /* In bytes, a multiple of REGION_UNIT. */

    /* Under the lock: for each small page at which a buffer begins, the number of its pages; else 0. Kept apart from the memory itself, which the server can write. */
    uint32_t* runs;
    uint32_t used; /* Small pages in buffers. */
} region_t;

struct comanche_client {
    pthread_mutex_t lock;
    int socket;
    int server_event;         /* Wakes the server. */
    word64_t* page;           /* The status page, read only; its first word is the event number. */
    uint32_t max_depth;
    bool failed;              /* Under the lock: the server broke the protocol or did not answer; nothing more is asked of it. */
    atomic_bool gone;         /* Its end of the socket is closed. */
    comanche_volume_info_t volume; /* Under the lock. */
    uint32_t block_size;
    comanche_client_queue_t* queues; /* Under the lock: those that are open. */
    atomic_uint region_limit;        /* One more than the highest place in the table that was ever used. */
    region_t regions[MAX_REGIONS];
};

/* Sets a message up. */
HIDDEN message_t comanche_private_message(uint16_t request);

/*
 * Asks, and waits for the answer, which stands in the message then; under the lock. Sends a file where it is not -1, and takes exactly so many files as are expected, which become
 * the caller's.
 */
HIDDEN int comanche_private_ask(comanche_client_t* client, message_t* message, int file, int* files, int expected, char* error, size_t error_bytes);

/* Writes an error's text; returns the code. */
HIDDEN __attribute__((format(printf, 4, 5))) int comanche_private_fail(char* error, size_t error_bytes, int code, const char* format, ...);

/* Maps a whole file that the server sent, once it is known to have this length and to be sealed against shrinking: so no access will fail. */
HIDDEN int comanche_private_map(int file, size_t length, int protection, void** address);

/* Finds the region in which a range lies with its whole length, beginning with the place that is tried first; 0 where there is none, else its number. */
HIDDEN uint32_t comanche_private_find(comanche_client_t* client, const void* address, uint64_t length, uint32_t first, uint64_t* offset);

/* Gives back what a queue holds in this process, and takes it from the list; under the lock, or where there is one thread. */
HIDDEN void comanche_private_drop_queue(comanche_client_queue_t* queue);

/* Removes every region, without a word to the server. */
HIDDEN void comanche_private_drop_memory(comanche_client_t* client);

#endif
