/* memory.c - copies bytes out of a target.
 *
 * Called by every reader of Go structures, on the thread that owns the go_process.  A live
 * process is read with process_vm_readv(2): many pieces a call, no attach, no stop.  Sandboxes that forbid
 * that call to us (seccomp profiles of containers) leave /proc/PID/mem, one piece a call. */
#include "core/goproc/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum { BATCH_PARTS = 1024 }; /* the kernel's limit on pieces a call (UIO_MAXIOV) */
_Static_assert(sizeof(void *) == sizeof(uint64_t), "addresses of a target travel as pointers");

/* Live process. */

struct live_process {
    pid_t pid;
    int mem_fd; /* -1: process_vm_readv is allowed, as far as we know */
};

static bool set_process_error(struct error *err, int errno_value, pid_t pid, uint64_t address)
{
    switch (errno_value) {
    case EPERM:
    case EACCES:
        return error_set(err, ERROR_DENIED, "reading memory of pid %d: %s", (int)pid,
                         error_errno_text(errno_value));
    case ESRCH:
        return error_set(err, ERROR_GONE, "process %d has exited", (int)pid);
    case EFAULT:
        return error_set(err, ERROR_CORRUPT, "pid %d: nothing is readable at 0x%llx", (int)pid,
                         (unsigned long long)address);
    case ENOMEM:
        return error_set(err, ERROR_NO_MEMORY, "process_vm_readv: out of memory");
    default:
        return error_set(err, ERROR_SYSTEM, "process_vm_readv of pid %d at 0x%llx: %s", (int)pid,
                         (unsigned long long)address, error_errno_text(errno_value));
    }
}

/* Fills the two vectors from [parts], skipping [skip] bytes of the first.  Returns how many. */
static size_t fill_batch(const struct memory_part *parts, size_t count, size_t skip,
                         struct iovec *local, struct iovec *remote)
{
    size_t filled = 0;

    while (filled < count && filled < BATCH_PARTS) {
        const struct memory_part *part = &parts[filled];
        /* A piece is at most SSIZE_MAX bytes; memory_read_parts() saw to it. */
        local[filled] = (struct iovec){(char *)part->into + skip, part->length - skip};
        remote[filled] =
            (struct iovec){(void *)(uintptr_t)(part->address + skip), part->length - skip};
        skip = 0;
        filled++;
    }
    return filled;
}

/* Whether /proc/PID/mem may be read although [errno_value] came of process_vm_readv: the kernel asks for
 * the same rights for both, so then it was the call that is forbidden. */
static bool open_mem(struct live_process *process, int errno_value)
{
    char path[32];

    if (errno_value != EPERM && errno_value != ENOSYS)
        return false;
    (void)snprintf(path, sizeof(path), "/proc/%d/mem", (int)process->pid);
    process->mem_fd = open(path, O_RDONLY | O_CLOEXEC);
    return process->mem_fd != -1;
}

static size_t mem_read(const struct live_process *process, const struct memory_part *parts,
                       size_t count, struct error *err)
{
    size_t done_bytes = 0;

    for (size_t i = 0; i < count; i++) {
        for (size_t at = 0; at < parts[i].length;) {
            const uint64_t address = parts[i].address + at;
            const ssize_t got =
                address > INT64_MAX ? -1
                                    : pread(process->mem_fd, (char *)parts[i].into + at,
                                            parts[i].length - at, (off_t)address);
            if (got == -1 && address <= INT64_MAX && errno == EINTR)
                continue;
            if (got <= 0) { /* 0: the address space is gone */
                set_process_error(err, got == 0 ? ESRCH : EFAULT, process->pid, address);
                return done_bytes;
            }
            at += (size_t)got;
            done_bytes += (size_t)got;
        }
    }
    return done_bytes;
}

static size_t process_read(void *context, const struct memory_part *parts, size_t count,
                           struct error *err)
{
    struct live_process *process = context;
    const pid_t pid = process->pid;
    struct iovec local[BATCH_PARTS];
    struct iovec remote[BATCH_PARTS];
    size_t done_bytes = 0;
    size_t next = 0; /* first part that is not complete */
    size_t skip = 0; /* bytes of it that have arrived */

    if (process->mem_fd != -1)
        return mem_read(process, parts, count, err);
    while (next < count) {
        size_t batch = fill_batch(parts + next, count - next, skip, local, remote);
        ssize_t got = process_vm_readv(pid, local, batch, remote, batch, 0);
        if (got == -1 && errno == EINTR)
            continue;
        const int failed = got == -1 ? errno : EFAULT;
        if (got <= 0 && done_bytes == 0 && open_mem(process, failed))
            return mem_read(process, parts, count, err);
        if (got <= 0) {
            set_process_error(err, failed, pid, parts[next].address + skip);
            return done_bytes;
        }
        done_bytes += (size_t)got;
        /* A short count means that some piece is not mapped to its end: go on behind what
         * came, and the next call names the address that cannot be read. */
        size_t left = (size_t)got + skip;
        while (next < count && left >= parts[next].length) {
            left -= parts[next].length;
            next++;
            if (left == 0)
                break;
        }
        skip = left;
    }
    return done_bytes;
}

static void process_close(void *context)
{
    struct live_process *process = context;
    if (process->mem_fd != -1)
        close(process->mem_fd);
    free(process);
}

bool memory_open_process(struct memory *memory, pid_t pid, struct error *err)
{
    *memory = (struct memory){0};
    if (pid <= 0)
        return error_set(err, ERROR_USAGE, "%d is not a process id", (int)pid);
    struct live_process *process = malloc(sizeof(*process));
    if (process == NULL)
        return error_set(err, ERROR_NO_MEMORY, "no memory to read pid %d", (int)pid);
    *process = (struct live_process){.pid = pid, .mem_fd = -1};
    memory_open_source(memory, process_read, process, process_close);
    return true;
}

/* Recorded image. */

static size_t image_read(void *context, const struct memory_part *parts, size_t count,
                         struct error *err)
{
    const struct memory_image *image = context;
    size_t done_bytes = 0;

    for (size_t i = 0; i < count; i++) {
        uint64_t address = parts[i].address;
        char *into = parts[i].into;
        size_t left = parts[i].length;
        while (left > 0) {
            const struct memory_segment *found = NULL;
            for (size_t s = 0; s < image->count && found == NULL; s++) {
                const struct memory_segment *segment = &image->segments[s];
                if (address >= segment->address && address - segment->address < segment->length)
                    found = segment;
            }
            if (found == NULL) {
                error_set(err, ERROR_CORRUPT, "nothing is recorded at 0x%llx",
                          (unsigned long long)address);
                return done_bytes;
            }
            size_t offset = (size_t)(address - found->address);
            size_t here = found->length - offset;
            if (here > left)
                here = left;
            memcpy(into, (const char *)found->bytes + offset, here);
            into += here;
            address += here;
            left -= here;
            done_bytes += here;
        }
    }
    return done_bytes;
}

void memory_open_image(struct memory *memory, const struct memory_image *image)
{
    *memory = (struct memory){.source_ = image_read};
    memcpy(&memory->context_, &image, sizeof(image)); /* the source only reads through it */
}

/* Any source. */

void memory_open_source(struct memory *memory, memory_source source, void *context,
                        void (*close)(void *context))
{
    *memory = (struct memory){.source_ = source, .context_ = context, .close_ = close};
}

void memory_close(struct memory *memory)
{
    if (memory->close_ != NULL)
        memory->close_(memory->context_);
    *memory = (struct memory){0};
}

bool memory_read_parts(struct memory *memory, const struct memory_part *parts, size_t count,
                       struct error *err)
{
    size_t wanted_bytes = 0;

    for (size_t i = 0; i < count; i++) {
        if (parts[i].length > SSIZE_MAX - wanted_bytes ||
            parts[i].address > UINT64_MAX - parts[i].length)
            return error_set(err, ERROR_CORRUPT, "%zu bytes at 0x%llx is not a range of memory",
                             parts[i].length, (unsigned long long)parts[i].address);
        wanted_bytes += parts[i].length;
    }
    if (wanted_bytes == 0)
        return true;
    size_t got_bytes = memory->source_(memory->context_, parts, count, err);
    memory->read_bytes += got_bytes;
    memory->read_calls++;
    return got_bytes == wanted_bytes;
}

bool memory_read(struct memory *memory, uint64_t address, void *into, size_t length,
                 struct error *err)
{
    return memory_read_parts(memory, &(struct memory_part){address, into, length}, 1, err);
}

size_t memory_read_some(struct memory *memory, uint64_t address, void *into, size_t length,
                        struct error *err)
{
    if (length > SSIZE_MAX || address > UINT64_MAX - length) {
        error_set(err, ERROR_CORRUPT, "%zu bytes at 0x%llx is not a range of memory", length,
                  (unsigned long long)address);
        return 0;
    }
    if (length == 0)
        return 0;
    size_t got_bytes =
        memory->source_(memory->context_, &(struct memory_part){address, into, length}, 1, err);
    memory->read_bytes += got_bytes;
    memory->read_calls++;
    return got_bytes;
}
