/*
 * The client of stacks that other processes share by thread/share, for C11 on Linux; it needs nothing but libc. The protocol is in docs/formats/share.md.
 *
 * A program attaches to a device, takes I/O buffers from memory that it shares with the server, opens queues, and submits descriptors (comanche.h) whose buffers lie
 * in that memory. While both sides are awake no system call is made for an I/O.
 *
 *  - Threads. Functions of a client may be called by any thread: they take a lock where they speak with the server. A queue belongs to one thread at a time. The library
 *    has no threads, no signal handlers and no global state.
 *  - Signals. Nothing here may be called in a signal handler. A signal never ends a call early, except comanche_wait.
 *  - Fork. A client stays with the process that attached. A child may only call comanche_disown. All descriptors are closed by exec.
 *  - Errors. Functions that return int and are not documented otherwise return 0 or an errno: ECONNRESET where the server is gone, EPERM where it refused. Where there is
 *    an error buffer, a sentence that ends with 0 is written there on failure, cut where it is too long; the buffer may be NULL.
 *  - The end of the server. Requests that it had not completed come back with COMANCHE_IO_STATUS_DEVICE_REMOVED once its end of the control socket is closed, which a server
 *    that ends in order does after no device uses the client's memory any more. Whether they took effect is unknown. There is no way back: detach, and attach anew.
 */
#ifndef COMANCHE_CLIENT_H
#define COMANCHE_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comanche.h"

#ifdef __cplusplus
typedef comanche::IoDescriptor comanche_io_descriptor_t;
typedef comanche::IoStatus comanche_io_status_t;
typedef comanche::IoFlags comanche_io_flags_t;
typedef comanche::VolumeInfo comanche_volume_info_t;
typedef comanche::DeviceHealth comanche_device_health_t;
extern "C" {
#endif

/** How long comanche_read, comanche_write and comanche_flush spin before they sleep, in nanoseconds: about what a wake-up costs. */
#define COMANCHE_CLIENT_SPIN_NS 50000

/** Enough room for any text of an error. */
#define COMANCHE_CLIENT_ERROR_BYTES 256

/** A device of a server to which this process is attached. */
typedef struct comanche_client comanche_client_t;

/** A queue of a client. One thread at a time. */
typedef struct comanche_client_queue comanche_client_queue_t;

/** What ends a sleep; see comanche_arm. */
typedef struct comanche_client_sleep {
    /** Readable when something was completed. */
    int event;
    /** The control socket: its POLLHUP (which needs no bit in pollfd.events) says that the server is gone. */
    int socket;
} comanche_client_sleep_t;

/**
 * Attaches to a device.
 * @param socket_path The path of the server's socket, at most 107 bytes.
 * @param device The name of the device, at most 95 bytes; "" or NULL where only one is shared.
 * @return The client, to be given to comanche_detach; NULL on failure, with errno and the error's text, which is the server's where it refused.
 */
comanche_client_t* comanche_attach(const char* socket_path, const char* device, char* error, size_t error_bytes);

/** Detaches, closing every queue that is still open and freeing all I/O buffers; NULL is ignored. No thread uses anything of the client any more. */
void comanche_detach(comanche_client_t* client);

/** In the child of a fork: gives back what the child inherited of a client, without a word to the server, so that the server notices the parent's end. */
void comanche_disown(comanche_client_t* client);

/** Whether the server's end of the control socket is closed. A system call, until it is once. */
bool comanche_is_gone(comanche_client_t* client);

/** The geometry and limits as they were when last asked for, by comanche_attach or comanche_describe. No system call. */
void comanche_get_volume(comanche_client_t* client, comanche_volume_info_t* volume);

/** Asks for geometry and health anew; either may be NULL. */
int comanche_describe(comanche_client_t* client, comanche_volume_info_t* volume, comanche_device_health_t* health, char* error, size_t error_bytes);

/** A number that grows with every notice of the device (resized, degraded, restored, removed): one load from shared memory. */
uint64_t comanche_get_event_number(comanche_client_t* client);

/** The largest depth of a queue here. */
uint32_t comanche_get_max_depth(comanche_client_t* client);

/**
 * Allocates an I/O buffer in shared memory, zeroed only where it was never used before. Takes whole pages of 4 KiB; a file of a multiple of 2 MiB is made and sent to the server
 * where no earlier one has room.
 * @param alignment A power of two up to 2 MiB; 4096 is the least that is given.
 * @return The buffer; NULL with errno: EINVAL, ENOMEM, ECONNRESET, or EPERM where the server takes no more memory.
 */
void* comanche_allocate(comanche_client_t* client, size_t bytes, size_t alignment);

/**
 * Frees an I/O buffer, which no request uses; NULL is ignored. Memory of which all is free goes back at once: then this waits until the server has unmapped it, which it
 * does when no request is in flight any more that it had taken before, on any queue of the client.
 * @return 0, or EINVAL where this is no buffer of the client.
 */
int comanche_free(comanche_client_t* client, void* buffer);

/** Whether a range lies wholly in one piece of shared memory of the client, so that it can be used in a descriptor. */
bool comanche_is_shared(comanche_client_t* client, const void* address, size_t bytes);

/** Opens a queue of this depth, which is the most descriptors in flight; NULL on failure, with errno. */
comanche_client_queue_t* comanche_open_queue(comanche_client_t* client, uint32_t depth, char* error, size_t error_bytes);

/** Closes a queue in which nothing is in flight; EBUSY where something is, and then it stays open. */
int comanche_close_queue(comanche_client_queue_t* queue);

/**
 * Takes descriptors from the front of a batch; the rest is refused for now, because the queue is full. Never blocks; wakes the server where it sleeps.
 *
 * A descriptor that is taken, and its data and segment list, belong to the queue until comanche_poll gives it back, which happens exactly once for each. Tag and everything else that the
 * submitter sets stay as they are; scratch is the queue's. The region fields are ignored: addresses are looked up. What can't be passed on (a buffer outside of shared memory, more segments
 * than volume.max_segments, compare-and-write with buffers in two pieces of memory) comes back with COMANCHE_IO_STATUS_INVALID_ARGUMENT.
 * @return How many were taken; 0 also where the queue was abandoned.
 */
int comanche_submit(comanche_client_queue_t* queue, comanche_io_descriptor_t* const* batch, int count);

/** Stores descriptors that are done, each with its status, and returns how many. Never blocks. */
int comanche_poll(comanche_client_queue_t* queue, comanche_io_descriptor_t** completed, int capacity);

/** Asks for the early end of a descriptor that is in flight here; it comes back by comanche_poll in any case. Returns 1 where that was passed on, else 0. */
int comanche_cancel(comanche_client_queue_t* queue, comanche_io_descriptor_t* descriptor);

/** How many descriptors were taken and are not given back. */
int comanche_get_in_flight(comanche_client_queue_t* queue);

/**
 * Prepares a sleep: says to the server that it is to be woken, and what the sleep is to wait for. The next comanche_poll takes that back.
 * @return 1 where comanche_poll has something to give back, so that there must be no sleep; else 0. With nothing in flight nothing will end the sleep but the server's end.
 */
int comanche_arm(comanche_client_queue_t* queue, comanche_client_sleep_t* sleep);

/**
 * Waits until comanche_poll has something to give back: spins first, then sleeps.
 * @param spin_ns How long to spin, in nanoseconds; 0 for not at all.
 * @param timeout_ns How long to wait in all, in nanoseconds; negative for ever.
 * @return 1 where there is something; 0 where the time is up, a signal came, or nothing is in flight.
 */
int comanche_wait(comanche_client_queue_t* queue, uint64_t spin_ns, int64_t timeout_ns);

/** Gives up what is in flight: it comes back within about a second, with COMANCHE_IO_STATUS_ABORTED where it was not done, and nothing can be submitted any more. */
int comanche_abandon(comanche_client_queue_t* queue);

/**
 * Reads or writes whole blocks from or to any memory and waits for the end, by as many requests as it takes, one at a time. What is not shared, or not aligned as the volume asks,
 * is copied through a buffer of the queue. The queue has nothing else in flight.
 * @return The status of the first request that failed, else success; COMANCHE_IO_STATUS_BUSY where other requests are in flight, the queue was abandoned, or there is no memory.
 */
comanche_io_status_t comanche_read(comanche_client_queue_t* queue, uint64_t lba, uint64_t block_count, void* into);

/** As comanche_read; flags may have COMANCHE_IO_FLAGS_FORCE_UNIT_ACCESS and COMANCHE_IO_FLAGS_NO_CACHE. */
comanche_io_status_t comanche_write(comanche_client_queue_t* queue, uint64_t lba, uint64_t block_count, const void* from, comanche_io_flags_t flags);

/** Makes everything durable whose completion was seen on any queue before. */
comanche_io_status_t comanche_flush(comanche_client_queue_t* queue);

/** A status in words; a constant. */
const char* comanche_describe_status(comanche_io_status_t status);

#ifdef __cplusplus
}
#endif
#endif
