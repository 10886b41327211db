/* criterion_tsan.c - lets Criterion 2.4.1 run under ThreadSanitizer; linked only into tsan builds.
 *
 * Criterion's process runner (BoxFort) shares an arena between runner and test by mapping it at a
 * random address in [0x2000'0000'0000, 0x6000'0000'0000), after asking mincore() whether the page is
 * free.  ThreadSanitizer has reserved all of that range for itself: mincore() says "taken" and mmap()
 * says EINVAL, and no test starts.  These two functions, found before the sanitizer's and libc's
 * because they are in the executable, move the arena to where the sanitizer allows memory. */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BOXFORT_LOW UINT64_C(0x200000000000)
#define BOXFORT_HIGH UINT64_C(0x600000000000)
/* The sanitizer's uppermost application range starts at 0x7e80'0000'0000 (tsan_platform.h,
 * MappingX48); BoxFort itself wants addresses below 0x7f00'0000'0000.  The mask keeps the random bits
 * that fit between. */
#define ARENA_BASE UINT64_C(0x7e9000000000)
#define ARENA_MASK UINT64_C(0x3fff000000)
#define ARENA_STEP UINT64_C(0x1000000)

void *__interceptor_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset);
void *mmap64(void *addr, size_t length, int prot, int flags, int fd, off_t offset);

/* None of these is instrumented: they are called before the sanitizer has set itself up. */
#define NOT_INSTRUMENTED __attribute__((no_sanitize("thread")))

NOT_INSTRUMENTED static bool is_boxfort_arena(const void *addr)
{
    return (uint64_t)(uintptr_t)addr >= BOXFORT_LOW && (uint64_t)(uintptr_t)addr < BOXFORT_HIGH;
}

NOT_INSTRUMENTED void *mmap64(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
{
    enum { TRIES = 64 };
    if ((flags & MAP_FIXED) == 0 || fd < 0 || !is_boxfort_arena(addr))
        return __interceptor_mmap(addr, length, prot, flags, fd, offset);
    /* Another test's arena may lie there, one time in some thousands: Criterion does not look whether it got
     * one, and crashes. */
    flags = (flags & ~MAP_FIXED) | MAP_FIXED_NOREPLACE;
    uint64_t place = (uint64_t)(uintptr_t)addr & ARENA_MASK;
    void *arena = MAP_FAILED;
    for (int i = 0; i < TRIES && arena == MAP_FAILED; i++) {
        arena = __interceptor_mmap((void *)(uintptr_t)(ARENA_BASE + place), length, prot, flags, fd, offset);
        place = (place + ARENA_STEP) & ARENA_MASK;
    }
    return arena;
}

NOT_INSTRUMENTED int mincore(void *addr, size_t length, unsigned char *vec)
{
    if (is_boxfort_arena(addr)) {
        errno = ENOMEM; /* "not mapped" */
        return -1;
    }
    return (int)syscall(SYS_mincore, addr, length, vec);
}
