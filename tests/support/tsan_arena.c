/* tsan_arena.c - lets Criterion's test programs start under ThreadSanitizer.
 *
 * Criterion shares an arena with the process it starts for each test, at a fixed address that
 * boxfort draws from a wide range.  ThreadSanitizer allows memory in a small part of that only and
 * blocks the rest, so that the programs end with "Could not initialize inheritable arena" or in a
 * SEGV before the first test.  boxfort takes any address between its limits: this moves the arena
 * to where both agree and where no position-independent program is loaded.
 *
 * Linked into the unit tests of thread-sanitized builds.  The kernel is called directly: libtsan's
 * own functions cannot be looked up this early, and nothing here may be instrumented. */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NOT_INSTRUMENTED __attribute__((no_sanitize_thread))

#define BOXFORT_BEGIN UINT64_C(0x200000000000)
#define BOXFORT_END UINT64_C(0x600000000000)
#define SHARED_BEGIN UINT64_C(0x550000000000) /* of ThreadSanitizer's middle application range */
#define SHARED_BYTES UINT64_C(0x004000000000) /* programs are loaded from 0x555555554000 on */
#define STEP_BYTES UINT64_C(0x1000000)        /* boxfort's own */

/* Names that boxfort calls, depending on how it was compiled. */
void *mmap64(void *address, size_t length, int protection, int flags, int fd, off_t offset);
int mincore(void *address, size_t length, unsigned char *resident);

static NOT_INSTRUMENTED void *map(uint64_t address, size_t length, int protection, int flags,
                                  int fd, off_t offset)
{
    return (void *)syscall(SYS_mmap, address, length, protection, flags, fd, offset);
}

static NOT_INSTRUMENTED bool is_between(uint64_t address, uint64_t begin, uint64_t end)
{
    return address >= begin && address < end;
}

NOT_INSTRUMENTED void *mmap(void *address, size_t length, int protection, int flags, int fd,
                            off_t offset)
{
    const uint64_t wanted = (uintptr_t)address;
    const bool is_arena = (flags & MAP_FIXED) != 0 && (flags & MAP_SHARED) != 0 &&
                          is_between(wanted, BOXFORT_BEGIN, BOXFORT_END);
    if (!is_arena || is_between(wanted, SHARED_BEGIN, SHARED_BEGIN + SHARED_BYTES))
        return map(wanted, length, protection, flags, fd, offset);
    for (uint64_t tried = 0; tried < SHARED_BYTES; tried += STEP_BYTES) {
        void *result = map(SHARED_BEGIN + (wanted + tried) % SHARED_BYTES, length, protection,
                           flags | MAP_FIXED_NOREPLACE, fd, offset);
        if (result != MAP_FAILED || errno != EEXIST)
            return result;
    }
    return MAP_FAILED;
}

NOT_INSTRUMENTED void *mmap64(void *address, size_t length, int protection, int flags, int fd,
                              off_t offset)
{
    return mmap(address, length, protection, flags, fd, offset);
}

/* boxfort asks whether its draw is free.  It is not, but it will not be used. */
NOT_INSTRUMENTED int mincore(void *address, size_t length, unsigned char *resident)
{
    if (is_between((uintptr_t)address, BOXFORT_BEGIN, BOXFORT_END)) {
        errno = ENOMEM;
        return -1;
    }
    return (int)syscall(SYS_mincore, address, length, resident);
}
