/* Attaching, and the control socket: one request at a time, whichever thread asks. */
#define _GNU_SOURCE

#include "comanche_client_private.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define MAGIC 0x48534D43u /* "CMSH" in the order of bytes. */
#define VERSION 1

/* What the server does for a request takes milliseconds; one that does not answer for so long is stuck. */
enum { PATIENCE_SECONDS = 30, MAX_FILES = 2, PAGE_FILE_BYTES = 4096, MAX_DEPTH = 16384 };

int comanche_private_fail(char* error, size_t error_bytes, int code, const char* format, ...)
{
    if (error != NULL && error_bytes != 0) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(error, error_bytes, format, arguments);
        va_end(arguments);
    }

    return code;
}

message_t comanche_private_message(uint16_t request)
{
    message_t message;
    memset(&message, 0, sizeof message);
    message.magic = MAGIC;
    message.version = VERSION;
    message.request = request;
    return message;
}

/* Sends a message with at most one file; returns 0 or the errno. */
static int send_message(int socket, const message_t* message, int file)
{
    struct iovec piece = { .iov_base = (void*)message, .iov_len = sizeof *message };
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr envelope = { .msg_iov = &piece, .msg_iovlen = 1 };
    if (file >= 0) {
        memset(&control, 0, sizeof control);
        envelope.msg_control = &control;
        envelope.msg_controllen = sizeof control.bytes;
        struct cmsghdr* header = CMSG_FIRSTHDR(&envelope);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(header), &file, sizeof file);
    }

    while (sendmsg(socket, &envelope, MSG_NOSIGNAL) < 0)
        if (errno != EINTR) return errno;
    return 0;
}

/* Receives a message with the files that it brings, at most MAX_FILES; returns 0 or an errno: EPIPE where the server is gone, EPROTO where this is no message of the protocol. */
static int receive_message(int socket, message_t* message, int* files, int* count)
{
    struct iovec piece = { .iov_base = message, .iov_len = sizeof *message };
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(MAX_FILES * sizeof(int))];
    } control;
    struct msghdr envelope = { .msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.bytes };
    *count = 0;
    ssize_t received;
    while ((received = recvmsg(socket, &envelope, MSG_CMSG_CLOEXEC)) < 0)
        if (errno != EINTR) return errno;
    for (struct cmsghdr* header = CMSG_FIRSTHDR(&envelope); header != NULL; header = CMSG_NXTHDR(&envelope, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
        size_t bytes = header->cmsg_len - CMSG_LEN(0);
        for (size_t at = 0; at + sizeof(int) <= bytes; at += sizeof(int)) {
            int file;
            memcpy(&file, CMSG_DATA(header) + at, sizeof file);
            if (*count < MAX_FILES) files[(*count)++] = file;
            else close(file);
        }
    }

    if (received == 0) return EPIPE;
    return received == (ssize_t)sizeof *message && (envelope.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0 ? 0 : EPROTO;
}

/*
 * The server can't be spoken with any more. It may still work on what is in flight, so the queues go on; the end of what this side sends makes it cut this client off, and close its end
 * when no device uses the memory any more.
 */
static int lose(comanche_client_t* client, char* error, size_t error_bytes, int code)
{
    client->failed = true;
    shutdown(client->socket, SHUT_WR);
    if (code == EPROTO) return comanche_private_fail(error, error_bytes, code, "the server does not speak the protocol");
    if (code == EAGAIN) return comanche_private_fail(error, error_bytes, ETIMEDOUT, "the server did not answer for %d s", PATIENCE_SECONDS);
    return comanche_private_fail(error, error_bytes, ECONNRESET, code == EPIPE || code == ECONNRESET ? "the server is gone" : "the server is gone: %s", strerror(code));
}

int comanche_private_ask(comanche_client_t* client, message_t* message, int file, int* files, int expected, char* error, size_t error_bytes)
{
    if (client->failed) return comanche_private_fail(error, error_bytes, ECONNRESET, "the server is gone");
    uint16_t request = message->request;
    int brought[MAX_FILES], count = 0;

    /* A server that takes nobody in says so and closes its end at once, maybe before this is sent: then its reason can still be read, behind the report of the reset. */
    int sent = send_message(client->socket, message, file);
    if (sent != 0 && sent != EPIPE && sent != ECONNRESET) return lose(client, error, error_bytes, sent);
    int code = receive_message(client->socket, message, brought, &count);
    if (code == ECONNRESET) code = receive_message(client->socket, message, brought, &count);
    if (code == 0 && (message->magic != MAGIC || (message->refused == 0 && (message->request != request || message->version != VERSION || count != expected || sent != 0))))
        code = EPROTO;
    if (code == 0 && message->refused == 0) {
        for (int i = 0; i < count; i++) files[i] = brought[i];
        return 0;
    }

    for (int i = 0; i < count; i++) close(brought[i]);
    if (code != 0) return lose(client, error, error_bytes, code);
    message->text[TEXT_BYTES - 1] = 0;
    return comanche_private_fail(error, error_bytes, EPERM, "%s", message->text);
}

int comanche_private_map(int file, size_t length, int protection, void** address)
{
    struct stat status;
    int seals = fcntl(file, F_GET_SEALS);
    if (seals < 0 || fstat(file, &status) != 0) return errno;
    if ((seals & F_SEAL_SHRINK) == 0 || status.st_size < 0 || (uint64_t)status.st_size < length) return EPROTO;
    void* mapped = mmap(NULL, length, protection, MAP_SHARED, file, 0);
    if (mapped == MAP_FAILED) return errno;
    *address = mapped;
    return 0;
}

static bool is_power_of_two(uint64_t value) { return value != 0 && (value & (value - 1)) == 0; }

/* Whether a geometry can be calculated with. */
static bool is_sane(const comanche_volume_info_t* volume)
{
    return is_power_of_two(volume->block_size) && volume->block_size >= 512 && volume->block_size <= 65536 && is_power_of_two(volume->buffer_alignment)
        && volume->buffer_alignment <= REGION_UNIT && volume->max_transfer_blocks != 0;
}

/* Connects; returns the socket, or -1 with the text of the error and errno. */
static int connect_to(const char* path, char* error, size_t error_bytes)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof address.sun_path) {
        errno = comanche_private_fail(error, error_bytes, EINVAL, "the path of a socket has 1 to %zu bytes", sizeof address.sun_path - 1);
        return -1;
    }

    memcpy(address.sun_path, path, length);
    struct timeval patience = { .tv_sec = PATIENCE_SECONDS };
    int made = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (made >= 0 && setsockopt(made, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0 && setsockopt(made, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) == 0
        && connect(made, (struct sockaddr*)&address, sizeof address) == 0)
        return made;
    int code = errno;
    if (made >= 0) close(made);
    const char* why = code == ENOENT ? "there is no such socket" : code == ECONNREFUSED ? "nobody listens there any more"
        : code == EPROTOTYPE ? "it is not the socket of a shared stack" : strerror(code);
    errno = comanche_private_fail(error, error_bytes, code, "cannot attach to %s: %s", path, why);
    return -1;
}

/* Asks to attach and takes over what the answer brings. */
static int introduce(comanche_client_t* client, const char* device, char* error, size_t error_bytes)
{
    message_t message = comanche_private_message(REQUEST_ATTACH);
    int files[2];
    if (device != NULL && strlen(device) >= TEXT_BYTES) return comanche_private_fail(error, error_bytes, EINVAL, "a device's name has at most %d bytes", TEXT_BYTES - 1);
    if (device != NULL) memcpy(message.text, device, strlen(device));
    int code = comanche_private_ask(client, &message, -1, files, 2, error, error_bytes);
    if (code != 0) return code;
    client->server_event = files[1];
    void* page;
    code = comanche_private_map(files[0], PAGE_FILE_BYTES, PROT_READ, &page);
    close(files[0]);
    if (code != 0) return comanche_private_fail(error, error_bytes, code, "the server's page can't be mapped: %s", strerror(code));
    client->page = page;
    if (!is_sane(&message.volume) || message.length == 0 || message.length > MAX_DEPTH) return comanche_private_fail(error, error_bytes, EPROTO, "the server's device makes no sense");
    client->volume = message.volume;
    client->block_size = message.volume.block_size;
    client->max_depth = (uint32_t)message.length;

    /* Its eventfd is written to on the way of every submission to a server that sleeps, which must not block. */
    int flags = fcntl(client->server_event, F_GETFL);
    if (flags < 0 || ((flags & O_NONBLOCK) == 0 && fcntl(client->server_event, F_SETFL, flags | O_NONBLOCK) != 0))
        return comanche_private_fail(error, error_bytes, errno, "the server's eventfd can't be used: %s", strerror(errno));
    return 0;
}

/* Gives back all that is held in this process. */
static void drop(comanche_client_t* client)
{
    while (client->queues != NULL) comanche_private_drop_queue(client->queues);
    close(client->socket);
    if (client->server_event >= 0) close(client->server_event);
    comanche_private_drop_memory(client);
    if (client->page != NULL) munmap((void*)client->page, PAGE_FILE_BYTES);
    pthread_mutex_destroy(&client->lock);
    free(client);
}

comanche_client_t* comanche_attach(const char* socket_path, const char* device, char* error, size_t error_bytes)
{
    int socket = connect_to(socket_path, error, error_bytes);
    if (socket < 0) return NULL;
    comanche_client_t* client = calloc(1, sizeof *client);
    if (client == NULL) {
        close(socket);
        errno = comanche_private_fail(error, error_bytes, ENOMEM, "there is no memory");
        return NULL;
    }

    client->socket = socket;
    client->server_event = -1;
    pthread_mutex_init(&client->lock, NULL);
    int code = introduce(client, device, error, error_bytes);
    if (code == 0) return client;
    drop(client);
    errno = code;
    return NULL;
}

void comanche_detach(comanche_client_t* client)
{
    if (client == NULL) return;

    /* Queues at rest are closed in order. What is in flight in the others ends with the socket: the server has mappings of its own of all that a device may use until then. */
    for (comanche_client_queue_t* queue = client->queues; queue != NULL;) {
        if (comanche_get_in_flight(queue) != 0 || comanche_close_queue(queue) != 0) break;
        queue = client->queues;
    }

    drop(client);
}

void comanche_disown(comanche_client_t* client)
{
    if (client != NULL) drop(client);
}

bool comanche_is_gone(comanche_client_t* client)
{
    if (atomic_load_explicit(&client->gone, memory_order_acquire)) return true;
    struct pollfd look = { .fd = client->socket };
    if (poll(&look, 1, 0) != 1 || (look.revents & (POLLHUP | POLLERR | POLLNVAL)) == 0) return false;

    /* Release: what the server wrote before its end is visible to whoever reads this. */
    atomic_store_explicit(&client->gone, true, memory_order_release);
    return true;
}

void comanche_get_volume(comanche_client_t* client, comanche_volume_info_t* volume)
{
    pthread_mutex_lock(&client->lock);
    *volume = client->volume;
    pthread_mutex_unlock(&client->lock);
}

int comanche_describe(comanche_client_t* client, comanche_volume_info_t* volume, comanche_device_health_t* health, char* error, size_t error_bytes)
{
    message_t message = comanche_private_message(REQUEST_DESCRIBE);
    pthread_mutex_lock(&client->lock);
    int code = comanche_private_ask(client, &message, -1, NULL, 0, error, error_bytes);
    if (code == 0 && (!is_sane(&message.volume) || message.volume.block_size != client->block_size)) code = lose(client, error, error_bytes, EPROTO);
    if (code == 0) client->volume = message.volume;
    pthread_mutex_unlock(&client->lock);
    if (code != 0) return code;
    if (volume != NULL) *volume = message.volume;
    if (health != NULL) *health = message.health;
    return 0;
}

uint64_t comanche_get_event_number(comanche_client_t* client)
{
    /* Acquire: who sees a number and asks for the geometry after that gets one that is at least as new. */
    return atomic_load_explicit(client->page, memory_order_acquire);
}

uint32_t comanche_get_max_depth(comanche_client_t* client) { return client->max_depth; }

const char* comanche_describe_status(comanche_io_status_t status)
{
    switch (status) {
    case COMANCHE_IO_STATUS_SUCCESS: return "success";
    case COMANCHE_IO_STATUS_INVALID_ARGUMENT: return "invalid argument";
    case COMANCHE_IO_STATUS_OUT_OF_RANGE: return "out of range";
    case COMANCHE_IO_STATUS_MISALIGNED: return "misaligned";
    case COMANCHE_IO_STATUS_UNSUPPORTED: return "unsupported";
    case COMANCHE_IO_STATUS_READ_ONLY: return "read-only";
    case COMANCHE_IO_STATUS_MEDIA_ERROR: return "media error";
    case COMANCHE_IO_STATUS_DATA_CORRUPT: return "data corrupt";
    case COMANCHE_IO_STATUS_MISCOMPARE: return "miscompare";
    case COMANCHE_IO_STATUS_NO_SPACE: return "no space";
    case COMANCHE_IO_STATUS_DEVICE_REMOVED: return "device removed";
    case COMANCHE_IO_STATUS_DEVICE_FAILED: return "device failed";
    case COMANCHE_IO_STATUS_PERMISSION_DENIED: return "permission denied";
    case COMANCHE_IO_STATUS_CANCELLED: return "cancelled";
    case COMANCHE_IO_STATUS_TIMED_OUT: return "timed out";
    case COMANCHE_IO_STATUS_BUSY: return "busy";
    case COMANCHE_IO_STATUS_ABORTED: return "aborted";
    default: return "a status that is not known";
    }
}
