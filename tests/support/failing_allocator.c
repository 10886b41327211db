/* failing_allocator.c - see the header.  The linker sends our calls here and keeps libc's own. */
#include "tests/support/failing_allocator.h"

#include <errno.h>
#include <stddef.h>

/* Names that --wrap gives; they exist for the linker alone. */
void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *old, size_t bytes);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);
char *__wrap_strdup(const char *text);

static _Thread_local bool armed;
static _Thread_local bool failed;
static _Thread_local uint64_t successes_left;

void failing_allocator_arm(uint64_t successes)
{
    armed = true;
    failed = false;
    successes_left = successes;
}

bool failing_allocator_disarm(void)
{
    armed = false;
    return failed;
}

static bool fails_now(void)
{
    if (!armed || failed)
        return false;
    if (successes_left > 0) {
        successes_left--;
        return false;
    }
    failed = true;
    errno = ENOMEM;
    return true;
}

void *__wrap_malloc(size_t bytes)
{
    return fails_now() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    return fails_now() ? NULL : __real_calloc(count, bytes);
}

void *__wrap_realloc(void *old, size_t bytes)
{
    return fails_now() ? NULL : __real_realloc(old, bytes);
}

char *__wrap_strdup(const char *text)
{
    return fails_now() ? NULL : __real_strdup(text);
}
